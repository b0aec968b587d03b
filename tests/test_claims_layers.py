"""C07 to C10, C17 to C19, C30 on trajectories drawn by hand: some that pass and some that fail."""

import numpy as np
import pytest

from course_lib import criteria_layers as layers
from course_lib import figures, plots, verdicts_layers
from course_lib.training import History

T = 100_000
UPDATE = np.linspace(0, T, 101)
EDGES = np.round(np.linspace(-1, 1, 21), 1)


def rises(*at, end=0.8, start=0.1, over=200):
    """(T, 1, L): each layer's std goes from `start` to `end` in `over` updates around its time."""
    columns = [np.interp(UPDATE, [t - over / 2, t + over / 2], [start, end]) for t in at]
    return np.stack(columns, 1)[:, None, :]


def stacked(*runs):
    return np.concatenate(runs, axis=1)


def parts(found):
    return {name: yes.tolist() for name, yes in found.items()}


SEQUENCE = rises(2_000, 10_000, 30_000, 60_000, 90_000)
TOGETHER = rises(6_000, 7_000, 8_000, 10_000, 9_000)
BACKWARDS = rises(60_000, 30_000, 10_000, 2_000, 1_000)
NEVER = rises(2_000, 10_000, 30_000, 60_000, 90_000, end=0.4)
DIVERGED = np.where(UPDATE[:, None, None] > 50_000, np.nan, SEQUENCE)


# ---------------------------------------------------------------- times
def test_a_time_is_interpolated_between_records():
    update = np.array([0, 100, 300])
    values = np.array([0.1, 0.4, 0.6])[:, None, None]
    assert layers.reaches(update, values, 0.5).tolist() == [[200]]
    assert layers.reaches(update, values, 0.4).tolist() == [[100]]
    assert layers.reaches(update, values, 0.1).tolist() == [[0]]
    assert layers.half_rise(update, values) == pytest.approx(np.array([[250 / 3]]))


def test_never_is_the_last_update_and_no_number_is_no_time():
    values = np.array([[0.1, 0.1], [0.2, np.nan], [0.3, 0.9]])[:, None]
    assert layers.reaches([0, 1, 2], values, 0.5).tolist() == [
        [2, pytest.approx(np.nan, nan_ok=True)]
    ]


def test_the_first_time_counts():
    values = np.array([0.1, 0.6, 0.2, 0.7])[:, None, None]
    assert layers.reaches([0, 10, 20, 30], values, 0.5).tolist() == [[8]]


def test_what_does_not_rise_has_no_half_rise():
    falls = np.array([0.3, 0.1, 0.3])[:, None, None]
    assert np.isnan(layers.half_rise([0, 1, 2], falls)).all()


def test_half_of_the_rise_is_each_layers_own():
    both = np.stack([np.linspace(0, 0.2, 101), np.linspace(0.5, 0.9, 101)], 1)[:, None]
    np.testing.assert_allclose(layers.half_rise(UPDATE, both), [[T / 2, T / 2]])


def test_the_level_follows_the_scheme():
    assert (layers.level("standard"), layers.level("normalized")) == (0.5, 0.7)


def test_times_of_too_few_layers_are_refused():
    with pytest.raises(ValueError, match=r"at least 4, not \(1, 3\)"):
        layers.spread([[1, 2, 3]])


# ---------------------------------------------------------------- C08
def test_c08_wants_a_sequence_by_both_statistics():
    std = stacked(SEQUENCE, TOGETHER, BACKWARDS, NEVER, DIVERGED)
    assert parts(layers.saturate_in_sequence(UPDATE, std)) == {
        "a": [True, False, False, False, False],
        "b": [True, False, False, True, False],  # never above .5, yet half of its own rise in turn
    }


def test_c08_two_layers_that_never_saturate_are_not_in_sequence():
    std = rises(2_000, 10_000, 30_000, 60_000, 90_000)
    std[:, 0, 2:4] *= 0.5
    assert parts(layers.saturate_in_sequence(UPDATE, std)) == {"a": [False], "b": [True]}
    std[:, 0, 2] *= 2  # one alone: never is T
    assert parts(layers.saturate_in_sequence(UPDATE, std))["a"] == [True]


