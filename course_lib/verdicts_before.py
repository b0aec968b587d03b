"""Verdicts on claims that ask for no training: C11, and C13 to C16 and C28, with the numbers.

`criteria_before` has the criteria.
"""

import numpy as np

from course_lib import criteria_before, surfaces
from course_lib.verdicts import average, judged, span

NETWORKS = 20  # what a verdict on networks at initialisation asks for
DRAWS = 20  # and one on cost surfaces


# ---------------------------------------------------------------- C13 to C16, C28
def signal_verdicts(signal):
    """Judge C13 to C15 on tanh networks at initialisation.

    Parameters
    ----------
    signal : training.History, as `untrained.signal_at_initialisation` makes it

    Returns
    -------
    dict, claim id to `Verdict`
    """
    sd = _schemes(signal, "activation_std")
    back = [values[:, :-1] for values in _schemes(signal, "back_propagated_std")]
    gradient = [values[:, :-1] for values in _schemes(signal, "weight_gradient_std")]
    where = _networks(signal, sd)
    return {
        "C13": judged(
            criteria_before.activations_hold(*sd),
            f"{where}: sd5/sd1 is {_both(v[:, -1] / v[:, 0] for v in sd)}",
            limit=_all(criteria_before.activations_hold(*sd, least=0.5)),
            asked=NETWORKS,
        ),
        "C14": judged(
            criteria_before.gradients_hold(*back),
            f"{where}: layer 1/layer 5 is {_both(v[:, 0] / v[:, -1] for v in back)}",
            limit=_all(criteria_before.gradients_hold(*back, factor=2)),
            asked=NETWORKS,
        ),
        "C15": judged(
            {"whole": criteria_before.weight_gradients_equal(*gradient)},
            f"{where}: largest/smallest is "
            f"{_both(criteria_before.largest_to_smallest(v) for v in gradient)}",
            limit=criteria_before.weight_gradients_equal(*gradient, factor=2),
            asked=NETWORKS,
        ),
    }


def jacobian_verdicts(jacobian):
    """Judge C16 and C28 on the Jacobians of tanh networks at initialisation.

    Parameters
    ----------
    jacobian : training.History, as `untrained.jacobian_at_initialisation` makes it

    Returns
    -------
    dict, claim id to `Verdict`
    """
    mean = _schemes(jacobian, "all_mean")
    volume = _schemes(jacobian, "all_geometric_mean")
    variance = _schemes(jacobian, "variance_ratio")
    where = _networks(jacobian, mean)
    same = [
        criteria_before.one_number(*parts) for parts in zip(mean, volume, variance, strict=True)
    ]
    return {
        "C16": judged(
            {"whole": criteria_before.mean_singular_values(*mean)},
            f"{where}: the average over layers is {_both(v.mean(1) for v in mean)}",
            asked=NETWORKS,
        ),
        "C28": judged(
            {"whole": np.logical_and(*same)},
            f"{where}, averages over layers: mean {_both(v.mean(1) for v in mean)}; geometric "
            f"mean {_both(v.mean(1) for v in volume)}; variance ratio "
            f"{_both(v.mean(1) for v in variance)}",
            asked=NETWORKS,
        ),
    }


# ---------------------------------------------------------------- C11
def surface_verdicts(history):
    """Judge C11 on the cost surfaces of small networks.

    Parameters
    ----------
    history : training.History, as `surfaces.cost_surfaces` makes it

    Returns
    -------
    dict, claim id to `Verdict`
    """
    level = np.flatnonzero(history["level"] == surfaces.PLATEAU)[0]
    costs, sizes = history["cost"].tolist(), history["sizes"].tolist()
    at = [costs.index(cost) for cost in ("cross_entropy", "quadratic")]
    shares = {
        name: [history["share"][place, cost, :, level] for cost in at]
        for place, name in enumerate(sizes)
    }
    small, points = shares.pop("1-1-1"), history.config["points"]
    beside = ", ".join(
        f"{name} {_percent(one)} and {_percent(other)}" for name, (one, other) in shares.items()
    )
    return {
        "C11": judged(
            {"whole": criteria_before.plateaus(*small)},
            f"1-1-1 network, {points} examples, {len(small[0])} draws: {_percent(small[0])} of the "
            f"area with the cross-entropy, {_percent(small[1])} with the quadratic cost, "
            f"{span(small[1] / small[0])} times as much (larger networks: {beside})",
            asked=DRAWS,
        )
    }


def _percent(shares):
    """Write the mean of shares in per cent, with its 95 % interval."""
    return average(100 * shares, 1, " %")


def _schemes(history, name):
    """Return tanh's (R, ...) arrays, standard and normalized, of as many networks as asked for."""
    tanh = history["activation"].tolist().index("tanh")
    schemes = history["scheme"].tolist()
    at = [schemes.index(scheme) for scheme in ("standard", "normalized")]
    return [np.asarray(history[name][tanh, s, :NETWORKS], dtype=float) for s in at]


def _all(parts):
    return np.all(list(parts.values()), axis=0)


def _networks(history, values):
    networks, depth = values[0].shape
    return f"Width {history.config['width']}, depth {depth}, {networks} networks"


def _both(pair):
    """Write the mean over networks of each scheme, with its 95 % interval."""
    standard, normalized = (average(values, 3) for values in pair)
    return f"{standard} standard, {normalized} normalized"
