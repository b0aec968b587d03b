"""Assignment 5, Jacobian singular values: its examples, and the library's answers."""

import math
from typing import NamedTuple

import torch

from course_lib import activations, init, jacobian, models, theory

PRECISION = torch.float64


class Example(NamedTuple):
    """A network at one input, all in double precision.

    Attributes
    ----------
    weights, biases : lists of d tensors (n_i, n_{i+1}) and (n_{i+1},), of the hidden layers
    activation : Activation
    z : list of d+1 tensors (n_i,), z^0 = x to z^d
    """

    weights: list
    biases: list
    activation: activations.Activation
    z: list


class Deep(NamedTuple):
    """Weights of two deep networks of equal layers: drawn independently, and orthogonal; an input.

    Attributes
    ----------
    random, orthogonal : lists of tensors (n, n), with n Var[W] = 1;  x : (n,)
    """

    random: list
    orthogonal: list
    x: torch.Tensor


def example(values, **instead):
    """Return the `Example` of a dict of sizes n_0 .. n_d, activation and seed.

    What is named besides is taken in the place of an entry: ``example(setting, seed=1)``.
    """
    sizes, name, seed = ({**values, **instead}[key] for key in ("sizes", "activation", "seed"))
    generator = torch.Generator().manual_seed(seed)
    weights = [
        init.fill_(torch.empty(n, m, dtype=PRECISION), "normalized", generator)
        for n, m in zip(sizes, sizes[1:], strict=False)
    ]
    biases = [0.1 * torch.randn(n, generator=generator, dtype=PRECISION) for n in sizes[1:]]
    x = 0.4 * torch.randn(sizes[0], generator=generator, dtype=PRECISION)
    activation = activations.get(name)
    return Example(weights, biases, activation, forward(weights, biases, x, activation))


def forward(weights, biases, x, activation):
    """Return [z^0, .. z^d] of one input x: z^{i+1} = f(z^i W^i + b^i)."""
    z = [x]
    for weight, bias in zip(weights, biases, strict=True):
        z.append(activation.function(z[-1] @ weight + bias))
    return z


def square(values):
    """Part 4: a matrix of `width` x `width` with n Var[W] = `strength`, uniform."""
    n, generator = values["width"], torch.Generator().manual_seed(values["seed"] + 7)
    bound = theory.uniform_bound(values["strength"] / n)
    return bound * (2 * torch.rand(n, n, generator=generator, dtype=PRECISION) - 1)


def deep(values):
    """Part 6: the `Deep` networks of `depth` layers of 80 units."""
    generator = torch.Generator().manual_seed(values["seed"] + 11)
    random, orthogonal = (
        [torch.randn(80, 80, generator=generator, dtype=PRECISION) for _ in range(values["depth"])]
        for _ in range(2)
    )
    x = 0.6 * torch.randn(80, generator=generator, dtype=PRECISION)
    return Deep([w / 80**0.5 for w in random], [torch.linalg.qr(w).Q for w in orthogonal], x)


def layer_matrix(weight, bias, z, activation):
    """Part 1: J^i = dz^{i+1}/dz^i of one input, (n_{i+1}, n_i), Eq. (17)."""
    return chain_matrix([weight], [bias], [z], activation, 0, 0)


def bend(seed, n_in, n_out):
    """Part 2: a smooth function of a vector, of which the derivatives are known."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(n_in, n_out, generator=generator, dtype=PRECISION)
    return lambda z: torch.sin(z @ a) + (z @ z) * a[0]


def bend_matrix(seed, n_in, n_out, z):
    """The exact Jacobian of `bend` at z, by autograd."""
    # torch.func would take a second to import, for every submission.
    return torch.autograd.functional.jacobian(bend(seed, n_in, n_out), z)


def chain_matrix(weights, biases, z, activation, first, last):
    """Part 3: dz^{last+1}/dz^first, by the library's Jacobian."""
    # The library's networks end in logits, which have no Jacobian of ours: one more layer.
    sizes = [len(weights[0]), *(weight.shape[1] for weight in weights), 2]
    model = models.MLP(sizes, activation.name, dtype=PRECISION)
    for i, weight in enumerate(weights):
        model.weights[i].copy_(weight)
        model.biases[i].copy_(biases[i])
    return jacobian.product(model, model(z[0][None]), first, last)[0]


def averages(matrix):
    """Part 4: mean, root mean square and geometric mean of the singular values."""
    ones = torch.ones(1, matrix.shape[1], dtype=matrix.dtype)
    values = jacobian.singular_values(matrix, ones, method="svd")
    rms, geometric = jacobian.root_mean_square(matrix, ones), jacobian.geometric_mean(matrix, ones)
    return float(values.mean()), float(rms), float(geometric)


def quarter_circle(values):
    """Part 4: the mean that the quarter circle has for the class's matrix."""
    return float(theory.quarter_circle_mean(math.sqrt(values["strength"])))


def deviation(values):
    """Part 4: how far the measured mean lies from the law's, in per cent of it."""
    return 100 * (averages(square(values))[0] / quarter_circle(values) - 1)


def linear_gain(values):
    """Part 5: the factor of all weights for which W^0 .. W^{d-1} has a mean of 1."""
    return averages(_linear(values))[0] ** (-1 / len(example(values).weights))


