"""Networks before their first update: the signal through them, and their Jacobians.

What Figures 6 to 8 and the claims on networks at initialisation rest on. Network r has seed r, and
equal seeds under different schemes give the same draws.
"""

import pathlib
import sys
from dataclasses import asdict, dataclass

import numpy as np
import torch
from tqdm import tqdm

from course_lib import (
    backprop,
    datasets,
    instruments,
    jacobian,
    models,
    shapeset,
    storage,
    training,
)

EXAMPLES, EXAMPLES_SEED = 300, 2_010_000  # test images, as many as in the paper
ACTIVATIONS = ("tanh", "softsign", "sigmoid")
SCHEMES = ("standard", "normalized")
ENDS = shapeset.FRAME**2, len(shapeset.CLASSES)  # inputs and classes


@dataclass(frozen=True)
class Networks:
    """How many networks to look at, and how large they are."""

    width: int
    networks: int
    depth: int = 5
    inputs: int = 10  # examples whose Jacobians are taken apart

    @property
    def effort(self):
        """How much there is to compute, relative to one network of width 1000."""
        return self.networks * (self.width / 1000) ** 2.5


def signal_at_initialisation(scale, checkpoint=None, progress=True, first=0):
    """Measure the signal, forward and backward, in untrained networks: Figures 6 to 8, C13 to C15.

    Three activations, both schemes, 300 test images; gradients are of each image's cross-entropy.

    Parameters
    ----------
    scale : Networks
    checkpoint : path, optional; a stopped call goes on from files beside it
    first : int, the seed of the first network

    Returns
    -------
    training.History
        Arrays (activation, scheme, network, ...) as in `SIGNAL_AXES`; the arrays `activation`,
        `scheme`, `network` (seeds; equal ones draw alike), `layer`, `matrix` name what stands
        along the axes. `input_square` (input,) is ``|x|^2/n_0`` of each image.
    """
    images, labels = shapeset.sample(EXAMPLES, EXAMPLES_SEED)

    def measure(model):
        return signal(model, images, labels)

    fixed = {"input_square": (_mean_square(images), ("input",))}
    return _at_initialisation(measure, SIGNAL_AXES, fixed, scale, checkpoint, progress, first=first)


def signal_elsewhere(scale, checkpoint=None, progress=True, reencoded=False):
    """Measure the signal in untrained networks on MNIST and CIFAR-10, for C31.

    As `signal_at_initialisation`, on 300 test images of each set, without the squares.

    Parameters
    ----------
    reencoded : bool, take CIFAR-10 files that are not the official bytes

    Returns
    -------
    training.History
        As that of `signal_at_initialisation`, with a first axis "data": the names of the sets.
    """
    names = ("mnist", "cifar10_reencoded" if reencoded else "cifar10")
    parts = []
    for name in names:
        split = datasets.some(getattr(datasets, name)().test, EXAMPLES, EXAMPLES_SEED)
        ends = split.images.shape[1], 10

        def measure(model, split=split):
            found = signal(model, *split)
            return {quantity: found[quantity] for quantity in ELSEWHERE}

        axes = {quantity: SIGNAL_AXES[quantity] for quantity in ELSEWHERE}
        more = {"data": name}
        parts.append(_at_initialisation(measure, axes, {}, scale, checkpoint, progress, more, ends))
    whole = parts[0]
    for quantity in ELSEWHERE:
        whole.arrays[quantity] = np.stack([part[quantity] for part in parts])
        whole.axes[quantity] = ("data", *whole.axes[quantity])
    whole.arrays["data"], whole.axes["data"] = np.array(names), ("data",)
    whole.config["data"] = list(names)
    return whole


def one_set(history, name):
    """Return what `signal_elsewhere` measured on one of its sets, as on Shapeset."""
    place = history["data"].tolist().index(name)
    arrays = {key: value for key, value in history.arrays.items() if key != "data"}
    arrays |= {quantity: arrays[quantity][place] for quantity in ELSEWHERE}
    axes = {key: tuple(a for a in history.axes[key] if a != "data") for key in arrays}
    config = dict(history.config) | {"data": name}
    return training.History(arrays, axes, config, history.provenance)


ELSEWHERE = ("activation_mean", "activation_std", "back_propagated_std", "weight_gradient_std")

# Layers 1 .. d, matrices (of s^i, delta^i, W^i) 0 .. d. "square" is a mean square, over examples
# and entries.
SIGNAL_AXES = {
    "activation_mean": ("layer",),
    "activation_std": ("layer",),
    "activation_square": ("layer",),
    "back_propagated_std": ("matrix",),  # of dC/ds, per example
    "back_propagated_square": ("matrix",),
    "weight_gradient_std": ("matrix",),  # over entries, of the mean cost of the images, as Fig. 8
    "weight_gradient_square": ("matrix",),  # of each example's own dC/dw
    "top_square": ("input",),  # of dC/ds^d, over classes alone; float16, to 5e-4
}


