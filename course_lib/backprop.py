"""The backward pass of Eqs. (2) and (3), written out; `engine` takes the same steps, faster.

In the paper's notation, with delta^i = dC/ds^i for one example::

    delta^i = f'(s^i) * (delta^{i+1} (W^{i+1})^T)        Eq. (2)
    dC/dW^i = (z^i)^T delta^i                             Eq. (3)

Every delta here is of one example's own cost; every weight and bias gradient is of the mean cost
over the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch


class Cost(NamedTuple):
    """A cost of softmax outputs: per-example values (R, B), and their gradient dC/ds^d.

    ``values(logits, labels)`` takes labels as class numbers, ``delta(logits, target)`` takes them
    as one-hot rows.
    """

    values: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    delta: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Gradients(NamedTuple):
    """What a backward pass computed.

    Attributes
    ----------
    pre_activations : list of d+1 tensors
        delta^0 .. delta^d; delta^i is per example, shape (R, B, n_{i+1}).
    weights, biases : lists of d+1 tensors
        Of the mean cost; shapes (R, n_i, n_{i+1}) and (R, 1, n_{i+1}).
    cost : tensor, shape (R,)
        The mean cost over the batch, in nats for the cross-entropy.
    """

    pre_activations: list
    weights: list
    biases: list
    cost: torch.Tensor


def _own_label(values, labels):
    """Pick each example's entry at its label: (R, B, K), (B,) -> (R, B)."""
    index = labels.expand(values.shape[:-1]).unsqueeze(-1)
    return values.gather(-1, index).squeeze(-1)


def _cross_entropy(logits, labels):
    return -_own_label(torch.log_softmax(logits, -1), labels)


def _cross_entropy_delta(logits, target):
    return torch.softmax(logits, -1).sub_(target)


def _quadratic(logits, labels):
    p = torch.softmax(logits, -1)
    index = labels.expand(p.shape[:-1]).unsqueeze(-1)
    error = p.scatter_add(-1, index, torch.full_like(index, -1, dtype=p.dtype))
    return 0.5 * error.square().sum(-1)


def _quadratic_delta(logits, target):
    p = torch.softmax(logits, -1)
    error = p - target
    return p * (error - (p * error).sum(-1, keepdim=True))


COSTS = {
    "cross_entropy": Cost(_cross_entropy, _cross_entropy_delta),
    "quadratic": Cost(_quadratic, _quadratic_delta),
}


def cost_named(name):
    """Return the `Cost` called `name`: the cross-entropy, or half the squared error."""
    if name not in COSTS:
        raise ValueError(f"unknown cost {name!r}; choose one of {', '.join(COSTS)}")
    return COSTS[name]


def check_labels(labels, batch, classes):
    """Raise ValueError unless `labels` is (batch,) whole numbers in 0 .. classes-1."""
    if not isinstance(labels, torch.Tensor):
        raise ValueError(f"labels must be a tensor, not {type(labels).__name__}")
    if tuple(labels.shape) != (batch,) or labels.dtype != torch.int64:
        raise ValueError(
            f"labels need shape ({batch},) and int64, not {tuple(labels.shape)} and {labels.dtype}"
        )
    if batch and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels must lie in 0 to {classes - 1}; "
            f"they span {int(labels.min())} to {int(labels.max())}"
        )


def deltas(model, trace, labels, cost):
    """Return delta^0 .. delta^d of each example: Eq. (2), from the top layer down."""
    target = torch.nn.functional.one_hot(labels, model.sizes[-1]).to(trace.logits.dtype)
    delta = [cost.delta(trace.logits, target)]
    for i in range(model.depth - 1, -1, -1):
        back = torch.bmm(delta[0], model.weights[i + 1].mT)
        delta.insert(0, back.mul_(model.activation.slope(trace.activations[i + 1])))
    return delta


def gradients(model, trace, labels, cost="cross_entropy"):
    """Return the `Gradients` of a traced batch, Glorot & Bengio (2010), Eqs. (2) and (3).

    Parameters
    ----------
    model : MLP
    trace : Trace
        ``model(x)`` for a batch of B examples.
    labels : tensor, shape (B,), int64
    cost : str
        ``"cross_entropy"`` (nats) or ``"quadratic"`` (half the squared error of the softmax).

    Raises
    ------
    ValueError
        If the labels do not fit, or the cost is unknown.
    """
    rule = cost_named(cost)
    batch = trace.logits.shape[1]
    check_labels(labels, batch, model.sizes[-1])
    delta = deltas(model, trace, labels, rule)
    weights, biases = [], []
    for z, d in zip(trace.activations, delta, strict=True):
        weights.append(torch.bmm(z.expand(model.runs, -1, -1).mT, d).div_(batch))
        biases.append(d.mean(1, keepdim=True))
    return Gradients(delta, weights, biases, rule.values(trace.logits, labels).mean(1))
