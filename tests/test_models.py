"""The network with a run axis: its forward pass, its starts, and what it refuses."""

import pytest
import torch
from torch import nn

from course_lib import activations, init, models


def batch(model, examples=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(examples, model.sizes[0], generator=generator, dtype=torch.float64) * 2 - 1
    return x.to(model.weights[0])


def test_shapes_and_attributes():
    model = models.MLP([5, 4, 3, 2], "tanh", runs=3)
    assert (model.sizes, model.depth, model.runs) == ([5, 4, 3, 2], 2, 3)
    assert [tuple(w.shape) for w in model.weights] == [(3, 5, 4), (3, 4, 3), (3, 3, 2)]
    assert [tuple(b.shape) for b in model.biases] == [(3, 1, 4), (3, 1, 3), (3, 1, 2)]
    names = ["weight_0", "weight_1", "weight_2", "bias_0", "bias_1", "bias_2"]
    assert list(model.parameters) == names
    assert model.parameters["weight_1"] is model.weights[1]
    assert all((b == 0).all() for b in model.biases)
    assert not any(p.requires_grad for p in model.parameters.values())


@pytest.mark.parametrize("name", activations.NAMES)
def test_forward_equals_a_chain_of_linear_modules(name):
    function = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "softsign": nn.Softsign()}
    function |= {"relu": nn.ReLU(), "linear": nn.Identity()}
    model = models.MLP([7, 5, 6, 3], name, runs=2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for bias in model.biases:
        bias.copy_(torch.rand(bias.shape, generator=generator, dtype=torch.float64))
    x = batch(model)
    trace = model(x)
    assert trace.activations[0] is x and trace.logits is trace.pre_activations[-1]
    assert len(trace.pre_activations) == len(trace.activations) == 3
    for run in range(2):
        z = x
        for i in range(3):
            linear = nn.Linear(model.sizes[i], model.sizes[i + 1], dtype=torch.float64)
            linear.weight.data = model.weights[i][run].T
            linear.bias.data = model.biases[i][run, 0]
            s = linear(z).detach()
            torch.testing.assert_close(trace.pre_activations[i][run], s, rtol=1e-13, atol=1e-14)
            if i < 2:
                z = function[name](s)
                found = trace.activations[i + 1][run]
                torch.testing.assert_close(found, z, rtol=1e-13, atol=1e-14)


def test_each_run_can_have_its_own_inputs():
    model = models.MLP([4, 3, 2], "tanh", runs=2)
    own = torch.stack([batch(model, seed=1), batch(model, seed=2)])
    together = model(own).logits
    for run in range(2):
        alone = model.run(run)(own[run]).logits[0]
        torch.testing.assert_close(together[run], alone, rtol=1e-6, atol=1e-7)  # float32


def test_each_run_starts_as_its_scheme_and_seed_say():
    schemes, seeds = ["standard", "xavier", "standard"], [7, 7, 2]
    model = models.MLP([20, 10, 5], "tanh", runs=3, scheme=schemes, seed=seeds)
    assert model.schemes == ["standard", "normalized", "standard"] and model.seeds == [7, 7, 2]
    for run in range(3):
        generator = torch.Generator().manual_seed(seeds[run])
        for i, shape in enumerate([(20, 10), (10, 5)]):
            expected = init.fill_(torch.empty(shape), schemes[run], generator)
            assert torch.equal(model.weights[i][run], expected)
    # Equal seeds under two schemes: the same draws, scaled by the ratio of the bounds.
    for i, shape in enumerate([(20, 10), (10, 5)]):
        ratio = init.bound("normalized", *shape) / init.bound("standard", *shape)
        scaled = model.weights[i][0] * ratio
        torch.testing.assert_close(model.weights[i][1], scaled, rtol=1e-6, atol=0)


def test_one_seed_counts_up_along_the_runs():
    model = models.MLP([6, 4, 2], "tanh", runs=3, seed=5)
    assert model.seeds == [5, 6, 7]
    for run in range(3):
        alone = models.MLP([6, 4, 2], "tanh", seed=5 + run)
        assert all(
            torch.equal(w[run], v[0]) for w, v in zip(model.weights, alone.weights, strict=True)
        )


def test_run_is_a_copy():
    model = models.MLP([4, 3, 2], "relu", runs=2, seed=[3, 9], output_bias=[True, False])
    alone = model.run(1)
    assert alone.config | {"seeds": [9], "output_bias": [False], "schemes": ["normalized"]} == (
        alone.config
    )
    assert all(torch.equal(alone.parameters[n][0], p[1]) for n, p in model.parameters.items())
    alone.weights[0].zero_()
    assert model.weights[0][1].abs().sum() > 0
    for wrong in (-1, 2, 0.0):
        with pytest.raises(ValueError, match=f"run must lie in 0 to 1, not {wrong}"):
            model.run(wrong)


def test_config_tells_networks_apart_and_global_state_is_untouched():
    before = torch.random.get_rng_state()
    config = models.MLP([4, 3, 2], "tanh", scheme="glorot", dtype=torch.float64).config
    assert config == {
        "sizes": [4, 3, 2],
        "activation": "tanh",
        "schemes": ["normalized"],
        "seeds": [0],
        "output_bias": [True],
        "dtype": "torch.float64",
        "device": "cpu",
    }
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": [4]}, r"at least inputs and classes, not \[4\]"),
        ({"sizes": 4}, "sizes must be a sequence of layer sizes, not 4"),
        ({"sizes": [4, -3, 2]}, "a layer size must be a whole number of at least 1, not -3"),
        ({"sizes": [4, 0, 2]}, "a layer size must be a whole number of at least 1, not 0"),
        ({"sizes": [4, 2.5, 2]}, "a layer size must be a whole number of at least 1, not 2.5"),
        ({"activation": "than"}, "unknown activation 'than'; choose one of sigmoid, tanh"),
        ({"runs": 0}, "runs must be a whole number of at least 1, not 0"),
        ({"runs": True}, "runs must be a whole number of at least 1, not True"),
        ({"scheme": "he2"}, "unknown scheme 'he2'; choose one of standard, normalized"),
        ({"scheme": None}, "unknown scheme None; choose one of standard, normalized"),
        ({"scheme": ["standard"] * 3}, "scheme has 3 entries for 2 runs"),
        ({"seed": -1}, "a seed must be a whole number of at least 0 and below 4294967296, not -1"),
        ({"seed": 2**32}, "a seed must be a whole number .* below 4294967296, not 4294967296"),
        ({"seed": None}, "a seed must be a whole number"),
        ({"seed": 1.5}, "a seed must be a whole number .* not 1.5"),
        ({"seed": [1, 2, 3]}, "seed has 3 entries for 2 runs"),
        ({"output_bias": [True]}, "output_bias has 1 entries for 2 runs"),
        ({"dtype": torch.int64}, "dtype must be torch.float32 or torch.float64, not torch.int64"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.MLP(**({"sizes": [4, 3, 2], "activation": "tanh", "runs": 2} | arguments))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(6, 5), r"inputs need shape \(B, 4\) or \(2, B, 4\), not \(6, 5\)"),
        (torch.zeros(4), r"inputs need shape .* not \(4,\)"),
        (torch.zeros(1, 2, 6, 4), r"inputs need shape .* not \(1, 2, 6, 4\)"),
        (torch.zeros(3, 6, 4), "inputs are for 3 runs; the model has 2"),
        (torch.zeros(6, 4, dtype=torch.float64), "inputs are torch.float64; the model's weights"),
        (torch.zeros(6, 4, dtype=torch.int64), "inputs are torch.int64; the model's weights"),
        (torch.zeros(6, 4).numpy(), "inputs must be a torch tensor, not ndarray"),
    ],
)
def test_wrong_inputs_are_named(x, message):
    with pytest.raises(ValueError, match=message):
        models.MLP([4, 3, 2], "tanh", runs=2)(x)
