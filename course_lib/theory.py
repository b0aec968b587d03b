"""The paper's equations as functions: variances forward and backward, and singular values.

Layers are numbered as in the paper: sizes n_0 .. n_{d+1}, weights W^0 .. W^d with variances
v_0 .. v_d, and delta^i = dC/ds^i of one example. Where the paper errs (its Eqs. 6, 7 and 13), the
corrected form stands here. Eqs. (2) and (3) are `backprop`, Eq. (17) is `jacobian`; the laws of
the singular values are in `spectra`.
"""

from typing import NamedTuple

import numpy as np
import torch

from course_lib import activations
from course_lib.spectra import (
    LayerProductLaw,
    ProductLaw,
    SingularValueLaw,
    mean_singular_value,
    quarter_circle_mean,
)

__all__ = [  # what a reader finds here; the last five are defined in `spectra`
    "standard_bound",
    "forward_variance",
    "backward_variance",
    "compromise_variance",
    "normalized_bound",
    "uniform_bound",
    "uniform_variance",
    "weight_variance",
    "gain",
    "variances",
    "activation_variances",
    "gradient_variances",
    "weight_gradient_variances",
    "spread",
    "equal_width_gradient_variances",
    "equal_width_weight_gradient_variance",
    "gaussian_mean",
    "slopes",
    "mean_slope",
    "Signal",
    "propagate",
    "layer_law",
    "product_law",
    "SingularValueLaw",
    "ProductLaw",
    "LayerProductLaw",
    "mean_singular_value",
    "quarter_circle_mean",
]


# ---------------------------------------------------------------- one matrix
def standard_bound(fan_in, fan_out):
    """Return the bound of Glorot & Bengio (2010), Eq. (1): 1/sqrt(fan_in)."""
    return 1 / np.sqrt(fan_in)


def forward_variance(fan_in, fan_out):
    """Return the Var[W] that keeps the variance of activations, Eq. (10): 1/fan_in."""
    return 1 / fan_in


def backward_variance(fan_in, fan_out):
    """Return the Var[W] that keeps the variance of gradients, Eq. (11): 1/fan_out."""
    return 1 / fan_out


def compromise_variance(fan_in, fan_out):
    """Return the compromise between Eqs. (10) and (11), Eq. (12): 2/(fan_in + fan_out)."""
    return 2 / (fan_in + fan_out)


def normalized_bound(fan_in, fan_out):
    """Return the bound of Eq. (16): sqrt(6)/sqrt(fan_in + fan_out), to have Eq. (12)'s variance."""
    return np.sqrt(6 / (fan_in + fan_out))


def uniform_bound(variance):
    """Return the a for which U[-a, a] has this variance: sqrt(3 variance)."""
    return np.sqrt(3 * variance)


def uniform_variance(bound):
    """Return the variance of U[-bound, bound]: bound^2/3."""
    return bound**2 / 3


BOUNDS = {"standard": standard_bound, "normalized": normalized_bound}


def weight_variance(scheme, fan_in, fan_out):
    """Return Var[W] of a scheme of the paper, ``"standard"`` or ``"normalized"``."""
    if not isinstance(scheme, str) or scheme not in BOUNDS:
        raise ValueError(f"unknown scheme {scheme!r}; choose one of {', '.join(BOUNDS)}")
    return uniform_variance(BOUNDS[scheme](fan_in, fan_out))


def gain(scheme, fan_in, fan_out):
    """Return n Var[W], the forward factor of a layer: 1/3 for the standard scheme, Eq. (15)."""
    return fan_in * weight_variance(scheme, fan_in, fan_out)


def variances(scheme, sizes):
    """Return v_0 .. v_d of a network with layers of these sizes, as an array (d+1,)."""
    n = _sizes(sizes)
    return np.array(
        [
            weight_variance(scheme, fan_in, fan_out)
            for fan_in, fan_out in zip(n, n[1:], strict=False)
        ]
    )


# ---------------------------------------------------------------- the linear regime, Eq. (4)
def activation_variances(sizes, variances, mean_square=1.0):
    """Return the variance of the activations in the linear regime, Eq. (5).

    Parameters
    ----------
    sizes : n_0 .. n_{d+1};  variances : v_0 .. v_d
    mean_square : E[x^2], over inputs and their components: the variance where the mean is 0

    Returns
    -------
    array (d+1,): E[(z^i)^2], i = 0 .. d, over weights, inputs and units. Entry 0 is `mean_square`;
    from entry 1 on the mean is 0, so that they are variances.
    """
    n, v = _layers(sizes, variances)
    return mean_square * np.concatenate([[1.0], np.cumprod(n[:-2] * v[:-1])])


