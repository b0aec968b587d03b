"""What the mean singular value of a layer's Jacobian costs at width 1000, and how right it is.

The paper's size, 5 hidden layers of 1000 units, on 300 images of Shapeset. Each network is
measured as drawn and after some training, in the second hidden layer. The time to beat is that of
`torch.linalg.svdvals` on each example's Jacobian in the network's float32; the value to hit comes
from the decomposition of all 300 in float64.
"""

import time

import torch

from course_lib import jacobian, models, shapeset, training

NETWORKS = (("tanh", "standard"), ("tanh", "normalized"), ("sigmoid", "standard"))
SIZES = (1024, *5 * [1000], 9)
EXAMPLES = 300
LAYER = 2
UPDATES = 3000
RATE = 0.1
DECOMPOSED = 5  # examples for the time of svdvals


def seconds(call):
    """Processor seconds of one call: waiting for a turn on a shared machine is not counted."""
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(weight, slope):
    """Time and check one layer: weight (n_i, n_{i+1}), slope (B, n_{i+1})."""
    some = slope[:: max(1, len(slope) // DECOMPOSED)][:DECOMPOSED].unsqueeze(-2) * weight
    one = seconds(lambda: [torch.linalg.svdvals(matrix) for matrix in some]) / len(some)
    exact = float(jacobian.singular_values(weight, slope).mean())
    estimated = min(seconds(lambda: jacobian.mean_singular_value(weight, slope)) for _ in range(2))
    found = jacobian.mean_singular_value(weight, slope)
    return {
        "seconds": estimated,
        "times faster than svdvals": one * len(slope) / estimated,
        "relative error": abs(found.value / exact - 1),
        "stated relative standard error": found.standard_error / found.value,
    }


def run():
    """The comparison for each network, and the seconds of the ways by themselves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        images, _ = shapeset.sample(EXAMPLES, seed=1)
        results = {}
        for activation, scheme in NETWORKS:
            model = models.MLP(SIZES, activation, scheme=scheme, seed=0)
            for updates in (0, UPDATES):
                data = shapeset.Stream(10, seed=0)
                training.train(model, data, updates, RATE, progress=False)
                trace = model(images)
                weight = model.weights[LAYER - 1][0]
                slope = jacobian.slopes(model, trace, LAYER - 1)[0]
                for what, value in compare(weight, slope).items():
                    results[f"{activation} {scheme}, update {updates:,}: {what}"] = value
        return results | _ways(weight, slope)
    finally:
        torch.set_num_threads(threads)


def _ways(weight, slope):
    """Seconds per example of decomposing, and for all examples of what is exact and cheap."""
    few = slope[:DECOMPOSED]
    each = {
        f"singular_values, {method}": seconds(
            lambda method=method: jacobian.singular_values(weight, few, method)
        )
        / len(few)
        for method in ("svd", "gram")
    }
    every = {
        function.__name__: seconds(lambda function=function: function(weight, slope))
        for function in (jacobian.root_mean_square, jacobian.geometric_mean)
    }
    block = torch.nn.Sequential(torch.nn.Linear(*weight.shape), torch.nn.Tanh())
    x = torch.zeros(len(slope), weight.shape[0])
    every["mean_of_module"] = seconds(lambda: jacobian.mean_of_module(block, x))
    return {f"{what}: seconds an example": value for what, value in each.items()} | {
        f"{what}: seconds for {len(slope)} examples": value for what, value in every.items()
    }


if __name__ == "__main__":
    for label, value in run().items():
        print(f"{label:<70} {value:>10.4g}")
