"""What goes on inside a network: statistics of a trace, or of anyone's ``nn.Module`` by hooks."""

import contextlib
import hashlib
import math
import numbers
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from course_lib import activations, backprop

# What can be measured per layer, and how. Layers 1 .. d for activations (z^1 .. z^d); matrices
# 0 .. d for the rest (s^i, dC/ds^i per example, dC/dW^i of the mean cost).
KINDS = {
    "activation": "layer",
    "pre_activation": "matrix",
    "back_propagated": "matrix",
    "weight_gradient": "matrix",
}
STATISTICS = ("mean", "std", "percentiles", "histogram")
OTHERS = ("activation_saturated", "cost", "error", "logit_weight_rms", "logit_bias_rms")
QUANTITIES = tuple(f"{kind}_{statistic}" for kind in KINDS for statistic in STATISTICS) + OTHERS
DEFAULT = (
    "activation_mean",
    "activation_std",
    "activation_percentiles",
    "activation_saturated",
    "back_propagated_std",
    "weight_gradient_std",
    "cost",
    "error",
)


# ---------------------------------------------------------------- when to measure
class Schedule(NamedTuple):
    """A named predicate on the update number: ``schedule(step) -> bool``."""

    name: str
    due: object

    def __call__(self, step):
        return self.due(step)


def every(n):
    """Measure at updates 0, n, 2n, ..."""
    if not isinstance(n, numbers.Integral) or n < 1:
        raise ValueError(f"every needs a whole number of at least 1, not {n!r}")
    return Schedule(f"every {n}", lambda step: step % n == 0)


def logarithmic(per_decade=10):
    """Measure at update 0 and at about `per_decade` updates in each factor of ten."""
    if per_decade < 1:
        raise ValueError(f"per_decade must be at least 1, not {per_decade!r}")

    def due(step):
        if step == 0:
            return True
        place = math.log10(step) * per_decade
        near = (math.floor(place), math.ceil(place))
        return step in [round(10 ** (k / per_decade)) for k in near]

    return Schedule(f"logarithmic {per_decade}", due)


def at(steps):
    """Measure at the updates listed."""
    chosen = frozenset(int(step) for step in steps)
    digest = hashlib.sha256(repr(sorted(chosen)).encode()).hexdigest()[:12]
    return Schedule(f"at {len(chosen)} updates {digest}", chosen.__contains__)


# ---------------------------------------------------------------- our own networks
class Monitor:
    """Measures a network on a fixed set of examples whenever its schedule says so.

    Parameters
    ----------
    images : tensor, shape (B, n_0);  labels : tensor, shape (B,), int64
        The paper uses 300 test examples.
    schedule : callable, step -> bool
        `every`, `logarithmic`, `at`, or your own function.
    quantities : names from `QUANTITIES`
    percentiles : numbers from 0 to 100;  edges : dict, kind to bin edges of its histogram
    name : str
        A prefix for the recorded names, needed where two monitors record the same quantity.
    """

    def __init__(
        self,
        images,
        labels,
        schedule,
        quantities=DEFAULT,
        percentiles=(98,),
        edges=None,
        name="",
    ):
        for what, value in (("images", images), ("labels", labels)):
            if not isinstance(value, torch.Tensor):
                raise ValueError(f"{what} must be a tensor, not {type(value).__name__}")
        if not callable(schedule):
            raise ValueError(f"schedule must be callable, such as every(100), not {schedule!r}")
        if images.ndim != 2:
            raise ValueError(f"monitored images need shape (B, n_0), not {tuple(images.shape)}")
        if not torch.isfinite(images).all():
            raise ValueError("the monitored images hold values that are not finite (NaN or inf)")
        if len(labels) != len(images) or not len(images):
            raise ValueError(f"{len(images)} images but {len(labels)} labels to monitor")
        self.images, self.labels, self.schedule = images, labels, schedule
        self.quantities = check_quantities(quantities, percentiles, edges)
        self.percentiles, self.edges, self.name = tuple(percentiles), edges, name

    def prefixed(self, quantity):
        """Return the name under which `quantity` is recorded."""
        return f"{self.name}_{quantity}" if self.name else quantity

    def measure(self, model):
        """Return {name: array}, each with the run axis first."""
        return measure(
            model, self.images, self.labels, self.quantities, self.percentiles, self.edges
        )

    def axes(self, quantity):
        """Return the names of the axes of a recorded quantity, "update" first."""
        first, *last = axes_of(quantity)
        shared = KINDS.values()  # layers are the same for every monitor; percentiles are not
        return (
            self.prefixed("update"),
            first,
            *(axis if axis in shared else self.prefixed(axis) for axis in last),
        )

    @property
    def coordinates(self):
        """The values along the fixed axes of what is recorded: percentiles and bin edges."""
        found = {f"{kind}_edges": np.asarray(edges) for kind, edges in (self.edges or {}).items()}
        if any(quantity.endswith("percentiles") for quantity in self.quantities):
            found["percentile"] = np.asarray(self.percentiles, dtype=np.float64)
        return {self.prefixed(name): values for name, values in found.items()}

    @property
    def config(self):
        """What determines the recording, for JSON."""
        content = hashlib.sha256(self.images.cpu().numpy().tobytes())
        content.update(self.labels.cpu().numpy().tobytes())
        return {
            "examples": len(self.images),
            "content": content.hexdigest()[:16],
            "schedule": getattr(self.schedule, "name", getattr(self.schedule, "__name__", "")),
            "quantities": list(self.quantities),
            "percentiles": list(self.percentiles),
            "edges": {k: [float(e) for e in v] for k, v in (self.edges or {}).items()},
            "name": self.name,
        }


