"""Jacobians against autograd, singular values against LAPACK, estimates against exact values."""

import math
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import activations, instruments, jacobian, models, training

SIZES = [7, 9, 6, 6, 3]  # a layer that widens, one that narrows, one that is square


def network(activation="tanh", sizes=SIZES, runs=2, scale=1.0, seed=0):
    model = models.MLP(sizes, activation, runs=runs, seed=seed, dtype=torch.float64)
    for weight in model.weights:
        weight.mul_(scale)
    return model


def inputs(count, size=7, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=dtype)


def layers(model, x, first, last, run=0):
    """z^{last+1} as a function of z^first, written out: the oracle's forward pass."""

    def through(z):
        for i in range(first, last + 1):
            z = model.activation.function(z @ model.weights[i][run] + model.biases[i][run, 0])
        return z

    return through, model(x).activations[first].expand(model.runs, -1, -1)[run]


# ---------------------------------------------------------------- matrices
@pytest.mark.parametrize("activation", activations.NAMES)
@pytest.mark.parametrize("i", [0, 1, 2])
def test_the_matrix_is_the_derivative(activation, i):
    model, x = network(activation), inputs(4)
    through, z = layers(model, x, i, i, run=1)
    expected = [torch.autograd.functional.jacobian(through, row) for row in z]
    found = jacobian.matrix(model, model(x), i, run=1)
    torch.testing.assert_close(found, torch.stack(expected))


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 2), (1, 2)])
def test_the_product_is_the_derivative_through_several_layers(first, last):
    model, x = network(scale=2.0), inputs(4)
    through, z = layers(model, x, first, last, run=1)
    expected = torch.stack([torch.autograd.functional.jacobian(through, row) for row in z])
    found = jacobian.product(model, model(x), first, last, run=1)
    torch.testing.assert_close(found, expected)
    some = jacobian.product(model, model(x), first, last, run=1, examples=[3, 0])
    torch.testing.assert_close(some, expected[[3, 0]])
    assert jacobian.matrix(model, model(x), first, examples=slice(1, 3)).shape[0] == 2


def test_layers_that_are_not_there_are_refused():
    model = network()
    trace = model(inputs(2))
    for i in (-1, 3, 1.0, True):  # layer 3 is the output's
        with pytest.raises(ValueError, match="from 0 to 2"):
            jacobian.slopes(model, trace, i)
    assert jacobian.slopes(model, trace, np.int64(1)).shape == (2, 2, 6)
    with pytest.raises(ValueError, match="at least first = 2, not 1"):
        jacobian.product(model, trace, 2, 1)
    for first, last in ((0, 3), (0, 1.0), ("0", 1)):
        with pytest.raises(ValueError, match="(first|last) must be a whole number from 0 to 2"):
            jacobian.product(model, trace, first, last)


def test_a_network_without_hidden_layers_has_no_jacobians():
    model = network(sizes=[7, 3])
    x = inputs(2)
    for measure in (
        lambda: jacobian.slopes(model, model(x), 0),
        lambda: jacobian.Monitor(x, None, instruments.every(1)).measure(model),
    ):
        with pytest.raises(ValueError, match="this network has no hidden layer"):
            measure()


# ---------------------------------------------------------------- exact values
@pytest.mark.parametrize("method", ["gram", "svd"])
@pytest.mark.parametrize("i", [0, 1, 2])
@pytest.mark.parametrize("chunk", [1, 2**23])
def test_singular_values_are_those_of_the_matrix(monkeypatch, method, i, chunk):
    monkeypatch.setattr(jacobian, "CHUNK", chunk)
    model, x = network(scale=2.0), inputs(5)
    trace = model(x)
    slope = jacobian.slopes(model, trace, i)[1]
    found = jacobian.singular_values(model.weights[i][1], slope, method)
    expected = torch.linalg.svdvals(jacobian.matrix(model, trace, i, run=1))
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    rms = jacobian.root_mean_square(model.weights[i][1], slope)
    torch.testing.assert_close(rms, expected.square().mean(1).sqrt())
    volume = jacobian.geometric_mean(model.weights[i][1], slope)
    torch.testing.assert_close(volume, expected.log().mean(1).exp())


