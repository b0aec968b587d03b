"""What drawing the pictures on the way costs a training, against pictures drawn beforehand."""

import itertools
import sys
import time

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.training import BATCH, DEPTH, WIDTHS
from course_lib import models, shapeset, training


class Drawn:
    """The first mini-batches of a stream, drawn when this is made."""

    def __init__(self, stream, count):
        drawn = [stream.batch(k) for k in range(count)]
        self.images, self.labels = map(torch.stack, zip(*drawn, strict=True))
        self.config = stream.config | {"drawn": count}

    def batch(self, k):
        return self.images[k], self.labels[k]

    def batches(self, start, stop):
        return self.images[start:stop], self.labels[start:stop]


def seconds(sizes, runs, data, updates, threads):
    """Seconds of one call of `training.train`, from the same first weights each time."""
    model = models.MLP(sizes, "tanh", runs=runs, seed=0)
    start = time.perf_counter()
    training.train(model, data, updates, 0.01, threads=threads, progress=False)
    return time.perf_counter() - start


def run(widths=WIDTHS, threads=(1, 2), rounds=5, least=1.0):
    """Per cent that a training takes longer, medians over rounds taken by turns."""
    numbers = {}
    cases = list(itertools.product(widths, threads))
    with tqdm(total=len(cases) * rounds, unit=" rounds", file=sys.stderr) as bar:
        for (width, runs), count in cases:
            sizes = [shapeset.FRAME**2, *DEPTH * [width], 9]
            stream = shapeset.Stream(BATCH, seed=0)
            seconds(sizes, runs, stream, 20, count)
            once = seconds(sizes, runs, stream, 20, count) / 20
            updates = max(20, round(least / once))
            drawn, ratios = Drawn(stream, updates), []
            for _ in range(rounds):
                ready = seconds(sizes, runs, drawn, updates, count)
                fresh = shapeset.Stream(BATCH, seed=0)
                ratios.append(seconds(sizes, runs, fresh, updates, count) / ready)
                bar.update()
            many = f"{runs} run{'s' * (runs > 1)}, {count} thread{'s' * (count > 1)}"
            numbers[f"width {width}, {many}: per cent slower"] = float(
                100 * (np.median(ratios) - 1)
            )
    return numbers
