"""The cost of a small network as a function of two of its weights, one a layer: Figure 5 and C11.

A draw is a network of one hidden layer of tanh units, without biases, and examples whose targets
have nothing to do with their inputs. Two weights move: the one from the first input to the first
hidden unit, and the one from there to the last output. The others keep their first values. Every
cost is a mean over the draw's examples.
"""

import itertools
import sys
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from course_lib import backprop, init, storage, training

REACH = 8.0  # both weights run from -8 to 8
PLATEAU = 0.05  # of the largest gradient on the surface: what is below lies on a plateau
LEVELS = (0.01, 0.02, 0.05, 0.1)  # the shares that are recorded, to see how much hangs on it
SIZES = ((1, 1, 1), (10, 10, 3), (10, 10, 9))
COSTS = tuple(backprop.COSTS)


@dataclass(frozen=True)
class Draws:
    """How many draws to look at (`networks`), of how many examples, on how many cells a side."""

    networks: int = 20
    points: int = 100
    cells: int = 200

    @property
    def effort(self):
        """How much there is to compute, relative to one draw of the workstation scale."""
        return self.networks * self.points / 100 * (self.cells / 200) ** 2


class Draw(NamedTuple):
    """Examples and weights: inputs (B, n_0), labels (B,), weights (n_0, n_1) and (n_1, classes)."""

    inputs: torch.Tensor
    labels: torch.Tensor
    weights: tuple


def draw(sizes=(1, 1, 1), seed=0, points=100):
    """Return a `Draw`: inputs from N(0, 1), every class as likely, standard weights, in float64.

    One output unit stands for two classes: its logit is compared with one that is always 0, so that
    the softmax of both is the sigmoid of that unit.

    Parameters
    ----------
    sizes : (inputs, hidden units, output units);  seed, points : int

    Raises
    ------
    ValueError
        If `sizes` are not three whole numbers of at least 1.
    """
    if len(sizes) != 3 or not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise ValueError(f"sizes must be three whole numbers of at least 1, not {sizes!r}")
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(points, sizes[0], generator=generator, dtype=torch.float64)
    labels = torch.randint(max(sizes[2], 2), (points,), generator=generator)
    weights = [torch.empty(n, m, dtype=torch.float64) for n, m in itertools.pairwise(sizes)]
    for weight in weights:
        init.fill_(weight, "standard", generator)
    if sizes[2] == 1:
        weights[1] = torch.cat([torch.zeros_like(weights[1]), weights[1]], dim=1)
    return Draw(inputs, labels, tuple(weights))


def at(draw, first, second, cost):
    """Return the cost and its gradient where the two weights have these values.

    The backward pass is Eqs. (2) and (3) for two entries of the matrices: with delta = dC/ds of
    the logits, dC/dw2 = h delta and dC/dw1 = x f'(s) (W2 delta), averaged over the examples.

    Parameters
    ----------
    draw : Draw;  first, second : (P,) values of w1 and w2;  cost : str, of `backprop.COSTS`

    Returns
    -------
    cost (P,), gradient (P, 2) : float64 arrays
    """
    if cost not in COSTS:
        raise ValueError(f"unknown cost {cost!r}; choose one of {', '.join(COSTS)}")
    first, second = (torch.as_tensor(w, dtype=torch.float64) for w in (first, second))
    inputs, labels, (below, above) = draw
    rest = inputs @ below
    x, others = inputs[:, 0], above[1:].T @ torch.tanh(rest[:, 1:]).T  # (B,), (K, B)
    h = torch.tanh(rest[:, 0] + (first[:, None] - below[0, 0]) * x)  # (P, B)
    row = above[0, :, None].repeat(1, len(second))
    row[-1] = second  # (K, P)
    logits = others[:, None] + row[:, :, None] * h  # (K, P, B): with classes first it is fast
    value, delta = _softmax_cost(logits, labels, cost)
    back = (delta * row[:, :, None]).sum(0)
    slopes = [(x * (1 - h * h) * back).mean(1), (h * delta[-1]).mean(1)]
    return value.mean(1).numpy(), torch.stack(slopes, 1).numpy()


