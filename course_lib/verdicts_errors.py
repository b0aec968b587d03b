"""Verdicts on the claims about errors: the race of Figures 11 and 12, Table 1, costs and depths.

`criteria_errors` has the criteria. The first result decides, at the largest width; what others show
is written beside it. R runs are seeds, I test images, T recorded steps; errors are shares.
"""

import numpy as np

from course_lib import criteria_errors, results
from course_lib.datasets import TITLES
from course_lib.verdicts import average, judged, setting, span

TANH = {"activation": "tanh", "scheme": "standard", "depth": 5}
TANH_N = TANH | {"scheme": "normalized"}
SOFTSIGN = TANH | {"activation": "softsign"}
SOFTSIGN_N = TANH_N | {"activation": "softsign"}
SIGMOID = TANH | {"activation": "sigmoid"}
# Worst to best, as Figure 11 has them; the pre-trained network comes last.
RACE = {
    "sigmoid depth 5": SIGMOID,
    "sigmoid depth 4": SIGMOID | {"depth": 4},
    "tanh": TANH,
    "softsign": SOFTSIGN,
    "softsign N": SOFTSIGN_N,
    "tanh N": TANH_N,
}
# As Figure 12 has them.
FIVE = (SIGMOID, TANH, SOFTSIGN, SOFTSIGN_N, TANH_N)

# Glorot & Bengio (2010), Table 1: test error in per cent, five hidden layers.
PAPER = {
    ("softsign", "standard"): {"shapeset": 16.27, "mnist": 1.64, "cifar10": 55.78},
    ("softsign", "normalized"): {"shapeset": 16.06, "mnist": 1.72, "cifar10": 53.8},
    ("tanh", "standard"): {"shapeset": 27.15, "mnist": 1.76, "cifar10": 55.9},
    ("tanh", "normalized"): {"shapeset": 15.60, "mnist": 1.64, "cifar10": 52.92},
    ("sigmoid", "standard"): {"shapeset": 82.61, "mnist": 2.21, "cifar10": 57.28},
}


def final_wrong(stored, **fields):
    """Return which test images a curve's networks got wrong at the end: dict, seed to (I,) bool.

    A run that diverged is wrong everywhere.

    Parameters
    ----------
    stored : storage.Stored, with ``test_wrong`` (1, R, I);  fields : settings, `results.which`
    """
    runs = results.runs(stored)
    return {
        runs[n]["seed"]: stored["test_wrong"][-1, n] | (stored["diverged"][n] >= 0)
        for n in results.which(stored, **fields)
    }


def paired(curves):
    """Return the curves on the seeds that all of them have: dict of (R, ...), same order.

    Parameters
    ----------
    curves : dict, name to dict, seed to array, as `final_wrong` gives
    """
    seeds = sorted(set.intersection(*(set(curve) for curve in curves.values())))
    return {name: np.array([curve[s] for s in seeds]) for name, curve in curves.items()}


# ---------------------------------------------------------------- C20, C21, C27, C29
def race_verdicts(fig11, fig11_100=None, pretrained=None, pretrained_100=None):
    """Judge C20, C21, C27 and C29 on Figure 11's networks.

    The paper does not say which activation its pre-trained curve has. The tanh network of depth 5
    stands for pre-training, fixed before it was measured; others are shown beside it.

    Parameters
    ----------
    fig11, fig11_100 : storage.Stored, at the width that decides, and at width 100
    pretrained, pretrained_100 : storage.Stored, at the same widths

    Returns
    -------
    dict, claim id to `Verdict`; C20 and C27 are decided at the largest width that has a pre-trained
    curve, and are missing where there is none
    """
    pairs = ((fig11, pretrained), (fig11_100, pretrained_100))
    widths = [_race(race, before) for race, before in pairs if race is not None]
    found = {}
    for claim in ("C20", "C21", "C27", "C29"):
        judgements = [width[claim] for width in widths if claim in width]
        if judgements:
            found[claim] = _beside(*judgements)
    return found


def _beside(first, *others):
    """Make a verdict of the first judgement, (place, answers, limit, numbers), others beside it."""
    place, answers, limit, numbers = first
    besides = "".join(f"; beside it, {where[0].lower()}{where[1:]}: {n}" for where, *_, n in others)
    return judged({"whole": answers}, f"{place}: {numbers}{besides}", limit)


