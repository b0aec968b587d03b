"""The criteria of claims on networks before training: some planted cases pass and some fail."""

import numpy as np
import pytest

from course_lib import claims, criteria_before, verdicts, verdicts_before
from course_lib.training import History

FALLS = [0.3, 0.17, 0.1, 0.06, 0.03]  # a tenth; as printed, layer 1 first
HOLDS = [0.45, 0.44, 0.42, 0.4, 0.38]  # 0.84
SHRINKS = [0.45, 0.38, 0.33, 0.3, 0.27]  # 0.6


def networks(*rows):
    return np.array(rows, dtype=float)


def test_c13_compares_the_last_layer_with_the_first():
    parts = criteria_before.activations_hold(
        networks(FALLS, FALLS, SHRINKS, [0.3, 0.01, 0.01, 0.01, 0.07]),
        networks(HOLDS, SHRINKS, HOLDS, [0.3, 0.01, 0.01, 0.01, 0.25]),
    )
    assert parts["a"].tolist() == [True, True, False, False]
    assert parts["b"].tolist() == [True, False, True, True]
    wide = criteria_before.activations_hold(
        networks(FALLS, FALLS), networks(SHRINKS, FALLS), least=0.5
    )
    assert wide["b"].tolist() == [True, False]


def test_c14_compares_the_first_layer_with_the_last():
    parts = criteria_before.gradients_hold(
        networks(FALLS[::-1], FALLS, [0.21, 0.1, 0.1, 1, 1], FALLS[::-1]),
        networks(HOLDS[::-1], HOLDS, SHRINKS[::-1], SHRINKS),
    )
    assert parts["a"].tolist() == [True, False, False, True]
    assert parts["b"].tolist() == [True, True, False, False]  # 0.84, 1.18, 0.6, 1.67
    wide = criteria_before.gradients_hold(
        networks(FALLS, FALLS, FALLS), networks(SHRINKS, SHRINKS[::-1], FALLS), factor=2
    )
    assert wide["b"].tolist() == [True, True, False]


def test_c15_wants_both_schemes_equal_in_all_layers():
    even, bulge = [1, 1.1, 1.2, 1.1, 1], [1, 1.1, 1.3, 1.1, 1]
    standard, normalized = networks(even, bulge, even), networks(even, even, bulge)
    assert criteria_before.weight_gradients_equal(standard, normalized).tolist() == [
        True,
        False,
        False,
    ]
    assert criteria_before.weight_gradients_equal(standard, normalized, factor=2).all()


def test_c16_averages_over_layers():
    half, eighth = [0.44, 0.48, 0.49, 0.49, 0.5], [0.72, 0.75, 0.8, 0.8, 0.83]
    low = [0.7, 0.73, 0.75, 0.77, 0.78]  # 0.746
    found = criteria_before.mean_singular_values(
        networks(half, half, low, eighth), networks(eighth, low, eighth, half)
    )
    assert found.tolist() == [True, False, False, False]
    high = networks([0.86] * 5)
    assert not criteria_before.mean_singular_values(networks(half), high).any()


def test_c28_wants_both_readings_near_the_mean():
    mean = networks(*4 * [[0.8, 0.8]])
    volume = networks([0.72, 0.74], [0.6, 0.6], [0.8, 0.8], [0.89, 0.89])  # last: 11 % above
    variance = networks([0.6, 1.1], [0.8, 0.8], [0.7, 0.7], [0.8, 0.8])
    assert criteria_before.one_number(mean, volume, variance).tolist() == [
        True,
        False,
        False,
        False,
    ]


def test_values_per_network_are_checked():
    with pytest.raises(ValueError, match=r"\(R, L\)"):
        criteria_before.largest_to_smallest([1.0, 2.0])
    with pytest.raises(ValueError, match="at least 2"):
        criteria_before.mean_singular_values(np.ones((3, 1)), np.ones((3, 1)))


def test_one_network_has_no_interval_but_a_verdict():
    assert np.isnan(verdicts.interval([1.0])).all()
    single = verdicts_before.signal_verdicts(signal(count=1))
    assert single["C13"].provisional and "(nan to nan)" in single["C13"].evidence