def stretch(values):
    """Part 5: by which factor that product changes the length of a vector, root mean square."""
    whole = linear_gain(values) ** len(example(values).weights) * _linear(values)
    return float(whole.norm()) / math.sqrt(values["sizes"][0])


def _linear(values):
    whole, *others = example(values).weights
    for weight in others:
        whole = whole @ weight
    return whole


def mean_at(values, gain, forwarded=True):
    """Part 5: the tanh network's mean singular value with all weights times a gain.

    Without `forwarded` the slopes stay those of gain 1, which is a likely mistake.
    """
    net = example(values, activation="tanh")
    if not forwarded:
        found = torch.eye(values["sizes"][0], dtype=PRECISION)
        for weight, z in zip(net.weights, net.z[1:], strict=True):
            found = net.activation.slope(z)[:, None] * (gain * weight.mT @ found)
        return averages(found)[0]
    weights = [gain * weight for weight in net.weights]
    return averages(chain_matrix(weights, net.biases, net.z, net.activation, 0, len(weights) - 1))[
        0
    ]


def tanh_gain(values, forwarded=True):
    """Part 5: the gain from 0.5 to 2 at which that mean is `target`, by bisection."""
    low, high = 0.5, 2.0
    for _ in range(40):
        middle = (low + high) / 2
        less = mean_at(values, middle, forwarded) < values["target"]
        low, high = (middle, high) if less else (low, middle)
    return (low + high) / 2


def share_below(matrix, part):
    """Part 6: the share of singular values below `part` times their root mean square."""
    values = torch.linalg.svdvals(matrix)
    return float((values < part * averages(matrix)[1]).double().mean())


def shares(values):
    """Part 6: that share of the two deep networks, with tanh and without biases."""
    net, tanh = deep(values), activations.get("tanh")
    found = []
    for weights in (net.random, net.orthogonal):
        biases = [torch.zeros(80, dtype=PRECISION)] * len(weights)
        matrix = chain_matrix(weights, biases, [net.x], tanh, 0, len(weights) - 1)
        found.append(share_below(matrix, values["part"]))
    return found


# ---- what is likely to come out instead, and what leads to it: for the visible tests


def mistaken_circle(values):
    """Hints for `predicted`."""
    s, n, mean = values["strength"], values["width"], quarter_circle({"strength": 1.0})
    return [
        (s**0.5, "That is the root mean square. The mean is what is asked for."),
        (mean * s, "sigma is a root: n Var[W] = sigma^2."),
        (mean, "That is for sigma = 1."),
        (mean * (s / n) ** 0.5, "Var[W] alone does not say it: the width is missing."),
        ((s / math.e) ** 0.5, "That is the geometric mean. The mean is what is asked for."),
        (2 * s**0.5, "That is the radius, the largest singular value."),
    ]


def mistaken_deviation(values):
    """Hints for `deviation`."""
    right, law, rms = deviation(values), quarter_circle(values), averages(square(values))[1]
    return [
        (right / 100, "In per cent, please."),
        (right * law, "In per cent of the prediction, please."),
        (right / (1 + right / 100), "In per cent of the prediction, not of what was measured."),
        (-right, "The other way round: it is negative where the measured mean is the smaller."),
        (100 * (rms / law - 1), "That compares the root mean square with the law's mean."),
    ]


def mistaken_linear_gain(values):
    """Hints for `linear_gain`."""
    mean, rms = averages(_linear(values))[:2]
    count = len(example(values).weights)
    slopes = mean_at(values, 1.0)
    return [
        (1 / mean, f"That factor is for the whole product. Each of its {count} matrices gets one."),
        (mean ** (1 / count), "Upside down."),
        (rms ** (-1 / count), "That makes the root mean square 1, not the mean."),
        (slopes ** (-1 / count), "Here there are no slopes: only the weights are multiplied."),
    ]


def mistaken_stretch(values):
    """Hints for `stretch`."""
    right, n = stretch(values), values["sizes"]
    short = min(n[0], n[-1])
    times = linear_gain(values) ** len(example(values).weights)
    return [
        (
            right * math.sqrt(n[0] / short),
            "That is the root mean square of the singular values. A vector that goes in also has"
            " components along directions that have none: they are lost.",
        ),
        (right**2, "That is for the squared length."),
        (right / times, "Without the gain."),
        (right * math.sqrt(n[0] / n[-1]), "Is the vector that comes in as long as that?"),
        (1.0, "The mean singular value is 1. Does that say what becomes of lengths?"),
    ]


def mistaken_tanh_gain(values):
    """Hints for `tanh_gain`."""
    slopeless = linear_gain(values) * values["target"] ** (1 / len(example(values).weights))
    return [
        (
            tanh_gain(values, forwarded=False),
            "Those are the slopes of gain 1. Other weights make other pre-activations, and these"
            " other slopes: go forward again at every gain.",
        ),
        (slopeless, "That is the one without slopes."),
        (linear_gain(values), "That is the first number of this part, without slopes."),
    ]


def mistaken_shares(values, which):
    """Hints for the two shares; `which` is 0 for the random one, 1 for the orthogonal one."""
    found = shares(values)
    other = "orthogonal" if which == 0 else "independent"
    return [
        (found[1 - which], f"That is the share of the {other} weights."),
        (1 - found[which], "That is the share above."),
        (100 * found[which], "As a number from 0 to 1, please, not in per cent."),
    ]
