"""Dense networks with a leading run axis: R networks of one shape, side by side."""

import math
import numbers
from collections.abc import Iterable
from typing import NamedTuple

import torch

from course_lib import activations, init


class Trace(NamedTuple):
    """All that a forward pass computed, in the paper's notation.

    Attributes
    ----------
    pre_activations : list of d+1 tensors
        s^0 .. s^d; s^i has shape (R, B, n_{i+1}); the last one holds the logits.
    activations : list of d+1 tensors
        z^0 .. z^d; z^0 is the input as given; z^i has shape (R, B, n_i).
    """

    pre_activations: list
    activations: list

    @property
    def logits(self):
        """s^d, shape (R, B, classes)."""
        return self.pre_activations[-1]


class MLP:
    """R dense networks with softmax outputs, in the paper's orientation s = z W + b.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden layers, classes: n_0 .. n_{d+1}.
    activation : str
        A name of `activations.NAMES`.
    runs : int
        R, the number of networks.
    scheme : str, or sequence of R of them
        How each run's weights are drawn (`init.SCHEMES`). Biases start at 0.
    seed : int, or sequence of R of them
        An int gives run r the seed ``seed + r``. Equal seeds under different schemes give the
        same draws at different scales: a paired comparison.
    output_bias : bool, or sequence of R of them
        False holds that run's output biases at 0 while it trains.
    dtype : torch.float32 or torch.float64;  device : of the weights

    Attributes
    ----------
    weights : list of d+1 tensors (R, n_i, n_{i+1});  biases : list of d+1 tensors (R, 1, n_{i+1})

    Raises
    ------
    ValueError
        If an argument is not as above; the message names it.
    """

    def __init__(
        self,
        sizes,
        activation,
        runs=1,
        scheme="normalized",
        seed=0,
        output_bias=True,
        dtype=torch.float32,
        device="cpu",
    ):
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype must be torch.float32 or torch.float64, not {dtype!r}")
        if not isinstance(sizes, Iterable):
            raise ValueError(f"sizes must be a sequence of layer sizes, not {sizes!r}")
        self.sizes = [_whole(size, "a layer size", 1) for size in sizes]
        if len(self.sizes) < 2:
            raise ValueError(f"sizes needs at least inputs and classes, not {self.sizes}")
        self.activation = activations.get(activation)
        self.runs = _whole(runs, "runs", 1)
        self.schemes = [init.resolve(name) for name in self._per_run(scheme, "scheme")]
        seeds = range(seed, seed + runs) if _is_whole(seed) else seed
        self.seeds = [_whole(s, "a seed", 0, 2**32) for s in self._per_run(seeds, "seed")]
        self.output_bias = [bool(b) for b in self._per_run(output_bias, "output_bias")]
        self.weights, self.biases = [], []
        for fan_in, fan_out in zip(self.sizes, self.sizes[1:], strict=False):
            self.weights.append(torch.empty(self.runs, fan_in, fan_out, dtype=dtype, device=device))
            self.biases.append(torch.zeros(self.runs, 1, fan_out, dtype=dtype, device=device))
        for run, (name, s) in enumerate(zip(self.schemes, self.seeds, strict=True)):
            generator = torch.Generator().manual_seed(s)
            for weight in self.weights:
                init.fill_(weight[run], name, generator)

    def _per_run(self, value, what):
        alike = isinstance(value, str) or not isinstance(value, Iterable)
        values = [value] * self.runs if alike else list(value)
        if len(values) != self.runs:
            raise ValueError(f"{what} has {len(values)} entries for {self.runs} runs: {value!r}")
        return values

    @property
    def depth(self):
        """d, the number of hidden layers."""
        return len(self.sizes) - 2

    @property
    def parameters(self):
        """Name to tensor: ``weight_0`` .. ``weight_d`` and ``bias_0`` .. ``bias_d``."""
        named = {f"weight_{i}": w for i, w in enumerate(self.weights)}
        return named | {f"bias_{i}": b for i, b in enumerate(self.biases)}

    @property
    def config(self):
        """Everything that determines the network at update 0, for JSON."""
        return {
            "sizes": self.sizes,
            "activation": self.activation.name,
            "schemes": self.schemes,
            "seeds": self.seeds,
            "output_bias": self.output_bias,
            "dtype": str(self.weights[0].dtype),
            "device": self.weights[0].device.type,
        }

    def __call__(self, x):
        """Return the `Trace` of a batch.

        Parameters
        ----------
        x : tensor, shape (B, n_0) for all runs alike, or (R, B, n_0)

        Raises
        ------
        ValueError
            If the shape or the type does not fit the network.
        """
        weight = self.weights[0]
        if not isinstance(x, torch.Tensor):
            raise ValueError(f"inputs must be a torch tensor, not {type(x).__name__}")
        if x.ndim not in (2, 3) or x.shape[-1] != self.sizes[0]:
            raise ValueError(
                f"inputs need shape (B, {self.sizes[0]}) or ({self.runs}, B, {self.sizes[0]}), "
                f"not {tuple(x.shape)}"
            )
        if x.ndim == 3 and x.shape[0] != self.runs:
            raise ValueError(f"inputs are for {x.shape[0]} runs; the model has {self.runs}")
        if x.dtype != weight.dtype:
            raise ValueError(f"inputs are {x.dtype}; the model's weights are {weight.dtype}")
        s, z = [], [x]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            inputs = z[i].expand(self.runs, -1, -1)
            s.append(torch.baddbmm(bias, inputs, weight))
            if i < self.depth:
                z.append(self.activation.function(s[i]))
        return Trace(s, z)

    def run(self, r):
        """Return run `r` (from 0) alone, as an `MLP` of one run with a copy of its weights."""
        if not _is_whole(r) or not 0 <= r < self.runs:
            raise ValueError(f"run must lie in 0 to {self.runs - 1}, not {r!r}")
        single = MLP(
            self.sizes,
            self.activation,
            scheme=[self.schemes[r]],
            seed=[self.seeds[r]],
            output_bias=[self.output_bias[r]],
            dtype=self.weights[0].dtype,
            device=self.weights[0].device,
        )
        for name, value in single.parameters.items():
            value.copy_(self.parameters[name][r : r + 1])
        return single


def _is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _whole(value, what, least, below=math.inf):
    if not _is_whole(value) or not least <= value < below:
        limit = "" if below == math.inf else f" and below {below}"
        raise ValueError(f"{what} must be a whole number of at least {least}{limit}, not {value!r}")
    return int(value)
