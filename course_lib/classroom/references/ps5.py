"""Assignment 5, Jacobian singular values: its examples, and the library's answers."""

import contextlib
import math
from typing import NamedTuple

import torch

from course_lib import activations, checks, fresh, init, jacobian, models, theory

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
    """Two deep tanh networks at one input, of equal layers without biases, n Var[W] = 1.

    Attributes
    ----------
    random, orthogonal : Example
        Of weights that were drawn independently, and of orthogonal ones.
    """

    random: Example
    orthogonal: Example


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
    biases = [torch.zeros(80, dtype=PRECISION) for _ in random]
    tanh, networks = activations.get("tanh"), []
    for weights in ([w / 80**0.5 for w in random], [torch.linalg.qr(w).Q for w in orthogonal]):
        networks.append(Example(weights, biases, tanh, forward(weights, biases, x, tanh)))
    return Deep(*networks)


def solve(function, target, low=0.5, high=2.0):
    """Part 5: return where a rising function of one number has the value `target`, by bisection.

    Raises
    ------
    ValueError
        If the target is not between the function's values at the two ends.
    """
    ends = float(function(low)), float(function(high))
    if not ends[0] < target < ends[1]:
        raise ValueError(
            f"the function is {ends[0]:.4g} at {low} and {ends[1]:.4g} at {high};"
            f" it should be below {target} at the first and above it at the second"
        )
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if float(function(middle)) < target else (low, middle)
    return (low + high) / 2


def layer_matrix(weight, bias, z, activation):
    """Part 1: J^i = dz^{i+1}/dz^i of one input, (n_{i+1}, n_i), Eq. (17)."""
    if len(z) != len(weight):
        raise ValueError(f"layer_matrix got a z of {len(z)} entries for W of {len(weight)} rows")
    return chain_matrix([weight], [bias], [z], activation, 0, 0)


def bend(seed, n_in, n_out):
    """Part 2: a smooth function of a vector, of which the derivatives are known."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(n_in, n_out, generator=generator, dtype=PRECISION)

    def function(z):
        if z.ndim != 1:
            raise ValueError("function takes one vector at a time")
        return torch.sin(z @ a) + (z @ z) * a[0]

    return function


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


def mean_at(values, gain, average=None, slopes=True, z_at=None, biases_at=1.0, activation="tanh"):
    """Part 5: the network's mean singular value with all weights times a gain.

    The rest are likely mistakes: another `average`, no `slopes`, the slopes `z_at`
    another gain, biases times a factor, another activation function.
    """
    net = example(values, activation=activation)
    biases = [biases_at * bias for bias in net.biases]
    given = [(gain if z_at is None else z_at) * weight for weight in net.weights]
    found = torch.eye(values["sizes"][0], dtype=PRECISION)
    z = forward(given, biases, net.z[0], net.activation)
    for weight, above in zip(net.weights, z[1:], strict=True):
        found = gain * weight.mT @ found
        found = net.activation.slope(above)[:, None] * found if slopes else found
    values = torch.linalg.svdvals(found)
    return float(average(values) if average else values.mean())


def tanh_gain(values):
    """Part 5: the gain from 0.5 to 2 at which that mean is `target`; by the library's Jacobian."""
    net = example(values, activation="tanh")
    last = len(net.weights) - 1

    def mean(gain):
        weights = [gain * weight for weight in net.weights]
        return averages(chain_matrix(weights, net.biases, net.z, net.activation, 0, last))[0]

    return solve(mean, values["target"])


def share_below(matrix, part):
    """Part 6: the share of singular values below `part` times their root mean square."""
    values = torch.linalg.svdvals(matrix)
    return float((values < part * averages(matrix)[1]).double().mean())


def shares(values):
    """Part 6: that share of the two deep networks."""
    found = []
    for net in deep(values):
        matrix = chain_matrix(*net[:2], net.z, net.activation, 0, len(net.weights) - 1)
        found.append(share_below(matrix, values["part"]))
    return found


# ---- tests in words that more than one cell needs

TOO_EXACT = (
    "with h = 0.3 the result is as exact as with a small h, which no difference of that width is:"
    " is h used?"
)