@pytest.mark.parametrize(
    ("times", "yes"),
    [
        ([10, 20, 29, 30, 5], True),  # the fifth layer does not count
        ([10, 20, 25, 29, 99], False),  # 2.9 times
        ([10, 20, 20, 40, 99], False),
        ([10, 20, np.nan, 40, 99], False),
    ],
)
def test_c08_strictly_and_threefold(times, yes):
    assert layers.one_after_another([times]).tolist() == [yes]


# ---------------------------------------------------------------- C09
def high(*ends):
    return np.broadcast_to(np.array(ends), (len(UPDATE), 1, len(ends)))


LOW_ENDS, HIGH_ENDS = high(0.7, 0.7, 0.7, 0.7, 0.99), high(0.9, 0.9, 0.9, 0.9, 0.9)


def test_c09_together_early_and_less():
    found = layers.saturate_together(UPDATE, (TOGETHER, LOW_ENDS), (SEQUENCE, HIGH_ENDS))
    assert parts(found) == {name: [True] for name in "abcd"}


def test_c09_each_part_can_fail():
    def judge(softsign=TOGETHER, ends=LOW_ENDS, tanh=SEQUENCE):
        return parts(layers.saturate_together(UPDATE, (softsign, ends), (tanh, HIGH_ENDS)))

    assert judge(ends=high(0.7, 0.7, 0.91, 0.7, 0.7))["a"] == [False]
    wide = judge(softsign=rises(6_000, 7_000, 8_000, 13_000, 9_000))  # 2.2
    assert (wide["b"], wide["c"], wide["d"]) == ([False], [True], [True])
    assert judge(tanh=rises(6_000, 7_000, 8_000, 12_000, 9_000))["c"] == [False]
    late = judge(softsign=rises(16_000, 17_000, 18_000, 21_000, 9_000))
    assert (late["b"], late["d"]) == ([True], [False])


def test_c09_a_softsign_that_never_saturates_has_a_ratio_of_one():
    found = layers.saturate_together(UPDATE, (NEVER, LOW_ENDS), (SEQUENCE, HIGH_ENDS))
    assert parts(found) == {"a": [True], "b": [False], "c": [True], "d": [False]}


def test_c09_a_run_that_diverged_fails():
    lost = np.full_like(TOGETHER, np.nan)
    found = layers.saturate_together(UPDATE, (lost, lost), (lost, lost))
    assert parts(found) == {name: [False] for name in "abcd"}


# ---------------------------------------------------------------- C19
def test_c19_no_order_and_together():
    disorder = rises(7_000, 10_000, 6_000, 9_000, 8_000)
    std = stacked(disorder, SEQUENCE, BACKWARDS, TOGETHER, DIVERGED)
    # backwards is no order, but not together; TOGETHER is together, but in order
    assert layers.no_sequence(UPDATE, std).tolist() == [True, False, False, False, False]


def test_c19_a_tie_at_never_does_not_break_the_order():
    assert layers.in_turn([[10, 20, T, T]]).tolist() == [True]
    assert layers.in_turn([[T, T, T, T], [20, 10, T, T]]).tolist() == [False, False]
    std = rises(6_000, 7_000, 8_000, 9_000, 9_000)
    std[:, 0, 1] = rises(6_100, end=0.65)[:, 0, 0]  # disorder by t alone: layer 2 never
    assert layers.in_turn(layers.reaches(UPDATE, std, 0.7)).tolist() == [False]
    assert layers.no_sequence(UPDATE, std).tolist() == [False]  # h is in order


def test_c19_an_order_by_t_alone_is_an_order():
    std = rises(6_000, 7_000, 8_000, 9_000, 9_000)
    std[:, 0, 0] = np.interp(UPDATE, [5_000, 5_100, 9_500, 9_600], [0.1, 0.72, 0.72, 1.6])
    half = layers.half_rise(UPDATE, std)[0]
    assert half[0] > half[1] and layers.spread([half])[0] < 2
    assert layers.in_turn(layers.reaches(UPDATE, std, 0.7)).tolist() == [True]
    assert layers.no_sequence(UPDATE, std).tolist() == [False]


