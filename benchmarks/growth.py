"""How the time of an update grows with the runs side by side, the width and the depth."""

import itertools
import sys
import time

import numpy as np
import torch
from tqdm import tqdm

from course_lib import engine, models, shapeset

RUNS = (1, 2, 4, 8, 16, 32, 64)  # of width 100, depth 5
WIDTHS = (50, 100, 200, 300, 500, 700, 1000)  # of one run, depth 5
DEPTHS = (1, 2, 3, 4, 6, 8, 10)  # of 8 runs, width 100
BATCH = 10


def trainer(width, depth, runs, images, labels):
    """Return a function that takes the updates of one block, and the number of them."""
    model = models.MLP([images.shape[-1], *depth * [width], 9], "tanh", runs=runs, seed=0)
    made = engine.Engine(model, 0.01, images.shape[1:])
    block = min(made.block, len(images))
    return lambda: made.advance(images[:block], labels[:block]), block


def seconds_an_update(advance, block, least):
    """Seconds of an update, over as many blocks as take `least` seconds."""
    start, blocks = time.perf_counter(), 0
    while not blocks or time.perf_counter() - start < least:
        advance()
        blocks += 1
    return (time.perf_counter() - start) / (blocks * block)


def run(runs=RUNS, widths=WIDTHS, depths=DEPTHS, threads=(1, 2), rounds=5, seconds=0.2):
    """Microseconds per update and run of each size, medians over rounds taken by turns."""
    cases = [(f"width 100, depth 5, runs {r}", 100, 5, r) for r in runs]
    cases += [(f"depth 5, runs 1, width {w}", w, 5, 1) for w in widths]
    cases += [(f"width 100, runs 8, depth {d}", 100, d, 8) for d in depths]
    stream = shapeset.Stream(BATCH, seed=0)
    images, labels = map(torch.stack, zip(*map(stream.batch, range(100)), strict=True))
    trainers = [trainer(w, d, r, images, labels) for _, w, d, r in cases]
    times = {pair: [] for pair in itertools.product(threads, range(len(cases)))}
    with tqdm(total=(1 + rounds) * len(times), unit=" timings", file=sys.stderr) as bar:
        for round_, (count, case) in itertools.product(range(1 + rounds), times):
            with engine.settings(count):
                took = seconds_an_update(*trainers[case], seconds if round_ else 0)
            if round_:  # the first is to be warm
                times[count, case].append(took)
            bar.update()
    return {
        f"microseconds, {count} thread{'s' * (count > 1)}, {cases[case][0]}": float(
            1e6 * np.median(took) / cases[case][3]
        )
        for (count, case), took in times.items()
    }
