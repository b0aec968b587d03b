"""The criteria of the claims about errors, on planted data: some that pass and some that fail."""

import numpy as np
import pytest

from course_lib import criteria_errors, verdicts_errors
from course_lib.storage import Stored


def wrong(*errors, images=1_000, seed=0):
    """(R, I) bool: networks that get the hardest images wrong, each with its own error."""
    difficulty = (np.random.default_rng(seed).permutation(images) + 0.5) / images
    return np.array([difficulty > 1 - error for error in errors])


def scattered(error, spread=0.01, seeds=5, seed=0, images=2_000):
    """(R, I) bool: errors that scatter over seeds, and over images beside their difficulty."""
    generator = np.random.default_rng(seed)
    difficulty = np.random.default_rng(99).random(images)
    shift = error + spread * generator.standard_normal((seeds, 1))
    return difficulty + 0.1 * generator.standard_normal((seeds, images)) > 1 - shift


# ---------------------------------------------------------------- A > B
def plain_bootstrap(a, b, resamples, seed):
    """The same by its definition: draw seeds, draw images, take the mean difference."""
    generator = np.random.default_rng(seed)
    runs, images = a.shape
    difference = a.astype(int) - b.astype(int)
    found = []
    for _ in range(resamples):
        seeds = generator.integers(runs, size=runs)
        found.append(difference[seeds][:, generator.integers(images, size=images)].sum())
    return np.array(found)


def test_the_quick_bootstrap_has_the_law_of_the_plain_one():
    a, b = scattered(0.4, seed=1, images=300), scattered(0.37, seed=2, images=300)
    plain = plain_bootstrap(a, b, 4_000, seed=3)
    difference = criteria_errors._difference(a, b)
    quick = criteria_errors._resampled(difference, 4_000, np.random.default_rng(4))
    # Two samples of 4,000 of one law: means differ by sqrt(2/4000) sd or less in 68 %, here 4 of
    # those; largest distance of the distribution functions below 1.95 sqrt(2/4000) in 99.9 %.
    assert abs(plain.mean() - quick.mean()) < 4 * np.sqrt(2 / 4_000) * plain.std()
    grid = np.unique(plain)
    cumulative = [np.searchsorted(np.sort(v), grid, "right") / 4_000 for v in (plain, quick)]
    assert np.abs(cumulative[0] - cumulative[1]).max() < 1.95 * np.sqrt(2 / 4_000)


def test_p_counts_the_resamples_that_speak_against():
    a, b = scattered(0.4, seed=1, images=300), scattered(0.38, seed=2, images=300)
    plain = (plain_bootstrap(a, b, 4_000, seed=3) <= 0).mean()
    p = criteria_errors.p_value(a, b)
    # Standard errors of the two shares together, times 4.
    assert abs(p - plain) < 4 * np.sqrt(plain * (1 - plain) * (1 / 4_000 + 1 / 10_000))
    assert 0.01 < plain < 0.5


def test_clear_differences_are_found_and_their_opposites_are_not():
    a, b = wrong(*[0.5] * 5), wrong(*[0.4] * 5)
    assert criteria_errors.p_value(a, b) == 1 / 10_001  # never 0
    assert criteria_errors.p_value(b, a) == 1
    assert criteria_errors.worse(a, b) and not criteria_errors.worse(b, a)
    assert criteria_errors.p_value(a, a) == 1
    assert criteria_errors.p_value(a, b) == criteria_errors.p_value(a, b)


def test_a_small_difference_needs_the_pairs():
    """Networks that share their hard images: half a point is clear paired, and lost unpaired."""
    a, b = wrong(*[0.5] * 5, images=10_000), wrong(*[0.495] * 5, images=10_000)
    assert criteria_errors.worse(a, b)
    shuffled = b[:, np.random.default_rng(1).permutation(10_000)]
    assert not criteria_errors.worse(a, shuffled)


def test_seeds_that_disagree_do_not_decide():
    a, b = wrong(0.6, 0.6, 0.6, 0.6, 0.2), wrong(*[0.4] * 5)  # 8 points worse on average
    assert not criteria_errors.worse(a, b)


@pytest.mark.parametrize(("spread", "most"), [(0.0, 2), (0.02, 9)])
def test_equal_networks_seldom_differ(spread, most):
    """150 draws of two kinds alike in law. Images only: fewer than .005 x 150 = 0.75 are expected.

    Seeds that scatter by 2 points, with half a point from 500 images: up to 4 % of 150 = 6, and 9
    or fewer in 92 % of such sets (binomial); these seeds are fixed.
    """
    alarms = 0
    for draw in range(150):
        pair = [scattered(0.5, spread, seed=1_000 + 2 * draw + k, images=500) for k in (0, 1)]
        alarms += criteria_errors.p_value(*pair, resamples=1_000, seed=draw) < 0.005
    assert alarms <= most


