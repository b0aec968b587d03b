"""What this machine can do at best: its rate of matrix products, and of reading memory.

The benchmark of training compares itself with the products of its own shapes. These two numbers
say how far those shapes are from what the processor could do.
"""

import time

import torch

SIZE = 2000  # of the square matrices
BYTES = 20e6  # read at once: the weights of one network of width 1000
REPEATS = 7


def seconds(call):
    """Best of the repeats of the seconds of one call."""
    call()
    took = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return min(took)


def run(threads=(1, 2), size=SIZE, read=BYTES):
    """GFLOP/s of a product of two square float32 matrices, GB/s of reading, by threads."""
    before = torch.get_num_threads()
    a, b = torch.rand(2, size, size)
    c, values = torch.empty(size, size), torch.ones(int(read // 4))
    numbers = {}
    try:
        for count in threads:
            torch.set_num_threads(count)
            name = f"{count} thread{'s' * (count > 1)}"
            product = seconds(lambda: torch.mm(a, b, out=c))
            numbers[f"GFLOP/s, {size} x {size} product, {name}"] = 2e-9 * size**3 / product
            numbers[f"GB/s, reading {read / 1e6:g} MB, {name}"] = 1e-9 * read / seconds(values.sum)
    finally:
        torch.set_num_threads(before)
    return numbers
