"""The Jacobians J^i = dz^{i+1}/dz^i between layers, Eq. (17), and their singular values.

As a matrix of dz^{i+1}_k/dz^i_l, J^i at one example is D W^T with W = W^i and D = diag f'(s^i).
A `weight` here is one run's W^i, shape (n_i, n_{i+1}); a `slope` is the diagonal of D at each of
B examples, shape (B, n_{i+1}). There are p = min(n_i, n_{i+1}) singular values, and "mean",
"rms" and "geometric mean" are over these p. Everything is computed in float64.

Which to use: rms and geometric mean are exact and cost next to nothing (the latter where layers do
not widen). For the mean over many examples of one layer, `mean_singular_value`. For a spectrum,
`singular_values`. For a block of anyone's network, `of_module` while its Jacobian fits in memory,
`mean_of_module` beyond.
"""

import hashlib
import math
import numbers
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

CHUNK = 2**23  # numbers in the matrices that are decomposed at once: 64 MB
COPIES = 256  # of an example, that go through a block at once
LARGEST = 2**26  # numbers in the Jacobian of a block that is written out: 0.5 GB
FIRST_EXACT = 5  # examples that `mean_singular_value` decomposes at first


class Estimate(NamedTuple):
    """A mean over examples that was not computed exactly.

    Attributes
    ----------
    value : float
        The mean over the examples of each example's mean singular value.
    standard_error : float
        Of `value` as the mean of these examples; it does not say how they stand for others.
    per_example : tensor, shape (B,), float64
    """

    value: float
    standard_error: float
    per_example: torch.Tensor


# ---------------------------------------------------------------- of a layer of ours
def slopes(model, trace, i):
    """Return f'(s^i), the diagonal of D at each example, shape (R, B, n_{i+1}).

    Parameters
    ----------
    model : MLP;  trace : Trace, ``model(x)``
    i : int, 0 to d-1; J^i belongs to hidden layer i+1

    Raises
    ------
    ValueError
        If there is no such i. (The output layer's softmax has no diagonal D.)
    """
    _check_layer(model, "i", i)
    return model.activation.slope(trace.activations[i + 1])


def matrix(model, trace, i, run=0, examples=slice(None)):
    """Return J^i = dz^{i+1}/dz^i of one run: Glorot & Bengio (2010), Eq. (17).

    Parameters
    ----------
    model, trace, i : as for `slopes`
    run : int
    examples : slice or list of indices, those of the B examples that are wanted

    Returns
    -------
    tensor, shape (B, n_{i+1}, n_i): row k holds dz^{i+1}_k/dz^i_l
    """
    return slopes(model, trace, i)[run, examples].unsqueeze(-1) * model.weights[i][run].mT


def product(model, trace, first, last, run=0, examples=slice(None)):
    """Return dz^{last+1}/dz^first = J^last .. J^first of one run, shape (B, n_{last+1}, n_first).

    Parameters
    ----------
    model, trace, run, examples : as for `matrix`
    first, last : int, 0 <= first <= last <= d-1

    Raises
    ------
    ValueError
        If there are no such layers, or `last` lies below `first`.
    """
    _check_layer(model, "first", first)
    _check_layer(model, "last", last)
    if last < first:
        raise ValueError(f"last must be at least first = {first}, not {last}")
    found = matrix(model, trace, first, run, examples)
    for i in range(first + 1, last + 1):
        slope = slopes(model, trace, i)[run, examples].unsqueeze(-1)
        found = slope * (model.weights[i][run].mT @ found)
    return found