def test_c19_asks_for_a_std_of_seven_tenths():
    std = rises(9_000, 8_000, 7_000, 6_000, 6_000, end=0.9)
    slow = np.interp(UPDATE, [0, 5_000, 10_000, 90_000], [0.1, 0.5, 0.6, 0.9])
    std[:, 0, 3] = slow  # by .5 the first of four, by .7 the last, by h the first
    assert layers.reaches(UPDATE, std, 0.5)[0].argmin() == 3
    assert layers.reaches(UPDATE, std, 0.7)[0, 3] > 30_000
    assert layers.no_sequence(UPDATE, std).tolist() == [True]


# ---------------------------------------------------------------- C10, C30, C07
def peaked(*at):
    """(1, L, 20): most of each layer's activations near one of these values, the rest even."""
    shares = np.full((1, len(at), 20), 0.01)
    for layer, value in enumerate(at):
        shares[0, layer, np.searchsorted(EDGES, value) - 1] += 0.8
    return shares


def test_c10_modes_of_each_layer():
    knees = peaked(0.75, -0.65, 0.55, 0.05, 0.95)
    ends = peaked(0.95, -0.95, 0.05, -0.05, 0.95)
    np.testing.assert_allclose(layers.modes(EDGES, knees), [[0.75, 0.65, 0.55, 0.05, 0.95]])
    assert parts(layers.piles_up(EDGES, ends, knees)) == {"a": [True], "b": [True]}
    assert parts(layers.piles_up(EDGES, knees, ends)) == {"a": [False], "b": [False]}
    two = peaked(0.75, 0.85, 0.45, 0.95, 0.05)
    assert parts(layers.piles_up(EDGES, peaked(0.95, 0.95, 0.85, 0.95, 0.95), two)) == {
        "a": [False],
        "b": [False],
    }


def test_c10_adds_both_signs():
    """The fullest bin with a sign is that of -0.3; both ends together hold more."""
    shares = np.zeros((1, 1, 20))
    shares[0, 0, [0, 19]], shares[0, 0, 7] = 0.3, 0.4
    assert layers.modes(EDGES, shares).tolist() == [[0.95]]
    assert layers.beyond(EDGES, shares).tolist() == [[0.6]]


def test_c10_a_run_that_diverged_has_no_mode():
    lost = np.full((1, 5, 20), np.nan)
    assert parts(layers.piles_up(EDGES, lost, lost)) == {"a": [False], "b": [False]}


def test_bins_that_cannot_be_folded_are_refused():
    with pytest.raises(ValueError, match="symmetric about 0"):
        layers.modes([-1, 0, 0.5], np.ones((1, 1, 2)))
    with pytest.raises(ValueError, match="itself an edge"):
        layers.modes([-1, -0.5, 0.5, 1], np.ones((1, 1, 3)))


def test_c30_looks_at_every_record_up_to_quick():
    share = np.zeros((101, 4))
    share[50, 1] = 0.05
    share[60:, 2] = np.nan
    assert layers.top_spared(UPDATE, share).tolist() == [True, False, False, True]
    assert layers.top_spared(2 * UPDATE, share).tolist() == [True, False, True, True]
    assert layers.top_spared(4 * UPDATE, share).tolist() == [True] * 4
    assert layers.top_spared(UPDATE / 2, share).tolist() == [False] * 4  # ends before


def test_c07_throughout():
    top = np.full((5, 3), 0.4)
    top[2, 1], top[4, 2] = 0.1, np.nan
    assert layers.top_above(top).tolist() == [True, False, False]


# ---------------------------------------------------------------- C17, C18
def gradients(first, last, at):
    """(T, 1, 5): layer 1's over layer 5's goes from `first` to `last` at one moment."""
    std = np.ones((101, 1, 5))
    std[:, 0, 0] = np.where(UPDATE >= at, last, first)
    return std


def test_c17_the_decay_reverses():
    std = stacked(
        gradients(0.1, 1.5, 20_000),
        gradients(0.1, 0.9, 20_000),
        gradients(1.2, 1.5, 20_000),  # there was no decay to reverse
        gradients(0.1, np.nan, 20_000),
    )
    times = layers.reversal(UPDATE, std)
    np.testing.assert_array_equal(times, [20_000, np.nan, np.nan, np.nan])
    assert layers.decay_reverses(UPDATE, std).tolist() == [True, False, False, False]
    late = 10 * UPDATE
    assert layers.decay_reverses(late, std).tolist() == [False] * 4
    assert layers.decay_reverses(late, std, quick=np.inf).tolist() == [True, False, False, False]


