"""A check-up of anyone's network: what each layer does to the signal and to the gradient.

In use::

    from course_lib.report import report
    report(net, (inputs, targets))
"""

import contextlib
import html
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from course_lib import instruments, models

# A finding is reported from these levels on; each is a rule of thumb, not a law.
SHRINKS = 1.5  # factor per layer
TREND = 3  # hidden layers: fewer show no trend
SATURATED = 0.3  # share of a layer's units times examples
DEAD = 0.3  # share of a layer's ReLU units that are 0 on every example
UNEVEN = 10.0  # largest over smallest relative weight gradient


@dataclass(frozen=True)
class Row:
    """One weight layer with the activation after it. Gradients are per example."""

    name: str
    kind: str
    fan_in: int
    weight_std: float  # times sqrt(fan_in): 0.58 is nn.Linear's own scheme
    activation_std: float
    saturated: float  # share; nan where the activation has no bounds
    gradient_std: float  # of dC/d(output of the weight layer), one example's own cost
    weight_gradient: float  # rms of dC/dW (mean cost) over rms of W
    dead: float = math.nan  # share of ReLU units that are 0 on every example


@dataclass(frozen=True)
class Report:
    """A table with one `Row` a layer, and what stands out in it, in words.

    Printing it gives plain text; a notebook shows a table. ``rows`` has the numbers.
    """

    rows: list
    cost: float
    examples: int
    findings: list = field(default_factory=list)

    _HEAD = (
        "layer",
        "fan-in",
        "weight std x sqrt(fan-in)",
        "activation std",
        "saturated",
        "gradient std",
        "gradient/weight",
    )

    def _cells(self, row):
        return (
            f"{row.name} ({row.kind})",
            f"{row.fan_in}",
            f"{row.weight_std:.2f}",
            f"{row.activation_std:.3g}",
            "-" if math.isnan(row.saturated) else f"{row.saturated:.0%}",
            f"{row.gradient_std:.2e}",
            f"{row.weight_gradient:.1e}",
        )

    def __str__(self):
        table = [self._HEAD, *(self._cells(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(self._HEAD))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            for line in table
        ]
        head = f"{self.examples} examples, cost {self.cost:.3f}"
        return "\n".join([head, *lines, *(f"* {finding}" for finding in self.findings)])

    __repr__ = __str__

    def _repr_html_(self):
        head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in self._HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in self._cells(row)) + "</tr>"
            for row in self.rows
        )
        found = "".join(f"<li>{html.escape(finding)}</li>" for finding in self.findings)
        return (
            f'<div class="report"><table><caption>{self.examples} examples, cost {self.cost:.3f}'
            f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<ul>{found}</ul></div>"
        )


def report(module, batch, loss=None):
    """Check up a network on one batch: a table per layer, and plain findings.

    Parameters
    ----------
    module : nn.Module, or an `MLP` of one run
        Left as it was: weights, gradients, buffers, mode and random state.
    batch : (inputs, targets)
        A few hundred examples are plenty. An activation counts where it is a module of its own
        (``nn.Tanh()``); one called as a function leaves its layer's pre-activations in the table.
    loss : callable (output, targets) -> mean cost, optional
        Cross-entropy where targets are int64, else the squared error.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If the batch is not such a pair of tensors, is not finite or does not fit the output, or
        the module is none or has no weight layer.
    """
    inputs, targets = _checked(batch)
    if isinstance(module, models.MLP):
        module = as_module(module)
    if not isinstance(module, nn.Module):
        raise ValueError(f"report takes an nn.Module or an MLP, not {type(module).__name__}")
    if loss is None:
        classes = not targets.is_floating_point()
        loss = nn.functional.cross_entropy if classes else _squared_error
    weighted = [
        name
        for name, child in module.named_modules()
        if next(child.children(), None) is None and instruments.weight_matrix(child) is not None
    ]
    if not weighted:
        raise ValueError(f"{type(module).__name__} has no layer with a weight matrix to report on")
    with _unchanged(module), torch.enable_grad(), instruments.record(module) as calls:
        cost = loss(module(inputs), targets)
        parameters = [p for p in module.parameters() if p.requires_grad]
        if not cost.requires_grad:
            raise ValueError("no gradient reaches any weight: are they all frozen?")
        found = torch.autograd.grad(cost, parameters, allow_unused=True)
    gradient_of = {id(p): g for p, g in zip(parameters, found, strict=True)}
    rows = [
        _row(module, name, calls, gradient_of, len(inputs))
        for name in weighted
        if any(call.name == (name or "(itself)") for call in calls)
    ]
    cost = float(cost.detach())
    return Report(rows, cost, len(inputs), _findings(rows, cost))


def as_module(model):
    """Return an `MLP` of one run as the equal ``nn.Sequential`` (a copy of its weights)."""
    if model.runs != 1:
        raise ValueError(f"report takes one network; this model has {model.runs}: use model.run(r)")
    if model.activation.name not in instruments.MODULES:
        raise ValueError(f"no module is known for the activation {model.activation.name!r}")
    parts = []
    for i, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        size = {"in_features": weight.shape[1], "out_features": weight.shape[2]}
        linear = nn.utils.skip_init(  # draws no random numbers
            nn.Linear, **size, dtype=weight.dtype, device=weight.device
        )
        with torch.no_grad():
            linear.weight.copy_(weight[0].mT)
            linear.bias.copy_(bias[0, 0])
        parts.append(linear)
        if i < model.depth:
            parts.append(instruments.MODULES[model.activation.name]())
    return nn.Sequential(*parts)