def test_a_comparison_that_is_not_paired_is_refused():
    with pytest.raises(ValueError, match=r"\(R, I\) of the same seeds"):
        criteria_errors.worse(np.ones((5, 10), bool), np.ones((4, 10), bool))
    with pytest.raises(ValueError, match="two arrays"):
        criteria_errors.worse(np.ones(10, bool), np.ones(10, bool))
    with pytest.raises(ValueError, match="at least 200"):
        criteria_errors.p_value(wrong(0.5), wrong(0.4), resamples=199)
    assert 1 / 201 < criteria_errors.LEVEL == 1 / 200  # what the 200 come from


# ---------------------------------------------------------------- the claims
def test_c12_asks_for_two_points():
    likelihood, quadratic = [0.5, 0.5, 0.5, 0.5], [0.53, 0.52, 0.519, 0.4]
    found = criteria_errors.better_cost(likelihood, quadratic)
    assert found.tolist() == [True, True, False, False]


def race(*errors):
    return [wrong(*[error] * 3, images=2_000) for error in errors]


@pytest.mark.parametrize(
    ("errors", "whole", "limit"),
    [
        ((0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.3), True, True),
        ((0.8, 0.7, 0.6, 0.5, 0.45, 0.45, 0.3), False, True),  # 5 of 6
        ((0.8, 0.7, 0.5, 0.5, 0.45, 0.45, 0.3), False, True),  # 4 of 6
        ((0.8, 0.5, 0.5, 0.5, 0.45, 0.45, 0.3), False, False),  # 3 of 6
        ((0.7, 0.8, 0.6, 0.5, 0.45, 0.4, 0.3), False, False),  # 5 of 6, but another is worst
        ((0.8, 0.7, 0.6, 0.5, 0.45, 0.3, 0.3), False, False),  # 5 of 6, but another is as good
    ],
)
def test_c20_wants_all_neighbours_or_four_and_both_ends(errors, whole, limit):
    found = criteria_errors.final_order(race(*errors))
    assert found[0].tolist() == [whole] * 3 and found[1].tolist() == [limit] * 3


def test_c20_says_which_neighbours_hold():
    p = criteria_errors.final_order(race(0.8, 0.7, 0.75, 0.5))[2]
    assert [value < 0.005 for value in p] == [True, False, True]


def test_c21_compares_gaps_seed_by_seed():
    tanh, tanh_n = wrong(0.6, 0.6, 0.6, 0.6), wrong(0.5, 0.5, 0.5, 0.58)
    softsign, softsign_n = wrong(0.54, 0.5, 0.56, 0.5), wrong(0.5, 0.54, 0.5, 0.5)
    found = criteria_errors.robust_to_initialisation(softsign, softsign_n, tanh, tanh_n)
    assert found.tolist() == [True, True, False, True]
    # Without tanh > tanh N nothing holds, though softsign has no gap at all.
    same = criteria_errors.robust_to_initialisation(softsign, softsign, tanh_n, tanh)
    assert not same.any()


def elsewhere(**changes):
    errors = {"sigmoid": 0.3, "tanh": 0.22, "softsign": 0.21, "softsign N": 0.205, "tanh N": 0.2}
    errors |= changes
    keys = {n: tuple([*n.replace(" N", " normalized").split(), "standard"][:2]) for n in errors}
    return {keys[name]: np.array([value]) for name, value in errors.items()}


def test_c22_on_one_data_set():
    def holds(gap=0.03, images=10_000, **changes):
        return criteria_errors.same_elsewhere(elsewhere(**changes), images, np.array([gap])).all()

    assert holds()
    assert not holds(sigmoid=0.215)  # tanh is worst
    assert not holds(gap=0.02) and not holds(gap=0.01)  # the gap is not below
    # sqrt(.2 x .8/10,000) is .4 points.
    assert holds(softsign=0.1965) and not holds(softsign=0.195)
    assert holds(softsign=0.19, images=1_000)


def test_c26_finds_the_best_depth_in_each_seed():
    errors = {1: [0.5, 0.4, 0.3], 4: [0.4, 0.4, 0.5], 5: [0.3, 0.41, 0.5]}
    assert criteria_errors.best_depth(errors).tolist() == [5, 1, 1]
    whole, limit = criteria_errors.depths_as_found([[5, 5, 4, 5], [5, 5, 5, 4]], [4, 5, 3, 4])
    assert whole.tolist() == [True, False, False, False]
    assert limit.tolist() == [True, False, True, False]


