"""Many networks of the paper's width on a GPU: updates a second, and the share of its bandwidth.

With mini-batches of 10 the weights are read far more often than they are computed with, so the
limit is the memory: in one update each weight is read forward, read backward (but for the first
layer, whose input needs no gradient), read and written by the update.
"""

import functools
import sys
import time

import torch

from course_lib import engine, models, shapeset

RUNS = (1, 8, 32, 128)
WIDTH, DEPTH, BATCH = 1000, 5, 10
COPIED = 2**30  # bytes, for the bandwidth


def missing():
    """Return why this cannot be measured here, or None if it can."""
    return None if torch.cuda.is_available() else "it needs a CUDA GPU, and torch finds none here"


def origin():
    """What the provenance cannot know: the card."""
    return {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}


def seconds(call, device, least):
    """Seconds of one call, over as many as take `least` seconds together."""

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    call()
    wait()
    start, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - start < least:
        call()
        wait()
        calls += 1
    return (time.perf_counter() - start) / calls


def bytes_an_update(sizes, runs):
    """Bytes of the weights of all runs that one update in float32 must read and write."""
    weights = [(a + 1) * b for a, b in zip(sizes, sizes[1:], strict=False)]
    return 4 * runs * (4 * sum(weights) - weights[0])


def bandwidth(device, copied, least):
    """Bytes a second that a copy within the device's memory reads and writes."""
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    copy = functools.partial(torch.empty_like(source).copy_, source)
    return 2 * copied / seconds(copy, device, least)


def training(sizes, runs, device):
    """Return a function that takes a block of updates, and how many these are."""
    model = models.MLP(sizes, "tanh", runs=runs, seed=0, device=device)
    made = engine.Engine(model, 0.01, (BATCH, sizes[0]))
    stream = shapeset.Stream(BATCH, seed=0, device=device)
    batches = map(torch.stack, zip(*map(stream.batch, range(made.block)), strict=True))
    return functools.partial(made.advance, *batches), made.block


def run(runs=RUNS, width=WIDTH, least=2.0, copied=COPIED, device="cuda"):
    """Updates a second per run and in all, and the share of the bandwidth of a copy."""
    device = torch.device(device)
    reached = bandwidth(device, copied, least / 4)
    numbers = {"GB/s, reading and writing a copy": 1e-9 * reached}
    sizes = [shapeset.FRAME**2, *DEPTH * [width], 9]
    for count in runs:
        many = f"{count} run{'s' * (count > 1)}"
        try:
            advance, block = training(sizes, count, device)
            each = seconds(advance, device, least) / block
        except torch.cuda.OutOfMemoryError:
            print(f"  {many} do not fit the memory of this GPU", file=sys.stderr)
            break
        numbers[f"updates/s per run, {many}"] = 1 / each
        numbers[f"updates/s of all, {many}"] = count / each
        numbers[f"share of bandwidth, {many}"] = bytes_an_update(sizes, count) / each / reached
    return numbers
