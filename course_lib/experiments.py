"""The paper's experiments, one function per figure, at named scales.

``workstation`` made the results shipped with the package; ``lesson`` is what a lesson runs while
you read. Both call the same functions, so that a lesson shows a small copy of what is shipped.
"""

import pathlib
from dataclasses import dataclass

from course_lib import instruments, models, shapeset, training

MONITORED = 300  # test examples, as in the paper
TEST_SEED = 2_010_000  # of the monitored examples; training streams use small seeds


@dataclass(frozen=True)
class Scale:
    """How large a run of an experiment is: width, updates, rate, and the seeds it repeats on."""

    width: int
    updates: int
    learning_rate: float
    seeds: tuple
    batch_size: int = 10


def saturating_sigmoid(scale, depth=4, output_bias=True, checkpoint=None, progress=True):
    """Train sigmoid networks from the standard initialisation: Figure 2, claims C01 to C06.

    Each seed has its own initial weights and its own stream of images. Networks are measured on
    300 test examples, on a schedule dense enough for a collapse within some ten updates.

    Parameters
    ----------
    scale : Scale
    depth : int, hidden layers;  output_bias : bool, False holds the output biases at 0
    checkpoint : path, optional, from which a stopped call goes on

    Returns
    -------
    training.History, its runs in the order of ``scale.seeds``
    """
    images, labels = shapeset.sample(MONITORED, TEST_SEED)
    watch = instruments.Monitor(images, labels, sigmoid_schedule(scale.updates), SIGMOID_QUANTITIES)
    sizes = [images.shape[1], *depth * [scale.width], len(shapeset.CLASSES)]
    histories = []
    for seed in scale.seeds:
        model = models.MLP(sizes, "sigmoid", scheme="standard", seed=seed, output_bias=output_bias)
        stream = shapeset.Stream(scale.batch_size, seed)
        histories.append(
            training.train(
                model,
                stream,
                scale.updates,
                scale.learning_rate,
                monitors=[watch],
                checkpoint=_part(checkpoint, seed),
                progress=progress,
            )
        )
    return training.History.join(histories)


SIGMOID_QUANTITIES = (
    "activation_mean",
    "activation_std",
    "activation_saturated",
    "cost",
    "error",
    "logit_weight_rms",
    "logit_bias_rms",
)


def sigmoid_schedule(updates):
    """Return the updates a sigmoid's story is recorded at: ten a decade, then 400 in all."""
    early = instruments.logarithmic(20)
    step = max(1, updates // 400)
    return instruments.at(k for k in range(updates + 1) if early(k) or k % step == 0)


def _part(checkpoint, seed):
    if checkpoint is None:
        return None
    path = pathlib.Path(checkpoint)
    return path.with_name(f"{path.stem}.seed{seed}{path.suffix}")