def _race(race, before):
    """Return what one width says: dict, claim id to (place, (R,) answers, (R,) limit, numbers)."""
    curves = {name: final_wrong(race, **fields) for name, fields in RACE.items()}
    wrong = paired(curves)
    error = {name: values.mean(1) for name, values in wrong.items()}
    place = _place(race)
    s, sn, t, tn = (wrong[name] for name in ("softsign", "softsign N", "tanh", "tanh N"))
    found = {
        "C21": (
            place,
            criteria_errors.robust_to_initialisation(s, sn, t, tn),
            None,
            f"softsign less softsign N {_points(error['softsign'] - error['softsign N'])}, tanh "
            f"less tanh N {_points(error['tanh'] - error['tanh N'])}, "
            f"p = {criteria_errors.p_value(t, tn):.4f}",
        ),
        "C29": (place, *_speed(race)),
    }
    if before is None:
        return found
    fields = _pretrained(before, activation="tanh")
    if fields is None:
        return found
    wrong = paired(curves | {"pre-trained": final_wrong(before, **fields)})
    error = {name: values.mean(1) for name, values in wrong.items()}
    place += f"; pre-trained {fields['activation']} at rate {_rate(before, fields)}"
    sigmoid = _pretrained(before, activation="sigmoid")
    if sigmoid is not None:
        own = np.array([run.mean() for run in final_wrong(before, **sigmoid).values()])
        place += f" (pre-trained sigmoid: {_per_cent(own)})"
    whole, limit, p = criteria_errors.final_order(list(wrong.values()))
    names = list(wrong)
    missing = [
        f"{a} > {b} (p = {value:.3f})"
        for a, b, value in zip(names, names[1:], p, strict=False)
        if value >= criteria_errors.LEVEL
    ]
    found["C20"] = (
        place,
        whole,
        limit,
        f"final errors {', '.join(f'{name} {_per_cent(error[name])}' for name in names)}; of the 6 "
        f"neighbours {len(p) - len(missing)} hold" + "".join(f", not {pair}" for pair in missing),
    )
    gaps = error["tanh"], error["tanh N"], error["pre-trained"]
    found["C27"] = (
        place,
        criteria_errors.closes_gap(*gaps),
        criteria_errors.closes_gap(*gaps, share=0.25),
        f"tanh less tanh N {_points(gaps[0] - gaps[1])}, tanh less pre-trained "
        f"{_points(gaps[0] - gaps[2])}",
    )
    return found


def _speed(race):
    """Return the answers to C29, the limit, and the numbers."""
    runs = results.runs(race)
    way = {
        name: {runs[n]["seed"]: race["way_error"][:, n] for n in results.which(race, **fields)}
        for name, fields in (("tanh", TANH), ("tanh N", TANH_N))
    }
    tanh, tanh_n = (curve.T for curve in paired(way).values())
    update = race["way_update"]
    time = criteria_errors.time_to_reach(update, tanh_n, tanh[-1])
    average = criteria_errors.time_to_reach(
        update, tanh_n.mean(1, keepdims=True), tanh[-1:].mean(1)
    )
    answers = criteria_errors.converges_faster(update, tanh, tanh_n)
    return (
        *answers,
        f"tanh N reaches tanh's final error at update {span(time)} of {update[-1]:,} (by the mean "
        f"curve at {span(average)}; measured on 2,000 test images)",
    )


def _pretrained(before, activation):
    """Return the settings that select the pre-trained curve of an activation, depth 5, or None."""
    for run in results.runs(before):
        if run["pretraining"] > 0 and run["depth"] == 5 and run["activation"] == activation:
            return {name: run[name] for name in ("activation", "scheme", "depth", "pretraining")}
    return None


# ---------------------------------------------------------------- C12
def cost_verdicts(costs, fig11_100):
    """Judge C12: tanh networks trained on the quadratic cost beside those of Figure 11.

    Both networks, tanh and tanh N, have to be better with the log-likelihood.

    Parameters
    ----------
    costs : storage.Stored, quadratic cost;  fig11_100 : storage.Stored, of the same width

    Returns
    -------
    dict, claim id to `Verdict`
    """
    if fig11_100 is None:
        return {}
    answers, said = [], []
    for name, fields in (("tanh", TANH), ("tanh N", TANH_N)):
        pair = {
            "quadratic": final_wrong(costs, **fields, cost="quadratic"),
            "log-likelihood": final_wrong(fig11_100, **fields),
        }
        quadratic, likelihood = (wrong.mean(1) for wrong in paired(pair).values())
        answers.append(criteria_errors.better_cost(likelihood, quadratic))
        said.append(
            f"{name} {_per_cent(quadratic)} with the quadratic cost at rate "
            f"{_rate(costs, fields)}, {_per_cent(likelihood)} with the log-likelihood at rate "
            f"{_rate(fig11_100, fields)}"
        )
    return {"C12": judged({"whole": np.all(answers, 0)}, f"{_place(costs)}: {'; '.join(said)}")}


