"""The paper's experiments, one function per figure, at named scales.

``workstation`` made the results that come with the package; ``quick`` takes about a minute and
shows the outline. Both go through the same function.
"""

import functools
import pathlib
import sys
from dataclasses import asdict, dataclass

import numpy as np
import torch
from tqdm import tqdm

from course_lib import backprop, instruments, jacobian, models, shapeset, storage, training

MONITORED = 300  # test examples, as in the paper
# Training streams use small seeds.
MONITORED_SEED, VALIDATION_SEED, TEST_SEED = 2_010_000, 2_010_001, 2_010_002
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # the grid that rates are chosen from
ACTIVATIONS = ("tanh", "softsign", "sigmoid")
SCHEMES = ("standard", "normalized")
PIXELS = 32 * 32


@dataclass(frozen=True)
class Scale:
    """How large a run of an experiment is. Each seed trains one stack with a run per rate."""

    width: int
    updates: int
    learning_rates: tuple
    seeds: tuple
    batch_size: int = 10


@dataclass(frozen=True)
class Networks:
    """How many networks an experiment at initialisation looks at; network r has seed r."""

    width: int
    networks: int
    depth: int = 5
    inputs: int = 10  # examples whose Jacobians are taken apart


def saturating_sigmoid(scale, depth=4, output_bias=True, checkpoint=None, progress=True):
    """Train sigmoid networks from the standard initialisation: Figure 2, claims C01 to C06.

    A seed means initial weights and stream of images. Networks are measured on 300 test examples,
    densely enough for a collapse within ten updates, and on 10,000 validation examples at the end.

    Parameters
    ----------
    scale : Scale;  depth : int, hidden layers
    output_bias : bool, False holds the output biases at 0
    checkpoint : path, optional; a stopped call goes on from files beside it

    Returns
    -------
    training.History, with the runs seed by seed, rates in order within each
    """
    images, labels = shapeset.sample(MONITORED, MONITORED_SEED)
    watch = instruments.Monitor(images, labels, sigmoid_schedule(scale.updates), SIGMOID_QUANTITIES)
    validate = instruments.Monitor(
        *shapeset.sample(10_000, VALIDATION_SEED),
        instruments.at([scale.updates]),
        ["error"],
        name="validation",
    )
    rates = list(scale.learning_rates)

    def one_seed(seed, path):
        model = models.MLP(
            [images.shape[1], *depth * [scale.width], len(shapeset.CLASSES)],
            "sigmoid",
            runs=len(rates),
            scheme="standard",
            seed=[seed] * len(rates),
            output_bias=output_bias,
        )
        stream = shapeset.Stream(scale.batch_size, seed)
        return training.train(
            model,
            stream,
            scale.updates,
            rates,
            monitors=[watch, validate],
            checkpoint=path,
            progress=progress,
        )

    settings = asdict(scale) | {"depth": depth, "output_bias": output_bias}
    return training.History.join(_seed_by_seed(one_seed, scale.seeds, settings, checkpoint))


SIGMOID_QUANTITIES = (
    "activation_mean",
    "activation_saturated",
    "cost",
    "error",
    "logit_weight_rms",
    "logit_bias_rms",
)


def sigmoid_schedule(updates):
    """Return when a sigmoid's story is recorded: some twenty times a decade, and 400 in all."""
    return _early_and_even(updates, 20, 400)


