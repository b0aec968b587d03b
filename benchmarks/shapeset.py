"""How fast Shapeset-3x2 is drawn on one thread: `python -m benchmarks.shapeset`."""

import statistics
import time

import torch

from course_lib import shapeset

BATCHES = (10, 100, 1_000, 10_000)
REPEATS = 5
SECONDS = 0.5  # at least, for one repeat


def images_per_second(draw, count):
    """Median over the repeats of the images per second of `draw(k)`, which draws `count`."""
    draw(0)
    rates, k = [], 1
    for _ in range(REPEATS):
        start, first = time.perf_counter(), k
        while time.perf_counter() - start < SECONDS:
            draw(k)
            k += 1
        rates.append((k - first) * count / (time.perf_counter() - start))
    return statistics.median(rates)


def run():
    """Images per second through sample at each batch size, and through Stream in tens."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sample = [
            images_per_second(lambda k, n=n: shapeset.sample(n, seed=k), n) for n in BATCHES
        ]
        stream = images_per_second(shapeset.Stream(10, seed=0).batch, 10)
    finally:
        torch.set_num_threads(threads)
    return {
        "threads": 1,
        "batch_size": list(BATCHES),
        "sample_images_per_second": sample,
        "stream_batch_size": 10,
        "stream_images_per_second": stream,
    }


def main():
    result = run()
    print("Shapeset-3x2, 32 x 32, one thread       images/s")
    for count, rate in zip(result["batch_size"], result["sample_images_per_second"], strict=True):
        print(f"sample, {count:>6,} at a time         {rate:>14,.0f}")
    print(f"Stream in batches of 10          {result['stream_images_per_second']:>14,.0f}")


if __name__ == "__main__":
    main()