# ---------------------------------------------------------------- C22
def other_sets_verdicts(fig12, fig11_100):
    """Judge C22 on MNIST and CIFAR-10; Shapeset's gap is the one at the same width.

    Each data set's gap is the final one, at the end of its own training.

    Parameters
    ----------
    fig12, fig11_100 : storage.Stored

    Returns
    -------
    dict, claim id to `Verdict`
    """
    if fig11_100 is None:
        return {}
    sets = sorted({run["data"] for run in results.runs(fig12)} - {"shapeset"}, reverse=True)
    images = fig12["test_wrong"].shape[-1]
    curves = {("shapeset", n): final_wrong(fig11_100, **f) for n, f in enumerate((TANH, TANH_N))}
    for data in sets:
        for fields in FIVE:
            key = data, fields["activation"], fields["scheme"]
            curves[key] = final_wrong(fig12, **fields, data=data)
    error = {key: wrong.mean(1) for key, wrong in paired(curves).items()}
    gap = error["shapeset", 0] - error["shapeset", 1]
    answers, said = [], []
    for data in sets:
        own = {key[1:]: values for key, values in error.items() if key[0] == data}
        answers.append(criteria_errors.same_elsewhere(own, images, gap))
        each = ", ".join(f"{_name(*curve)} {_per_cent(e)}" for curve, e in own.items())
        own_gap = own["tanh", "standard"] - own["tanh", "normalized"]
        said.append(f"{TITLES[data]}: {each}; tanh less tanh N {_points(own_gap)}")
    said.append(f"Shapeset, {fig11_100['test_update'][-1]:,} updates: {_points(gap)}")
    whole = np.all(answers, 0) & (len(sets) == 2)
    return {"C22": judged({"whole": whole}, f"{_place(fig12)}. {'. '.join(said)}")}


# ---------------------------------------------------------------- C26
def depth_verdicts(depths, fig11_100):
    """Judge C26: which depth has the least validation error.

    Parameters
    ----------
    depths : storage.Stored, tanh and tanh N of depth 1 to 4, sigmoid of depth 1 to 3
    fig11_100 : storage.Stored, the other depths, of the same width

    Returns
    -------
    dict, claim id to `Verdict`
    """
    if fig11_100 is None:
        return {}
    kinds = {"tanh": TANH, "tanh N": TANH_N, "sigmoid": SIGMOID}
    curves = {}
    for name, fields in kinds.items():
        for depth in (1, 2, 3, 4, 5):
            curve = {}
            for stored in (depths, fig11_100):
                curve |= _validation(stored, **fields | {"depth": depth})
            curves[name, depth] = curve
    error = paired(curves)
    by_depth = {
        name: {depth: values for (kind, depth), values in error.items() if kind == name}
        for name in kinds
    }
    best = {name: criteria_errors.best_depth(errors) for name, errors in by_depth.items()}
    whole, limit = criteria_errors.depths_as_found([best["tanh"], best["tanh N"]], best["sigmoid"])
    said = [
        f"{name} best at depth {', '.join(map(str, best[name]))} in the seeds (validation error of "
        f"depths 1 to 5: {', '.join(f'{100 * e.mean():.1f}' for e in errors.values())} %)"
        for name, errors in by_depth.items()
    ]
    return {"C26": judged({"whole": whole}, f"{_place(depths)}: {'; '.join(said)}", limit)}


def _validation(stored, **fields):
    runs = results.runs(stored)
    return {
        runs[n]["seed"]: stored["validation_error"][-1, n] for n in results.which(stored, **fields)
    }


# ---------------------------------------------------------------- in words
def _place(stored):
    updates = results.runs(stored)[0]["updates"]
    return f"{setting(stored)}, {updates:,} updates"


def _rate(stored, fields):
    rates = {results.runs(stored)[n]["learning_rate"] for n in results.which(stored, **fields)}
    return ", ".join(f"{rate:g}" for rate in sorted(rates))


def _name(activation, scheme):
    return f"{activation} N" if scheme == "normalized" else activation


def _per_cent(error):
    """Write the mean of (R,) shares in per cent, with its 95 % interval over seeds."""
    return average(100 * error, 1, " %")


def _points(gap):
    """Write the mean of (R,) differences of shares in points, with its 95 % interval."""
    return average(100 * gap, 1, " points")