def _early_and_even(updates, per_decade, records):
    early, step = instruments.logarithmic(per_decade), max(1, updates // records)
    return instruments.at(
        k for k in range(updates + 1) if early(k) or k % step == 0 or k == updates
    )


def race(scale, depth=8, checkpoint=None, progress=True):
    """Race tanh networks from the standard and the normalized initialisation, at one rate.

    Test error on 10,000 examples, 100 times on the way. Each seed stacks both schemes from the
    same draws on the same stream: a paired comparison.

    Parameters
    ----------
    scale : Scale, with one rate;  depth : int, hidden layers
    checkpoint : path, optional; a stopped call goes on from files beside it

    Returns
    -------
    training.History, with the runs seed by seed: standard, normalized
    """
    images, labels = shapeset.sample(10_000, TEST_SEED)
    every = instruments.every(max(1, scale.updates // 100))
    test = instruments.Monitor(images, labels, every, ["error", "cost"])
    return _train_pairs(scale, depth, [test], checkpoint, progress)


def jacobian_training(scale, depth=5, checkpoint=None, progress=True):
    """Follow the layers' Jacobians while tanh networks train from both initialisations.

    Beside them the signs of saturation and of gradient size, all on the same 300 test examples,
    densely at first and then evenly, some 150 times. Schemes are stacked as in `race`.

    Parameters
    ----------
    scale : Scale, with one rate;  depth : int, hidden layers
    checkpoint : path, optional; a stopped call goes on from files beside it

    Returns
    -------
    training.History, with the runs seed by seed: standard, normalized
        `BESIDE_JACOBIANS` over `update`; at the same updates means over the examples,
        `jacobian_mean`, `jacobian_rms`, `jacobian_geometric_mean` (jacobian_update, run, layer)
    """
    images, labels = shapeset.sample(MONITORED, MONITORED_SEED)
    schedule = _early_and_even(scale.updates, 10, 100)
    monitors = [
        instruments.Monitor(images, labels, schedule, BESIDE_JACOBIANS),
        jacobian.Monitor(images, labels, schedule, ("mean", "rms", "geometric_mean")),
    ]
    history = _train_pairs(scale, depth, monitors, checkpoint, progress)
    for name, array in history.arrays.items():
        if array.dtype == np.float64:  # seven digits will do, and halve the file
            history.arrays[name] = array.astype(np.float32)
    return history


BESIDE_JACOBIANS = (
    "activation_std",
    "activation_saturated",
    "back_propagated_std",
    "weight_gradient_std",
    "cost",
    "error",
)


def _train_pairs(scale, depth, monitors, checkpoint, progress):
    """Train tanh networks from both initialisations, stacked, seed by seed, and join them."""

    def one_seed(seed, path):
        return training.train(
            _pair("tanh", depth, scale.width, seed),
            shapeset.Stream(scale.batch_size, seed),
            scale.updates,
            scale.learning_rates,
            monitors=monitors,
            checkpoint=path,
            progress=progress,
        )

    settings = asdict(scale) | {"depth": depth, "monitors": [m.config for m in monitors]}
    return training.History.join(_seed_by_seed(one_seed, scale.seeds, settings, checkpoint))


# ---------------------------------------------------------------- at initialisation
def signal_at_initialisation(scale, checkpoint=None, progress=True):
    """Measure the signal, forward and backward, in untrained networks: Figures 6 to 8, C13 to C15.

    Three activations, both schemes, 300 test images; gradients are of each image's cross-entropy.

    Parameters
    ----------
    scale : Networks
    checkpoint : path, optional; a stopped call goes on from files beside it

    Returns
    -------
    training.History
        Arrays (activation, scheme, network, ...) as in `SIGNAL_AXES`; the arrays `activation`,
        `scheme`, `network` (seeds; equal ones draw alike), `layer`, `matrix` name what stands
        along the axes. `input_square` (input,) is ``|x|^2/n_0`` of each image.
    """
    images, labels = shapeset.sample(MONITORED, MONITORED_SEED)

    def measure(model):
        return signal(model, images, labels)

    fixed = {"input_square": (_mean_square(images), ("input",))}
    return _at_initialisation(measure, SIGNAL_AXES, fixed, scale, checkpoint, progress)


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


def jacobian_at_initialisation(scale, checkpoint=None, progress=True):
    """Take the layers' Jacobians dz^l/dz^(l-1) of untrained networks apart: C16 and C28.

    Networks and axes are those of `signal_at_initialisation`, inputs the first ten of its images:
    exact there, and estimated by `jacobian.mean_singular_value` over all 300.

    Parameters
    ----------
    scale : Networks
    checkpoint : path, optional; a stopped call goes on from files beside it

    Returns
    -------
    training.History
        Arrays (activation, scheme, network, ...) as in `JACOBIAN_AXES`; `input_square` (input,).
        Of tanh, network 0, input 0, the singular values in falling order: `spectrum` (scheme,
        layer, value) of dz^l/dz^(l-1), `product_spectrum` of dz^l/dz^0.
    """
    images, _ = shapeset.sample(MONITORED, MONITORED_SEED)

    def measure(model):
        return jacobians(model, images, scale.inputs)

    fixed = {"input_square": (_mean_square(images[: scale.inputs]), ("input",))}
    fixed |= _first_spectra(_pair("tanh", scale.depth, scale.width, 0, torch.float64), images)
    return _at_initialisation(measure, JACOBIAN_AXES, fixed, scale, checkpoint, progress)


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


def _pair(activation, depth, width, seed, dtype=torch.float32):
    """Return two runs from the same draws: standard and normalized."""
    return models.MLP(
        [PIXELS, *depth * [width], len(shapeset.CLASSES)],
        activation,
        runs=len(SCHEMES),
        scheme=SCHEMES,
        seed=[seed] * len(SCHEMES),
        dtype=dtype,
    )


def _at_initialisation(measure, axes, fixed, scale, checkpoint, progress):
    """Measure network after network, every activation under both schemes, and join them.

    `measure(model)` returns (scheme, ...) arrays, `axes` names what follows the scheme, and
    `fixed` holds (array, axes) of what is the same for all networks.
    """
    settings = asdict(scale) | {"examples": MONITORED, "images_seed": MONITORED_SEED}
    axes = {name: ("activation", "scheme", "network", *last) for name, last in axes.items()}
    fixed = fixed | {
        "activation": (np.array(ACTIVATIONS), ("activation",)),
        "scheme": (np.array(SCHEMES), ("scheme",)),
        "network": (np.arange(scale.networks), ("network",)),
        "layer": (np.arange(1, scale.depth + 1), ("layer",)),
        "matrix": (np.arange(scale.depth + 1), ("matrix",)),
    }

    def one_network(seed, path):
        found = [
            measure(_pair(activation, scale.depth, scale.width, seed)) for activation in ACTIVATIONS
        ]
        arrays = {name: np.stack([part[name] for part in found])[:, :, None] for name in axes}
        return training.History(arrays, axes, settings, storage.provenance())

    seeds = tqdm(range(scale.networks), unit=" networks", disable=not progress, file=sys.stderr)
    try:
        parts = _seed_by_seed(one_network, seeds, settings | {"arrays": list(axes)}, checkpoint)
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


# ---------------------------------------------------------------- seed by seed
def _seed_by_seed(one_seed, seeds, settings, checkpoint):
    """Return the seeds' histories, each kept beside `checkpoint` once finished, until `tidy`.

    `settings` name the files: they must tell this experiment from any other.
    """
    if checkpoint is None:
        return [one_seed(seed, None) for seed in seeds]
    checkpoint = pathlib.Path(checkpoint)
    histories = []
    for seed in seeds:
        name = f"{checkpoint.stem}.{storage.key(settings)}.seed{seed}"
        finished = checkpoint.with_name(f"{name}.done.npz")
        if not finished.exists():
            one_seed(seed, checkpoint.with_name(f"{name}.npz")).save(finished)
        histories.append(training.History.load(finished))
    return histories


def tidy(checkpoint):
    """Remove the finished seeds that an experiment kept beside `checkpoint`, once it is saved."""
    checkpoint = pathlib.Path(checkpoint)
    for path in checkpoint.parent.glob(f"{checkpoint.stem}.*.seed*.done.npz"):
        path.unlink()


# What can be run by name, at which scales: ``hard-to-train run sigmoid_depth4 --scale quick``.
EXPERIMENTS = {
    "race_depth8": (
        race,
        {
            "quick": Scale(100, 5_000, (0.03,), (0, 1, 2)),
            "workstation": Scale(100, 100_000, (0.03,), (0, 1, 2, 3, 4)),
        },
    ),
    "signal_at_initialisation": (
        signal_at_initialisation,
        {"quick": Networks(300, 10), "workstation": Networks(1000, 40)},
    ),
    "jacobian_at_initialisation": (
        jacobian_at_initialisation,
        {"quick": Networks(200, 3), "workstation": Networks(1000, 20)},
    ),
    "jacobian_training": (
        jacobian_training,
        {
            "quick": Scale(100, 5_000, (0.03,), (0, 1, 2)),
            "workstation": Scale(100, 200_000, (0.03,), (0, 1, 2, 3, 4)),
        },
    ),
    "sigmoid_rates": (
        saturating_sigmoid,
        {
            "quick": Scale(100, 5_000, RATES, (100,)),
            "workstation": Scale(100, 400_000, RATES, (100,)),
        },
    ),
    "sigmoid_depth4": (
        saturating_sigmoid,
        {
            "quick": Scale(100, 30_000, (1.0,), (0, 1, 2)),
            "workstation": Scale(100, 400_000, (0.3,), (0, 1, 2, 3, 4)),
        },
    ),
    "sigmoid_depth4_frozen": (
        functools.partial(saturating_sigmoid, output_bias=False),
        {
            "quick": Scale(100, 3_000, (1.0,), (0, 1, 2)),
            "workstation": Scale(100, 50_000, (0.3,), (0, 1, 2, 3, 4)),
        },
    ),
    "sigmoid_depth5": (
        functools.partial(saturating_sigmoid, depth=5),
        {
            "quick": Scale(100, 30_000, (1.0,), (0, 1, 2)),
            "workstation": Scale(100, 500_000, (0.3,), (0, 1, 2, 3, 4)),
        },
    ),
}