def test_c18_layers_diverge_and_more_so_with_standard_weights():
    wide, upside_down = [4, 3, 2, 1.5, 1], [1, 1.5, 2, 3, 4]
    narrow, other = [1.9, 1.5, 1.4, 1.2, 1], [2.1, 1.5, 1.4, 1.2, 1]
    found = layers.gradients_diverge(
        np.array([wide, upside_down, wide, other]), np.array([narrow, narrow, other, narrow])
    )
    assert parts(found) == {"a": [True, False, True, False], "b": [True, True, False, False]}


# ---------------------------------------------------------------- verdicts
def history(curves, width=300, last=T, seeds=5, arrays=None):
    """A result like Figure 11's: `curves` maps (activation, scheme, depth) to a std (T, 1, 5)."""
    runs, columns = [], {"activation_std": [], "activation_percentiles": [], "bins": []}
    for seed in range(seeds):
        for (activation, scheme, depth), std in curves.items():
            rate = {"activation": activation, "scheme": scheme, "depth": depth, "seed": seed}
            runs.append(rate | {"width": width, "learning_rate": 0.03})
            columns["activation_std"].append(std)
            columns["activation_percentiles"].append(np.minimum(1.2 * std, 1)[..., None])
            where = 0.65 if activation == "softsign" else 0.95
            columns["bins"].append(peaked(where, where, where, where, 0.05))
    update = UPDATE * last / T
    found = {name: np.concatenate(each, axis=1) for name, each in columns.items() if name != "bins"}
    bins = np.concatenate(columns["bins"])
    found |= {"update": update, "bins_update": update[::10], "bins_activation_edges": EDGES}
    found["bins_activation_histogram"] = np.repeat(bins[None], 11, axis=0)
    return History(found | (arrays or {}), {}, {"runs": runs})


TANH, SOFTSIGN = ("tanh", "standard", 5), ("softsign", "standard", 5)
TANH_N, SIGMOID4 = ("tanh", "normalized", 5), ("sigmoid", "standard", 4)
ONLY4 = np.concatenate([SEQUENCE[:, :, :4], np.full((101, 1, 1), np.nan)], axis=2)
DISORDER = rises(7_000, 10_000, 6_000, 9_000, 8_000)
FIG11 = {SIGMOID4: ONLY4, TANH: SEQUENCE, SOFTSIGN: TOGETHER * 0.7, TANH_N: DISORDER}


def test_layer_verdicts_of_a_story_that_goes_as_the_paper_says():
    found = verdicts_layers.layer_verdicts(history(FIG11))
    assert list(found) == ["C08", "C09", "C10", "C19", "C30"]
    for name, verdict in found.items():
        assert verdict.verdict == "reproduced", (name, verdict)
        assert verdict.seeds == 5 and "width 300, rate 0.03, 5 seeds" in verdict.evidence
        assert "nan" not in verdict.evidence
    sequence = found["C08"].evidence
    assert "half of its rise at 2,000, 10,000, 30,000, 60,000, 90,000; 4th/1st" in sequence
    assert "30.00 (30.00 to 30.00) by h" in sequence
    assert "98th percentile" in sequence and "98th percentiles" in found["C09"].evidence
    assert "the paper: about .6 to .8" in found["C10"].evidence


def test_layer_verdicts_that_go_otherwise():
    other = history({TANH: TOGETHER, SOFTSIGN: SEQUENCE, TANH_N: SEQUENCE})
    found = verdicts_layers.layer_verdicts(other)
    said = {name: verdict.verdict for name, verdict in found.items()}
    assert (said["C08"], said["C09"], said["C19"]) == ("not reproduced",) * 3
    crowded = other["bins_activation_histogram"]
    crowded[3, :, 4] = peaked(0.95)[0]
    assert verdicts_layers.layer_verdicts(other)["C30"].verdict == "not reproduced"


