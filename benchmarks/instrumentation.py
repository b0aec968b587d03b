"""What looking inside adds to a training: each lesson's and experiment's monitors, as scheduled.

What one record costs is measured, and then spread over the schedule: a long training looks seldom,
and a short one often. The cost is what trainings with and without records, taken by turns, differ
by, so that it holds all that comes with a record: the copy of the weights, the blocks of updates
that are cut short, and the caches that the examples push out. Processor seconds of one thread,
medians over rounds. Monitors of Jacobians are left out; `benchmarks/jacobian.py` has theirs.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from course_lib import (
    backprop,
    engine,
    experiments,
    instruments,
    models,
    shapeset,
    sweeps,
    training,
)

WIDTHS = ((100, 16), (300, 8), (1000, 1))  # units a hidden layer, runs side by side
EXPERIMENTS = ("fig02", "fig03", "fig09", "fig11", "race_depth8", "jacobian_training")
SCALES = ("lesson", "workstation")
FULL = tuple(
    f"{kind}_{statistic}"
    for kind in ("activation", "back_propagated")
    for statistic in instruments.STATISTICS
)
WEIGHTS = tuple(f"weight_gradient_{statistic}" for statistic in instruments.STATISTICS)
PERCENTILES = (2, 50, 98)
EDGES = tuple((kind, tuple(np.linspace(-1, 1, 51).tolist())) for kind in instruments.KINDS)


@dataclass(frozen=True)
class Case:
    """A training, and what is watched meanwhile: a tuple of `sweeps.Watch`."""

    name: str
    activation: str
    width: int
    depth: int
    runs: int
    updates: int
    watches: tuple
    batch_size: int = 10


def lessons():
    """The trainings of the lessons that monitor, as they are written there."""

    def test(every, examples, quantities=("error", "cost")):
        return (sweeps.Watch(quantities, ("every", every), examples),)

    story = sweeps.Watch(experiments.SIGMOID_QUANTITIES, ("early_and_even", 20, 120))
    return [
        Case("lesson 0", "tanh", 100, 8, 6, 6_000, test(500, 2_000, ("error",))),
        Case("lesson 2, no hidden layer", "tanh", 100, 0, 3, 1_000, test(50, 5_000), 100),
        Case("lesson 2, depth 5", "tanh", 100, 5, 3, 10_000, test(500, 2_000)),
        Case("lesson 3", "sigmoid", 100, 4, 3, 30_000, (story,)),
    ]


def shipped(name, scale):
    """The first job of an experiment: its runs side by side."""
    job = sweeps.plan(experiments.runs(name, scale))[0]
    run = job.runs[0]
    watches = tuple(watch for watch in run.watches if watch.kind == "signal")
    return Case(
        f"{name}, {scale}",
        run.activation,
        run.width,
        run.depth,
        len(job.runs),
        run.updates,
        watches,
        run.batch_size,
    )


def full(width, runs, quantities, what):
    """Every statistic of every layer on 300 examples, 20 times a decade of 20,000 updates."""
    watch = sweeps.Watch(quantities, ("logarithmic", 20), percentiles=PERCENTILES, edges=EDGES)
    return Case(f"width {width}, {runs} at once, {what}", "tanh", width, 5, runs, 20_000, (watch,))


def cases():
    """All that is measured."""
    both = "activations and gradients"
    return [
        *lessons(),
        *(shipped(name, scale) for name in EXPERIMENTS for scale in SCALES),
        *(full(width, runs, FULL, both) for width, runs in WIDTHS),
        *(full(width, runs, FULL + WEIGHTS, f"{both}, of weights too") for width, runs in WIDTHS),
    ]


class Timer:
    """Trains a case's networks for a while, with some records of one watch in even steps."""

    def __init__(self, case, watch):
        self.watch = watch
        sizes = [1024, *case.depth * [case.width], 9]
        self.model = models.MLP(sizes, case.activation, runs=case.runs)
        self.stream = shapeset.Stream(case.batch_size, seed=0)
        self.examples = shapeset.sample(watch.examples, watch.seed)

    def __call__(self, updates, records):
        """Return the processor seconds."""
        steps = {round((k + 0.5) * updates / records) for k in range(records)}
        monitor = instruments.Monitor(
            *self.examples,
            instruments.at(steps),
            self.watch.quantities,
            self.watch.percentiles,
            {kind: list(edges) for kind, edges in self.watch.edges},
        )
        start = time.process_time()
        training.train(self.model, self.stream, updates, 0.01, monitors=[monitor], progress=False)
        return time.process_time() - start


def share(case, rounds, seconds):
    """What each watch of a case costs a record, and the share that all add to its training."""
    numbers, added = {}, 0
    for watch in case.watches:
        timer, updates = Timer(case, watch), 20
        while timer(updates, 0) < seconds / 2:
            updates *= 2
        records = max(1, updates * case.batch_size // watch.examples)
        plans = ((0, 0), (updates, 0), (updates, records))  # the first is what a call costs
        times = np.array([[timer(*plan) for plan in plans] for _ in range(rounds)])
        update, record = np.median(np.diff(times), axis=0) / (updates, records)
        due = sum(map(sweeps.schedule(watch.schedule, case.updates), range(case.updates + 1)))
        added += record * due / (update * case.updates)
        label = f"{case.name}{f', {watch.name}' if watch.name else ''}"
        numbers[f"{label}: records"] = due
        numbers[f"{label}: milliseconds a record"] = float(1e3 * record)
    return numbers | {f"{case.name}: % added to the training": float(100 * added)}


def parts(width, rounds):
    """Microseconds of what a record of one network of depth 5 is made of.

    Each statistic comes after a forward pass of its own, so that the caches are as they are in use.
    """
    images, labels = shapeset.sample(300, 0)
    model = models.MLP([1024, *5 * [width], 9], "tanh")
    cost, edges = backprop.cost_named("cross_entropy"), dict(EDGES)["activation"]
    alone = [(name,) for name in instruments.STATISTICS]
    times = {}

    def timed(what, function, *arguments):
        start = time.process_time()
        result = function(*arguments)
        times.setdefault(what, []).append(1e6 * (time.process_time() - start))
        return result

    for _ in range(rounds):
        for names in (*alone, ("percentiles", "histogram"), instruments.STATISTICS):
            trace = timed("forward", model, images)
            layers = [z.flatten(1) for z in trace.activations[1:]]
            what = f"{' and '.join(names) if len(names) < 4 else 'all four'} of activations"
            timed(what, instruments.statistics, layers, names, PERCENTILES, edges)
        timed("backward", backprop.deltas, model, trace, labels, cost)
    return {
        f"one record at width {width}: {what}, microseconds": float(np.median(took))
        for what, took in times.items()
    }


def run(chosen=None, widths=tuple(width for width, _ in WIDTHS), rounds=5, seconds=0.5):
    """Shares of the cases, medians over rounds of trainings of about so many seconds."""
    numbers = {}
    with engine.settings(1):
        for case in tqdm(chosen or cases(), unit=" trainings", file=sys.stderr):
            numbers |= share(case, rounds, seconds)
        for width in widths:
            numbers |= parts(width, 3 * rounds)
    return numbers


if __name__ == "__main__":
    for label, value in run().items():
        print(f"{label:<82} {value:>12,.6g}")
