"""The backward pass of Eqs. (2) and (3) against autograd and against finite differences."""

import pytest
import torch

from course_lib import activations, backprop, models

SIZES = [7, 6, 4, 5, 3]
RUNS, EXAMPLES = 3, 8
EVERY = [(name, cost) for name in activations.NAMES for cost in backprop.COSTS]


def problem(activation, sizes=SIZES, seed=0):
    """A network of several runs with biases that are not zero, and a batch."""
    model = models.MLP(
        sizes,
        activation,
        runs=RUNS,
        scheme=["standard", "normalized", "normalized"],
        seed=seed,
        dtype=torch.float64,
    )
    generator = torch.Generator().manual_seed(seed)
    for bias in model.biases:
        bias.copy_(torch.rand(bias.shape, generator=generator, dtype=torch.float64) - 0.5)
    x = torch.rand(EXAMPLES, sizes[0], generator=generator, dtype=torch.float64) * 2 - 1
    labels = torch.randint(0, sizes[-1], (EXAMPLES,), generator=generator)
    return model, x, labels


def plain_cost(logits, labels, cost):
    """The cost of each run, by other means than the library's: mean over the batch."""
    classes = logits.shape[-1]
    if cost == "cross_entropy":
        each = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.repeat(len(logits)), reduction="none"
        )
        return each.view(len(logits), -1).mean(1)
    target = torch.nn.functional.one_hot(labels, classes).to(logits)
    return ((logits.softmax(-1) - target) ** 2).sum(-1).mean(1) / 2


def autograd(model, x, labels, cost):
    """The gradients by autograd, and those of the pre-activations per example."""
    parameters = list(model.parameters.values())
    for parameter in parameters:
        parameter.requires_grad_()
    trace = model(x)
    # Runs do not meet: the gradient of the sum over runs holds every run's own gradient.
    costs = plain_cost(trace.logits, labels, cost)
    found = torch.autograd.grad(costs.sum(), parameters + trace.pre_activations)
    for parameter in parameters:
        parameter.requires_grad_(False)
    layers = len(model.weights)
    deltas = [delta * len(x) for delta in found[2 * layers :]]
    return found[:layers], found[layers : 2 * layers], deltas, costs.detach()


def assert_equal(found, expected):
    """Equal to 1e-10 of the largest entry: single entries may nearly cancel."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize(("activation", "cost"), EVERY)
@pytest.mark.parametrize("sizes", [SIZES, [4, 3], [3, 9, 2]])
def test_gradients_equal_autograd(activation, cost, sizes):
    model, x, labels = problem(activation, sizes)
    found = backprop.gradients(model, model(x), labels, cost)
    weights, biases, deltas, costs = autograd(model, x, labels, cost)
    pairs = [(found.weights, weights), (found.biases, biases), (found.pre_activations, deltas)]
    for ours, theirs in pairs:
        for a, b in zip(ours, theirs, strict=True):
            assert b.abs().max() > 1e-6  # something to compare
            assert_equal(a, b)
    assert_equal(found.cost, costs)


def test_each_run_may_have_its_own_inputs():
    model, x, labels = problem("tanh")
    own = torch.stack([x, x.flip(0), -x])
    found = backprop.gradients(model, model(own), labels)
    for run in range(RUNS):
        single = model.run(run)
        alone = backprop.gradients(single, single(own[run]), labels)
        for a, b in zip(found.weights, alone.weights, strict=True):
            assert_equal(a[run], b[0])


@pytest.mark.parametrize("cost", backprop.COSTS)
def test_gradients_equal_finite_differences(cost):
    model, x, labels = problem("softsign")
    found = backprop.gradients(model, model(x), labels, cost)
    h = 1e-5
    for values, gradients in [(model.weights, found.weights), (model.biases, found.biases)]:
        for value, gradient in zip(values, gradients, strict=True):
            place = (1, value.shape[1] // 2, value.shape[2] // 2)
            kept = value[place].item()
            costs = []
            for shift in (h, -h):
                value[place] = kept + shift
                costs.append(plain_cost(model(x).logits, labels, cost)[1].item())
            value[place] = kept
            # The central difference is off by h^2 = 1e-10 times a third derivative of order 1,
            # and rounding adds 1e-16/h = 1e-11.
            assert (costs[0] - costs[1]) / (2 * h) == pytest.approx(
                gradient[place].item(), abs=2e-9
            )


def test_quadratic_cost_is_half_the_squared_error_of_the_softmax():
    logits = torch.tensor([[[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0])
    values = backprop.COSTS["quadratic"].values(logits, labels)
    # Undecided: (1/4 + 1/4)/2. Right: 0. Wrong: (1 + 1)/2.
    torch.testing.assert_close(values, torch.tensor([[0.25, 0.0, 1.0]], dtype=torch.float64))


def test_cross_entropy_is_in_nats_and_survives_large_logits():
    logits = torch.tensor([[[0.0] * 9, [1e4] + [0.0] * 8]], dtype=torch.float64)
    values = backprop.COSTS["cross_entropy"].values(logits, torch.tensor([4, 4]))
    expected = torch.tensor([[9.0, 1.0]], dtype=torch.float64).log() + torch.tensor([[0, 1e4]])
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=0)


def test_unknown_cost_lists_the_known():
    model, x, labels = problem("tanh")
    for name in ("mse", None):
        with pytest.raises(ValueError, match=f"{name!r}; choose one of cross_entropy, quadratic"):
            backprop.gradients(model, model(x), labels, name)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(EXAMPLES - 1, dtype=torch.int64), r"labels need shape \(8,\) and int64, not"),
        (torch.zeros(EXAMPLES, 1, dtype=torch.int64), r"not \(8, 1\) and torch.int64"),
        (torch.zeros(EXAMPLES), r"not \(8,\) and torch.float32"),
        (torch.full((EXAMPLES,), 3), "labels must lie in 0 to 2; they span 3 to 3"),
        (torch.full((EXAMPLES,), -1), "labels must lie in 0 to 2; they span -1 to -1"),
    ],
)
def test_wrong_labels_are_named(labels, message):
    model, x, _ = problem("tanh")
    with pytest.raises(ValueError, match=message):
        backprop.gradients(model, model(x), labels)
