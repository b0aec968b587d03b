"""C31: the verdicts of Shapeset beside those of MNIST and CIFAR-10, on numbers made up by hand."""

import numpy as np
import pytest

from course_lib import untrained, verdicts_before, verdicts_elsewhere
from course_lib.training import History

UPDATE = np.array([0, 100, 1_000, 50_000, 100_000])
FALLS, STAYS = [0.5, 0.3, 0.05, 0.02, 0.02], [0.5, 0.4, 0.3, 0.3, 0.3]
SETS = ("mnist", "cifar10_reencoded")
STD = {"shrinks": [0.5, 0.3, 0.2, 0.12, 0.08], "holds": [0.5, 0.5, 0.48, 0.46, 0.45]}
RISES = [0.1, 0.2, 0.4, 0.8, 1.0, 9.0]  # of dC/ds, the output's last
EVEN = [1.0, 1.1, 1.0, 1.0, 1.1, 9.0]


def sigmoid(*tops, data=("shapeset",)):
    """Five seeds of each set: three layers that hold still and the top one given."""
    columns = [np.stack([np.full(5, 0.6)] * 3 + [np.array(top)], 1) for top in tops]
    mean = np.stack([column for column in columns for _ in range(5)], 1)
    run = {"depth": 4, "width": 100, "learning_rate": 0.3}
    runs = [run | {"seed": seed, "data": name} for name in data for seed in range(5)]
    arrays = {
        "update": UPDATE,
        "activation_mean": mean,
        "cost": np.full(mean.shape[:2], 2.1),
        "activation_saturated": np.zeros(mean.shape),
        "logit_weight_rms": np.ones(mean.shape[:2]),
    }
    return History(arrays, {}, {"runs": runs})


def signal(standard="shrinks"):
    networks = 20

    def stack(one, other):
        return np.array([[[one] * networks, [other] * networks]])

    arrays = {
        "activation_mean": stack([0.0] * 5, [0.0] * 5),
        "activation_std": stack(STD[standard], STD["holds"]),
        "back_propagated_std": stack(RISES, [1.0] * 6),
        "weight_gradient_std": stack(EVEN, EVEN),
        "activation": np.array(["tanh"]),
        "scheme": np.array(["standard", "normalized"]),
    }
    return History(arrays, {}, {"width": 1000})


def elsewhere(*standard):
    parts = [signal(name) for name in standard]
    arrays = dict(parts[0].arrays)
    axes = {name: () for name in arrays}
    for name in untrained.ELSEWHERE:
        arrays[name] = np.stack([part[name] for part in parts])
    return History(arrays | {"data": np.array(SETS)}, axes, {"width": 1000})


def judge(standard=("shrinks", "shrinks"), tops=(FALLS, FALLS)):
    found = verdicts_elsewhere.elsewhere_verdicts(
        signal(), sigmoid(FALLS), elsewhere(*standard), sigmoid(*tops, data=SETS)
    )
    return found["C31"]


def test_all_eight_verdicts_recur():
    found = judge()
    assert found.verdict == "reproduced" and found.seeds == 5 and not found.provisional
    assert len(found.parts) == 8 and all(same == (True,) for same in found.parts.values())
    assert "Shapeset: C01 reproduced, C13 reproduced" in found.evidence
    assert "CIFAR-10, re-encoded: C01 reproduced (Depth 4, width 100" in found.evidence


@pytest.mark.parametrize(
    ("standard", "tops", "differ", "verdict"),
    [
        (("holds", "shrinks"), (FALLS, FALLS), ["C13, MNIST"], "partly"),
        (("shrinks", "shrinks"), (FALLS, STAYS), ["C01, CIFAR-10, re-encoded"], "partly"),
        (("holds", "holds"), (STAYS, STAYS), 4, "not reproduced"),
    ],
)
def test_a_verdict_that_differs_is_named(standard, tops, differ, verdict):
    found = judge(standard, tops)
    changed = [name for name, same in found.parts.items() if same == (False,)]
    assert changed == differ or len(changed) == differ
    assert found.verdict == verdict


def test_what_is_missing_leaves_the_claim_open():
    whole = [signal(), sigmoid(FALLS), elsewhere("holds", "holds"), sigmoid(FALLS, STAYS)]
    for place in (1, 2, 3):
        given = [None if k == place else result for k, result in enumerate(whole)]
        assert verdicts_elsewhere.elsewhere_verdicts(*given) == {}


def test_one_set_is_what_was_measured_there():
    both = elsewhere("holds", "shrinks")
    for place, name in enumerate(SETS):
        one = untrained.one_set(both, name)
        assert (one["activation_std"] == both["activation_std"][place]).all()
        assert one.config["data"] == name and "data" not in one
    assert verdicts_before.signal_verdicts(one)["C13"].verdict == "reproduced"
