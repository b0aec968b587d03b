"""Assignment 2, write the backward pass: its examples, and the library's answers."""

from typing import NamedTuple

import torch

from course_lib import activations, backprop, models


class Example(NamedTuple):
    """A network and what its forward pass of one batch left, all in double precision.

    Attributes
    ----------
    weights, biases : lists of d+1 tensors (n_i, n_{i+1}) and (n_{i+1},)
    activation : Activation
    z : list of d+1 tensors (B, n_i), z^0 = x to z^d;  logits : (B, classes);  labels : (B,)
    """

    weights: list
    biases: list
    activation: activations.Activation
    z: list
    logits: torch.Tensor
    labels: torch.Tensor


def example(values, **instead):
    """Return the `Example` of a dict of sizes n_0 .. n_{d+1}, activation, batch and seed.

    What is named besides is taken in the place of an entry: ``example(setting, batch=1)``.
    """
    names = ("sizes", "activation", "batch", "seed")
    sizes, activation, batch, seed = ({**values, **instead}[name] for name in names)
    model = models.MLP(sizes, activation, seed=seed, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed + 1)
    for bias in model.biases:
        bias.copy_(0.3 * torch.randn(bias.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(batch, sizes[0], generator=generator, dtype=torch.float64)
    labels = torch.randint(sizes[-1], (batch,), generator=generator)
    trace = model(x)
    z = [x, *(activation[0] for activation in trace.activations[1:])]
    weights, biases = [w[0] for w in model.weights], [b[0, 0] for b in model.biases]
    return Example(weights, biases, model.activation, z, trace.logits[0], labels)


def output_delta(logits, labels):
    """Part 1: delta^d of each example, (B, classes)."""
    target = torch.nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return backprop.cost_named("cross_entropy").delta(logits, target)


def step_back(delta, weight, z, activation):
    """Part 2: delta^i from delta^{i+1}, W^{i+1} and z^{i+1}, Eq. (2)."""
    return activation.slope(z) * (delta @ weight.mT)


def weight_gradients(z, delta):
    """Part 3: the gradients of the mean cost with respect to W^i and b^i, Eq. (3)."""
    return z.mT @ delta / len(z), delta.mean(0)


def backward(weights, activation, z, logits, labels):
    """Part 4: all deltas, weight gradients and bias gradients, by the library's backward pass."""
    sizes = [len(weights[0]), *(weight.shape[1] for weight in weights)]
    model = models.MLP(sizes, activation, dtype=torch.float64)
    for its, weight in zip(model.weights, weights, strict=True):
        its.copy_(weight)
    trace = models.Trace([logits[None]], [one[None] for one in z])
    found = backprop.gradients(model, trace, labels)
    deltas = [delta[0] for delta in found.pre_activations]
    return deltas, [w[0] for w in found.weights], [b[0, 0] for b in found.biases]


def valley(seed):
    """Part 5: a smooth function of a matrix, tensor or array, that gives numbers alone.

    Nothing can be differentiated through it: autograd sees a constant.
    """
    function = _valley(seed)
    return lambda w: function(torch.as_tensor(w).detach())


def _valley(seed):
    a, b, c = torch.rand(3, generator=torch.Generator().manual_seed(seed)).tolist()
    return lambda w: (torch.sin((1 + a) * w) + (1 + b) * w**2).sum() + (1 + c) * w[0].prod()


def valley_gradient(seed, w):
    """The exact gradient of `valley` at w, by autograd."""
    w = w.detach().clone().requires_grad_()
    return torch.autograd.grad(_valley(seed)(w), w)[0]  # torch.func takes a second to import


def bowl(seed):
    """Part 5: a quadratic function of a matrix, as `valley`: central differences are exact."""
    a, b = torch.rand(2, generator=torch.Generator().manual_seed(seed)).tolist()

    def function(w):
        w = torch.as_tensor(w).detach()
        return (1 + a) * (w**2).sum() + (1 + b) * w.sum() ** 2

    return function


def bowl_gradient(seed, w):
    """The exact gradient of `bowl` at w."""
    a, b = torch.rand(2, generator=torch.Generator().manual_seed(seed)).tolist()
    return 2 * (1 + a) * w + 2 * (1 + b) * w.sum()


def same_width(one, other):
    """Part 5: whether quotients of two widths are the same: then the width has not been used."""
    one, other = (torch.as_tensor(x, dtype=torch.float64) for x in (one, other))
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=1e-9)


def cost_evaluations(sizes):
    """Part 6: how often central differences need the cost, for all weights and biases."""
    return 2 * sum((n + 1) * m for n, m in zip(sizes, sizes[1:], strict=False))


def first_order_fall(values):
    """Part 6: the fall of the mean cost that the gradient promises of one step of `rate`."""
    net = example(values)
    _, weights, biases = backward(net.weights, net.activation, net.z, net.logits, net.labels)
    return values["rate"] * _squares((*weights, *biases))


def miscounts(sizes):
    """Part 6: counts that are likely, and what leads to each; for its visible test."""
    pairs = list(zip(sizes, sizes[1:], strict=False))
    weights, biases = sum(n * m for n, m in pairs), sum(sizes[1:])
    return [
        (weights, "Are the biases counted, and how many evaluations does one entry take?"),
        (2 * weights, "There are biases, too."),
        (weights + biases, "How many evaluations does one central difference take?"),
        (weights + biases + 1, "That is for differences to one side."),
        (2 * (weights + sum(sizes)), "Are there biases at the inputs?"),
    ]


def hints_fall(values):
    """Part 6: falls that are likely, and what leads to each; for its visible test."""
    rate, batch, right = values["rate"], values["batch"], first_order_fall(values)
    net = example(values)
    deltas, weights, biases = backward(net.weights, net.activation, net.z, net.logits, net.labels)
    true = _cost(net, net.weights, net.biases) - _cost(
        net,
        [w - rate * g for w, g in zip(net.weights, weights, strict=True)],
        [b - rate * g for b, g in zip(net.biases, biases, strict=True)],
    )
    return [
        (true, "That is the true fall of one step; what does the gradient alone promise?"),
        (right / rate, "The learning rate is missing."),
        (right * rate, "The learning rate is in it twice."),
        (right * batch**2, "That is for the gradient of the sum of the costs, not of their mean."),
        ((right * rate) ** 0.5, "That is the length of the step, not what it gains."),
        (rate * _squares(weights), "There are biases, too."),
        (rate * _squares(biases), "There are weights, too."),
        (rate * _squares(deltas), "Those are the deltas: the gradients of what are asked for?"),
    ]


def _squares(tensors):
    return sum(float(one.square().sum()) for one in tensors)


def _cost(net, weights, biases):
    z = net.z[0]
    for w, b in zip(weights, biases, strict=True):
        s = z @ w + b
        z = net.activation.function(s)
    return float(torch.nn.functional.cross_entropy(s, net.labels))
