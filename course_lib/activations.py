"""The table of activation functions: each with its slope and the point where it saturates."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

# A unit counts as saturated where its slope is below this share of the steepest slope. The value
# makes the usual bounds come out exactly: a sigmoid outside [.05, .95], a tanh beyond +-.9.
SATURATION = 0.19


@dataclass(frozen=True)
class Activation:
    """An activation function f, with its slope written in terms of the activation z = f(s).

    Attributes
    ----------
    name, label : str
        The name in code, and the one for a figure.
    function : callable
        f, elementwise on a tensor.
    slope : callable
        f'(s) as a function of z = f(s): all that the backward pass needs, Eq. (2).
    steepest : float
        The largest slope.
    """

    name: str
    label: str
    function: Callable[[torch.Tensor], torch.Tensor]
    slope: Callable[[torch.Tensor], torch.Tensor]
    steepest: float = 1.0

    def saturated(self, z):
        """Say, elementwise, where the slope is under 19 % of its steepest (a bool tensor)."""
        return self.slope(z) < SATURATION * self.steepest


_TABLE = {
    entry.name: entry
    for entry in (
        Activation("sigmoid", "sigmoid", torch.sigmoid, lambda z: z * (1 - z), steepest=0.25),
        Activation("tanh", "tanh", torch.tanh, lambda z: 1 - z * z),
        Activation(
            "softsign",
            "softsign",
            torch.nn.functional.softsign,
            lambda z: (1 - z.abs()).square(),
        ),
        Activation("relu", "ReLU", torch.relu, lambda z: (z > 0).to(z.dtype)),
        Activation("linear", "linear", lambda s: s, torch.ones_like),
    )
}
NAMES = tuple(_TABLE)


def get(name):
    """Return the `Activation` called `name`; an `Activation` is returned as it is.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists the names.
    """
    if isinstance(name, Activation):
        return name
    if not isinstance(name, str) or name not in _TABLE:
        raise ValueError(f"unknown activation {name!r}; choose one of {', '.join(NAMES)}")
    return _TABLE[name]
