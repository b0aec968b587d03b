"""The training film: what every layer did at 31 moments of its training, for 90 networks.

The experiment ``film`` records it. It is shipped in small whole numbers: `compact` writes them,
`load` reads one network's film. T are the moments, L hidden layers, R runs.
"""

import functools
from dataclasses import dataclass

import numpy as np

from course_lib import experiments, results, storage

# How a whole number n stands for a value: n over 1,000; 10 to the n over 200; n over 10,000.
THOUSANDTHS = (
    "activation_mean",
    "activation_std",
    "activation_percentiles",
    "activation_saturated",
    "way_cost",
)
LOGARITHMS = ("back_propagated_std", "weight_gradient_std")
TEN_THOUSANDTHS = ("way_error",)
# A bin's share of the activations is LARGEST / 10,000 x (n / ROOTS)^2. Small ones stay visible, and
# a step of n is about what another 300 pictures would change.
ROOTS, LARGEST = 63, "activation_largest_bin"


@dataclass(frozen=True)
class Film:
    """One network's film.

    Attributes
    ----------
    activation, depth, scheme, seed, rate : what was trained, and how
    update : (T,);  edges : (bins + 1,), over the range of the activation
    histogram : (T, L, bins), shares;  percentiles : (T, L, 3), the 2nd, 50th and 98th
    mean, std, saturated : (T, L), of the activations of 300 test pictures
    gradient, weight_gradient : (T, L), standard deviations of dC/ds of an example and of dC/dW of
        the mean over examples;  error, cost : (T,), on 2,000 other test pictures
    """

    activation: str
    depth: int
    scheme: str
    seed: int
    rate: float
    update: np.ndarray
    edges: np.ndarray
    histogram: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    percentiles: np.ndarray
    saturated: np.ndarray
    gradient: np.ndarray
    weight_gradient: np.ndarray
    error: np.ndarray
    cost: np.ndarray


def compact(stored):
    """Return a recorded film as whole numbers, time last: a tenth of the size.

    Parameters
    ----------
    stored : storage.Stored, as ``hard-to-train reproduce film`` wrote it

    Raises
    ------
    ValueError
        If a network diverged: there would be nothing to show.
    """
    if (stored["diverged"] >= 0).any():
        raise ValueError("a network of the film diverged: its curve needs another rate")
    arrays, axes = {}, {}
    layers = max(run["depth"] for run in results.runs(stored))

    def keep(name, values, kind, like):
        last = [axis for axis in stored.axes[like] if not axis.endswith("update")]
        axes[name] = [*last, "update"] if name != LARGEST else ["run", "layer", "update"]
        axes[name] = ["layer" if axis == "matrix" else axis for axis in axes[name]]
        arrays[name] = np.moveaxis(np.nan_to_num(values, nan=0), 0, -1).round().astype(kind)

    for name in THOUSANDTHS:
        keep(name, 1000 * stored[name], np.int16, name)
    for name in TEN_THOUSANDTHS:
        keep(name, 10_000 * stored[name], np.int16, name)
    for name in LOGARITHMS:  # without the output layer
        keep(name, 200 * np.log10(_hidden(stored, name, layers)), np.int16, name)
    shares = stored["activation_histogram"]
    largest = np.round(10_000 * shares.max(-1, keepdims=True)) / 10_000
    keep(LARGEST, 10_000 * largest[..., 0], np.uint16, "activation_histogram")
    roots = ROOTS * np.sqrt(np.minimum(shares / largest, 1))
    keep("activation_histogram", roots, np.uint8, "activation_histogram")
    for name, values in stored.arrays.items():
        if name not in arrays and not name.startswith("train_"):
            arrays[name], axes[name] = values, list(stored.axes[name])
    return storage.Stored(arrays, stored.config, stored.provenance, axes)


def _hidden(stored, name, layers):
    """Return a quantity of matrices (T, R, d + 1) for hidden layers alone, NaN where none is."""
    depth = np.array([run["depth"] for run in results.runs(stored)])
    there = np.arange(layers) < depth[:, None]
    return np.where(there, stored[name][:, :, :layers], np.nan)


@functools.cache
def shipped():
    """Return the shipped film, in whole numbers."""
    return results.load("film")


def frames():
    """Return the updates at which the shipped film was recorded, a tuple of T."""
    length = experiments.find("film", "workstation").scales["workstation"].updates
    return experiments.frames(length)


def number(activation, depth, scheme, seed):
    """Return the place among the shipped runs of one network; ValueError if there is none."""
    found = results.which(
        shipped(), activation=activation, depth=depth, scheme=scheme, seed=seed
    ).tolist()
    if len(found) != 1:
        raise ValueError(f"no film of {activation}, depth {depth}, {scheme} weights, seed {seed}")
    return found[0]


def load(activation="tanh", depth=5, scheme="standard", seed=0):
    """Return the shipped `Film` of one network; ValueError if there is none.

    Parameters
    ----------
    activation : "sigmoid", "tanh" or "softsign";  depth : 1 to 5 hidden layers
    scheme : "standard" or "normalized";  seed : 0, 1 or 2
    """
    stored, place = shipped(), number(activation, depth, scheme, seed)

    def own(name):
        values = stored[name][place]
        values = values[:depth] if "layer" in stored.axes[name] else values
        return np.moveaxis(values, -1, 0).astype(np.float64)

    shares = own(LARGEST)[..., None] / 10_000 * (own("activation_histogram") / ROOTS) ** 2
    first = 0 if activation != "sigmoid" else shares.shape[-1] // 2
    return Film(
        activation,
        depth,
        scheme,
        seed,
        results.runs(stored)[place]["learning_rate"],
        stored["update"],
        stored["activation_edges"][first:],
        shares[..., first:],
        *(own(name) / 1000 for name in THOUSANDTHS[:4]),
        *(10 ** (own(name) / 200) for name in LOGARITHMS),
        own("way_error") / 10_000,
        own("way_cost") / 1000,
    )


def rate_from(activation, depth, scheme):
    """Say in words where the rate of a network's film comes from: see `experiments.FILM_RATES`."""
    if activation == "sigmoid" and (depth, scheme) == (5, "standard"):
        return "that of depth 4, as no rate trained this depth"
    if activation == "sigmoid" and scheme == "normalized":
        return "that of the standard weights, as none was searched for"
    if activation == "softsign" and depth < 5:
        return "that of depth 5, as none was searched for"
    return "chosen on validation pictures"
