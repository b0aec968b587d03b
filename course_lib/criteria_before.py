"""The criteria of claims that ask for no training: C11, and C13 to C16 and C28.

As in `criteria`: functions of recorded arrays that answer yes or no, here for each of R networks at
initialisation, of L hidden layers, or for each of R draws of examples.
"""

import numpy as np


def activations_hold(standard, normalized, least=0.8):
    """C13: sd5/sd1 is at most 0.2 with standard weights ("a"), `least` or more with normalized.

    The standard deviation is over all units and examples of a layer together; the last layer is
    compared with the first.

    Parameters
    ----------
    standard, normalized : (R, L) std of activations
    least : float, 0.8; 0.5 for the wider limit P

    Returns
    -------
    dict of (R,) bool: "a" standard, "b" normalized
    """
    ratio = {"a": _last_to_first(standard), "b": _last_to_first(normalized)}
    return {"a": ratio["a"] <= 0.2, "b": ratio["b"] >= least}


def gradients_hold(standard, normalized, factor=1.25):
    """C14: sd of dC/ds, layer 1/layer 5: at most 0.2 ("a"); with normalized within `factor` of 1.

    Of the gradients of each example's own cost, over all units and examples of a layer together.
    Layer l has s^{l-1}: the output layer, L+1, is left out.

    Parameters
    ----------
    standard, normalized : (R, L) std of back-propagated gradients
    factor : float, 1.25 means 0.8 to 1.25; 2 for the wider limit P

    Returns
    -------
    dict of (R,) bool: "a" standard, "b" normalized
    """
    ratio = {"a": 1 / _last_to_first(standard), "b": 1 / _last_to_first(normalized)}
    return {"a": ratio["a"] <= 0.2, "b": (ratio["b"] >= 1 / factor) & (ratio["b"] <= factor)}


def weight_gradients_equal(standard, normalized, factor=1.25):
    """C15: largest/smallest sd of the weight gradients is at most `factor` under both; (R,) bool.

    Of the gradient of the mean cost over the examples, as Figure 8 shows it, over all entries of
    a matrix. "Hidden layers" is read as the matrices W^0 to W^{L-1} that lead to them.

    Parameters
    ----------
    standard, normalized : (R, L) std of weight gradients
    factor : float, 1.25; 2 for the wider limit P
    """
    return (largest_to_smallest(standard) <= factor) & (largest_to_smallest(normalized) <= factor)


def largest_to_smallest(values):
    """Return the largest over the smallest of each row, (R, L) -> (R,)."""
    values = _per_network(values)
    return values.max(axis=1) / values.min(axis=1)


def mean_singular_values(standard, normalized):
    """C16: averaged over layers it is 0.45 to 0.55 standard and 0.75 to 0.85 normalized; (R,) bool.

    Parameters
    ----------
    standard, normalized : (R, L) mean singular value of a layer's Jacobian, averaged over the
        examples
    """
    low, high = _per_network(standard).mean(axis=1), _per_network(normalized).mean(axis=1)
    return (low >= 0.45) & (low <= 0.55) & (high >= 0.75) & (high <= 0.85)


def one_number(mean, geometric_mean, variance_ratio):
    """C28: volume ratio and variance ratio are within 10 % of the mean singular value; (R,) bool.

    As in C16, each is first averaged over the layers. The volume ratio is read as the geometric
    mean of the singular values, the factor per dimension; the variance ratio as
    Var z^l/Var z^{l-1} over all units and examples.

    Parameters
    ----------
    mean, geometric_mean, variance_ratio : (R, L), of one scheme
    """
    mean, *others = (_per_network(v).mean(axis=1) for v in (mean, geometric_mean, variance_ratio))
    return np.all([np.abs(other - mean) <= 0.1 * mean for other in others], axis=0)


# ---------------------------------------------------------------- cost surfaces
def plateaus(cross_entropy, quadratic, factor=2.0):
    """C11: the quadratic cost's plateau is at least `factor` times larger; (R,) bool, R draws.

    A plateau is where the length of the gradient is below 5 % of the largest on the same surface.
    Read as: a draw is 100 inputs from N(0, 1), each with a target of 0 or 1 at equal odds whatever
    the input; the network p = sigmoid(w2 tanh(w1 x)), without biases; both costs are those of the
    softmax of (0, w2 tanh(w1 x)), as in training, and means over the draw; the area is counted in
    cells of the square by their centres, and the largest gradient is taken over the same centres.

    Parameters
    ----------
    cross_entropy, quadratic : (R,) share of [-8, 8] x [-8, 8] on the plateau, in the same draws
    """
    cross_entropy, quadratic = (_shares(values) for values in (cross_entropy, quadratic))
    return (quadratic >= factor * cross_entropy) & (quadratic > 0)


def _shares(values):
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"shares of an area need shape (R,) and values in [0, 1], not {values}")
    return values


def _last_to_first(values):
    values = _per_network(values)
    return values[:, -1] / values[:, 0]


def _per_network(values):
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"values per network need shape (R, L), L at least 2, not {values.shape}")
    return values