def _softmax_cost(logits, labels, cost):
    """Return the cost (P, B) and dC/ds (K, P, B) of logits (K, P, B), as `backprop.COSTS` do."""
    log_p = torch.log_softmax(logits, 0)
    target = torch.nn.functional.one_hot(labels, len(logits)).T[:, None].to(logits)
    if cost == "cross_entropy":
        return -(log_p * target).sum(0), log_p.exp_().sub_(target)
    p = log_p.exp_()
    error = p - target
    return 0.5 * error.square().sum(0), p * (error - (p * error).sum(0))


def centres(cells):
    """Return the middles of `cells` equal parts of [-8, 8]."""
    return REACH * ((2 * np.arange(cells) + 1) / cells - 1)


def surface(draw, cost, cells=200):
    """Return a cost surface, at the centres of cells x cells squares of [-8, 8] x [-8, 8].

    Returns
    -------
    cost, length : (cells, cells), of the cost and of its gradient; [i, j] is at w1 = centres[i]
        and w2 = centres[j]
    """
    weight = centres(cells)
    rows = [at(draw, np.full(cells, first), weight, cost) for first in weight]
    return np.array([value for value, _ in rows]), np.array(
        [np.hypot(*gradient.T) for _, gradient in rows]
    )


def flat(length, level=PLATEAU):
    """Say where a surface is flat: its gradient shorter than `level` times the longest; bool."""
    length = np.asarray(length)
    return length < level * length.max()


def descend(draw, first, second, cost, rate, steps):
    """Follow the gradient down from the given weights, all starts at once.

    Parameters
    ----------
    draw : Draw;  first, second : (P,) weights to start from;  cost : str, of `backprop.COSTS`
    rate : float;  steps : int

    Returns
    -------
    weights (steps + 1, P, 2), cost (steps + 1, P) : the start stands first
    """
    weights, way, costs = np.stack([first, second], axis=1).astype(float), [], []
    for _ in range(steps + 1):
        value, gradient = at(draw, *weights.T, cost)
        way.append(weights)
        costs.append(value)
        weights = weights - rate * gradient
    return np.array(way), np.array(costs)


def cost_surfaces(scale, checkpoint=None, progress=True, first=0):
    """Measure how much of each cost surface is flat, draw by draw: Figure 5 and C11.

    Parameters
    ----------
    scale : Draws
    checkpoint : path, not used: it takes seconds
    first : int, the number of the first draw

    Returns
    -------
    training.History
        Arrays (sizes, cost, network, ...): `share` of the area that is flat at each `level`,
        `share_coarse` with half as many cells a side, `longest` gradient. Of the first draw of a
        1-1-1 network: `value` and `length` (cost, first, second) over `weight`, with half as many
        cells a side, float32.
    """
    shape = len(SIZES), len(COSTS), scale.networks
    share, coarse = (np.empty((*shape, len(LEVELS))) for _ in range(2))
    longest, kept = np.empty(shape), []
    every = list(np.ndindex(shape))
    for place in tqdm(every, unit=" surfaces", disable=not progress, file=sys.stderr):
        sizes, cost = SIZES[place[0]], COSTS[place[1]]
        examples = draw(sizes, first + place[2], scale.points)
        _, length = surface(examples, cost, scale.cells)
        half = surface(examples, cost, scale.cells // 2)
        share[place] = [flat(length, level).mean() for level in LEVELS]
        coarse[place] = [flat(half[1], level).mean() for level in LEVELS]
        longest[place] = length.max()
        if place[0] == place[2] == 0:
            kept.append(half)
    value, length = np.array(kept, dtype=np.float32).swapaxes(0, 1)
    recorded = {
        "share": (share, ("sizes", "cost", "network", "level")),
        "share_coarse": (coarse, ("sizes", "cost", "network", "level")),
        "longest": (longest, ("sizes", "cost", "network")),
        "value": (value, ("cost", "first", "second")),
        "length": (length, ("cost", "first", "second")),
        "weight": (centres(scale.cells // 2), ("first",)),
        "sizes": (np.array(["-".join(map(str, sizes)) for sizes in SIZES]), ("sizes",)),
        "cost": (np.array(COSTS), ("cost",)),
        "network": (np.arange(first, first + scale.networks), ("network",)),
        "level": (np.array(LEVELS), ("level",)),
    }
    arrays, axes = ({name: pair[i] for name, pair in recorded.items()} for i in (0, 1))
    return training.History(arrays, axes, asdict(scale), storage.provenance())