def signal(model, images, labels):
    """Measure what `signal_at_initialisation` records of each run of a model, by one backward pass.

    The square of an example's own weight gradient needs no matrix: dC/dw is an outer product,
    Eq. (3), so its mean square is that of z times that of delta.

    Returns
    -------
    dict of (R, ...) arrays, by the names of `SIGNAL_AXES`
    """
    trace = model(images)
    gradients = backprop.gradients(model, trace, labels)
    z = [_mean_square(values.expand(model.runs, -1, -1)) for values in trace.activations]
    delta = [_mean_square(values) for values in gradients.pre_activations]  # (R, B) each
    own = [(a * b).mean(-1) for a, b in zip(z, delta, strict=True)]
    return {
        "activation_mean": _per_layer(trace.activations[1:], torch.mean),
        "activation_std": _per_layer(trace.activations[1:], _std),
        "activation_square": np.stack([a.mean(-1) for a in z[1:]], axis=1),
        "back_propagated_std": _per_layer(gradients.pre_activations, _std),
        "back_propagated_square": np.stack([b.mean(-1) for b in delta], axis=1),
        "weight_gradient_std": _per_layer(gradients.weights, _std),
        "weight_gradient_square": np.stack(own, axis=1),
        "top_square": delta[-1].astype(np.float16),  # float32 would triple the file
    }


def jacobian_at_initialisation(scale, checkpoint=None, progress=True, first=0):
    """Take the layers' Jacobians dz^l/dz^(l-1) of untrained networks apart: C16 and C28.

    Networks and axes are those of `signal_at_initialisation`, inputs the first ten of its images:
    exact there, and estimated by `jacobian.mean_singular_value` over all 300.

    Parameters
    ----------
    scale : Networks
    checkpoint : path, optional; a stopped call goes on from files beside it
    first : int, the seed of the first network

    Returns
    -------
    training.History
        Arrays (activation, scheme, network, ...) as in `JACOBIAN_AXES`; `input_square` (input,).
        Of tanh, network 0, input 0, the singular values in falling order: `spectrum` (scheme,
        layer, value) of dz^l/dz^(l-1), `product_spectrum` of dz^l/dz^0.
    """
    images, _ = shapeset.sample(EXAMPLES, EXAMPLES_SEED)

    def measure(model):
        return jacobians(model, images, scale.inputs)

    fixed = {"input_square": (_mean_square(images[: scale.inputs]), ("input",))}
    fixed |= _first_spectra(_pair("tanh", scale.depth, scale.width, first, torch.float64), images)
    return _at_initialisation(
        measure, JACOBIAN_AXES, fixed, scale, checkpoint, progress, first=first
    )


JACOBIAN_AXES = {
    "mean": ("layer", "input"),  # of the singular values of one layer's Jacobian at one input
    "rms": ("layer", "input"),
    "geometric_mean": ("layer", "input"),
    "all_mean": ("layer",),  # the same, averaged over all 300 images
    "all_rms": ("layer",),
    "all_geometric_mean": ("layer",),
    "all_standard_error": ("layer",),  # of all_mean, as an estimate over the images
    "variance_ratio": ("layer",),  # Var z^l / Var z^(l-1), over units and all 300 images
}


def jacobians(model, images, inputs):
    """Measure what `jacobian_at_initialisation` records: Jacobians at the first `inputs` images.

    Returns
    -------
    dict of (R, ...) float32 arrays, by the names of `JACOBIAN_AXES`
    """
    trace = model(images)
    spread = _per_layer([z.expand(model.runs, -1, -1) for z in trace.activations], _std)
    layers = [
        [
            jacobian.singular_values(weight, slope[:inputs])
            for weight, slope in zip(
                model.weights[i], jacobian.slopes(model, trace, i), strict=True
            )
        ]
        for i in range(model.depth)
    ]
    values = np.array(layers).swapaxes(0, 1)  # (R, layer, input, value)
    over_all = jacobian.Monitor(images, None, instruments.every(1)).measure(model)
    found = {f"all_{name}": value for name, value in over_all.items()} | {
        "mean": values.mean(-1),
        "rms": np.sqrt((values**2).mean(-1)),
        "geometric_mean": np.exp(np.log(values).mean(-1)),
        "variance_ratio": (spread[:, 1:] / spread[:, :-1]) ** 2,
    }
    return {name: array.astype(np.float32) for name, array in found.items()}