def test_the_other_width_stands_beside_and_does_not_decide():
    narrow = history({TANH: TOGETHER}, width=100, seeds=3)
    verdict = verdicts_layers.layer_verdicts(history({TANH: SEQUENCE}), narrow)["C08"]
    assert verdict.verdict == "reproduced" and verdict.seeds == 5
    assert ". Beside it, depth 5, width 100, rate 0.03, 3 seeds, 100,000" in verdict.evidence
    assert verdict.evidence.endswith("; there it holds (a) in 0, (b) in 0 of 3")
    alone = verdicts_layers.layer_verdicts(history({TANH: SEQUENCE}), None)["C08"]
    assert "Beside" not in alone.evidence


def test_claims_without_their_curves_are_left_out():
    found = verdicts_layers.layer_verdicts(history({TANH: SEQUENCE, SIGMOID4: ONLY4}))
    assert list(found) == ["C08"]
    assert verdicts_layers.layer_verdicts(history({SIGMOID4: ONLY4})) == {}


def test_rates_that_differ_are_both_said():
    both = history({TANH: SEQUENCE, SOFTSIGN: TOGETHER * 0.7})
    for run in both.config["runs"][::2]:
        run["learning_rate"] = 0.01
    evidence = verdicts_layers.layer_verdicts(both)["C09"].evidence
    start = "Depth 5, width 300, softsign at rate 0.03, tanh at 0.01, 5 seeds, layers 1 to 5: at"
    assert evidence.startswith(start)


def test_seeds_are_paired():
    """Only the seeds that both curves have; run r of one is compared with the same seed's."""
    both = history({TANH: SEQUENCE, SOFTSIGN: TOGETHER * 0.7})
    both.config["runs"][1]["seed"] = 9  # softsign's of seed 0
    assert verdicts_layers.layer_verdicts(both)["C09"].seeds == 4


def test_a_run_that_diverged_counts_against():
    lost = history(FIG11)
    lost["activation_std"][:, 1] = np.nan  # tanh, seed 0
    verdict = verdicts_layers.layer_verdicts(lost)["C08"]
    assert verdict.parts["a"] == (False, True, True, True, True) and verdict.verdict == "partly"


def fig09(standard, normalized, ends, width=1000, last=T):
    """Figure 9's: back-propagated stds (T, 1, 5), and the weight gradients' at the end."""
    curves = {TANH: SEQUENCE, TANH_N: SEQUENCE}
    output = np.full((101, 1, 1), 9.0)  # the output layer's: left out
    back = [np.concatenate([std, output], axis=2) for std in (standard, normalized)]
    weight = [np.ones((101, 1, 6)) for _ in ends]
    for values, end in zip(weight, ends, strict=True):
        values[-1, 0] = [*end, 99]
    arrays = {
        "back_propagated_std": np.concatenate(back * 5, axis=1),
        "weight_gradient_std": np.concatenate(weight * 5, axis=1),
    }
    return history(curves, width, last, arrays=arrays)


def test_gradient_verdicts():
    wide, narrow = [4, 3, 2, 1.5, 1], [1.5, 1.2, 1, 1, 1]
    reverses, decays = gradients(0.1, 1.5, 20_000), gradients(0.7, 0.9, 20_000)
    main = fig09(reverses, decays, (wide, narrow))
    found = verdicts_layers.gradient_verdicts(main, fig09(decays, decays, (narrow, wide), 300))
    assert {name: v.verdict for name, v in found.items()} == dict.fromkeys(found, "reproduced")
    assert "width 1000" in found["C17"].evidence and "width 300" in found["C17"].evidence
    assert "standard 0.10 (0.10 to 0.10) before training, 1.50" in found["C17"].evidence
    assert "1 first reached at update 20,000; normalized 0.70" in found["C17"].evidence
    assert "standard 4.00 (4.00 to 4.00) (before training 1.00)" in found["C18"].evidence
    turned = verdicts_layers.gradient_verdicts(fig09(decays, reverses, (narrow, wide)))
    assert {v.verdict for v in turned.values()} == {"not reproduced"}