def _checked(batch):
    try:
        inputs, targets = batch
    except (TypeError, ValueError):
        raise ValueError("batch must be a pair (inputs, targets)") from None
    for what, value in (("inputs", inputs), ("targets", targets)):
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            raise ValueError(f"{what} must be a tensor, examples first, not {type(value).__name__}")
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise ValueError(f"batch has {len(inputs)} inputs and {len(targets)} targets")
    if inputs.is_floating_point() and not torch.isfinite(inputs).all():
        raise ValueError("the inputs hold values that are not finite (NaN or inf)")
    return inputs, targets


def _squared_error(output, targets):
    if output.shape != targets.shape:  # torch would stretch (B,) against (B, 1) to (B, B)
        raise ValueError(
            f"targets of shape {tuple(targets.shape)} do not fit an output of shape "
            f"{tuple(output.shape)}; class labels must be int64"
        )
    return nn.functional.mse_loss(output, targets)


@contextlib.contextmanager
def _unchanged(module):
    """Put buffers (batch statistics) and the random state (dropout) back afterwards."""
    kept = {name: value.clone() for name, value in module.named_buffers()}
    cuda = sorted({p.device.index for p in module.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=cuda):
        try:
            yield
        finally:
            for name, value in module.named_buffers():
                value.copy_(kept[name])


def _row(module, name, calls, gradient_of, examples):
    child = module.get_submodule(name)
    place = next(i for i, call in enumerate(calls) if call.name == (name or "(itself)"))
    own = calls[place]
    after = _activation_after(module, calls[place:])
    weight = instruments.weight_matrix(child)
    fan_in = weight[0].numel()
    z = after.output
    activation = instruments.activation_of(after.type)
    bounded = activation is not None and activation.name in ("sigmoid", "tanh", "softsign")
    gradient = gradient_of.get(id(weight))
    return Row(
        name=name or "(itself)",
        kind=own.type + ("" if after is own else f" + {after.type}"),
        fan_in=fan_in,
        weight_std=float(weight.detach().std(correction=0)) * math.sqrt(fan_in),
        activation_std=float(z.std(correction=0)),
        saturated=float(activation.saturated(z).float().mean()) if bounded else math.nan,
        gradient_std=_std(own.gradient) * examples,  # of one example's own cost, not of the mean
        weight_gradient=_rms(gradient) / max(_rms(weight.detach()), 1e-30),
        dead=float((z <= 0).flatten(1).all(0).float().mean()) if after.type == "ReLU" else math.nan,
    )


def _activation_after(module, calls):
    """Return the call of the activation module that follows a layer, or the layer's own call."""
    for call in calls[1:]:
        child = module.get_submodule(call.name)
        if instruments.weight_matrix(child) is not None:
            break
        if type(child).__module__ == nn.Tanh.__module__:
            return call
    return calls[0]


def _std(values):
    return math.nan if values is None else float(values.std(correction=0))


def _rms(values):
    return math.nan if values is None else float(values.double().square().mean().sqrt())


def _findings(rows, cost):
    numbers = [value for row in rows for value in (row.activation_std, row.gradient_std)]
    if not math.isfinite(cost) or any(math.isinf(value) for value in numbers):
        return ["the cost or an activation is not finite: lower the learning rate or the weights"]
    hidden = rows[:-1]
    findings = [
        *_trend([row.activation_std for row in hidden], "activations", "towards the output"),
        *_trend([row.gradient_std for row in hidden][::-1], "gradients", "towards the input"),
    ]
    for row in hidden:
        if row.saturated > SATURATED:
            findings.append(f"{row.name}: {row.saturated:.0%} of its activations are saturated")
        if row.dead > DEAD:
            findings.append(f"{row.name}: {row.dead:.0%} of its ReLU units never fire")
    relative = [row.weight_gradient for row in hidden if row.weight_gradient > 0]
    if len(relative) > 1 and max(relative) > UNEVEN * min(relative):
        ratio = max(relative) / min(relative)
        findings.append(f"relative weight gradients differ {ratio:.0f}-fold between layers")
    if findings:
        return findings
    if len(hidden) < TREND:
        return [f"nothing stands out; a trend needs {TREND} hidden layers, here are {len(hidden)}"]
    return ["nothing stands out: activations and gradients hold through the layers"]


def _trend(values, what, where):
    """Say by what factor a layer a quantity grows or shrinks, by a line through its logarithms."""
    values = np.array([value for value in values if not math.isnan(value)])
    if not (values > 0).all():
        return [f"{what} have no spread in {(values == 0).sum()} of {len(values)} hidden layers"]
    if len(values) < TREND:
        return []
    slope = np.polyfit(np.arange(len(values)), np.log(values), 1)[0]
    factor = math.exp(abs(slope))
    if factor < SHRINKS:
        return []
    return [f"{what} {'grow' if slope > 0 else 'shrink'} {factor:.1f}-fold per layer {where}"]
