"""The paper's experiments, one function per figure, at named scales.

``workstation`` made the results that come with the package; ``quick`` takes about a minute and
shows the outline. Both go through the same function.
"""

import functools
import pathlib
from dataclasses import asdict, dataclass

from course_lib import instruments, models, shapeset, storage, training

MONITORED = 300  # test examples, as in the paper
# Training streams use small seeds.
MONITORED_SEED, VALIDATION_SEED, TEST_SEED = 2_010_000, 2_010_001, 2_010_002
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # the grid that rates are chosen from


@dataclass(frozen=True)
class Scale:
    """How large a run of an experiment is. Each seed trains one stack with a run per rate."""

    width: int
    updates: int
    learning_rates: tuple
    seeds: tuple
    batch_size: int = 10


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
    return _seed_by_seed(one_seed, scale.seeds, settings, checkpoint)


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
    early, step = instruments.logarithmic(20), max(1, updates // 400)
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

    def one_seed(seed, path):
        model = models.MLP(
            [images.shape[1], *depth * [scale.width], len(shapeset.CLASSES)],
            "tanh",
            runs=2,
            scheme=["standard", "normalized"],
            seed=[seed, seed],
        )
        return training.train(
            model,
            shapeset.Stream(scale.batch_size, seed),
            scale.updates,
            scale.learning_rates,
            monitors=[test],
            checkpoint=path,
            progress=progress,
        )

    return _seed_by_seed(one_seed, scale.seeds, asdict(scale) | {"depth": depth}, checkpoint)


def _seed_by_seed(one_seed, seeds, settings, checkpoint):
    """Train each seed, keeping the finished ones beside `checkpoint`: `tidy` removes them."""
    if checkpoint is None:
        return training.History.join([one_seed(seed, None) for seed in seeds])
    checkpoint = pathlib.Path(checkpoint)
    histories = []
    for seed in seeds:
        name = f"{checkpoint.stem}.{storage.key(settings)}.seed{seed}"
        finished = checkpoint.with_name(f"{name}.done.npz")
        if not finished.exists():
            one_seed(seed, checkpoint.with_name(f"{name}.npz")).save(finished)
        histories.append(training.History.load(finished))
    return training.History.join(histories)


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