def signal(sd=(FALLS, HOLDS), count=20, width=1000):
    """Networks alike but for 1 %: tanh stands second, schemes the other way round."""

    def stack(standard, normalized, last=()):
        rows = np.array([[*normalized, *last], [*standard, *last]], dtype=float)
        wobble = 1 + 0.01 * np.linspace(-1, 1, count)
        tanh = rows[:, None] * wobble[None, :, None]
        return np.stack([np.full_like(tanh, 7.0), tanh])

    arrays = {
        "activation": np.array(["sigmoid", "tanh"]),
        "scheme": np.array(["normalized", "standard"]),
        "activation_std": stack(*sd),
        "back_propagated_std": stack(FALLS[::-1], SHRINKS[::-1], [99]),  # the output's: left out
        "weight_gradient_std": stack([1, 1.1, 1, 1, 1], [1, 1, 1.2, 1, 1], [99]),
        "all_mean": stack([0.45, 0.48, 0.49, 0.49, 0.49], [0.7, 0.8, 0.8, 0.8, 0.8]),
        "all_geometric_mean": stack([0.35] * 5, [0.75] * 5),  # C28 holds for normalized alone
        "variance_ratio": stack([0.33] * 5, [0.78] * 5),
    }
    return History(arrays, {}, {"width": width})


def test_verdicts_at_initialisation():
    shipped = {"signal_at_initialisation": signal(), "jacobian_at_initialisation": signal()}
    entries = {c.id: v for c, v in claims.ledger(shipped.get)}
    said = {name: entries[name].verdict for name in ("C13", "C14", "C15", "C16", "C28")}
    assert said == {
        "C13": "reproduced",
        "C14": "partly",
        "C15": "reproduced",
        "C16": "reproduced",
        "C28": "not reproduced",
    }
    assert all(entries[name].seeds == 20 and not entries[name].provisional for name in said)
    assert entries["C13"].evidence == (
        "Width 1000, depth 5, 20 networks: sd5/sd1 is 0.100 (0.100 to 0.100) standard, "
        "0.844 (0.844 to 0.844) normalized"
    )
    assert "layer 1/layer 5 is 0.100 (0.100 to" in entries["C14"].evidence
    assert "1.100 (1.100 to 1.100) standard, 1.200" in entries["C15"].evidence
    assert "geometric mean 0.350 (0.349 to 0.351) standard" in entries["C28"].evidence
    assert entries["C01"].verdict == "not measured yet"


def test_more_networks_than_asked_for_do_not_count_and_fewer_are_provisional():
    for count, used in ((40, 20), (10, 10)):
        shipped = {"signal_at_initialisation": signal(count=count)}
        entries = claims.ledger(shipped.get)
        verdict = {c.id: v for c, v in entries}["C14"]
        assert verdict.seeds == used and verdict.provisional == (used < 20)
    assert "provisional: 10 of 20 seeds" in claims.table(entries)


def test_the_wider_limit_needs_the_standard_part_too():
    """Neither part in every network, and P: standard at most .2 and normalized at least .5."""
    fails = signal(sd=(SHRINKS, SHRINKS))
    entries = {c.id: v for c, v in claims.ledger({"signal_at_initialisation": fails}.get)}
    assert entries["C13"].verdict == "not reproduced"


# What the lessons and the ledger's page say in words.
MEASURED = {
    "C13": "partly",
    "C14": "partly",
    "C15": "reproduced",
    "C16": "not reproduced",
    "C28": "not reproduced",
}


def test_what_was_measured_at_initialisation():
    entries = {c.id: v for c, v in claims.ledger()}
    assert {name: entries[name].verdict for name in MEASURED} == MEASURED
    for name in MEASURED:
        assert entries[name].seeds == 20 and "Width 1000, depth 5" in entries[name].evidence
    for name in ("C13", "C14"):
        assert all(entries[name].parts["a"]) and not any(entries[name].parts["b"])
