"""How fast Shapeset-3x2 is drawn on one thread: `python -m benchmarks.shapeset`."""

import time

import torch

from course_lib import shapeset

BATCHES = (10, 100, 1_000, 10_000)
REPEATS = 5
SECONDS = 0.4  # at least, for one repeat


def images_per_second(draw, count):
    """Best of the repeats of images per second of processor time; `draw(k)` draws `count`.

    Of processor time, because on a shared machine waiting for a turn is not part of the work.
    """
    draw(0)
    rates, k = [], 1
    for _ in range(REPEATS):
        start, first = time.process_time(), k
        while time.process_time() - start < SECONDS:
            draw(k)
            k += 1
        rates.append((k - first) * count / (time.process_time() - start))
    return max(rates)


def run():
    """Images per second of one core, through sample at each batch size and through Stream."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rates = {
            f"images/s, sample, {n} at a time": images_per_second(
                lambda k, n=n: shapeset.sample(n, seed=k), n
            )
            for n in BATCHES
        }
        stream = shapeset.Stream(10, seed=0)
        rates["images/s, Stream in batches of 10"] = images_per_second(stream.batch, 10)
    finally:
        torch.set_num_threads(threads)
    return rates


if __name__ == "__main__":
    for label, rate in run().items():
        print(f"{label:<36} {rate:>10,.0f}")
