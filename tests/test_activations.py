"""The table of activations against autograd and against the bounds of saturation."""

import math

import pytest
import torch

from course_lib import activations

S = torch.linspace(-6, 6, 241, dtype=torch.float64)  # holds 0, where the ReLU has its kink

FORMULAS = {
    "sigmoid": lambda s: 1 / (1 + math.exp(-s)),
    "tanh": lambda s: (math.exp(s) - math.exp(-s)) / (math.exp(s) + math.exp(-s)),
    "softsign": lambda s: s / (1 + abs(s)),
    "relu": lambda s: max(s, 0),
    "linear": lambda s: s,
}


def test_the_table_is_known_by_name():
    assert activations.NAMES == ("sigmoid", "tanh", "softsign", "relu", "linear")
    assert FORMULAS.keys() == set(activations.NAMES)
    tanh = activations.get("tanh")
    assert tanh.name == "tanh" and activations.get(tanh) is tanh
    assert activations.get("relu").label == "ReLU"


@pytest.mark.parametrize("name", ["Tanh", "", None, "gelu"])
def test_unknown_name_lists_the_known(name):
    expected = f"unknown activation {name!r}; choose one of sigmoid, tanh, softsign, relu, linear"
    with pytest.raises(ValueError, match=expected):
        activations.get(name)


@pytest.mark.parametrize("name", activations.NAMES)
def test_function_is_its_formula(name):
    expected = torch.tensor([FORMULAS[name](s) for s in S.tolist()], dtype=torch.float64)
    found = activations.get(name).function(S)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", activations.NAMES)
def test_slope_of_z_is_the_derivative(name):
    entry = activations.get(name)
    s = S.clone().requires_grad_()
    z = entry.function(s)
    (expected,) = torch.autograd.grad(z.sum(), s)
    # 1e-12: sigmoid and tanh lose some digits where z is close to its asymptote.
    torch.testing.assert_close(entry.slope(z.detach()), expected, rtol=1e-12, atol=1e-12)
    assert entry.slope(z.detach()).dtype == torch.float64
    assert entry.steepest == pytest.approx(expected.max().item(), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("sigmoid", 0.05, 0.95),
        ("tanh", -0.9, 0.9),
        ("softsign", math.sqrt(0.19) - 1, 1 - math.sqrt(0.19)),
    ],
)
@pytest.mark.parametrize(("dtype", "step"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_saturation_starts_exactly_at_its_bounds(name, low, high, dtype, step):
    # The step is some ten roundings of that precision.
    z = torch.tensor([low - step, low + step, high - step, high + step], dtype=dtype)
    assert activations.get(name).saturated(z).tolist() == [True, False, False, True]


def test_relu_and_linear_units():
    z = torch.tensor([0.0, 1e-3, 1e3])
    assert activations.get("relu").saturated(z).tolist() == [True, False, False]
    assert not activations.get("linear").saturated(z).any()
