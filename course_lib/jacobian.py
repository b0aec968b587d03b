"""The Jacobians J^i = dz^{i+1}/dz^i between layers, Eq. (17), and their singular values.

As a matrix of dz^{i+1}_k/dz^i_l, J^i at one example is D W^T with W = W^i and D = diag f'(s^i).
A `weight` here is one run's W^i, shape (n_i, n_{i+1}); a `slope` is the diagonal of D at each
of B examples, shape (B, n_{i+1}). There are min(n_i, n_{i+1}) singular values.
"""

import hashlib

import numpy as np
import torch

CHUNK = 2**23  # numbers in a batch of matrices that is decomposed at once: 64 MB


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
    if isinstance(i, bool) or not isinstance(i, int) or not 0 <= i < model.depth:
        raise ValueError(f"i must be a whole number from 0 to {model.depth - 1}, not {i!r}")
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
    if last < first:
        raise ValueError(f"last must be at least first = {first}, not {last}")
    found = matrix(model, trace, first, run, examples)
    for i in range(first + 1, last + 1):
        found = slopes(model, trace, i)[run, examples].unsqueeze(-1) * (
            model.weights[i][run].mT @ found
        )
    return found


def singular_values(weight, slope, method="gram"):
    """Return the singular values of W D at each example, descending, float64.

    Parameters
    ----------
    weight : tensor (n_i, n_{i+1});  slope : tensor (B, n_{i+1})
    method : str
        ``"gram"``: square roots of the eigenvalues of D W^T W D (or W D D W^T where that is
        smaller), several times faster; a singular value below 1e-8 of the largest is lost in
        rounding. ``"svd"``: of the matrix itself, right where those matter too.

    Returns
    -------
    tensor, shape (B, min(n_i, n_{i+1})); NaN where a weight or slope is not finite
    """
    weight, slope = _checked(weight, slope)
    if method not in ("gram", "svd"):
        raise ValueError(f"method must be 'gram' or 'svd', not {method!r}")
    values = torch.full((len(slope), min(weight.shape)), torch.nan).to(weight)
    if not weight.isfinite().all():
        return values
    finite = slope.isfinite().all(1).nonzero()[:, 0]
    narrow = weight.shape[0] < weight.shape[1]
    gram = None if narrow else weight.mT @ weight
    for rows in finite.split(max(1, CHUNK // weight.numel())):
        d = slope[rows]
        if method == "svd":
            values[rows] = torch.linalg.svdvals(d.unsqueeze(-2) * weight)
            continue
        if narrow:
            squared = (weight * d.square().unsqueeze(-2)) @ weight.mT
        else:
            squared = d.unsqueeze(-1) * gram * d.unsqueeze(-2)
        values[rows] = torch.linalg.eigvalsh(squared).clamp(min=0).sqrt().flip(-1)
    return values


def root_mean_square(weight, slope):
    """Return the rms of the singular values of W D at each example, (B,): exact, and cheap.

    The squares sum to the squared Frobenius norm, sum_k f'(s_k)^2 |column k of W|^2.
    Parameters and errors are as for `singular_values`.
    """
    weight, slope = _checked(weight, slope)
    return (slope.square() @ weight.square().sum(0) / min(weight.shape)).sqrt()


def geometric_mean(weight, slope):
    """Return the geometric mean of the singular values of W D at each example, (B,): exact.

    It is the factor per dimension by which the layer scales a volume. Where n_i >= n_{i+1} it
    is that of W times that of f', so one decomposition serves all examples; otherwise it costs a
    determinant an example. 0 where a slope is 0. Parameters are as for `singular_values`.
    """
    weight, slope = _checked(weight, slope)
    n_in, n_out = weight.shape
    if n_in >= n_out:
        diagonal = torch.linalg.qr(weight, mode="r").R.diagonal()
        return (slope.log().mean(1) + diagonal.abs().log().mean()).exp()
    logs = torch.empty_like(slope[:, 0])
    for rows in torch.arange(len(slope)).split(max(1, CHUNK // weight.numel())):
        squared = (weight * slope[rows].square().unsqueeze(-2)) @ weight.mT
        logs[rows] = torch.linalg.slogdet(squared).logabsdet / (2 * n_in)
    return logs.exp()


def _checked(weight, slope):
    """Return both in float64, or raise ValueError if they do not fit together."""
    for what, value in (("weight", weight), ("slope", slope)):
        if not isinstance(value, torch.Tensor) or value.ndim != 2 or not value.numel():
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"{what} must be a tensor with two axes, not {shape}")
    if slope.shape[1] != weight.shape[1]:
        raise ValueError(
            f"slope has {slope.shape[1]} units; weight {tuple(weight.shape)} has {weight.shape[1]}"
        )
    return weight.detach().double(), slope.detach().double()


# ---------------------------------------------------------------- during training
QUANTITIES = ("mean", "rms", "geometric_mean")


class Monitor:
    """Follows the singular values of J^0 .. J^{d-1} on fixed examples while a network trains.

    Stands in ``training.train(monitors=[...])`` beside `instruments.Monitor`, and records per
    run and hidden layer the mean over the examples of each quantity: ``jacobian_mean``,
    ``jacobian_rms``, ``jacobian_geometric_mean`` over ``jacobian_update``.

    Parameters
    ----------
    images : tensor, shape (B, n_0);  labels : not used, may be None
    schedule : callable, step -> bool, such as `instruments.every`
    quantities : names from `QUANTITIES`
    name : str, the prefix of the recorded names
    """

    def __init__(self, images, labels, schedule, quantities=QUANTITIES, name="jacobian"):
        if not isinstance(images, torch.Tensor) or images.ndim != 2 or not len(images):
            raise ValueError("monitored images must be a tensor of shape (B, n_0)")
        if not torch.isfinite(images).all():
            raise ValueError("the monitored images hold values that are not finite (NaN or inf)")
        if not callable(schedule):
            raise ValueError(f"schedule must be callable, such as every(100), not {schedule!r}")
        for quantity in quantities:
            if quantity not in QUANTITIES:
                known = ", ".join(QUANTITIES)
                raise ValueError(f"unknown quantity {quantity!r}; choose from {known}")
        self.images, self.schedule = images, schedule
        self.quantities, self.name = tuple(quantities), name

    def prefixed(self, quantity):
        """Return the name under which `quantity` is recorded."""
        return f"{self.name}_{quantity}"

    def axes(self, quantity):
        """Return the names of the axes of a recorded quantity, "update" first."""
        return (self.prefixed("update"), "run", "layer")

    coordinates = {}

    @property
    def config(self):
        """What determines the recording, for JSON."""
        return {
            "examples": len(self.images),
            "content": hashlib.sha256(self.images.cpu().numpy().tobytes()).hexdigest()[:16],
            "schedule": getattr(self.schedule, "name", getattr(self.schedule, "__name__", "")),
            "quantities": list(self.quantities),
            "name": self.name,
        }

    def measure(self, model):
        """Return {quantity: array (R, d)}, each the mean over the examples."""
        trace = model(self.images.to(model.weights[0]))
        out = {quantity: np.empty((model.runs, model.depth)) for quantity in self.quantities}
        for i in range(model.depth):
            for run, slope in enumerate(slopes(model, trace, i)):
                for quantity in self.quantities:
                    values = _MEASURE[quantity](model.weights[i][run], slope)
                    out[quantity][run, i] = float(values.mean())
        return out


_MEASURE = {
    "mean": lambda weight, slope: singular_values(weight, slope).mean(1),
    "rms": root_mean_square,
    "geometric_mean": geometric_mean,
}