def test_only_svd_keeps_the_smallest():
    weight, slope = torch.eye(3), torch.tensor([[1.0, 1e-3, 1e-12]])
    exact = jacobian.singular_values(weight, slope, "svd")
    torch.testing.assert_close(exact, slope.double(), rtol=1e-12, atol=0)
    # A rotation hides the zeros of the diagonal matrix from the eigenvalue routine.
    turned = torch.linalg.qr(inputs(3, 3)).Q
    gram = jacobian.singular_values(turned, slope @ torch.eye(3))
    torch.testing.assert_close(gram[:, :2], exact[:, :2], rtol=1e-9, atol=0)


def test_results_are_float64_whatever_the_network():
    weight, slope = torch.rand(5, 4), torch.rand(3, 4)
    for function in (
        jacobian.singular_values,
        jacobian.root_mean_square,
        jacobian.geometric_mean,
        lambda *layer: jacobian.mean_singular_value(*layer).per_example,
    ):
        assert function(weight, slope).dtype == torch.float64


@pytest.mark.parametrize("method", ["gram", "svd"])
@pytest.mark.parametrize("shape", [(5, 4), (4, 5)])
def test_one_example_that_is_not_finite_does_not_spoil_the_others(method, shape):
    weight = inputs(*shape)
    slope = inputs(3, shape[1], seed=1).abs()
    whole = jacobian.singular_values(weight, slope, method)
    slope[1, 2] = math.nan
    found = jacobian.singular_values(weight, slope, method)
    assert found[1].isnan().all()
    assert torch.equal(found[[0, 2]], whole[[0, 2]])
    weight[0, 0] = math.inf
    assert jacobian.singular_values(weight, slope, method).isnan().all()


def test_a_unit_without_slope_leaves_no_volume():
    slope = torch.tensor([[1.0, 0.0, 0.5], [1.0, 0.5, 0.5]])
    assert (jacobian.geometric_mean(inputs(4, 3), slope) > 0).tolist() == [False, True]
    # With more units than inputs one of them can be spared, but not two.
    assert (jacobian.geometric_mean(inputs(2, 3), slope) > 0).all()
    few = (torch.arange(60) < torch.tensor([[39], [40]])).double()
    assert (jacobian.geometric_mean(inputs(40, 60), few) > 0).tolist() == [False, True]
    assert jacobian.geometric_mean(math.nan * inputs(40, 60), few).isnan().all()


