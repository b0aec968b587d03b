"""Pre-training: each update is autograd's, R runs equal R single ones, greedily from below."""

import os
import signal

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from course_lib import activations, models, pretraining, shapeset, training

SIZES, EXAMPLES, UPDATES, RATE = [7, 6, 5, 3], 4, 25, 0.3
NAMES = ("sigmoid", "tanh", "softsign")
LEAST = {"sigmoid": 0, "tanh": -1, "softsign": -1}


class Batches:
    """Random mini-batches in [least, 1], batch k from seed k; `spoil` may change one of them."""

    def __init__(self, least=-1, seed=0, spoil=None):
        self.least, self.seed, self.spoil = least, seed, spoil
        self.config = {"least": least, "seed": seed}

    def batch(self, k):
        generator = torch.Generator().manual_seed(1000 * self.seed + k)
        x = torch.rand(EXAMPLES, SIZES[0], generator=generator, dtype=torch.float64)
        x = x * (1 - self.least) + self.least
        return (self.spoil(k, x) if self.spoil else x), torch.zeros(EXAMPLES, dtype=torch.long)


def network(name="tanh", runs=3, **options):
    options = {"scheme": "standard", "dtype": torch.float64} | options
    model = models.MLP(SIZES, name, runs=runs, **options)
    generator = torch.Generator().manual_seed(1)
    for bias in model.biases:
        drawn = torch.rand(bias.shape[1:], generator=generator, dtype=torch.float64) - 0.5
        bias.copy_(drawn.expand(bias.shape))
    return model


def pretrain(model, data=None, updates=UPDATES, learning_rate=RATE, **options):
    data = data or Batches()
    return pretraining.pretrain_(model, data, updates, learning_rate, progress=False, **options)


