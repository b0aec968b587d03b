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
# 0 .. d for the rest (s^i, dC/ds^i per example, dC/dW^i of the mean cost, W^i).
KINDS = {
    "activation": "layer",
    "pre_activation": "matrix",
    "back_propagated": "matrix",
    "weight_gradient": "matrix",
    "weight": "matrix",
}
STATISTICS = ("mean", "std", "percentiles", "histogram")
OTHERS = (
    "activation_saturated",
    "cost",
    "error",
    "wrong",
    "logit_weight_rms",
    "logit_bias_rms",
)
PART = 500  # examples a forward pass takes at a time where only its logits are wanted
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
    # Asked at every update, so the answers are ready: up to 10^12, more than anyone trains.
    chosen = frozenset(round(10 ** (k / per_decade)) for k in range(math.ceil(12 * per_decade)))
    return Schedule(f"logarithmic {per_decade}", (chosen | {0}).__contains__)


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
        return _measure(
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
    for kind, values in (edges or {}).items():
        if np.ndim(values) != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
            raise ValueError(f"edges of {kind} must be two or more rising numbers, not {values!r}")
    return tuple(names)


def axes_of(quantity):
    """Return the axis names of what `measure` returns for `quantity`: "run" comes first."""
    kind, _, statistic = quantity.rpartition("_")
    if quantity == "activation_saturated":
        return ("run", "layer")
    if statistic in STATISTICS and kind in KINDS:
        last = {"percentiles": ("percentile",), "histogram": (f"{kind}_bin",)}
        return ("run", KINDS[kind], *last.get(statistic, ()))
    return ("run", "example") if quantity == "wrong" else ("run",)


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
        (``logit_weight_rms``, ``logit_bias_rms``). NaN where a run has diverged. ``wrong``
        (R, B) says of each example whether it was misclassified, as bool.
    """
    quantities = check_quantities(quantities, percentiles, edges)
    return _measure(model, images, labels, quantities, percentiles, edges)


@torch.inference_mode()
def _measure(model, images, labels, quantities, percentiles, edges):
    """`measure`, for quantities that were checked when the monitor was made."""
    backprop.check_labels(labels, images.shape[-2], model.sizes[-1])
    if model.depth == 0 and any(q.startswith("activation") for q in quantities):
        raise ValueError("this network has no hidden layer whose activations could be measured")
    images = images.to(model.weights[0])
    labels = labels.to(images.device)
    wanted = {}  # kind to statistics
    for quantity in quantities:
        kind, _, statistic = quantity.rpartition("_")
        if kind in KINDS:
            wanted.setdefault(kind, []).append(statistic)
    if wanted:
        trace = model(images)
        logits, layers = trace.logits, _layers(model, trace, labels, wanted.keys())
    else:
        logits = torch.cat([model(part).logits for part in images.split(PART, -2)], 1)
    found = {q: _OF_LOGITS[q](model, logits, labels) for q in quantities if q in _OF_LOGITS}
    for kind, names in wanted.items():
        rows = (values.flatten(1) for values in layers[kind])
        own = statistics(rows, names, percentiles, (edges or {}).get(kind), model.activation)
        found |= {f"{kind}_{name}": values for name, values in own.items()}
    return _fetched({quantity: found[quantity] for quantity in quantities})


def _layers(model, trace, labels, kinds):
    """Return {kind: values of each layer}. Weight gradients are the largest: one at a time."""
    layers = {
        "activation": trace.activations[1:],
        "pre_activation": trace.pre_activations,
        "weight": model.weights,
    }
    if not kinds <= layers.keys():
        delta = backprop.deltas(model, trace, labels, backprop.COSTS["cross_entropy"])
        layers["back_propagated"] = delta
        layers["weight_gradient"] = (
            torch.bmm(z.expand(model.runs, -1, -1).mT, d).div_(len(labels))
            for z, d in zip(trace.activations, delta, strict=True)
        )
    return layers


def _fetched(tensors):
    """Return {name: array} of {name: tensor}, by one transfer: a GPU is waited for once."""
    flat = torch.cat([tensor.flatten() for tensor in tensors.values()]).cpu()
    parts = flat.split([tensor.numel() for tensor in tensors.values()])
    pairs = zip(tensors.items(), parts, strict=True)
    found = {name: part.view(tensor.shape).numpy() for (name, tensor), part in pairs}
    return found | {name: found[name].astype(bool) for name in {"wrong"} & found.keys()}


def statistics(layers, names, percentiles=(98,), edges=None, activation=None):
    """Return statistics in double precision; NaN where a run's values hold one.

    What several of them need is made once, and no more than one layer is held.

    Parameters
    ----------
    layers : iterable of L tensors, shape (R, M), M of the layer's own
    names : of `STATISTICS`, and "saturated", which needs the `Activation` that made the layers
    percentiles, edges : as for `Monitor`; the bin edges of this kind alone

    Returns
    -------
    dict of float64 tensors, on the device of the layers
        (R, L) for a mean, std and saturated share, (R, L, P) for percentiles by numpy's default
        rule, (R, L, bins) for shares of a histogram, whose last bin includes its upper edge.
    """
    found = {name: [] for name in ("mean", "std", "saturated")}
    order = _Order(percentiles, edges if "histogram" in names else None)
    scratch = torch.empty(0)
    for rows in layers:
        rows = rows.float() if rows.dtype.itemsize < 4 else rows
        if rows.numel() > len(scratch):  # one for all layers: fresh memory costs more than sums
            scratch = rows.new_empty(rows.numel(), dtype=torch.float64)
        wide = scratch[: rows.numel()].view(rows.shape)
        if "saturated" in names:
            # What `Activation.saturated` says, as 0 and 1 in place: three times as fast as bools.
            low = activation.slope(rows).lt_(activations.SATURATION * activation.steepest)
            found["saturated"].append(low.sum(1).double() / rows.shape[1])
        if "mean" in names or "std" in names:
            mean = wide.copy_(rows).mean(1, keepdim=True)
            found["mean"].append(mean[:, 0])
        if "std" in names:
            norm = torch.linalg.vector_norm(wide.sub_(mean), dim=1)
            found["std"].append(norm.div_(math.sqrt(rows.shape[1])))
        if "percentiles" in names or "histogram" in names:
            order.add(rows)
    simple = {name: torch.stack(values, 1) for name, values in found.items() if values}
    ordered = {"percentiles": order.percentiles, "histogram": order.histogram}
    return {name: simple[name] if name in simple else ordered[name]() for name in names}


class _Order:
    """Percentiles and histograms of layer after layer, by one sort each."""

    def __init__(self, percentiles, edges):
        self.shares = np.asarray(percentiles, dtype=np.float64) / 100
        self.edges, self.bounds = edges, None
        self.sizes, self.picked, self.below = [], [], []

    def add(self, rows):
        """Keep of (R, M) values those that percentiles lie between, and how many lie below edges.

        They are put in rising order, NaN last.
        """
        last = rows.shape[1] - 1
        if rows.device.type == "cpu":  # numpy sorts some thirty times faster than torch
            rows = torch.from_numpy(np.sort(rows.numpy(), axis=-1))
        else:
            rows = rows.sort(-1).values
        low = (self.shares * last).astype(np.int64)
        index = np.concatenate([low, np.minimum(low + 1, last), [last]])
        self.sizes.append(rows.shape[1])
        self.picked.append(rows.index_select(1, torch.from_numpy(index).to(rows.device)))
        if self.edges is not None:
            if self.bounds is None:
                self.bounds = _bounds(self.edges, rows).repeat(len(rows), 1)
            self.below.append(torch.searchsorted(rows, self.bounds))

    def percentiles(self):
        """Return (R, L, P)."""
        picked = torch.stack(self.picked, 1).double()
        low, high, largest = picked.split([len(self.shares), len(self.shares), 1], 2)
        place = np.outer(np.array(self.sizes) - 1, self.shares) % 1
        found = low + torch.from_numpy(place).to(low.device) * (high - low)
        return torch.where(largest.isnan(), math.nan, found)

    def histogram(self):
        """Return the shares (R, L, bins) of all values that lie in each bin."""
        below = torch.stack(self.below, 1).double()
        sizes = torch.tensor(self.sizes, device=below.device).unsqueeze(1)
        if self.edges[-1] == math.inf:
            below[..., -1:] = sizes
        largest = torch.stack([picked[:, -1:] for picked in self.picked], 1)
        return torch.where(largest.isnan(), math.nan, below.diff(dim=2) / sizes)


def _bounds(edges, rows):
    """Return the numbers, in the rows' precision, with as many values below as belong there.

    Edges are rounded up, so that float32 values compare with them as with the edges given. The
    last bin includes its upper edge: its bound is the next number above.
    """
    exact = torch.as_tensor(np.asarray(edges, dtype=np.float64), device=rows.device)
    near = exact.to(rows.dtype)
    above = near.nextafter(torch.full_like(near, math.inf))
    bounds = torch.where(near.double() < exact, above, near)
    bounds[-1] = torch.where(near.double() > exact, near, above)[-1]
    return bounds


def _rms(values):
    return values.double().square().flatten(1).mean(1).sqrt()


def _wrong(logits, labels):
    return (logits.argmax(-1) != labels).double()


# Statistics of the output: functions of the model, the logits (R, B, classes) and the labels.
_OF_LOGITS = {
    "cost": lambda model, logits, labels: (
        backprop.COSTS["cross_entropy"].values(logits.double(), labels).mean(1)
    ),
    "error": lambda model, logits, labels: _wrong(logits, labels).mean(1),
    "wrong": lambda model, logits, labels: _wrong(logits, labels),
    "logit_weight_rms": lambda model, logits, labels: _rms(logits - model.biases[-1]),
    "logit_bias_rms": lambda model, logits, labels: _rms(model.biases[-1]),
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
    check_quantities((), percentiles, edges)
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
    activation = activation_of(call.type)
    for kind in ("output", "gradient", "weight_gradient"):
        values = getattr(call, kind)
        if values is None:
            continue
        names = [name for name in STATISTICS if name != "histogram" or kind in edges]
        if kind == "output" and activation is not None:
            names.append("saturated")
        layers = [values.reshape(1, -1)]
        own = _fetched(statistics(layers, names, percentiles, edges.get(kind), activation))
        for name, value in own.items():
            found[f"{kind}_{name}"] = value[0, 0] if value.ndim > 2 else float(value[0, 0])
    return found