def test_c27_takes_shares_of_a_gap_that_is_there():
    tanh, tanh_n = np.full(4, 0.6), np.array([0.5, 0.57, 0.5, 0.5])
    pretrained = np.array([0.4, 0.5, 0.35, 0.62])
    assert criteria_errors.closes_gap(tanh, tanh_n, pretrained).tolist() == [
        True, False, False, False,
    ]  # fmt: skip
    wide = criteria_errors.closes_gap(tanh, tanh_n, pretrained, share=0.25)
    assert wide.tolist() == [True, True, True, False]


UPDATE = np.array([0, 10, 20, 50, 60, 90, 100])


def test_c29_looks_for_the_first_record_at_tanhs_final_error():
    tanh = np.linspace(0.8, 0.5, 7)[:, None].repeat(4, 1)
    quick = np.array([0.8, 0.7, 0.6, 0.5, 0.5, 0.4, 0.4])
    slower = np.array([0.8, 0.7, 0.6, 0.51, 0.5, 0.4, 0.4])
    same = np.array([0.8, 0.7, 0.6, 0.6, 0.6, 0.6, 0.5])
    never = same + 0.1
    tanh_n = np.array([quick, slower, same, never]).T
    time = criteria_errors.time_to_reach(UPDATE, tanh_n, tanh[-1])
    np.testing.assert_array_equal(time, [50, 60, 100, np.nan])
    whole, limit = criteria_errors.converges_faster(UPDATE, tanh, tanh_n)
    assert whole.tolist() == [True, False, False, False]
    assert limit.tolist() == [True, True, False, False]


def test_errors_on_the_way_need_their_updates():
    with pytest.raises(ValueError, match="increasing"):
        criteria_errors.time_to_reach(UPDATE[::-1], np.ones((7, 2)), np.ones(2))
    with pytest.raises(ValueError, match="need T"):
        criteria_errors.time_to_reach(UPDATE[1:], np.ones((7, 2)), np.ones(2))


# ---------------------------------------------------------------- the verdicts
def result(curves, seeds=5, width=300, updates=1_000):
    """A result with these curves: (settings, final error, when it comes down to it) each."""
    runs, missed, way, validation = [], [], [], []
    update = np.linspace(0, updates, 11).astype(int)
    for fields, error, half in curves:
        for seed in range(seeds):
            own = {"width": width, "learning_rate": 0.03, "seed": seed, "updates": updates}
            own |= {"data": "shapeset", "cost": "cross_entropy", "pretraining": 0}
            runs.append(own | fields)
            missed.append(wrong(error, images=2_000)[0])
            way.append(np.where(update < half, 0.8, error))
            validation.append(error)
    arrays = {
        "test_wrong": np.array(missed)[None],
        "test_update": np.array([updates]),
        "validation_error": np.array(validation)[None],
        "way_update": update,
        "way_error": np.array(way).T,
        "diverged": np.full(len(runs), -1),
    }
    return Stored(arrays, {"runs": runs})


ERRORS = (0.8, 0.7, 0.6, 0.5, 0.45, 0.4)


def figure11(errors=ERRORS, half=400, **options):
    curves = zip(verdicts_errors.RACE.values(), errors, strict=True)
    return result([(fields, error, half) for fields, error in curves], **options)


def pre(error=0.3, sigmoid=0.4, **options):
    before = {"pretraining": 50}
    one, tanh = verdicts_errors.SIGMOID | before, verdicts_errors.TANH | before
    return result([(one, sigmoid, 1), (tanh, error, 1)], **options)


def test_a_race_that_goes_as_the_paper_says():
    found = verdicts_errors.race_verdicts(figure11(), figure11(width=100), pre(), pre(width=100))
    assert {name: v.verdict for name, v in found.items()} == {
        "C20": "reproduced",
        "C21": "reproduced",
        "C27": "reproduced",  # 20 of 30 points
        "C29": "reproduced",
    }
    assert all(verdict.seeds == 5 for verdict in found.values())
    said = found["C20"].evidence
    assert said.startswith("Depth 4, 5, width 300, rate 0.03, 5 seeds, 1,000 updates; pre-trained ")
    assert "tanh N 40.0 % (40.0 to 40.0), pre-trained" in said and "6 hold" in said
    assert "beside it, depth 4, 5, width 100" in said
    assert "tanh less tanh N 20.0 points" in found["C21"].evidence
    assert "at update 400 of 1,000 (by the mean curve at 400" in found["C29"].evidence


def test_the_pretrained_curve_is_tanhs_even_where_another_is_better():
    found = verdicts_errors.race_verdicts(figure11(), pretrained=pre(sigmoid=0.2))
    assert "pre-trained tanh at rate 0.03 (pre-trained sigmoid: 20.0 %" in found["C20"].evidence
    assert found["C27"].evidence.endswith("tanh less pre-trained 30.0 points (30.0 to 30.0)")