def check_quantities(names, percentiles=(), edges=None):
    """Return `names` as a tuple; raise ValueError if one is unknown or cannot be measured."""
    for name in names:
        if name not in QUANTITIES:
            raise ValueError(f"unknown quantity {name!r}; choose from {', '.join(QUANTITIES)}")
        kind = name.removesuffix("_histogram")
        if kind != name and kind not in (edges or {}):
            raise ValueError(f"{name} needs its bins: edges={{'{kind}': [...]}}")
    for percentile in percentiles:
        if not 0 <= percentile <= 100:
            raise ValueError(f"percentiles must lie in 0 to 100, not {percentile!r}")
    return tuple(names)


def axes_of(quantity):
    """Return the axis names of what `measure` returns for `quantity`: "run" comes first."""
    kind, _, statistic = quantity.rpartition("_")
    if quantity == "activation_saturated":
        return ("run", "layer")
    if statistic in STATISTICS and kind in KINDS:
        last = {"percentiles": ("percentile",), "histogram": (f"{kind}_bin",)}
        return ("run", KINDS[kind], *last.get(statistic, ()))
    return ("run",)


def measure(model, images, labels, quantities=DEFAULT, percentiles=(98,), edges=None):
    """Measure a network on a batch; back-propagated gradients are of the cross-entropy.

    Parameters
    ----------
    model : MLP;  images : (B, n_0);  labels : (B,)
    quantities, percentiles, edges : as for `Monitor`

    Returns
    -------
    dict of numpy arrays, float64
        (R, L) for a mean, std or saturated fraction, one more axis for percentiles and
        histograms (shares of all values, also of those outside the bins), (R,) for ``cost``
        (nats), ``error`` (share misclassified) and the rms of W h and b at the output
        (``logit_weight_rms``, ``logit_bias_rms``).
    """
    quantities = check_quantities(quantities, percentiles, edges)
    images = images.to(model.weights[0])
    labels = labels.to(images.device)
    backprop.check_labels(labels, images.shape[-2], model.sizes[-1])
    if model.depth == 0 and any(q.startswith("activation") for q in quantities):
        raise ValueError("this network has no hidden layer whose activations could be measured")
    trace = model(images)
    values = {
        "activation": trace.activations[1:],
        "pre_activation": trace.pre_activations,
    }
    if any(q.startswith(("back_propagated", "weight_gradient")) for q in quantities):
        gradients = backprop.gradients(model, trace, labels)
        values["back_propagated"] = gradients.pre_activations
        values["weight_gradient"] = gradients.weights
    out = {}
    for quantity in quantities:
        kind, _, statistic = quantity.rpartition("_")
        if quantity in OTHERS:
            result = _OTHER[quantity](model, trace, labels)
        else:
            rows = [v.flatten(1) for v in values[kind]]
            result = np.stack([_STATISTIC[statistic](v, percentiles, edges, kind) for v in rows], 1)
        out[quantity] = np.asarray(result, dtype=np.float64)
    return out


def _percentiles(values, percentiles, edges, kind):
    return sorted_percentiles(values.cpu().numpy(), percentiles)


def sorted_percentiles(rows, percentiles):
    """Return the percentiles of each row, (R, M) -> (R, P): numpy's default rule, by one sort."""
    rows = np.sort(rows, axis=-1)  # puts NaN last
    place = np.asarray(percentiles, dtype=np.float64) / 100 * (rows.shape[-1] - 1)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, rows.shape[-1] - 1)
    with np.errstate(invalid="ignore"):  # a diverged run
        found = rows[:, below] + (place - below) * (rows[:, above] - rows[:, below])
    return np.where(np.isnan(rows[:, -1:]), np.nan, found)


def _histogram(values, percentiles, edges, kind):
    counts = [np.histogram(row, bins=edges[kind])[0] for row in values.cpu().numpy()]
    return np.array(counts) / values.shape[1]


_STATISTIC = {
    "mean": lambda values, *_: values.double().mean(1).cpu().numpy(),
    "std": lambda values, *_: values.double().std(1, correction=0).cpu().numpy(),
    "percentiles": _percentiles,
    "histogram": _histogram,
}