def gradient_variances(sizes, variances, top=1.0):
    """Return the variance of dC/ds^i in the linear regime: Eq. (6), corrected.

    Parameters
    ----------
    sizes : n_0 .. n_{d+1};  variances : v_0 .. v_d
    top : Var[dC/ds^d], of one example's gradient at the logits

    Returns
    -------
    array (d+1,): Var[dC/ds^i], i = 0 .. d: top times n_{j+1} v_j for each j = i+1 .. d
    """
    n, v = _layers(sizes, variances)
    factors = n[1:] * v  # of j = 0 .. d
    return top * np.append(np.cumprod(factors[:0:-1])[::-1], 1.0)


def weight_gradient_variances(sizes, variances, mean_square=1.0, top=1.0):
    """Return the variance of dC/dw^i of one example in the linear regime: Eq. (7), corrected.

    Parameters
    ----------
    sizes, variances, mean_square : as in `activation_variances`
    top : as in `gradient_variances`

    Returns
    -------
    array (d+1,), i = 0 .. d: Eq. (5) times Eq. (6)
    """
    below = activation_variances(sizes, variances, mean_square)
    return below * gradient_variances(sizes, variances, top)


def spread(values):
    """Return the largest over the smallest value: 1 where the wish of Eq. (8) or (9) is granted."""
    values = np.asarray(values, dtype=float)
    return values.max() / values.min()


def equal_width_gradient_variances(width, variance, depth, top=1.0):
    """Return Var[dC/ds^i], i = 0 .. depth, where all layers are alike: Eq. (13), corrected.

    All layers have `width` units, the output too, and weights of one `variance`; `top` is
    Var[dC/ds^d]. With another number of classes, start at the last hidden layer: give its
    Var[dC/ds^{d-1}] as `top` and d - 1 as `depth`.
    """
    return top * (width * variance) ** (depth - np.arange(depth + 1.0))


def equal_width_weight_gradient_variance(width, variance, depth, mean_square=1.0, top=1.0):
    """Return Var[dC/dw^i] where all layers are alike, Eq. (14): the same for every layer i.

    Arguments as in `equal_width_gradient_variances`; `mean_square` is E[x^2].
    """
    return (width * variance) ** depth * mean_square * top


# ---------------------------------------------------------------- beyond the linear regime
def _half_line(nodes=100, end=9.0):
    """Gauss-Legendre on g = end u^2, u in [0, 1]: dense at 0, where a kink may be."""
    x, weight = np.polynomial.legendre.leggauss(nodes)
    u = (x + 1) / 2
    g = end * u**2
    return g, weight / 2 * 2 * end * u * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)


# Each half on its own; Gauss-Hermite is 9 % off for softsign's E f'^2, whose slope has a kink at 0.
NODES = np.concatenate([-_half_line()[0], _half_line()[0]])
SHARES = np.tile(_half_line()[1], 2)


def gaussian_mean(function, variance):
    """Return E function(sqrt(variance) g) for g ~ N(0, 1), with an error below 1e-7.

    Parameters
    ----------
    function : callable, elementwise on a float64 tensor; it may have a kink at 0
    variance : number or array

    Returns
    -------
    array like `variance`
    """
    return function(_at_nodes(variance)).numpy() @ SHARES


def slopes(activation, variance):
    """Return f'(s) at the nodes of s ~ N(0, variance), (..., 200); their weights are `SHARES`."""
    f = activations.get(activation)
    return f.slope(f.function(_at_nodes(variance))).numpy()


def _at_nodes(variance):
    variance = np.asarray(variance, dtype=float)
    if not (variance >= 0).all():
        raise ValueError(f"a variance must be at least 0, not {variance}")
    return torch.from_numpy(np.sqrt(variance)[..., None] * NODES)


def mean_slope(activation, variance):
    """Return E f'(s) for s ~ N(0, variance), like `variance`: Eq. (4) takes it for 1."""
    return slopes(activation, variance) @ SHARES


class Signal(NamedTuple):
    """What `propagate` expects of each of B inputs, averaged over random weights and over units.

    Attributes
    ----------
    pre_activation : array (d+1, B)
        E[(s^i)^2], i = 0 .. d; given the input, s^i is nearly Gaussian with this variance.
    activation, activation_mean : arrays (d, B)
        E[(z^l)^2] and E[z^l] of the hidden layers l = 1 .. d.
    gradient, weight_gradient : arrays (d+1, B)
        E[(dC/ds^i)^2] and E[(dC/dw^i)^2] of one example, i = 0 .. d.
    """

    pre_activation: np.ndarray
    activation: np.ndarray
    activation_mean: np.ndarray
    gradient: np.ndarray
    weight_gradient: np.ndarray

    def activation_variance(self):
        """Return the variance of z^1 .. z^d over units and inputs together, (d,)."""
        return self.activation.mean(1) - self.activation_mean.mean(1) ** 2