def test_without_pretraining_there_is_no_verdict_on_it():
    assert set(verdicts_errors.race_verdicts(figure11())) == {"C21", "C29"}
    found = verdicts_errors.race_verdicts(figure11(), figure11(width=100), None, pre(width=100))
    assert "width 100" in found["C20"].evidence and "width 300" not in found["C20"].evidence
    assert "width 300" in found["C21"].evidence.split(";")[0]


def test_a_race_that_goes_otherwise():
    errors = (0.8, 0.7, 0.6, 0.65, 0.6, 0.4)
    found = verdicts_errors.race_verdicts(figure11(errors, half=700), pretrained=pre(0.1))
    assert found["C20"].verdict == "partly"  # 5 of 6, and both ends
    assert "5 hold, not tanh > softsign (p = 1.000)" in found["C20"].evidence
    assert found["C27"].verdict == "partly"  # 20 of 50 points
    assert found["C29"].verdict == "partly"  # fewer updates, but not half as many
    slow = verdicts_errors.race_verdicts(figure11((0.8, 0.7, 0.4, 0.5, 0.5, 0.4), half=1_000))
    assert slow["C21"].verdict == slow["C29"].verdict == "not reproduced"


def test_three_pretrained_seeds_are_paired_with_their_own():
    found = verdicts_errors.race_verdicts(figure11(), pretrained=pre(seeds=3))
    assert found["C20"].seeds == 3 and found["C20"].provisional and not found["C21"].provisional


def test_a_run_that_diverged_is_wrong_everywhere():
    broken = figure11()
    broken.arrays["diverged"][-1] = 10
    final = verdicts_errors.final_wrong(broken, **verdicts_errors.TANH_N)
    assert final[4].all() and not final[3].all()


def test_costs_need_both_networks_better():
    def found(tanh, tanh_n):
        pair = [(verdicts_errors.TANH, tanh, 1), (verdicts_errors.TANH_N, tanh_n, 1)]
        costs = result([(f | {"cost": "quadratic"}, e, h) for f, e, h in pair], width=100)
        return verdicts_errors.cost_verdicts(costs, figure11(width=100))["C12"]

    assert found(0.65, 0.45).verdict == "reproduced"
    assert found(0.65, 0.41).verdict == "not reproduced"
    assert "tanh 65.0 % (65.0 to 65.0) with the quadratic cost at" in found(0.65, 0.41).evidence
    assert verdicts_errors.cost_verdicts(figure11(), None) == {}


def figure12(data, errors):
    fields = [fields | {"data": data} for fields in verdicts_errors.FIVE]
    return [(f, error, 1) for f, error in zip(fields, errors, strict=True)]


@pytest.mark.parametrize("cifar", ["cifar10", "cifar10_reencoded"])
def test_other_data_sets(cifar):
    goes = (0.3, 0.22, 0.21, 0.205, 0.2)
    shapeset = figure11(width=100)  # 20 points

    def found(*curves):
        stored = result(sum(curves, []), width=100)
        return verdicts_errors.other_sets_verdicts(stored, shapeset)["C22"]

    both = found(figure12("mnist", goes), figure12(cifar, goes))
    assert both.verdict == "reproduced" and "CIFAR-10" in both.evidence
    assert "Shapeset, 1,000 updates: 20.0 points" in both.evidence
    assert found(figure12("mnist", goes)).verdict == "not reproduced"  # one set is not both
    other = found(figure12("mnist", goes), figure12(cifar, (0.21, 0.22, 0.21, 0.205, 0.2)))
    assert other.verdict == "not reproduced"
    assert verdicts_errors.other_sets_verdicts(figure11(), None) == {}


def test_depths():
    tanh = {1: 0.7, 2: 0.66, 3: 0.65, 4: 0.62}
    sigmoid = {1: 0.8, 2: 0.75, 3: 0.72}

    def found(tanh, sigmoid):
        curves = [
            (kind | {"depth": depth}, error, 1)
            for kind, errors in (
                (verdicts_errors.TANH, tanh),
                (verdicts_errors.TANH_N, tanh),
                (verdicts_errors.SIGMOID, sigmoid),
            )
            for depth, error in errors.items()
        ]
        return verdicts_errors.depth_verdicts(result(curves, seeds=3), figure11(width=100))["C26"]

    goes = found(tanh, sigmoid)
    assert goes.verdict == "reproduced" and goes.seeds == 3 and goes.provisional
    assert "tanh best at depth 5, 5, 5 in the seeds" in goes.evidence
    assert "sigmoid best at depth 4, 4, 4" in goes.evidence
    assert found(tanh, sigmoid | {2: 0.6}).verdict == "partly"  # only shallower
    assert found(tanh | {1: 0.1}, sigmoid).verdict == "not reproduced"
    assert verdicts_errors.depth_verdicts(figure11(), None) == {}