def _first_spectra(model, images):
    """Return the spectra of each run at the first image: layer by layer, and of the product.

    In double precision throughout: the product's small values lie far below its large ones.
    """
    trace = model(images[:1].double())
    found = {"spectrum": [], "product_spectrum": []}
    for run in range(model.runs):
        for i in range(model.depth):
            layer = jacobian.matrix(model, trace, i, run)[0]
            so_far = jacobian.product(model, trace, 0, i, run)[0]
            found["spectrum"].append(torch.linalg.svdvals(layer))
            found["product_spectrum"].append(torch.linalg.svdvals(so_far))
    shape, axes = (model.runs, model.depth, -1), ("scheme", "layer", "value")
    return {
        name: (torch.stack(values).view(shape).float().numpy(), axes)
        for name, values in found.items()
    }


def _pair(activation, depth, width, seed, dtype=torch.float32, ends=ENDS):
    """Return two runs from the same draws: standard and normalized."""
    return models.MLP(
        [ends[0], *depth * [width], ends[1]],
        activation,
        runs=len(SCHEMES),
        scheme=SCHEMES,
        seed=[seed] * len(SCHEMES),
        dtype=dtype,
    )


def _at_initialisation(
    measure, axes, fixed, scale, checkpoint, progress, more=None, ends=ENDS, first=0
):
    """Measure network after network, every activation under both schemes, and join them.

    `measure(model)` returns (scheme, ...) arrays, `axes` names what follows the scheme,
    `fixed` holds (array, axes) of what is the same for all networks, `more` joins the settings.
    The networks have the seeds from `first` on.
    """
    settings = asdict(scale) | {"examples": EXAMPLES, "images_seed": EXAMPLES_SEED} | (more or {})
    settings |= {"first": first} if first else {}
    axes = {name: ("activation", "scheme", "network", *last) for name, last in axes.items()}
    fixed = fixed | {
        "activation": (np.array(ACTIVATIONS), ("activation",)),
        "scheme": (np.array(SCHEMES), ("scheme",)),
        "network": (np.arange(first, first + scale.networks), ("network",)),
        "layer": (np.arange(1, scale.depth + 1), ("layer",)),
        "matrix": (np.arange(scale.depth + 1), ("matrix",)),
    }

    def one_network(seed):
        found = [
            measure(_pair(activation, scale.depth, scale.width, seed, ends=ends))
            for activation in ACTIVATIONS
        ]
        arrays = {name: np.stack([part[name] for part in found])[:, :, None] for name in axes}
        return training.History(arrays, axes, settings, storage.provenance())

    which = settings | {"arrays": list(axes), "code_version": storage.code_version()}
    numbers = range(first, first + scale.networks)
    seeds = tqdm(numbers, unit=" networks", disable=not progress, file=sys.stderr)
    try:
        parts = [_kept(one_network, seed, which, checkpoint) for seed in seeds]
    except KeyboardInterrupt:
        then = "goes on after the last finished one" if checkpoint else "starts again"
        raise KeyboardInterrupt(f"stopped; the same call {then}") from None
    arrays = {name: np.concatenate([part[name] for part in parts], axis=2) for name in axes}
    arrays |= {name: array for name, (array, _) in fixed.items()}
    axes |= {name: names for name, (_, names) in fixed.items()}
    return training.History(arrays, axes, settings, parts[0].provenance)


def _mean_square(values):
    """Return the mean square over the last axis, in double precision."""
    return values.double().square().mean(-1).numpy()


def _std(values, dim):
    return values.std(dim, correction=0)


def _per_layer(tensors, statistic):
    return np.stack([statistic(v.flatten(1).double(), dim=1).numpy() for v in tensors], axis=1)


# ---------------------------------------------------------------- network by network
def _kept(one_network, seed, which, checkpoint):
    """Return a network's measurement, kept in a file beside `checkpoint` until `tidy`.

    `which` names the file: it must tell this measurement from any other.
    """
    if checkpoint is None:
        return one_network(seed)
    checkpoint = pathlib.Path(checkpoint)
    path = checkpoint.with_name(f"{checkpoint.stem}.{storage.key(which)}.network{seed}.npz")
    if not path.exists():
        one_network(seed).save(path)
    return training.History.load(path)


def tidy(checkpoint):
    """Remove what was kept beside `checkpoint`, once the whole is saved."""
    checkpoint = pathlib.Path(checkpoint)
    for path in checkpoint.parent.glob(f"{checkpoint.stem}.*.network*.npz"):
        path.unlink()