def propagate(sizes, variances, activation, mean_square, top=1.0):
    """Follow variances through a wide random network with a real activation function.

    What Eqs. (5) to (7) become without Eq. (4). It runs per input, since inputs differ in size and
    the activation bends the large ones more; average over inputs last.

    Parameters
    ----------
    sizes : n_0 .. n_{d+1};  variances : v_0 .. v_d;  activation : a name of `activations.NAMES`
    mean_square : array (B,), ``|x|^2 / n_0`` of each input
    top : number or array (B,), mean square of each input's dC/ds^d, over the classes

    Returns
    -------
    Signal
    """
    n, v = _layers(sizes, variances)
    f = activations.get(activation)
    q = [np.atleast_1d(np.asarray(mean_square, dtype=float))]
    if q[0].ndim != 1 or not len(q[0]) or not (q[0] >= 0).all():
        raise ValueError(
            f"mean_square needs numbers of at least 0 in shape (B,), not {mean_square}"
        )
    top = np.asarray(top, dtype=float)
    if top.shape not in ((), (1,), q[0].shape) or not (top >= 0).all():
        raise ValueError(f"top needs 1 number of at least 0, or {len(q[0])}, not {top}")
    t, mean = [], []
    for i, variance in enumerate(v):
        t.append(n[i] * variance * q[i])
        if i < len(v) - 1:
            q.append(gaussian_mean(lambda s: f.function(s).square(), t[i]))
            mean.append(gaussian_mean(f.function, t[i]))
    gradient = [np.broadcast_to(top, q[0].shape)]
    for i in range(len(v) - 2, -1, -1):
        slope_square = slopes(f, t[i]) ** 2 @ SHARES
        gradient.insert(0, slope_square * n[i + 2] * v[i + 1] * gradient[0])
    empty = np.empty((0, len(q[0])))
    weight_gradient = np.array(q) * np.array(gradient)
    return Signal(
        np.array(t),
        np.array(q[1:]) if mean else empty,
        np.array(mean) if mean else empty,
        np.array(gradient),
        weight_gradient,
    )


def _sizes(sizes):
    n = np.asarray(sizes, dtype=float)
    if n.ndim != 1 or len(n) < 2 or not (n >= 1).all():
        raise ValueError(f"sizes needs at least two layer sizes of at least 1, not {sizes!r}")
    return n


def _layers(sizes, variances):
    n, v = _sizes(sizes), np.asarray(variances, dtype=float)
    if v.shape != (len(n) - 1,) or not (v >= 0).all():
        raise ValueError(
            f"{len(n)} layer sizes need {len(n) - 1} weight variances of at least 0, not {v}"
        )
    return n, v


# ---------------------------------------------------------------- singular values
def layer_law(fan_in, fan_out, variance, activation, pre_activation_variance):
    """Return the law of the singular values of a layer's Jacobian W D, D = diag f'(s), Eq. (17).

    Parameters
    ----------
    fan_in, fan_out : int;  variance : of the weights
    activation : a name of `activations.NAMES`
    pre_activation_variance : float, t^i of one input, as `propagate` gives it

    Returns
    -------
    SingularValueLaw, for s ~ N(0, t)
    """
    return SingularValueLaw(
        fan_in, fan_out, variance, slopes(activation, pre_activation_variance) ** 2, SHARES
    )


def product_law(width, variances, activation, pre_activation_variances):
    """Return the law of the singular values of dz^d/dz^0, the product of d layers' Jacobians.

    Parameters
    ----------
    width : int, of all layers and of the input;  variances : v_0 .. v_{d-1}
    activation : a name of `activations.NAMES`
    pre_activation_variances : array (d,), t^0 .. t^{d-1} of one input, as `propagate` gives them

    Returns
    -------
    LayerProductLaw, for s^i ~ N(0, t^i)
    """
    variances, t = np.asarray(variances, dtype=float), np.asarray(pre_activation_variances)
    if variances.ndim != 1 or t.shape != variances.shape:
        raise ValueError(
            f"pre_activation_variances needs a number for each of {variances.size} weight"
            f" variances, not shape {t.shape}"
        )
    return LayerProductLaw(width * variances, slopes(activation, t) ** 2, SHARES)