def check_share(namespace, matrix, part, what):
    """Part 6: raise `NotYet`, in words, if a notebook's `share_below` finds another share."""
    found = checks.call("share_below", namespace, (matrix, part))
    right, likely = fresh.call(likely_shares, matrix, part)
    checks.number(what, {what: found}, right, 1e-6, likely)


# ---- what is likely to come out instead, and what leads to it: for the visible tests


def mistaken_circle(values):
    """Hints for `predicted`."""
    s, n, mean = values["strength"], values["width"], quarter_circle({"strength": 1.0})
    right = quarter_circle(values)
    rounded = [(float(f"{right:.{k}g}"), k) for k in (2, 3, 4)]
    return [
        *(
            (wrong, f"Right to {k} digits; five are asked for.")
            for wrong, k in rounded
            if not math.isclose(wrong, right, rel_tol=6e-5)
        ),
        (0.849 * s**0.5, "0.849 is rounded; take the exact fraction that lesson 9 has for it."),
        (averages(square(values))[0], "That is the measured mean. What does the law predict?"),
        (s**0.5, "That is the root mean square. The mean is what is asked for."),
        (mean * s, "sigma is a root: n Var[W] = sigma^2."),
        (mean, "That is for sigma = 1."),
        (
            mean * (s / n) ** 0.5,
            "strength is n Var[W] already: the width has no more to do with it.",
        ),
        ((s / math.e) ** 0.5, "That is the geometric mean. The mean is what is asked for."),
        (2 * s**0.5, "That is the radius, the largest singular value."),
    ]


def mistaken_deviation(values):
    """Hints for `deviation`."""
    right, law, rms = deviation(values), quarter_circle(values), averages(square(values))[1]
    return [
        (right / 100, "In per cent, please."),
        (right * law, "In per cent of the prediction, please."),
        (
            100 * (averages(square(values))[0] / (0.849 * values["strength"] ** 0.5) - 1),
            "Is the prediction rounded? In so small a difference that shows.",
        ),
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
    """Hints for `tanh_gain`; a mistake that leads to no gain in this range has none."""
    target, own = values["target"], values["activation"]
    square = {"average": lambda s: s.square().mean().sqrt()}
    geometric = {"average": lambda s: s.log().mean().exp()}
    likely = (
        ({"z_at": 1.0}, target, "Those are the slopes of gain 1. Other weights make other"
         " pre-activations, and these other slopes: go forward again at every gain."),
        ({"slopes": False}, target, "That is the one without slopes."),
        ({"slopes": False}, 1, "That is the first number of this part, without slopes."),
        (square, target, "That holds the root mean square, not the mean."),
        (geometric, target, "That holds the geometric mean, not the mean."),
        ({"activation": own}, target, f"That is for {own}; here the function is tanh."),
        ({}, 1, "That is where the mean is 1. What is the target?"),
    )  # fmt: skip
    hints = []
    for mistake, wanted, why in likely:
        with contextlib.suppress(ValueError):
            hints.append((solve(lambda gain, m=mistake: mean_at(values, gain, **m), wanted), why))
    with contextlib.suppress(ValueError):
        found = solve(lambda gain: mean_at(values, gain, biases_at=gain), target)
        hints.append((found, "Only the weights get the gain, not the biases."))
    return hints


def likely_shares(matrix, part):
    """Part 6: the share, and what is likely to come out instead, with the reason."""
    values, right = torch.linalg.svdvals(matrix), share_below(matrix, part)
    mean, rms, geometric = averages(matrix)

    def below(bound):
        return float((values < bound).double().mean())

    count = round(right * len(values))
    return right, [
        (below(part * mean), "That is for part of the mean. Which average is asked for?"),
        (below(part * geometric), "That is for part of the geometric mean."),
        (below(part * float(values.max())), "That is for part of the largest one."),
        *(
            (
                below(part * rms * (len(values) / n) ** 0.5),
                "Their root mean square is over the"
                f" {len(values)} singular values, not over rows or columns.",
            )
            for n in matrix.shape
            if n != len(values)
        ),
        (below(part), "Part of what? Of their root mean square."),
        (count / max(matrix.shape), f"There are {len(values)} singular values, not more."),
        (1 - right, "That is the share above."),
        (count, "That is how many, not which share of them."),
        (100 * right, "As a number from 0 to 1, please, not in per cent."),
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