def by_autograd(model, data, least, seed, corruption=pretraining.CORRUPTION):
    """Pre-train a network of one run as a reader would, and return its costs."""
    name, costs = model.activation.name, []
    f = activations.get(name).function
    for layer in range(model.depth):
        noise = pretraining.Noise(corruption, seed, layer)
        w = model.weights[layer][0].clone().requires_grad_()
        b = model.biases[layer][0, 0].clone().requires_grad_()
        v = w.detach().T.clone().requires_grad_()
        c = w.new_zeros(len(w)).requires_grad_()
        low = LEAST[name] if layer else least

        def cost(w, b, v, c, z, keep, low=low):
            logits = f((z * keep) @ w + b) @ v + c
            summed = binary_cross_entropy_with_logits(
                logits, (z - low) / (1 - low), reduction="sum"
            )
            return summed / len(z)

        for k in range(layer * UPDATES, (layer + 1) * UPDATES):
            z = model(data.batch(k)[0]).activations[layer].reshape(EXAMPLES, -1)
            found = cost(w, b, v, c, z, noise.keep(1, *z.shape))
            for value, gradient in zip(
                (w, b, v, c), torch.autograd.grad(found, (w, b, v, c)), strict=True
            ):
                value.data -= RATE * gradient
        count = -(-pretraining.EXAMPLES // EXAMPLES)
        after = range((layer + 1) * UPDATES, (layer + 1) * UPDATES + count)
        z = torch.cat([model(data.batch(k)[0]).activations[layer].flatten(0, -2) for k in after])
        keep = pretraining.Noise(corruption, seed, layer, UPDATES + 1).keep(count, EXAMPLES, len(w))
        costs.append(float(cost(w, b, v, c, z, keep).detach()))
        model.weights[layer][0], model.biases[layer][0, 0] = w.detach(), b.detach()
    return costs


def assert_equal(found, expected):
    """Equal to 1e-10 of the largest entry: single entries may nearly cancel."""
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()


def assert_alike(found, expected):
    for name, value in expected.parameters.items():
        assert_equal(found.parameters[name], value)


# ---------------------------------------------------------------- one step
@pytest.mark.parametrize("own", [False, True], ids=["one batch", "own batches"])
@pytest.mark.parametrize("name", NAMES)
def test_a_step_subtracts_rate_times_the_gradient_of_the_mean_cost(name, own):
    generator = torch.Generator().manual_seed(0)
    w, b = (
        torch.randn(s, generator=generator, dtype=torch.float64) for s in ((3, 7, 5), (3, 1, 5))
    )
    x = torch.rand(3 if own else 1, 2, 4, 7, generator=generator, dtype=torch.float64) * 2 - 1
    y = torch.rand(3 if own else 1, 2, 4, 7, generator=generator, dtype=torch.float64)
    coder = pretraining.AutoEncoder(w, b, name, 4, RATE)
    v, c = w.mT.clone(), torch.zeros(3, 1, 7, dtype=torch.float64)
    f = activations.get(name).function
    for k in range(2):  # in the second, the decoder is not the transpose any more
        values = [value.clone().requires_grad_() for value in (w, b, v, c)]
        w_, b_, v_, c_ = values
        logits = f(x[:, k] @ w_ + b_) @ v_ + c_
        each = binary_cross_entropy_with_logits(logits, y[:, k].expand(3, -1, -1), reduction="none")
        expected = each.sum(-1).mean(-1)
        assert_equal(coder.cost(x[:, k], y[:, k]), expected.detach())
        gradients = torch.autograd.grad(expected.sum(), values)
        w, b, v, c = (p.detach() - RATE * g for p, g in zip(values, gradients, strict=True))
        coder.step(x[:, k], y[:, k])
        assert_equal(coder.weight, w)
        assert_equal(coder.bias, b)
        assert_equal(coder.decoder, v)
        assert_equal(coder.output_bias, c)


def test_an_auto_encoder_leaves_what_it_was_given():
    w, b = torch.ones(1, 7, 5), torch.ones(1, 1, 5)
    coder = pretraining.AutoEncoder(w, b, "tanh", 4, RATE)
    coder.step(torch.ones(1, 4, 7), torch.zeros(1, 4, 7))
    assert torch.equal(w, torch.ones(1, 7, 5)) and torch.equal(b, torch.ones(1, 1, 5))
    assert not torch.equal(coder.weight, w)


# ---------------------------------------------------------------- the whole
@pytest.mark.parametrize("least", [-1, 0])
@pytest.mark.parametrize("name", NAMES)
def test_layers_learn_one_after_the_other_as_by_autograd(name, least):
    model, twin, data = network(name, runs=1), network(name, runs=1), Batches(least)
    history = pretrain(model, data, least=least, seed=5)
    costs = by_autograd(twin, data, least, seed=5)
    assert_alike(model, twin)
    recorded = history["reconstruction_cost"]
    assert recorded.shape == (pretraining.RECORDS + 1, 1, model.depth)
    assert np.allclose(recorded[-1, 0], costs, rtol=1e-10)
    assert history["reconstruction_update"].tolist() == [UPDATES * i // 20 for i in range(21)]
    assert history.axes["reconstruction_cost"] == ("reconstruction_update", "run", "layer")


def test_runs_of_a_stack_are_single_runs():
    schemes, seeds = ["standard", "normalized", "standard"], [3, 3, 8]
    model = network(scheme=schemes, seed=seeds)
    singles = [model.run(r) for r in range(3)]
    costs = pretrain(model, seed=2)["reconstruction_cost"]
    for r, single in enumerate(singles):
        found = pretrain(single, seed=2)["reconstruction_cost"]
        assert_alike(model.run(r), single)
        assert np.allclose(found[:, 0], costs[:, r], rtol=1e-10)


@pytest.mark.parametrize("own", [False, True], ids=["one stream", "own streams"])
def test_each_run_may_have_noise_and_data_of_its_own(own):
    seeds = [2, 9, 2]
    model = network(seed=[0, 0, 0])
    sources = [Batches(seed=s) for s in seeds]
    singles = [model.run(r) for r in range(3)]
    found = pretrain(model, training.PerRun(sources) if own else Batches(), seed=seeds)
    for r, single in enumerate(singles):
        history = pretrain(single, sources[r] if own else Batches(), seed=seeds[r])
        assert_alike(model.run(r), single)
        costs = found["reconstruction_cost"][:, r]
        assert np.allclose(costs, history["reconstruction_cost"][:, 0], rtol=1e-10)
    assert not torch.equal(model.weights[0][0], model.weights[0][1])
    assert_equal(model.weights[0][0], model.weights[0][2])


def test_runs_that_start_alike_are_trained_once(monkeypatch):
    made = []
    first = pretraining.AutoEncoder.__init__

    def count(self, weight, *rest):
        made.append(len(weight))
        first(self, weight, *rest)

    monkeypatch.setattr(pretraining.AutoEncoder, "__init__", count)
    model = network(seed=[4, 4, 1], dtype=torch.float32)
    alone = model.run(0)
    pretrain(model)
    assert made == [2, 2]
    pretrain(alone)
    assert all(torch.equal(w[0], w[1]) for w in model.weights)
    assert not torch.equal(model.weights[0][0], model.weights[0][2])
    assert torch.allclose(model.weights[1][1], alone.weights[1][0], atol=1e-6)
    for layer in range(3):  # the output layer may differ: it takes no part
        model = network(seed=[4, 4, 4])
        model.biases[layer][1] += 1
        made.clear()
        pretrain(model, updates=1)
        assert made == ([1, 1] if layer == 2 else [2, 2])


def test_the_output_layer_is_left_alone():
    model = network()
    weight, bias = model.weights[-1].clone(), model.biases[-1].clone()
    pretrain(model)
    assert torch.equal(model.weights[-1], weight) and torch.equal(model.biases[-1], bias)


def test_without_updates_nothing_changes():
    model, twin = network(), network()
    history = pretrain(model, updates=0)
    assert all(torch.equal(v, twin.parameters[name]) for name, v in model.parameters.items())
    assert history["reconstruction_update"].tolist() == [0]


def test_how_updates_are_cut_into_blocks_changes_nothing(monkeypatch):
    model, twin = network(), network()
    pretrain(model)
    monkeypatch.setattr(pretraining, "MOST", 1)
    pretrain(twin)
    assert_alike(twin, model)


def test_it_repeats_bit_for_bit_and_learns_shapeset():
    found = []
    for _ in range(2):
        model = models.MLP([1024, 30, 20, 9], "tanh", scheme="standard")
        stream = shapeset.Stream(10, 1)
        history = pretraining.pretrain_(model, stream, 300, 0.01, progress=False)
        found.append((model, history["reconstruction_cost"]))
    (model, costs), (twin, again) = found
    assert all(torch.equal(v, twin.parameters[name]) for name, v in model.parameters.items())
    assert np.array_equal(costs, again)
    # A coin for each input would cost 1024 ln 2 = 710 nats; what one grey for all costs is less.
    assert (costs[-1] < 0.95 * costs[0]).all() and abs(costs[0, 0, 0] - 710) < 40


def test_settings_of_the_process_are_put_back():
    before = torch.get_num_threads()
    history = pretrain(network(), updates=1, threads=before + 1)
    assert history.provenance["threads"] == history.config["threads"] == before + 1
    assert torch.get_num_threads() == before and not torch.is_inference_mode_enabled()


def test_what_determines_it_is_kept():
    history = pretrain(model := network(), corruption=0.1, seed=[1, 2, 3])
    config = history.config
    assert (config["corruption"], config["noise"], config["updates"]) == (0.1, [1, 2, 3], UPDATES)
    assert (config["learning_rate"], config["least"], config["kernel"]) == (RATE, -1, "default")
    assert config["data"] == {"least": -1, "seed": 0}
    assert config["model"]["start"] == training.digest(network().parameters)
    assert config["model"]["start"] != training.digest(model.parameters)


# ---------------------------------------------------------------- the noise
def test_noise_sets_its_share_to_zero():
    keep = pretraining.Noise(0.25, seed=0, layer=0).keep(100, 10, 1000)
    assert keep.shape == (1000, 1000)
    # One in a million draws has a standard error of sqrt(.25 * .75 / 1e6) = .00043.
    assert abs(float(keep.double().mean()) - 0.75) < 0.0022
    assert abs(float((keep[:, 1:] & keep[:, :-1]).double().mean()) - 0.5625) < 0.003
    assert pretraining.Noise(0, 0, 0).keep(2, 3, 4).all()


def test_noise_is_a_function_of_its_arguments():
    whole = pretraining.Noise(0.5, 1, 2).keep(4, 3, 5)
    noise = pretraining.Noise(0.5, 1, 2)
    assert torch.equal(torch.cat([noise.keep(1, 3, 5), noise.keep(3, 3, 5)]), whole)
    for other in ((2, 2), (1, 3), (1, 2, 1)):
        assert not torch.equal(pretraining.Noise(0.5, *other).keep(4, 3, 5), whole)


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"updates": -1}, "updates must be a whole number of at least 0, not -1"),
        ({"updates": 1.5}, "updates must be a whole number"),
        ({"learning_rate": 0}, "learning_rate must be positive and finite, not 0"),
        ({"learning_rate": float("inf")}, "learning_rate must be positive and finite, not inf"),
        ({"learning_rate": [0.1, 0.2]}, "learning_rate must be positive"),
        ({"corruption": 1}, "corruption must be at least 0 and below 1, not 1"),
        ({"corruption": -0.1}, "corruption must be at least 0"),
        ({"least": 0.5}, "least must be -1 or 0, not 0.5"),
        ({"seed": [1, 2]}, "seed must be a whole number, or one for each run, not \\[1, 2\\]"),
        ({"seed": None}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": "one"}, "seed must be a whole number"),
        ({"least": 0}, "inputs must lie between least=0 and 1; some are -"),
        ({"threads": 0}, "threads must be a whole number of at least 1"),
        ({"kernel": "fast"}, "kernel must be one of"),
    ],
)
def test_a_wrong_argument_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        pretrain(network(), **options)