def singular_values(weight, slope, method="gram"):
    """Return the singular values of W D at each example, descending.

    Parameters
    ----------
    weight : tensor (n_i, n_{i+1});  slope : tensor (B, n_{i+1})
    method : str
        ``"gram"``: square roots of the eigenvalues of D W^T W D (of W D D W^T if n_i is the
        smaller), over twice as fast; those below 1e-8 of the largest are lost in rounding.
        ``"svd"``: of W D itself, right where those matter.

    Returns
    -------
    tensor, shape (B, p), float64; NaN at an example where something is not finite
    """
    weight, slope = _checked(weight, slope)
    _check_method(method)
    narrow = weight.shape[0] < weight.shape[1]
    gram = weight.mT @ weight if method == "gram" and not narrow else None
    parts = []
    for d in slope.split(max(1, CHUNK // weight.numel())):
        if gram is None:
            parts.append(_decompose(d.unsqueeze(-2) * weight, method))
        else:
            parts.append(_roots(d.unsqueeze(-1) * gram * d.unsqueeze(-2)))
    return torch.cat(parts)


def root_mean_square(weight, slope):
    """Return the rms of the singular values of W D at each example, (B,): exact, and cheap.

    Their squares sum to the squared Frobenius norm: over the units k, f'(s_k)^2 times the squared
    length of column k of W.
    Parameters are as for `singular_values`.
    """
    weight, slope = _checked(weight, slope)
    return (slope.square() @ weight.square().sum(0) / min(weight.shape)).sqrt()


def geometric_mean(weight, slope):
    """Return the geometric mean of the singular values of W D at each example, (B,): exact.

    The factor per dimension by which the layer scales a volume. Where n_i >= n_{i+1} it is that
    of W times that of f', so one decomposition serves all examples; otherwise each example costs
    one. 0 where fewer than p units have a slope. Parameters are as for `singular_values`.
    """
    weight, slope = _checked(weight, slope)
    if weight.shape[0] >= weight.shape[1]:
        return (slope.abs().log().mean(1) + _log_volume(weight)).exp()
    found = torch.cat(
        [
            _log_volume(d.unsqueeze(-1) * weight.mT).exp()
            for d in slope.split(max(1, CHUNK // weight.numel()))
        ]
    )
    # What is 0 comes out of the decomposition as a rounding error, and its root is no small number.
    flat = (slope != 0).sum(1) < len(weight)
    return torch.where(flat & found.isfinite(), 0.0, found)


def _log_volume(matrices):
    """Mean log of the singular values of matrices (..., m, n), m >= n: their product is |det R|."""
    factor = torch.linalg.qr(matrices, mode="r").R
    return factor.diagonal(dim1=-2, dim2=-1).abs().log().mean(-1)


def mean_singular_value(weight, slope, tolerance=5e-4):
    """Estimate the mean singular value of W D at all examples from a few exact ones.

    Right for the mean over many examples of one layer: 300 examples cost about as much as 9, 20
    or 50 decompositions, the more the more the slopes differ, and all 300 only where most units
    are saturated or a few examples make up most of the mean. Single examples are right to about
    1 %. How it works: `_tangent` in the source.

    Parameters
    ----------
    weight : tensor (n_i, n_{i+1});  slope : tensor (B, n_{i+1}), not negative
    tolerance : float
        Examples are decomposed (5, then 3 times as many) until the standard error is at most
        this share of the value. 0 decomposes them all, as happens to 15 or fewer in any case.

    Returns
    -------
    Estimate; NaN throughout if a weight or a slope is not finite
    """
    weight, slope = _checked(weight, slope)
    tolerance = _tolerance(tolerance)
    if not (weight.isfinite().all() and slope.isfinite().all()):
        return Estimate(math.nan, math.nan, torch.full_like(slope[:, 0], math.nan))
    if slope.min() < 0:
        raise ValueError(f"slopes must not be negative; the least is {float(slope.min())}")
    count = len(slope)
    if tolerance == 0 or count <= 3 * FIRST_EXACT:
        values = singular_values(weight, slope).mean(1)
        return Estimate(float(values.mean()), 0.0, values)
    tangent, features = _tangent(weight, slope)
    order = (features[:, 0] / tangent).nan_to_num().argsort()
    exact = torch.full_like(tangent, math.nan)
    chosen = FIRST_EXACT
    while chosen < count:
        # The middles of equal shares of the examples; those of 3 times as many contain them.
        rows = order[(2 * torch.arange(chosen) + 1) * count // (2 * chosen)]
        new = rows[exact[rows].isnan()]
        exact[new] = singular_values(weight, slope[new]).mean(1)
        first = chosen == FIRST_EXACT
        used = features[:, : 1 if first else 3]
        fit = torch.linalg.pinv(used[rows])
        gap = (exact - tangent)[rows]
        values = torch.where(exact.isnan(), tangent + used @ (fit @ gap), exact)
        value = float(values.mean())
        # As for the mean response of a regression, with 1/chosen for what its form leaves out and
        # the variance of Student's t. So few residuals can be small by luck, so at first a
        # twentieth of the gap is added: what one feature was seen to leave.
        residuals = gap - used[rows] @ (fit @ gap)
        freedom = chosen - used.shape[1] - 2
        variance = residuals.square().sum() / freedom
        leverage = (used.mean(0) @ fit).square().sum() + 1 / chosen
        form = 0.05 * float((values - tangent).mean()) if first else 0.0
        error = math.hypot(float(variance * leverage) ** 0.5, form)
        # Where a few examples make up most of the mean: as if residuals grew with the tangent.
        left = exact.isnan()
        relative = (residuals / tangent[rows]).nan_to_num().square().sum() / freedom
        shares = (used[left].sum(0) @ fit * tangent[rows]).square().sum()
        shares += tangent[left].square().sum()
        error = max(error, float(relative * shares) ** 0.5 / count)
        if error <= tolerance * value:
            return Estimate(value, error, values)
        chosen *= 3
    left = exact.isnan()
    exact[left] = singular_values(weight, slope[left]).mean(1)
    return Estimate(float(exact.mean()), 0.0, exact)


def _tangent(weight, slope):
    """Return a lower bound (B,) of the mean singular value, and what the gap depends on (B, 3).

    The sum of the singular values of W D is a norm, so it is convex in the slopes, and lies above
    its tangent plane at the mean slopes over the examples. With A = (D W^T W D)^(1/2) there,
    A_kk is unit k's share of the sum, and also the derivative by the logarithm of its slope: one
    decomposition gives the plane for all examples. How far the sum lies above grows with how
    unequally the slopes deviate from their mean, and vanishes where all deviate alike. The
    features do so too: differences of power means of the ratios slope / mean slope, weighted by
    the shares, and of the rms singular value. The examples that are decomposed are spread evenly
    over the first.
    """
    mean = slope.mean(0)
    gram = mean.unsqueeze(-1) * (weight.mT @ weight) * mean
    eigenvalues, vectors = torch.linalg.eigh(gram)
    share = vectors.square() @ eigenvalues.clamp(min=0).sqrt() / min(weight.shape)
    total = share.sum()
    ratio = torch.where(mean > 0, slope / mean, 0.0)
    arithmetic = ratio @ share
    quadratic = (ratio.square() @ share * total).sqrt()
    half = (ratio.sqrt() @ share).square() / total
    rms = (ratio.square() @ gram.diagonal() / gram.diagonal().sum()).sqrt() * total
    features = [quadratic - arithmetic, arithmetic - half, rms - arithmetic]
    return arithmetic, torch.stack(features, 1).nan_to_num()


def _check_layer(model, what, i):
    if model.depth == 0:
        raise ValueError("this network has no hidden layer whose Jacobian could be taken")
    whole = isinstance(i, numbers.Integral) and not isinstance(i, bool)
    if not whole or not 0 <= i < model.depth:
        raise ValueError(f"{what} must be a whole number from 0 to {model.depth - 1}, not {i!r}")


def _checked(weight, slope):
    """Return both in float64, or raise ValueError if they do not fit together."""
    for what, value in (("weight", weight), ("slope", slope)):
        if not isinstance(value, torch.Tensor) or value.ndim != 2 or not value.numel():
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"{what} must be a tensor with two axes, none empty, not {shape}")
    if slope.shape[1] != weight.shape[1]:
        raise ValueError(
            f"slope has {slope.shape[1]} units; weight {tuple(weight.shape)} has {weight.shape[1]}"
        )
    return weight.detach().double(), slope.detach().double()


def _check_method(method):
    if method not in ("gram", "svd"):
        raise ValueError(f"method must be 'gram' or 'svd', not {method!r}")


def _tolerance(value):
    if not isinstance(value, numbers.Real) or not 0 <= value < math.inf:
        raise ValueError(f"tolerance must be a number of at least 0, not {value!r}")
    return float(value)


def _decompose(matrices, method):
    """Return the singular values (B, p) of matrices (B, m, n), descending."""
    if method == "gram":
        if matrices.shape[-2] > matrices.shape[-1]:
            matrices = matrices.mT
        return _roots(matrices @ matrices.mT)
    bad = ~matrices.isfinite().flatten(1).all(1)  # LAPACK refuses these
    values = torch.linalg.svdvals(torch.where(bad.view(-1, 1, 1), 0.0, matrices))
    return torch.where(bad.unsqueeze(-1), math.nan, values)


def _roots(squared):
    """Return the square roots of the eigenvalues of symmetric matrices, descending."""
    bad = ~squared.isfinite().flatten(1).all(1)
    values = torch.linalg.eigvalsh(torch.where(bad.view(-1, 1, 1), 0.0, squared))
    return torch.where(bad.unsqueeze(-1), math.nan, values.clamp(min=0).sqrt().flip(-1))


# ---------------------------------------------------------------- of anyone's nn.Module
def of_module(block, x, method="gram"):
    """Return the singular values of d block(x)/dx at each example, exactly, descending.

    The Jacobian is written out row by row by vector-Jacobian products, as many as there are
    outputs; axes after the first count as one. The block is left as it was.

    Parameters
    ----------
    block : nn.Module, one tensor in and one out, each example apart from the others
    x : tensor (B, ...), floating point;  method : as for `singular_values`

    Returns
    -------
    tensor, shape (B, p), float64, p the smaller of the numbers of inputs and outputs

    Raises
    ------
    ValueError
        If the block has dropout or batch normalisation in training mode, mixes examples, or has
        a Jacobian of more than 2^26 numbers: `mean_of_module` takes those.
    """
    _check_method(method)
    call, y = _frozen(block, x)
    n_in, n_out = x[0].numel(), y[0].numel()
    if n_in * n_out > LARGEST:
        raise ValueError(
            f"a Jacobian of {n_out} x {n_in} is too large to write out; see mean_of_module"
        )
    values = []
    for example in x.detach():
        # One copy of the example for each row: a plain backward pass, no vmap that may be refused.
        rows = []
        for unit in torch.arange(n_out, device=x.device).split(COPIES):
            copies = example.expand(len(unit), *example.shape).clone().requires_grad_()
            with torch.enable_grad():
                out = _differentiable(call(copies)).reshape(len(unit), -1)
                picked = out.gather(1, unit.unsqueeze(1)).sum()
            rows.append(torch.autograd.grad(picked, copies)[0].flatten(1))
        values.append(_decompose(torch.cat(rows).double().unsqueeze(0), method)[0])
    return torch.stack(values)


def mean_of_module(block, x, probes=1, steps=16, seed=0):
    """Estimate the mean singular value of d block(x)/dx at each example, without the Jacobian.

    Right where `of_module` is out of reach: Lanczos bidiagonalisation from random directions, all
    examples in one batch, by 2 * steps * probes vector-Jacobian products. A direction errs by
    about sqrt(0.8/p) of an example's mean, or more where few singular values dominate. The
    standard error holds that, and a sixth of the distance of the two bounds that the steps give.

    Parameters
    ----------
    block : as for `of_module`, and twice differentiable;  x : tensor (B, ...), floating point
    probes : int, directions an example;  steps : int;  seed : int, of the directions

    Returns
    -------
    Estimate
    """
    for what, value in (("probes", probes), ("steps", steps)):
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{what} must be a whole number of at least 1, not {value!r}")
    call, _ = _frozen(block, x)
    x = x.detach().clone().requires_grad_()
    # Of attention, only the plain kernel can be differentiated twice.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        y = _differentiable(call(x))
        # The transposed product is linear in u, so its own derivative is the forward product.
        u = torch.zeros_like(y, requires_grad=True)
        (back,) = torch.autograd.grad(y, x, u, create_graph=True)

    def transposed(v):
        return torch.autograd.grad(y, x, v, retain_graph=True)[0]

    def forward(v):
        return torch.autograd.grad(back, u, v, retain_graph=True)[0]

    n_in, n_out = x[0].numel(), y[0].numel()
    sides = (transposed, forward, y) if n_out <= n_in else (forward, transposed, x)
    generator = torch.Generator().manual_seed(seed)
    p = min(n_in, n_out)
    found = []
    for _ in range(probes):
        start = torch.randn(sides[2].shape, generator=generator, dtype=torch.float64)
        start = start.to(sides[2])
        # p + 1 steps find all p values: the two bounds meet.
        found.append(_quadrature(*_bidiagonalise(*sides[:2], start, min(steps, p + 1))))
    upper, lower, square = torch.stack(found).mean(0)
    # At a spectrum that reaches down to 0 the lower bound errs twice as much as the upper one.
    values = (2 * upper + lower) / 3
    sampling = 2 / (p + 2) * (square - values.square()).clamp(min=0) / probes
    bounds = float((upper - lower).mean() / 6)
    error = math.hypot(float(sampling.mean() / len(values)) ** 0.5, bounds)
    return Estimate(float(values.mean()), error, values)


def _bidiagonalise(first, second, start, steps):
    """Golub-Kahan bidiagonalisation of B operators at once, from B start vectors (B, ...).

    `first` maps from the space of `start` to the other, `second` back. Returns the diagonals
    (B, steps) and subdiagonals (B, steps-1) of lower bidiagonal matrices.
    """
    u, _ = _unit(start)
    v, length = _unit(first(u))
    diagonal, below = [length], start.new_zeros(len(start), 0)
    for _ in range(steps - 1):
        u, length = _unit(second(v) - _times(diagonal[-1], u))
        below = torch.cat([below, length.unsqueeze(1)], 1)
        v, length = _unit(first(u) - _times(length, v))
        diagonal.append(length)
    return torch.stack(diagonal, 1).double(), below.double()


def _times(factor, vectors):
    return factor.view(-1, *[1] * (vectors.ndim - 1)) * vectors


def _unit(vectors):
    """Return vectors (B, ...) at unit length, or 0 where they are 0, and their lengths (B,)."""
    length = torch.linalg.vector_norm(vectors.reshape(len(vectors), -1), dim=1)
    return _times(torch.where(length > 0, 1 / length, 0.0), vectors), length


def _quadrature(diagonal, below):
    """Return upper and lower bounds of the mean singular value as one direction weighs it.

    Gauss and, with a node at 0, Gauss-Radau quadrature of the square root over the spectrum of
    the squares: its derivatives alternate in sign, so they err to opposite sides. Returns (3, B):
    the bounds, and the mean square; NaN for an example where something is not finite.
    """
    bounds = []
    bad = ~(diagonal.isfinite().all(1) & below.isfinite().all(1))  # LAPACK refuses these
    diagonal = torch.where(bad.unsqueeze(1), 0.0, diagonal)
    below = torch.where(bad.unsqueeze(1), 0.0, below)
    for last in (diagonal[:, -1:], torch.zeros_like(diagonal[:, -1:])):
        bidiagonal = torch.diag_embed(torch.cat([diagonal[:, :-1], last], 1))
        bidiagonal = bidiagonal + torch.diag_embed(below, -1)
        vectors, nodes, _ = torch.linalg.svd(bidiagonal)
        bounds.append((vectors[:, 0].square() * nodes).sum(1))
    return torch.where(bad, math.nan, torch.stack([*bounds, diagonal[:, 0].square()]))


def _frozen(block, x):
    """Return the block as a function of its input alone, with copies of its state, and block(x)."""
    if not isinstance(block, torch.nn.Module):
        raise ValueError(f"block must be an nn.Module, not {type(block).__name__}")
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.ndim < 2 or not x.numel():
        what = f"{tuple(x.shape)} {x.dtype}" if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"x must be a floating-point tensor of shape (B, ...), not {what}")
    for name, child in block.named_modules():
        if child.training and isinstance(child, _UNLIKE_IN_TRAINING):
            raise ValueError(
                f"{type(child).__name__} {name or '(itself)'} is in training mode, where no "
                "example has a Jacobian of its own; call block.eval() first"
            )
    state = {name: parameter.detach() for name, parameter in block.named_parameters()}
    state |= {name: buffer.detach().clone() for name, buffer in block.named_buffers()}

    def call(values):  # on a copy, which the block may overwrite
        return torch.func.functional_call(block, state, (values.clone(),))

    with torch.no_grad():
        y, alone = call(x), call(x[:1])
    sound = isinstance(y, torch.Tensor) and y.is_floating_point() and y.ndim and y.numel()
    if not sound or len(y) != len(x):
        what = f"{tuple(y.shape)} {y.dtype}" if isinstance(y, torch.Tensor) else type(y).__name__
        raise ValueError(f"block must return one tensor with {len(x)} examples, not {what}")
    first, alone = y[0].flatten(), alone.flatten()
    slack = 10 * torch.finfo(y.dtype).eps ** 0.5 * float(first.nan_to_num(0, 0, 0).abs().max())
    same = first.shape == alone.shape
    if not same or not torch.allclose(first, alone, rtol=0, atol=slack, equal_nan=True):
        raise ValueError(
            "the block's output for an example changes with the other examples or by chance, "
            "so that no example has a Jacobian of its own"
        )
    return call, y


def _differentiable(y):
    if not y.requires_grad:
        raise ValueError("autograd finds no way from the block's output back to its input")
    return y


# Modules whose output in training mode depends on chance or on the other examples.
_UNLIKE_IN_TRAINING = (torch.nn.modules.dropout._DropoutNd, torch.nn.modules.batchnorm._BatchNorm)


# ---------------------------------------------------------------- during training
QUANTITIES = ("mean", "rms", "geometric_mean", "standard_error")


class Monitor:
    """Follows the singular values of J^0 .. J^{d-1} on fixed examples while a network trains.

    Stands in ``training.train(monitors=[...])`` beside `instruments.Monitor`. Over
    ``jacobian_update`` it records per run and hidden layer the mean over the examples of each
    example's ``jacobian_mean``, ``jacobian_rms`` and ``jacobian_geometric_mean``, (T, R, d), and
    ``jacobian_standard_error``, that of the mean as estimated by `mean_singular_value`.

    Parameters
    ----------
    images : tensor, shape (B, n_0);  labels : accepted as for `instruments.Monitor`, not used
    schedule : callable, step -> bool, such as `instruments.every`
    quantities : names from `QUANTITIES`;  tolerance : as for `mean_singular_value`
    name : str, the prefix of the recorded names
    """

    def __init__(
        self,
        images,
        labels,
        schedule,
        quantities=QUANTITIES,
        tolerance=5e-4,
        name="jacobian",
    ):
        if not isinstance(images, torch.Tensor) or images.ndim != 2 or not len(images):
            given = isinstance(images, torch.Tensor)
            what = tuple(images.shape) if given else type(images).__name__
            raise ValueError(f"monitored images need shape (B, n_0), not {what}")
        if not torch.isfinite(images).all():
            raise ValueError("the monitored images hold values that are not finite (NaN or inf)")
        if not callable(schedule):
            raise ValueError(f"schedule must be callable, such as every(100), not {schedule!r}")
        for quantity in quantities:
            if quantity not in QUANTITIES:
                known = ", ".join(QUANTITIES)
                raise ValueError(f"unknown quantity {quantity!r}; choose from {known}")
        self.images, self.schedule, self.tolerance = images, schedule, _tolerance(tolerance)
        self.quantities, self.name = tuple(quantities), name

    def prefixed(self, quantity):
        """Return the name under which `quantity` is recorded."""
        return f"{self.name}_{quantity}"

    def axes(self, quantity):
        """Return the names of the axes of a recorded quantity, "update" first."""
        return (self.prefixed("update"), "run", "layer")

    @property
    def coordinates(self):
        """The values along the fixed axes of what is recorded: there are none."""
        return {}

    @property
    def config(self):
        """What determines the recording, for JSON."""
        return {
            "examples": len(self.images),
            "content": hashlib.sha256(self.images.cpu().numpy().tobytes()).hexdigest()[:16],
            "schedule": getattr(self.schedule, "name", getattr(self.schedule, "__name__", "")),
            "quantities": list(self.quantities),
            "tolerance": self.tolerance,
            "name": self.name,
        }

    def measure(self, model):
        """Return {quantity: array (R, d)}, each the mean over the examples."""
        _check_layer(model, "i", 0)
        trace = model(self.images.to(model.weights[0]))
        out = {quantity: np.empty((model.runs, model.depth)) for quantity in self.quantities}
        for i in range(model.depth):
            for run, slope in enumerate(slopes(model, trace, i)):
                for quantity, value in self._layer(model.weights[i][run], slope).items():
                    out[quantity][run, i] = value
        return out

    def _layer(self, weight, slope):
        found = {}
        if "mean" in self.quantities or "standard_error" in self.quantities:
            estimate = mean_singular_value(weight, slope, self.tolerance)
            found = {"mean": estimate.value, "standard_error": estimate.standard_error}
        if "rms" in self.quantities:
            found["rms"] = float(root_mean_square(weight, slope).mean())
        if "geometric_mean" in self.quantities:
            found["geometric_mean"] = float(geometric_mean(weight, slope).mean())
        return {quantity: found[quantity] for quantity in self.quantities}