def test_the_geometric_mean_survives_saturation():
    """Slopes over 9 decades: rounding errors are 1e-16 of the largest, 1e-7 of the smallest."""
    slope = torch.exp(-20 * inputs(5, 60).abs().clamp(max=1))
    for weight in (inputs(40, 60), inputs(60, 60)):
        values = jacobian.singular_values(weight, slope, "svd")
        found = jacobian.geometric_mean(weight, slope)
        torch.testing.assert_close(found, values.log().mean(1).exp(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("weight", "slope", "words"),
    [
        (torch.ones(3), torch.ones(2, 3), "weight must be"),
        (torch.ones(3, 3), [1.0], "slope must be a tensor with two axes, none empty, not list"),
        (torch.ones(3, 3), torch.ones(0, 3), "two axes, none empty, not \\(0, 3\\)"),
        (torch.ones(3, 4), torch.ones(2, 3), "slope has 3 units; weight \\(3, 4\\) has 4"),
    ],
)
def test_what_does_not_fit_is_refused(weight, slope, words):
    for function in (
        jacobian.singular_values,
        jacobian.root_mean_square,
        jacobian.geometric_mean,
        jacobian.mean_singular_value,
    ):
        with pytest.raises(ValueError, match=words):
            function(weight, slope)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'gram' or 'svd', not 'qr'"):
        jacobian.singular_values(torch.ones(2, 2), torch.ones(1, 2), "qr")


# ---------------------------------------------------------------- the estimate
def layer(seed, activation="tanh", width=40, count=150, gain=1.0, outliers=0.0):
    """A weight and the slopes of examples that differ in size; `outliers` as training leaves."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weight = normal(width + 10, width) * gain / width**0.5
    weight += outliers * normal(width + 10, 2) @ normal(2, width) / width
    z = normal(count, width + 10) * torch.rand(count, 1, generator=generator, dtype=torch.float64)
    function = activations.get(activation)
    return weight, function.slope(function.function(z @ weight))


CASES = [
    dict(activation=activation, gain=gain, outliers=outliers)
    for activation in ("tanh", "sigmoid", "softsign", "relu")
    for gain, outliers in ((0.6, 0.0), (1.0, 0.0), (1.5, 2.0))
]


def test_estimates_are_as_good_as_they_say():
    scores = []
    for case in CASES:
        for seed in range(4):
            weight, slope = layer(seed, **case)
            exact = jacobian.singular_values(weight, slope).mean(1)
            found = jacobian.mean_singular_value(weight, slope)
            assert abs(found.value / float(exact.mean()) - 1) < 1e-3, (case, seed)
            assert found.standard_error <= 5e-4 * found.value
            assert found.value == pytest.approx(float(found.per_example.mean()), rel=1e-12)
            if found.standard_error:
                scores.append((found.value - float(exact.mean())) / found.standard_error)
            else:
                torch.testing.assert_close(found.per_example, exact)
    scores = np.array(scores)
    assert len(scores) > 24  # most were estimated, not decomposed to the last example
    # Scores of honest errors have an rms of 1; that of 30 or more exceeds 1.3 by chance in one
    # case of 70. An error overstated fivefold would say too little.
    assert 0.2 < np.sqrt((scores**2).mean()) < 1.3


@pytest.mark.parametrize("kind", ["sizes", "few"])
def test_examples_of_very_unequal_size_are_not_overlooked(kind):
    """Slopes over 5 decades between examples, or 5 of 300 that make up nearly all of the mean.

    A regression on the others says nothing of these. Within twice the tolerance, as above.
    """
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(40, 30, generator=generator, dtype=torch.float64)
        slope = torch.rand(300, 30, generator=generator, dtype=torch.float64)
        if kind == "sizes":
            slope *= torch.exp(-3 * torch.randn(300, 1, generator=generator, dtype=torch.float64))
        else:
            slope[:295] *= 1e-3
            slope[295:] = (slope[295:] < 0.1).double()
        exact = float(jacobian.singular_values(weight, slope, "svd").mean())
        assert jacobian.mean_singular_value(weight, slope).value == pytest.approx(exact, rel=1e-3)


def test_few_examples_are_decomposed(monkeypatch):
    weight, slope = layer(0)
    exact = jacobian.singular_values(weight, slope).mean(1)
    decomposed = []
    original = jacobian._roots
    monkeypatch.setattr(jacobian, "_roots", lambda m: decomposed.append(len(m)) or original(m))
    loose = jacobian.mean_singular_value(weight, slope, tolerance=1.0)
    assert sum(decomposed) == 5 and loose.standard_error > 0
    assert (loose.per_example == exact).sum() >= 5  # those decomposed are passed on as they are
    decomposed.clear()
    jacobian.mean_singular_value(weight, slope, tolerance=1e-9)
    assert sum(decomposed) == len(slope)  # none of them twice
    for count, tolerance in ((len(slope), 0), (15, 5e-4)):
        found = jacobian.mean_singular_value(weight, slope[:count], tolerance)
        assert found.standard_error == 0
        torch.testing.assert_close(found.per_example, exact[:count])


@pytest.mark.parametrize("width", [30, 50])
def test_the_tangent_plane_lies_below_and_touches_where_slopes_are_in_proportion(width):
    weight, slope = layer(3, width=width, outliers=1.0)
    weight = weight[:40]  # narrower than wide, and the other way round
    exact = jacobian.singular_values(weight, slope).mean(1)
    tangent, features = jacobian._tangent(weight, slope)
    assert (tangent < exact).all() and (tangent > 0.5 * exact).all()
    assert (features[:, :2] > 0).all()  # power means increase with the power
    scaled = slope[:1] * torch.linspace(0.1, 2, 20, dtype=torch.float64).unsqueeze(1)
    exact = jacobian.singular_values(weight, scaled).mean(1)
    tangent, features = jacobian._tangent(weight, scaled)
    torch.testing.assert_close(tangent, exact)
    assert features.abs().max() < 1e-12


def test_a_layer_without_deviations_or_without_slope_is_no_trouble():
    weight = inputs(8, 6)
    found = jacobian.mean_singular_value(weight, torch.ones(40, 6))
    assert found.value == pytest.approx(float(torch.linalg.svdvals(weight).mean()), rel=1e-12)
    dead = jacobian.mean_singular_value(weight, torch.zeros(40, 6))
    assert dead.value == 0 and dead.standard_error == 0 and (dead.per_example == 0).all()
    some = torch.ones(40, 6)
    some[:20] = 0
    some[:, 2] = 0
    exact = jacobian.singular_values(weight, some).mean()
    assert jacobian.mean_singular_value(weight, some).value == pytest.approx(float(exact), rel=1e-3)


def test_the_estimate_of_what_is_not_finite_is_not_a_number():
    weight, slope = layer(0)
    weight[0, 0] = math.nan
    assert all(
        np.isnan(np.asarray(part)).all() for part in jacobian.mean_singular_value(weight, slope)
    )


@pytest.mark.parametrize("tolerance", [-0.1, math.nan, math.inf, "small"])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance must be"):
        jacobian.mean_singular_value(*layer(0), tolerance)


def test_negative_slopes_are_refused_by_the_estimate_only():
    weight, slope = layer(0)
    slope[0, 0] = -0.5
    with pytest.raises(ValueError, match="not be negative; the least is -0.5"):
        jacobian.mean_singular_value(weight, slope)
    expected = torch.linalg.svdvals(slope[0] * weight)
    torch.testing.assert_close(jacobian.singular_values(weight, slope)[0], expected)
    volume = jacobian.geometric_mean(weight, slope)[0]
    torch.testing.assert_close(volume, expected.log().mean().exp())


# ---------------------------------------------------------------- anyone's modules
class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.utils.parametrizations.weight_norm(nn.Linear(5, 5))

    def forward(self, x):
        return x + torch.tanh(self.inner(x)).sum(1, keepdim=True)


def blocks():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = {
            "linear and tanh": (nn.Sequential(nn.Linear(8, 6), nn.Tanh()), (8,)),
            "widening": (nn.Sequential(nn.Linear(4, 6), nn.Sigmoid()), (4,)),
            "convolution": (
                nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Softsign(), nn.MaxPool2d(2)),
                (2, 6, 6),
            ),
            "evaluated": (
                nn.Sequential(
                    nn.BatchNorm1d(5), nn.Linear(5, 5), nn.Dropout(0.5), nn.GELU()
                ).eval(),
                (5,),
            ),
            "attention": (nn.TransformerEncoderLayer(8, 2, 12, batch_first=True).eval(), (3, 8)),
            "residual": (Residual(), (4, 5)),
        }
    return {
        name: (block.double(), inputs(4, math.prod(shape)).view(4, *shape))
        for name, (block, shape) in made.items()
    }


def values_by_autograd(block, x):
    def one(example):
        return block(example.unsqueeze(0)).flatten()

    rows = [torch.autograd.functional.jacobian(one, example).flatten(1) for example in x]
    return torch.linalg.svdvals(torch.stack(rows))


@pytest.mark.parametrize("name", list(blocks()))
@pytest.mark.parametrize("method", ["gram", "svd"])
def test_singular_values_of_a_block(name, method, monkeypatch):
    monkeypatch.setattr(jacobian, "COPIES", 5)
    block, x = blocks()[name]
    # "gram" sees a zero as the root of a rounding error, about 1e-8.
    torch.testing.assert_close(
        jacobian.of_module(block, x, method), values_by_autograd(block, x), rtol=1e-7, atol=1e-7
    )


def test_a_block_agrees_with_the_layer_of_ours():
    model, x = network(runs=1), inputs(5)
    linear = nn.Linear(7, 9, dtype=torch.float64)
    linear.weight.data = model.weights[0][0].mT.clone()
    linear.bias.data = model.biases[0][0, 0].clone()
    slope = jacobian.slopes(model, model(x), 0)[0]
    torch.testing.assert_close(
        jacobian.of_module(nn.Sequential(linear, nn.Tanh()), x),
        jacobian.singular_values(model.weights[0][0], slope),
    )


class Squeezed(nn.Module):
    """One output, and no axis for it."""

    def forward(self, x):
        return torch.tanh(x).sum(1).squeeze()


def test_a_block_may_have_one_output():
    x = inputs(4, 3)
    expected = (1 - torch.tanh(x).square()).norm(dim=1, keepdim=True)
    torch.testing.assert_close(jacobian.of_module(Squeezed(), x), expected)
    for steps in (2, 16):
        found = jacobian.mean_of_module(Squeezed(), x, steps=steps)
        torch.testing.assert_close(found.per_example, expected[:, 0])
        assert found.standard_error < 1e-9
    rough = jacobian.mean_of_module(Squeezed(), x, steps=1)  # its bounds: 0 and the value
    assert abs(rough.value - expected.mean()) < rough.standard_error


class Cut(nn.Module):
    """The derivative of a root is not finite at 0."""

    def forward(self, x):
        return x.sqrt() @ torch.ones(3, 2, dtype=x.dtype)


def test_an_example_without_a_finite_jacobian_does_not_spoil_the_others():
    x = inputs(4, 3).abs()
    whole = jacobian.of_module(Cut(), x)
    x[1] = 0
    exact = jacobian.of_module(Cut(), x)
    found = jacobian.mean_of_module(Cut(), x)
    assert exact[1].isnan().all() and torch.equal(exact[[0, 2, 3]], whole[[0, 2, 3]])
    assert found.per_example.isnan().tolist() == [False, True, False, False]
    assert math.isnan(found.value) and math.isnan(found.standard_error)
    spoilt = nn.Linear(3, 2, dtype=torch.float64)
    nn.init.constant_(spoilt.weight, math.nan)
    assert jacobian.of_module(spoilt, x).isnan().all()
    assert math.isnan(jacobian.mean_of_module(spoilt, x).value)


@pytest.mark.parametrize("name", list(blocks()))
def test_the_estimate_for_a_block_is_as_good_as_it_says(name):
    block, x = blocks()[name]
    exact = float(jacobian.of_module(block, x).mean())
    found = [jacobian.mean_of_module(block, x, probes=8, seed=seed) for seed in range(8)]
    scores = np.array([(f.value - exact) / f.standard_error for f in found])
    # 8 scores of honest errors have an rms of 1 +- 0.25, fewer if the error holds the bounds too.
    assert np.sqrt((scores**2).mean()) < 1.75
    assert np.mean([f.standard_error for f in found]) < 0.1 * exact
    assert found[0].value == pytest.approx(float(found[0].per_example.mean()))
    again = jacobian.mean_of_module(block, x, probes=8, seed=0)
    assert again.value == found[0].value and again.value != found[1].value


def test_equal_singular_values_leave_nothing_to_estimate():
    turn = nn.Linear(12, 12, bias=False, dtype=torch.float64)
    turn.weight.data = 3 * torch.linalg.qr(inputs(12, 12)).Q
    found = jacobian.mean_of_module(turn, inputs(2, 12))
    assert found.value == pytest.approx(3, rel=1e-9) and found.standard_error < 1e-6
    nothing = jacobian.mean_of_module(nn.Threshold(1e9, 0.0), inputs(2, 12))
    assert nothing.value == 0 and nothing.standard_error == 0


def test_few_steps_bound_the_mean_from_both_sides():
    weight, slope = layer(1, count=400)
    exact = float(jacobian.singular_values(weight, slope).mean())

    def ahead(u):
        return (u * slope) @ weight.mT

    def back(v):
        return (v @ weight) * slope

    start = inputs(400, 40)
    gaps = []
    for steps in (3, 6, 12, 40):
        bounds = jacobian._quadrature(*jacobian._bidiagonalise(ahead, back, start, steps))
        upper, lower, square = bounds.mean(1).tolist()
        assert lower <= upper
        gaps.append(upper - lower)
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-4 * exact
    # One direction of 40 errs by sqrt(2/42) of the values' spread, about half their mean; 400
    # directions by a twentieth of that, 0.5 %.
    assert upper == pytest.approx(exact, rel=0.02)
    rms = jacobian.root_mean_square(weight, slope)
    assert square == pytest.approx(float(rms.square().mean()), rel=0.04)


def test_few_steps_are_paid_for_in_the_standard_error():
    linear = nn.Linear(60, 60, bias=False, dtype=torch.float64)
    linear.weight.data = inputs(60, 60) / 60**0.5
    exact = float(torch.linalg.svdvals(linear.weight.data).mean())
    # The sampling error of 2000 directions is 0.6 sqrt(2/62) / sqrt(2000) of the mean, 0.24 %.
    found = jacobian.mean_of_module(linear, inputs(2000, 60), steps=3)
    assert 0.01 * exact < found.standard_error < 0.03 * exact
    assert abs(found.value - exact) < found.standard_error  # the bounds: by 2.4, 6.8 %


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x


@pytest.mark.parametrize("measure", [jacobian.of_module, jacobian.mean_of_module])
def test_the_block_is_left_as_it_was(measure):
    block = nn.Sequential(
        nn.ReLU(inplace=True),
        Counting(),
        nn.Linear(5, 5),
        nn.BatchNorm1d(5).eval(),
        nn.ReLU(inplace=True),
    )
    calls = []
    handle = block[2].register_forward_hook(lambda *args: calls.append(1))
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    block(x.clone()).sum().backward()
    state = {name: value.clone() for name, value in block.state_dict().items()}
    gradients = [p.grad.clone() for p in block.parameters()]
    hooks, modes, given = (
        len(block[2]._forward_hooks),
        [m.training for m in block.modules()],
        x.clone(),
    )
    drawn = torch.random.get_rng_state()
    with torch.no_grad():  # as in the middle of somebody's evaluation
        measure(block, x)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert torch.equal(x, given) and x.grad is None and not x.requires_grad
    assert all(torch.equal(state[name], value) for name, value in block.state_dict().items())
    for before, parameter in zip(gradients, block.parameters(), strict=True):
        assert torch.equal(parameter.grad, before) and parameter.requires_grad
    assert [m.training for m in block.modules()] == modes
    assert len(block[2]._forward_hooks) == hooks
    handle.remove()


class Total(nn.Module):
    def forward(self, x):
        return x.sum()


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.rand(x.shape)


@pytest.mark.parametrize("measure", [jacobian.of_module, jacobian.mean_of_module])
@pytest.mark.parametrize(
    ("block", "x", "words"),
    [
        (lambda x: x, torch.ones(2, 3), "nn.Module, not function"),
        (nn.Tanh(), torch.ones(3), "shape \\(B, ...\\), not \\(3,\\)"),
        (nn.Tanh(), [[1.0]], "not list"),
        (nn.Embedding(3, 2), torch.zeros(2, 1, dtype=torch.int64), "floating-point"),
        (nn.Sequential(nn.Dropout(0.5)), torch.ones(2, 3), "Dropout 0 is in training mode"),
        (nn.BatchNorm1d(3), torch.ones(2, 3), "BatchNorm1d \\(itself\\) .* call block.eval"),
        (nn.Softmax(0), torch.rand(2, 3), "changes with the other examples"),
        (Noisy(), torch.ones(1, 3), "or by chance"),
        (nn.LSTM(3, 2, batch_first=True), torch.ones(2, 4, 3), "one tensor .* not tuple"),
        (nn.Flatten(0), torch.ones(2, 3), "with 2 examples, not \\(6,\\)"),
        (nn.Flatten(0), torch.ones(2), "shape \\(B, ...\\), not \\(2,\\)"),
        (nn.Identity(), torch.ones(2, 0), "not \\(2, 0\\)"),
        (Total(), torch.ones(2, 3), "with 2 examples, not \\(\\) torch.float32"),
    ],
)
def test_blocks_without_jacobians_are_refused(measure, block, x, words):
    with torch.random.fork_rng(), pytest.raises(ValueError, match=words):
        measure(block, x)


class Detached(nn.Module):
    def forward(self, x):
        return x.detach() * 2


@pytest.mark.parametrize("measure", [jacobian.of_module, jacobian.mean_of_module])
def test_a_block_that_autograd_cannot_see_through_is_refused(measure):
    with pytest.raises(ValueError, match="no way from the block's output"):
        measure(Detached(), torch.ones(2, 3))


def test_a_large_jacobian_is_not_written_out(monkeypatch):
    monkeypatch.setattr(jacobian, "LARGEST", 8)
    with pytest.raises(ValueError, match="3 x 3 is too large .* mean_of_module"):
        jacobian.of_module(nn.Tanh(), torch.ones(2, 3))
    for name in ("probes", "steps"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, not 0"):
            jacobian.mean_of_module(nn.Tanh(), torch.ones(2, 3), **{name: 0})


# ---------------------------------------------------------------- during training
class Batches:
    """Ten examples of a fixed random task an update."""

    config = {"name": "batches"}

    def batch(self, k):
        x = inputs(10, seed=k, dtype=torch.float32)
        return x, (x[:, 0] > 0).long()


def small(activation="tanh", seed=0, rate=0.1, updates=40, monitors=None, **kwargs):
    model = models.MLP([7, 12, 8, 3], activation, runs=2, seed=seed)
    if monitors is None:
        monitors = both()
    history = training.train(
        model, Batches(), updates, rate, monitors=monitors, progress=False, **kwargs
    )
    return model, history


def both():
    x = inputs(20, seed=99, dtype=torch.float32)
    labels = torch.zeros(20, dtype=torch.int64)
    return [
        instruments.Monitor(x, labels, instruments.every(20), ("activation_std", "cost")),
        jacobian.Monitor(x, labels, instruments.every(10)),
    ]


def test_monitor_records_beside_the_other_monitor():
    model, history = small()
    assert history["update"].tolist() == [0, 20, 40]
    assert history["jacobian_update"].tolist() == [0, 10, 20, 30, 40]
    for quantity in jacobian.QUANTITIES:
        assert history[f"jacobian_{quantity}"].shape == (5, 2, 2)
        assert history.axes[f"jacobian_{quantity}"] == ("jacobian_update", "run", "layer")
    x = both()[1].images
    trace = model(x)
    for i in range(2):
        for run in range(2):
            values = torch.linalg.svdvals(jacobian.matrix(model, trace, i, run).double())
            expected = {
                "mean": values.mean(),
                "rms": values.square().mean(1).sqrt().mean(),
                "geometric_mean": values.log().mean(1).exp().mean(),
            }
            for quantity, value in expected.items():
                found = history[f"jacobian_{quantity}"][-1, run, i]
                assert found == pytest.approx(
                    float(value), rel=1e-3 if quantity == "mean" else 1e-5
                )
    mean, rms = history["jacobian_mean"], history["jacobian_rms"]
    assert (history["jacobian_geometric_mean"] < mean).all() and (mean < rms).all()
    assert (history["jacobian_standard_error"] <= 5e-4 * mean).all()


def test_a_history_with_a_monitor_is_saved_and_loaded(tmp_path):
    _, one = small(seed=0)
    one.save(tmp_path / "one.npz")
    loaded = training.History.load(tmp_path / "one.npz")
    assert loaded.axes == one.axes and loaded.config == one.config


def test_a_training_that_was_stopped_goes_on_with_its_monitor(tmp_path):
    _, whole = small()
    path, pressed = tmp_path / "run.npz", []

    def stop(step):
        if step == 25 and not pressed:  # asked when update 20 is done
            pressed.append(step)
            os.kill(os.getpid(), signal.SIGINT)
        return step % 10 == 0

    def monitors():
        first, second = both()
        second.schedule = instruments.Schedule("every 10", stop)
        return [first, second]

    with pytest.raises(KeyboardInterrupt, match="stopped after 21 of 40"):
        small(monitors=monitors(), checkpoint=path)
    _, history = small(monitors=monitors(), checkpoint=path)
    assert history["jacobian_update"].tolist() == [0, 10, 20, 30, 40] and not path.exists()
    for name in whole.arrays:
        np.testing.assert_array_equal(history[name], whole[name])


def given():
    monitor = both()[1]
    return monitor.images, None, monitor.schedule


def test_two_monitors_need_two_names_and_measuring_changes_nothing():
    twice = [jacobian.Monitor(*given()), jacobian.Monitor(*given(), quantities=("rms",))]
    with pytest.raises(ValueError, match="'jacobian_rms' would|'jacobian_update' would"):
        small(monitors=twice)
    twice[1] = jacobian.Monitor(*given(), quantities=("rms",), name="again")
    model, history = small(monitors=twice)
    np.testing.assert_array_equal(history["jacobian_rms"], history["again_rms"])
    assert "again_mean" not in history
    bare, _ = small(monitors=[])
    for name, value in bare.parameters.items():
        assert torch.equal(value, model.parameters[name])


def test_a_run_that_diverges_is_recorded_as_not_a_number():
    model, history = small("relu", rate=[1e12, 0.01])
    for quantity in ("mean", "rms", "standard_error", "geometric_mean"):
        last = history[f"jacobian_{quantity}"][-1]
        assert np.isnan(last[0]).all() and np.isfinite(last[1]).all(), quantity


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(images=torch.ones(3)), "shape \\(B, n_0\\), not \\(3,\\)"),
        (dict(images=torch.full((2, 7), math.nan)), "not finite"),
        (dict(images=[[1.0]]), "shape \\(B, n_0\\), not list"),
        (dict(schedule=5), "schedule must be callable"),
        (dict(quantities=("mode",)), "unknown quantity 'mode'; choose from mean, rms"),
        (dict(tolerance=-1), "tolerance must be"),
    ],
)
def test_a_monitor_that_cannot_work_is_refused(change, words):
    images, labels, schedule = given()
    right = dict(images=images, labels=labels, schedule=schedule)
    with pytest.raises(ValueError, match=words):
        jacobian.Monitor(**(right | change))