@pytest.mark.parametrize("name", ["relu", "linear"])
def test_layers_that_are_no_probabilities_are_refused(name):
    with pytest.raises(ValueError, match=f"sigmoid, tanh, softsign layers, .* not of {name}"):
        pretrain(network(name))


@pytest.mark.parametrize("value", [float("nan"), 1.5, -3.0])
def test_inputs_that_do_not_fit_are_refused(value):
    def spoil(k, x):
        return torch.full_like(x, value) if k == 3 else x

    with pytest.raises(ValueError, match="inputs must lie between least=-1 and 1; some are"):
        pretrain(network(), Batches(spoil=spoil))


def test_ctrl_c_stops_it_after_whole_layers(monkeypatch):
    monkeypatch.setattr(pretraining, "MOST", 1)
    monkeypatch.setattr(pretraining, "RECORDS", 1)  # at the start and at the end of a layer
    drawn = []

    def interrupt(k, x):
        drawn.append(k)
        if k == 190:  # measuring layer 1 draws up to 175
            os.kill(os.getpid(), signal.SIGINT)
        return x

    model, start, whole = network(), network(), network()
    pretrain(whole, updates=100)
    with pytest.raises(KeyboardInterrupt, match="stopped in the pre-training of layer 2"):
        pretrain(model, Batches(spoil=interrupt), updates=100)
    assert torch.equal(model.weights[0], whole.weights[0]), "this layer was done"
    assert torch.equal(model.weights[1], start.weights[1])
    assert 190 in drawn and not {192, 193, 199} & set(drawn), "and at once, not at the next record"
