"""Every formula of the theory against sampled networks; the paper's printed slips must fail."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib import activations, backprop, jacobian, models, results, theory

ROOT = Path(__file__).resolve().parent.parent

# Unequal sizes, no factor n_i v_i or n_{i+1} v_i equal to 1: printed and corrected forms differ.
SIZES = (12, 20, 8, 16, 10, 6)
VARIANCES = (0.06, 0.08, 0.10, 0.06, 0.12)
DEPTH = len(SIZES) - 2
NETWORKS = 20_000
TOP = 0.25  # Var[dC/ds^d]
X2, VAR_X = 1 / 3, 1 / 12  # of U(0, 1): an input whose mean is not 0


def sample(sizes, variances, networks=NETWORKS, seed=3):
    """Mean squares of z^i, delta^i, dC/dz^i and dC/dw^i of linear networks: {name: {i: (N,)}}."""
    rng = np.random.default_rng(seed)
    d = len(sizes) - 2
    weights = [
        rng.normal(0, math.sqrt(v), (networks, n, m))
        for v, n, m in zip(variances, sizes, sizes[1:], strict=False)
    ]
    z = {0: rng.uniform(0, 1, (networks, 1, sizes[0]))}
    for i in range(d):
        z[i + 1] = z[i] @ weights[i]
    delta = {d: rng.normal(0, math.sqrt(TOP), (networks, sizes[d + 1], 1))}
    for i in reversed(range(d)):
        delta[i] = weights[i + 1] @ delta[i + 1]

    def square(a):
        return (a**2).mean((1, 2))

    return {
        "z": {i: square(z[i]) for i in z},
        "delta": {i: square(delta[i]) for i in delta},
        "dz": {i: square(weights[i] @ delta[i]) for i in delta},
        "dw": {i: square(z[i]) * square(delta[i]) for i in delta},
    }


SAMPLE = sample(SIZES, VARIANCES)


def deviation(values, expected):
    """Return by how many standard errors the mean over networks misses what is expected."""
    return abs(values.mean() - expected) / (values.std() / math.sqrt(len(values)))


# 30 comparisons in all: beyond 4.5 standard errors by chance once in 5,000 times.
NEAR, FAR = 4.5, 10


def product(factors, first, last):
    """Return the product of factors[first] .. factors[last], 1 if there are none."""
    return math.prod(factors[first : last + 1])


UP = [n * v for n, v in zip(SIZES, VARIANCES, strict=False)]  # n_j v_j
DOWN = [n * v for n, v in zip(SIZES[1:], VARIANCES, strict=True)]  # n_{j+1} v_j


# ---- one matrix


def test_uniform_bound_and_variance_are_each_others_inverse_and_hold_for_samples():
    draws = np.random.default_rng(0).uniform(-0.7, 0.7, 100_000)
    # The variance of the square of U[-a, a] is 4 a^4/45.
    assert deviation(draws**2, theory.uniform_variance(0.7)) < NEAR
    assert theory.uniform_variance(theory.uniform_bound(0.3)) == pytest.approx(0.3, rel=1e-14)


@pytest.mark.parametrize(("fan_in", "fan_out"), [(1, 1), (1000, 9), (784, 300), (300, 784)])
def test_variances_of_one_matrix(fan_in, fan_out):
    assert theory.standard_bound(fan_in, fan_out) == 1 / math.sqrt(fan_in)  # (1)
    assert fan_in * theory.forward_variance(fan_in, fan_out) == pytest.approx(1)  # (10)
    assert fan_out * theory.backward_variance(fan_in, fan_out) == pytest.approx(1)  # (11)
    wishes = 1 / fan_in, 1 / fan_out
    harmonic = 2 / (1 / wishes[0] + 1 / wishes[1])
    assert theory.compromise_variance(fan_in, fan_out) == pytest.approx(harmonic)  # (12)
    assert theory.gain("standard", fan_in, fan_out) == pytest.approx(1 / 3)  # (15)
    bound = math.sqrt(6) / math.sqrt(fan_in + fan_out)
    assert theory.normalized_bound(fan_in, fan_out) == pytest.approx(bound)  # (16)
    assert theory.weight_variance("normalized", fan_in, fan_out) == pytest.approx(harmonic)


def test_variances_of_a_network():
    found = theory.variances("normalized", SIZES)
    pairs = list(zip(SIZES, SIZES[1:], strict=False))
    assert found == pytest.approx([2 / (n + m) for n, m in pairs])
    assert theory.variances("standard", SIZES) == pytest.approx([1 / (3 * n) for n, _ in pairs])


# ---- linear networks: the corrected formulas hold


@pytest.mark.parametrize("i", range(1, DEPTH + 1))
def test_activations_follow_eq_5_and_not_its_form_with_var_x(i):
    assert deviation(SAMPLE["z"][i], theory.activation_variances(SIZES, VARIANCES, X2)[i]) < NEAR
    assert deviation(SAMPLE["z"][i], VAR_X * product(UP, 0, i - 1)) > FAR


@pytest.mark.parametrize("i", range(DEPTH + 1))
def test_gradients_follow_eq_6_corrected(i):
    found = theory.gradient_variances(SIZES, VARIANCES, TOP)
    assert deviation(SAMPLE["delta"][i], found[i]) < NEAR


@pytest.mark.parametrize("i", range(DEPTH + 1))
def test_printed_eq_6_fails_for_the_gradient_and_is_that_of_the_activation(i):
    printed = TOP * product(DOWN, i, DEPTH)
    assert deviation(SAMPLE["delta"][i], printed) > FAR
    assert deviation(SAMPLE["dz"][i], printed) < NEAR
    assert theory.gradient_variances(SIZES, VARIANCES, TOP)[i] != pytest.approx(printed, rel=0.01)


@pytest.mark.parametrize("i", range(DEPTH + 1))
def test_weight_gradients_follow_eq_7_corrected(i):
    found = theory.weight_gradient_variances(SIZES, VARIANCES, X2, TOP)
    assert deviation(SAMPLE["dw"][i], found[i]) < NEAR


@pytest.mark.parametrize("i", range(DEPTH + 1))
def test_printed_eq_7_fails_below_the_output(i):
    """Even with E[x^2] in place of Var[x]; at i = d the two agree, and nowhere else."""
    printed = X2 * TOP * product(UP, 0, i - 1) * product(DOWN, i, DEPTH - 1)
    corrected = theory.weight_gradient_variances(SIZES, VARIANCES, X2, TOP)[i]
    if i == DEPTH:
        assert printed == pytest.approx(corrected)
    else:
        assert deviation(SAMPLE["dw"][i], printed) > FAR


@pytest.fixture(scope="module")
def alike():
    """Networks with all layers alike, output included: 10 units, n Var[W] = 0.5."""
    return sample((10,) * 6, (0.05,) * 5, seed=1)


@pytest.mark.parametrize("i", range(5))
def test_equal_widths_follow_eq_13_corrected_and_not_printed(alike, i):
    found = theory.equal_width_gradient_variances(10, 0.05, 4, TOP)
    assert len(found) == 5
    assert deviation(alike["delta"][i], found[i]) < NEAR
    printed = 0.5 ** (4 - i) * X2  # the last factor is not that of the input
    assert deviation(alike["delta"][i], printed) > FAR
    general = theory.gradient_variances((10,) * 6, (0.05,) * 5, TOP)
    assert found == pytest.approx(general)


def test_equal_widths_have_equal_weight_gradients_eq_14(alike):
    found = theory.equal_width_weight_gradient_variance(10, 0.05, 4, X2, TOP)
    for i in range(5):
        assert deviation(alike["dw"][i], found) < NEAR
    general = theory.weight_gradient_variances((10,) * 6, (0.05,) * 5, X2, TOP)
    assert general == pytest.approx(np.full(5, found))


def test_from_the_last_hidden_layer_down_equal_widths_need_no_equal_output():
    sizes, v = (10,) * 5 + (3,), (0.05,) * 5
    gradients = theory.gradient_variances(sizes, v, TOP)
    found = theory.equal_width_gradient_variances(10, 0.05, 3, gradients[3])
    assert found == pytest.approx(gradients[:4])
    weights = theory.weight_gradient_variances(sizes, v, X2, TOP)[:4]
    equal = theory.equal_width_weight_gradient_variance(10, 0.05, 3, X2, gradients[3])
    assert weights == pytest.approx(np.full(4, equal))


def test_wishes_8_and_9_are_granted_by_10_and_11():
    pairs = list(zip(SIZES, SIZES[1:], strict=False))
    forward = [theory.forward_variance(*pair) for pair in pairs]
    backward = [theory.backward_variance(*pair) for pair in pairs]
    assert theory.spread(theory.activation_variances(SIZES, forward)) == pytest.approx(1)
    assert theory.spread(theory.gradient_variances(SIZES, backward)) == pytest.approx(1)
    assert theory.spread(theory.activation_variances(SIZES, backward)) > 2
    assert theory.spread(theory.gradient_variances(SIZES, forward)) > 2
    assert theory.spread([2.0, 8.0, 4.0]) == 4


# ---- beyond the linear regime

HIDDEN = ("sigmoid", "tanh", "softsign", "relu")


def fine(function, t):
    """E function(sqrt(t) g) by the trapezoid rule on ten times as many points as it takes."""
    g = np.linspace(0, 10, 2_000_001)
    values = function(torch.from_numpy(math.sqrt(t) * g)) + function(
        torch.from_numpy(-math.sqrt(t) * g)
    )
    return np.trapezoid(values.numpy() * np.exp(-(g**2) / 2) / math.sqrt(2 * math.pi), g)


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("t", [0.003, 0.3, 5.0])
def test_gaussian_means_are_exact_to_1e_7(name, t):
    f = activations.get(name)
    for function in (f.function, lambda s: f.function(s).square()):
        assert theory.gaussian_mean(function, t) == pytest.approx(fine(function, t), abs=1e-7)
    if name != "relu":  # its slope jumps at 0: the trapezoid rule is the less exact there
        slope = fine(lambda s: f.slope(f.function(s)), t)
        assert theory.mean_slope(name, t) == pytest.approx(slope, abs=1e-7)


def test_known_gaussian_means():
    t = np.array([0.2, 1.0, 3.0])
    assert theory.gaussian_mean(torch.relu, t) == pytest.approx(np.sqrt(t / (2 * math.pi)))
    assert theory.gaussian_mean(lambda s: s**4, t) == pytest.approx(3 * t**2)
    assert theory.mean_slope("relu", t) == pytest.approx(np.full(3, 0.5))
    assert theory.mean_slope("linear", t) == pytest.approx(np.ones(3))  # Eq. (4) to the letter
    assert theory.mean_slope("sigmoid", 1e-8) == pytest.approx(0.25)
    assert theory.mean_slope("tanh", 1e-8) == pytest.approx(1)
    assert theory.mean_slope("tanh", 0.3) < 0.85  # and for a tanh with large inputs it fails


def test_linear_networks_propagate_as_eqs_5_to_7_say():
    found = theory.propagate(SIZES, VARIANCES, "linear", [X2, 2.0], TOP)
    for x2, column in ((X2, 0), (2.0, 1)):
        expected = theory.activation_variances(SIZES, VARIANCES, x2)
        assert found.activation[:, column] == pytest.approx(expected[1:])
        assert found.pre_activation[:-1, column] == pytest.approx(expected[1:])
        assert found.gradient[:, column] == pytest.approx(
            theory.gradient_variances(SIZES, VARIANCES, TOP)
        )
        assert found.weight_gradient[:, column] == pytest.approx(
            theory.weight_gradient_variances(SIZES, VARIANCES, x2, TOP)
        )
    assert found.activation_mean == pytest.approx(np.zeros((DEPTH, 2)), abs=1e-12)


WIDE = (40, 300, 200, 400, 7)
WIDE_VARIANCES = np.array([1.5 / 40, 0.8 / 300, 2.0 / 200, 1 / 400])
INPUT_SCALES = np.array([0.2, 1.0, 3.0])  # inputs of very different size


@pytest.mark.parametrize("name", HIDDEN)
def test_recursion_holds_on_sampled_networks(name):
    """60 wide networks, three inputs: activations, gradients and weight gradients of each input.

    A finite width leaves a bias of order 1/n (smallest n: 200), so the tolerance is 5 standard
    errors of the mean over networks plus 2 %.
    """
    rng, f, networks = np.random.default_rng(7), activations.get(name), 60
    x = rng.normal(0, 1, (3, WIDE[0]))
    x *= (INPUT_SCALES / np.sqrt((x**2).mean(1)))[:, None]
    d = len(WIDE) - 2
    found = {"activation": [], "mean": [], "gradient": [], "weight_gradient": []}
    for _ in range(networks):
        weights = [
            torch.from_numpy(rng.normal(0, math.sqrt(v), (n, m)))
            for v, n, m in zip(WIDE_VARIANCES, WIDE, WIDE[1:], strict=False)
        ]
        z = [torch.from_numpy(x)]
        for weight in weights[:-1]:
            z.append(f.function(z[-1] @ weight))
        delta = [torch.from_numpy(rng.normal(0, math.sqrt(TOP), (3, WIDE[-1])))]
        for i in range(d - 1, -1, -1):
            delta.insert(0, delta[0] @ weights[i + 1].T * f.slope(z[i + 1]))
        found["activation"].append([layer.square().mean(1).numpy() for layer in z[1:]])
        found["mean"].append([layer.mean(1).numpy() for layer in z[1:]])
        found["gradient"].append([layer.square().mean(1).numpy() for layer in delta])
        found["weight_gradient"].append(
            [
                (a.square().mean(1) * b.square().mean(1)).numpy()
                for a, b in zip(z, delta, strict=True)
            ]
        )
    theirs = theory.propagate(WIDE, WIDE_VARIANCES, name, INPUT_SCALES**2, TOP)
    expected = {
        "activation": theirs.activation,
        "mean": theirs.activation_mean,
        "gradient": theirs.gradient,
        "weight_gradient": theirs.weight_gradient,
    }
    for kind, values in found.items():
        values = np.array(values)
        error = values.std(0) / math.sqrt(networks)
        scale = np.sqrt(theirs.activation) if kind == "mean" else expected[kind]
        assert (abs(values.mean(0) - expected[kind]) < 5 * error + 0.02 * scale).all(), kind


def test_starting_from_the_average_input_misses():
    """Why the recursion runs per input: a tanh bends large inputs more."""
    sizes = [1000] * 6 + [9]
    v = theory.variances("normalized", sizes)
    x2 = np.array([0.01, 0.2, 1.0])
    per_input = theory.propagate(sizes, v, "tanh", x2).activation_variance()
    average = theory.propagate(sizes, v, "tanh", [x2.mean()]).activation_variance()
    assert (average > 1.05 * per_input).all()


def test_variance_pools_units_and_inputs():
    found = theory.propagate(SIZES, VARIANCES, "sigmoid", [0.5, 2.0])
    # A sigmoid of a symmetric variable has mean 1/2.
    assert found.activation_mean == pytest.approx(np.full((DEPTH, 2), 0.5))
    assert found.activation_variance() == pytest.approx(found.activation.mean(1) - 0.25)
    relu = theory.propagate(SIZES, VARIANCES, "relu", [0.5, 2.0])
    between = relu.activation_mean.var(axis=1)  # of the two inputs' means
    within = (relu.activation - relu.activation_mean**2).mean(1)
    assert relu.activation_variance() == pytest.approx(within + between)


def test_law_of_a_layer_is_that_of_its_slopes():
    law = theory.layer_law(300, 200, 1 / 300, "tanh", 0.4)
    mean_square = theory.slopes("tanh", 0.4) ** 2 @ theory.SHARES
    assert law.rms == pytest.approx(math.sqrt(mean_square))  # 300 * 200 / 200 / 300 = 1
    linear = theory.layer_law(300, 200, 1 / 300, "linear", 0.4)
    assert linear.mean == pytest.approx(theory.SingularValueLaw(300, 200, 1 / 300).mean, rel=1e-6)
    assert law.mean < linear.mean


def test_law_of_a_product_of_layers_is_that_of_their_slopes():
    """And of a real network of 4 x 300 units, given the variances of its own pre-activations.

    Those scatter by sqrt(2/300) = 8 % in each layer; then the mean is within some d/n = 1 %.
    """
    n, d = 300, 4
    net = models.MLP([n] * (d + 1) + [1], "tanh", seed=1, dtype=torch.float64)
    trace = net(torch.randn(1, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    own = [float(s.square().mean()) for s in trace.pre_activations[:d]]
    law = theory.product_law(n, [1 / n] * d, "tanh", own)
    s = torch.linalg.svdvals(jacobian.product(net, trace, 0, d - 1))[0].numpy()
    assert s.mean() == pytest.approx(law.mean, rel=0.03)
    points = law.edge * np.array([0.01, 0.1, 0.3])
    assert (s[:, None] < points).mean(0) == pytest.approx(law.cumulative(points), abs=0.03)
    linear = theory.product_law(n, [1 / n] * d, "linear", own)
    assert linear.mean == pytest.approx(theory.ProductLaw(d).mean) and linear.mean > 1.2 * law.mean
    with pytest.raises(ValueError, match=r"for each of 4 weight variances, not shape \(3,\)"):
        theory.product_law(n, [1 / n] * d, "tanh", own[:3])


# ---- at the paper's own size, against what ships: 5 x 1000 units on 300 Shapeset images

FULL = [1024] + 5 * [1000] + [9]
CASES = [(f, s) for f in ("tanh", "softsign", "sigmoid") for s in ("standard", "normalized")]


def at(recorded, f, scheme):
    """Return where a case stands in a shipped result."""
    return list(recorded["activation"]).index(f), list(recorded["scheme"]).index(scheme)


@pytest.mark.parametrize(("f", "scheme"), CASES)
def test_recursion_meets_the_networks_that_ship(f, scheme):
    """Each of 40 networks from its own gradients at the logits: within 2 % + 2 standard errors.

    Over networks only: 300 images count as about 3 independent ones, but all share them.
    """
    recorded = results.load("signal_at_initialisation")
    case = at(recorded, f, scheme)
    found = {
        "activation": recorded["activation_std"][case] ** 2,
        "gradient": recorded["back_propagated_square"][case][:, :-1],
        "weight gradient": recorded["weight_gradient_square"][case][:, :-1],
    }
    v = theory.variances(scheme, FULL)
    expected = {name: [] for name in found}
    for top in recorded["top_square"][case].astype(float):
        signal = theory.propagate(FULL, v, f, recorded["input_square"], top)
        expected["activation"].append(signal.activation_variance())
        expected["gradient"].append(signal.gradient.mean(1)[:-1])
        expected["weight gradient"].append(signal.weight_gradient.mean(1)[:-1])
    for name, values in found.items():
        ratio = values / np.array(expected[name])
        assert ratio.shape == (40, 5)
        error = ratio.std(0, ddof=1) / math.sqrt(40)
        assert (abs(ratio.mean(0) - 1) < 0.02 + 2 * error).all(), name
        assert (error < 0.01).all(), name  # so that the limit is one


@pytest.mark.parametrize(("f", "scheme"), CASES)
def test_law_of_a_layer_meets_the_jacobians_that_ship(f, scheme):
    """3 networks, 10 inputs: the mean singular value within 1 %, from ``|x|^2`` alone."""
    recorded = results.load("jacobian_at_initialisation")
    found = recorded["mean"][at(recorded, f, scheme)][:3]  # (network, layer, input)
    v = theory.variances(scheme, FULL)
    t = theory.propagate(FULL, v, f, recorded["input_square"]).pre_activation
    for i in range(5):
        tau = theory.slopes(f, t[i]) ** 2
        law = theory.mean_singular_value(FULL[i], FULL[i + 1], v[i], tau, theory.SHARES)
        assert found[:, i].mean() == pytest.approx(law.mean(), rel=0.01)


# ---- bad input


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="unknown scheme 'he'; choose one of standard, normalized"):
        theory.weight_variance("he", 3, 4)
    with pytest.raises(ValueError, match="3 layer sizes need 2 weight variances"):
        theory.activation_variances((3, 4, 5), (0.1,))
    with pytest.raises(ValueError, match="at least 0"):
        theory.gradient_variances((3, 4), (-0.1,))
    with pytest.raises(ValueError, match="at least two layer sizes"):
        theory.activation_variances((3,), ())
    with pytest.raises(ValueError, match="unknown scheme"):
        theory.weight_variance(["standard"], 3, 4)
    for wrong in ([[1.0]], [-1.0], [math.nan], []):
        with pytest.raises(ValueError, match="mean_square"):
            theory.propagate(SIZES, VARIANCES, "tanh", wrong)
    for wrong in (-1.0, math.nan, [1.0, 2.0, 3.0], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match="top needs 1 number of at least 0, or 2, not"):
            theory.propagate(SIZES, VARIANCES, "tanh", [1.0, 2.0], wrong)
    for function in (theory.mean_slope, theory.slopes, theory.layer_law):
        arguments = (3, 4, 0.1) if function is theory.layer_law else ()
        with pytest.raises(ValueError, match="variance must be at least 0, not -0.1"):
            function(*arguments, "tanh", -0.1)


def test_a_network_without_hidden_layers():
    """The logits alone: empty products are 1, and there is no activation to speak of."""
    assert theory.activation_variances((3, 2), (0.1,), X2) == pytest.approx([X2])
    assert theory.gradient_variances((3, 2), (0.1,), TOP) == pytest.approx([TOP])
    found = theory.propagate((3, 2), (0.1,), "tanh", [1.0, 2.0], TOP)
    assert found.pre_activation == pytest.approx(np.array([[0.3, 0.6]]))
    assert found.activation.shape == found.activation_mean.shape == (0, 2)
    assert found.weight_gradient == pytest.approx(np.array([[TOP, 2 * TOP]]))
    assert found.activation_variance().shape == (0,)


# ---- every equation of the paper has a place


def test_every_equation_is_labelled_once_in_the_book_and_named_by_a_function():
    page = (ROOT / "book" / "equations.md").read_text()
    labels = [int(n) for n in re.findall(r"^:label: eq-(\d+)$", page, flags=re.M)]
    assert labels == list(range(1, 18))
    named = set()
    for module in (theory, backprop, jacobian):
        for function in vars(module).values():
            text = getattr(function, "__doc__", None) or ""
            if callable(function) and function.__module__ == module.__name__:
                named |= set(re.findall(r"Eqs?\. \((\d+)\)", text))
                named |= set(re.findall(r"Eqs?\. \(\d+\)(?:,| and| or| to) \((\d+)\)", text))
    assert named == {str(n) for n in range(1, 18)}
