"""Initialisation schemes: the paper's standard one, Eq. (1), and its normalized one, Eq. (16).

A weight here has shape (..., fan_in, fan_out), as in s = z W + b. PyTorch's ``nn.Linear`` keeps
the transpose: hand over ``linear.weight.mT``.
"""

import torch

from course_lib import theory

_ALIASES = {"xavier": "normalized", "glorot": "normalized", "torch_default": "standard"}
SCHEMES = tuple(theory.BOUNDS)


def resolve(scheme):
    """Return the scheme's own name for a name or an alias (xavier, glorot, torch_default).

    Raises
    ------
    ValueError
        If there is none of that name; the message lists the names.
    """
    name = _ALIASES.get(scheme, scheme) if isinstance(scheme, str) else None
    if name not in theory.BOUNDS:
        known = ", ".join((*SCHEMES, *_ALIASES))
        raise ValueError(f"unknown scheme {scheme!r}; choose one of {known}")
    return name


def bound(scheme, fan_in, fan_out):
    """Return the half-width a of U[-a, a] that `scheme` draws a fan_in x fan_out matrix from."""
    return theory.BOUNDS[resolve(scheme)](fan_in, fan_out)


def fill_(weight, scheme, generator):
    """Fill `weight` in place with draws from `scheme` and return it.

    Parameters
    ----------
    weight : tensor, shape (..., fan_in, fan_out), floating point, any device
    scheme : str
        ``"standard"``, ``"normalized"`` or an alias.
    generator : torch.Generator
        On the CPU: the draws are made there in float64, so that every device and precision
        starts from the same network.

    Raises
    ------
    ValueError
        If the weight is not floating point, has fewer than two axes or an empty one, the scheme
        is unknown, or the generator is not one of the CPU.
    """
    if weight.ndim < 2 or 0 in weight.shape:
        raise ValueError(f"a weight needs shape (..., fan_in, fan_out), not {tuple(weight.shape)}")
    if not weight.is_floating_point():
        raise ValueError(f"a weight must be floating point, not {weight.dtype}")
    if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
        raise ValueError(f"generator must be a torch.Generator of the CPU, not {generator!r}")
    a = bound(scheme, *weight.shape[-2:])
    draws = torch.rand(weight.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        return weight.copy_(draws.mul_(2 * a).sub_(a))


def standard_(weight, generator):
    """Fill in place from U[-1/sqrt(fan_in), 1/sqrt(fan_in)]: Glorot & Bengio (2010), Eq. (1)."""
    return fill_(weight, "standard", generator)


def normalized_(weight, generator):
    """Fill in place from U[-a, a], a = sqrt(6/(fan_in + fan_out)): Eq. (16), "Xavier"."""
    return fill_(weight, "normalized", generator)