def _rms(values):
    return values.double().square().flatten(1).mean(1).sqrt().cpu().numpy()


_OTHER = {
    "activation_saturated": lambda model, trace, labels: np.stack(
        [
            model.activation.saturated(z).flatten(1).double().mean(1).cpu().numpy()
            for z in trace.activations[1:]
        ],
        axis=1,
    ),
    "cost": lambda model, trace, labels: (
        backprop.COSTS["cross_entropy"].values(trace.logits.double(), labels).mean(1).cpu().numpy()
    ),
    "error": lambda model, trace, labels: (
        (trace.logits.argmax(-1) != labels).double().mean(1).cpu().numpy()
    ),
    "logit_weight_rms": lambda model, trace, labels: _rms(trace.logits - model.biases[-1]),
    "logit_bias_rms": lambda model, trace, labels: _rms(model.biases[-1]),
}


# ---------------------------------------------------------------- anyone's nn.Module
@dataclass
class Recorded:
    """One call of one sub-module: what it put out and, once backward has run, the gradients.

    Attributes
    ----------
    name, type : str
    output : tensor, as the sub-module returned it
    gradient : tensor like output, of the cost that backward was called on
    weight_gradient : tensor like the sub-module's weight matrix, of the same cost
    """

    name: str
    type: str
    output: torch.Tensor
    gradient: torch.Tensor | None = None
    weight_gradient: torch.Tensor | None = None


@contextlib.contextmanager
def record(module):
    """Record what the leaf sub-modules of any ``nn.Module`` put out, and the gradients there.

    Yields a list that fills with one `Recorded` per call, in the order of the calls; gradients
    are those of whatever scalar ``backward`` or ``torch.autograd.grad`` is called on. The hooks
    are gone when the block ends, also after an exception. `summary` has the statistics::

        with instruments.record(net) as calls:
            loss = cross_entropy(net(x), y)
            loss.backward()
        instruments.summary(calls)
    """
    calls, handles = [], []

    def watch(name):
        def hook(child, args, output):
            if not isinstance(output, torch.Tensor) or not output.is_floating_point():
                return
            call = Recorded(name, type(child).__name__, output.detach().clone())
            calls.append(call)
            if output.requires_grad:
                # A hook on the tensor, not on the module: it survives in-place activations.
                handles.append(
                    output.register_hook(lambda g: setattr(call, "gradient", g.detach().clone()))
                )

        return hook

    def watch_weight(name):
        def hook(gradient):
            for call in calls:
                if call.name == name:
                    call.weight_gradient = gradient.detach().clone()

        return hook

    try:
        for name, child in module.named_modules():
            if next(child.children(), None) is None:
                name = name or "(itself)"
                handles.append(child.register_forward_hook(watch(name)))
                weight = weight_matrix(child)
                if weight is not None and weight.requires_grad:
                    handles.append(weight.register_hook(watch_weight(name)))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def weight_matrix(module):
    """Return a module's ``weight`` if it is a parameter with two axes or more, else None."""
    weight = getattr(module, "weight", None)
    return weight if isinstance(weight, torch.nn.Parameter) and weight.ndim >= 2 else None


def summary(calls, percentiles=(98,), edges=None):
    """Return the statistics of what `record` recorded: one flat dict a call.

    Parameters
    ----------
    calls : list of `Recorded`
    percentiles, edges : as for `Monitor`; the kinds are output, gradient and weight_gradient

    Returns
    -------
    list of dict
        ``name``, ``type``, and for each kind that was recorded ``{kind}_mean``, ``_std``,
        ``_percentiles`` (P,) and, where it has edges, ``_histogram``; ``output_saturated``, the
        share of a sigmoid's, tanh's, softsign's or ReLU's outputs that are saturated.
    """
    check_quantities((), percentiles)
    return [_summary(call, percentiles, edges or {}) for call in calls]


# The module of PyTorch that equals each of our activations.
MODULES = {
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "softsign": torch.nn.Softsign,
    "relu": torch.nn.ReLU,
    "linear": torch.nn.Identity,
}


def activation_of(type_name):
    """Return the `Activation` that a module type such as "Tanh" computes, or None."""
    found = [name for name, module in MODULES.items() if module.__name__ == type_name]
    return activations.get(found[0]) if found else None


def _summary(call, percentiles, edges):
    found = {"name": call.name, "type": call.type}
    for kind in ("output", "gradient", "weight_gradient"):
        values = getattr(call, kind)
        if values is None:
            continue
        for statistic in STATISTICS:
            if statistic != "histogram" or kind in edges:
                row = _STATISTIC[statistic](values.reshape(1, -1), percentiles, edges, kind)[0]
                found[f"{kind}_{statistic}"] = row if row.ndim else float(row)
    activation = activation_of(call.type)
    if activation is not None:
        found["output_saturated"] = float(activation.saturated(call.output).double().mean())
    return found