def test_c17_is_decided_where_training_was_long_enough():
    """Width 1000 comes first, but for 20,000 updates: that says nothing of 100,000."""
    even = [1] * 5, [1] * 5
    reverses, decays = gradients(0.1, 1.5, 20_000), gradients(0.1, 0.9, 20_000)
    short, whole = fig09(decays, decays, even, last=T // 5), fig09(reverses, decays, even, 300)
    found = verdicts_layers.gradient_verdicts(short, whole)
    assert found["C17"].verdict == "reproduced"
    assert found["C17"].evidence.startswith("Depth 5, width 300")
    assert found["C18"].evidence.startswith("Depth 5, width 1000")
    assert verdicts_layers.gradient_verdicts(short)["C17"].verdict == "not reproduced"


def test_c17_reversed_only_after_quick_is_partly():
    slow = fig09(gradients(0.1, 1.5, 20_000), gradients(1, 1, 0), ([1] * 5, [1] * 5), last=10 * T)
    assert verdicts_layers.gradient_verdicts(slow)["C17"].verdict == "partly"


def pretrained(depth4, depth5, seeds=5):
    """Each depth's top mean (T,), and a run without pre-training that is to be left out."""
    runs, mean = [], []
    for seed in range(seeds):
        for depth, top, passes in ((4, depth4, 1), (5, depth5, 1), (4, np.zeros(101), 0)):
            run = {"activation": "sigmoid", "depth": depth, "seed": seed, "pretraining": passes}
            runs.append(run | {"width": 100, "learning_rate": 0.3})
            layers_ = np.full((101, 5), 0.5)
            layers_[:, depth - 1] = top
            layers_[:, depth:] = np.nan
            mean.append(layers_)
    return History({"update": UPDATE, "activation_mean": np.stack(mean, 1)}, {}, {"runs": runs})


def test_c07_wants_both_depths():
    fine, falls = np.full(101, 0.3), np.linspace(0.3, 0.05, 101)
    judge = verdicts_layers.pretrained_saturation_verdicts
    verdict = judge(pretrained(fine, fine))["C07"]
    assert verdict.verdict == "reproduced" and verdict.seeds == 5
    assert "Depth 4, 5, width 100" in verdict.evidence
    assert judge(pretrained(falls, fine))["C07"].verdict == "not reproduced"
    assert judge(pretrained(fine, falls))["C07"].verdict == "not reproduced"
    assert judge(history({SIGMOID4: ONLY4})) == {}


# ---------------------------------------------------------------- Figures 3, 4 and 10
def drawn(curves):
    told = history(curves)
    for run in told.config["runs"]:
        run["data"] = "shapeset"
    shares = {"diverged": np.full(len(told.config["runs"]), -1)}
    shares["activation_saturated"] = told["activation_std"] / 2
    return History(told.arrays | shares, {}, told.config)


def test_figure_3_has_tanh_above_softsign_and_says_when_each_layer_saturates():
    shown = figures.show("fig03", drawn({TANH: SEQUENCE, SOFTSIGN: NEVER}))
    top, bottom = shown.figure.axes
    assert top.get_title(loc="left") or top.get_title() == "tanh, depth 5, rate 0.03"
    assert "softsign" in bottom.get_title() and bottom.get_xlabel() == "epochs of 20,000 updates"
    assert top.get_position().y0 > bottom.get_position().y0
    assert "tanh, depth 5, 5 seeds, layer 1 up: standard deviations end at 0.80" in shown.alt
    assert "reach 0.5 at update 2,143, 10,143" in shown.alt
    assert "reach 0.5 at update never, never, never, never, never." in shown.alt
    assert len(shown.rows) == 10 and shown.rows[0]["half of its rise at update"] == "2,000"
    assert shown.rows[5]["std reaches 0.5 (N: 0.7) at update"] == "never"
    plots.svg(shown.figure, shown.alt)


def test_figure_4_names_the_fullest_bins_and_10_the_level_of_normalized_weights():
    shown = figures.show("fig04", drawn({TANH: SEQUENCE, SOFTSIGN: TOGETHER}))
    assert "tanh, depth 5, 5 seeds" in shown.alt and "0.95, 0.95, 0.95, 0.95, 0.05" in shown.alt
    assert "82, 82, 82, 82, 2 % lie beyond 0.9" in shown.alt
    assert shown.figure.axes[1].get_xlabel() == "activation"
    assert shown.figure.legends and not shown.figure.axes[0].get_legend()
    ten = figures.show("fig10", drawn({TANH_N: DISORDER}))
    assert "reach 0.7 at update 7,714, 10,714, 6,714, 9,714, 8,714" in ten.alt
    assert len(ten.figure.axes) == 1
