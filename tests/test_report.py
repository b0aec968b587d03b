"""The check-up: the same numbers as our own measurements, nothing changed, planted faults found."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib import init, instruments, models
from course_lib.report import as_module, report

INPUTS, CLASSES = 50, 6


def batch(examples=200, dtype=torch.float32, shape=(INPUTS,)):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(examples, *shape, generator=generator, dtype=torch.float64) * 2 - 1
    return x.to(dtype), torch.randint(0, CLASSES, (examples,), generator=generator)


def chain(activation, depth, scheme="standard", width=50):
    """An nn.Sequential of `depth` hidden layers; weights from our schemes, biases 0."""
    generator = torch.Generator().manual_seed(0)
    parts, sizes = [], [INPUTS, *depth * [width], CLASSES]
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        init.fill_(linear.weight.mT, scheme, generator)
        linear.bias.data.zero_()
        parts += [linear, activation()]
    return nn.Sequential(*parts[:-1])


def convolutional():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 6, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(6 * 4 * 4, CLASSES),
        )


# ---- the numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softsign", "relu", "linear"])
def test_equal_for_our_network_and_its_twin(activation):
    model = models.MLP([INPUTS, 30, 20, CLASSES], activation, dtype=torch.float64, seed=3)
    data = batch(dtype=torch.float64)
    ours, twin = report(model, data), report(as_module(model), data)
    assert str(ours) == str(twin)
    np.testing.assert_array_equal(
        [[getattr(row, name) for name in NUMBERS] for row in ours.rows],
        [[getattr(row, name) for name in NUMBERS] for row in twin.rows],
    )


NUMBERS = (
    "fan_in",
    "weight_std",
    "activation_std",
    "saturated",
    "gradient_std",
    "weight_gradient",
    "dead",
)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softsign", "relu"])
def test_numbers_are_those_of_the_instruments(activation):
    """Through hooks and autograd the same numbers as through our own backward pass."""
    model = models.MLP([INPUTS, 30, 20, CLASSES], activation, dtype=torch.float64, seed=3)
    model.weights[0].mul_(6)  # so that something saturates
    images, labels = batch(dtype=torch.float64)
    names = ("activation_std", "activation_saturated", "back_propagated_std", "cost")
    plain = instruments.measure(model, images, labels, names)
    found = report(model, (images, labels))
    assert found.cost == pytest.approx(plain["cost"][0], rel=1e-12) and found.examples == 200
    hidden = found.rows[:-1]
    std = [row.activation_std for row in hidden]
    np.testing.assert_allclose(std, plain["activation_std"][0], rtol=1e-10)
    gradient = [row.gradient_std for row in found.rows]
    np.testing.assert_allclose(gradient, plain["back_propagated_std"][0], rtol=1e-10)
    if activation == "relu":
        assert all(math.isnan(row.saturated) for row in hidden)
    else:
        share = [row.saturated for row in hidden]
        np.testing.assert_allclose(share, plain["activation_saturated"][0], rtol=1e-6)
        assert share[0] > 0.05


def test_weights_are_compared_with_the_initial_ones():
    rows = report(chain(nn.Tanh, 3, "standard"), batch()).rows
    assert [row.fan_in for row in rows] == [50] * 4
    # sqrt(1/3) = 0.577; the std of n uniform draws is off by a share sqrt(1/(5n)), n >= 300.
    assert all(row.weight_std == pytest.approx(3**-0.5, rel=4 * (1 / 1500) ** 0.5) for row in rows)
    rows = report(chain(nn.Tanh, 3, "normalized"), batch()).rows
    assert rows[1].weight_std == pytest.approx(1, rel=4 * (1 / 12500) ** 0.5)


def test_weight_gradient_is_relative_to_the_weight():
    net, (x, y) = chain(nn.Tanh, 2), batch()
    rows = report(net, (x, y)).rows
    F.cross_entropy(net(x), y).backward()
    for row, linear in zip(rows, net[::2], strict=True):
        weight = linear.weight
        assert row.weight_gradient == pytest.approx(
            (weight.grad.norm() / weight.norm()).item(), 1e-5
        )


def test_more_examples_change_no_number_much():
    """Statistics of gradients are per example: the batch seen twice gives the same table."""
    net, (x, y) = chain(nn.Tanh, 3), batch()
    once, twice = report(net, (x, y)), report(net, (x.repeat(2, 1), y.repeat(2)))
    for a, b in zip(once.rows, twice.rows, strict=True):
        assert a.gradient_std == pytest.approx(b.gradient_std, rel=1e-5)
        assert a.weight_gradient == pytest.approx(b.weight_gradient, rel=1e-5)


# ---- nothing changes -------------------------------------------------------------------------


def state_of(net):
    state = {name: value.clone() for name, value in net.state_dict().items()}
    return state, [p.grad for p in net.parameters()], [m.training for m in net.modules()]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("with_gradients", [True, False])
def test_leaves_the_network_as_it_was(training, with_gradients):
    net, data = convolutional(), batch(shape=(1, 10, 10))
    net.train(training)
    net[0].eval()  # a mixed mode stays mixed
    if with_gradients:
        F.cross_entropy(net(data[0]), data[1]).backward()
        net.zero_grad(set_to_none=False)
        net[0].weight.grad.fill_(7)
    state, gradients, modes = state_of(net)
    random, inputs = torch.random.get_rng_state(), data[0].clone()
    first = report(net, data)
    after, gradients_after, modes_after = state_of(net)
    assert all(torch.equal(state[name], after[name]) for name in state) and modes == modes_after
    assert all(a is b for a, b in zip(gradients, gradients_after, strict=True))
    if with_gradients:
        assert (net[0].weight.grad == 7).all()
    assert torch.equal(torch.random.get_rng_state(), random)
    assert torch.equal(data[0], inputs)
    assert not any(module._forward_hooks for module in net.modules())
    assert str(report(net, data)) == str(first)


def test_leaves_the_random_state_alone_for_our_network():
    random = torch.random.get_rng_state()
    report(models.MLP([INPUTS, 20, CLASSES], "tanh"), batch())
    assert torch.equal(torch.random.get_rng_state(), random)


def test_leaves_the_network_as_it_was_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("a reader's mistake")

    net = nn.Sequential(nn.Linear(INPUTS, 8), nn.BatchNorm1d(8), Broken())
    state, _, _ = state_of(net)
    with pytest.raises(RuntimeError, match="mistake"):
        report(net, batch())
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_works_inside_no_grad():
    with torch.no_grad():
        inside = report(chain(nn.Tanh, 2), batch())
    assert str(inside) == str(report(chain(nn.Tanh, 2), batch()))


# ---- findings --------------------------------------------------------------------------------

FINE = ["nothing stands out: activations and gradients hold through the layers"]


def test_a_healthy_network():
    assert report(chain(nn.Tanh, 5, "normalized"), batch()).findings == FINE


def test_too_few_layers_for_a_trend_are_told():
    (finding,) = report(chain(nn.Tanh, 2, "normalized"), batch()).findings
    assert finding == "nothing stands out; a trend needs 3 hidden layers, here are 2"


def test_signals_that_shrink_by_a_known_factor():
    """Standard weights have n Var[W] = 1/3: a factor 1.73 a layer, Eqs. (5) and (6), and a little
    more by the slope of tanh."""
    shrunk = report(chain(nn.Tanh, 8, "standard"), batch()).findings[:2]
    assert shrunk[0].startswith("activations shrink ") and shrunk[0].endswith("the output")
    assert shrunk[1].startswith("gradients shrink ") and shrunk[1].endswith("towards the input")
    for finding in shrunk:
        # Each layer's factor is off by some sqrt(1/50) = 14 %, the mean of seven by 5 %; thrice.
        assert float(finding.split()[2].removesuffix("-fold")) == pytest.approx(1.75, rel=0.15)


def test_activations_and_gradients_that_grow():
    """Linear layers with weights of n Var[W] = 4: both double from layer to layer."""
    net = chain(nn.Identity, 6, "normalized")
    for linear in net[::2]:
        linear.weight.data.mul_(2)
    found = report(net, batch()).findings
    assert found[0].startswith("activations grow ") and found[0].endswith("towards the output")
    assert found[1].startswith("gradients grow ") and found[1].endswith("towards the input")
    for finding in found[:2]:
        # Each layer's factor is off by some sqrt(1/50) = 14 %, the mean of five by 6 %; thrice.
        assert float(finding.split()[2].removesuffix("-fold")) == pytest.approx(2, rel=0.2)


def test_saturated_layers_are_named():
    net = chain(nn.Tanh, 3, "normalized")
    net[2].weight.data.mul_(40)
    found = report(net, batch())
    assert found.rows[1].saturated > 0.8 and found.rows[0].saturated < 0.1
    share = f"{found.rows[1].saturated:.0%}"
    assert f"2: {share} of its activations are saturated" in found.findings
    assert not any(finding.startswith(("0:", "4:")) for finding in found.findings)


def test_dead_units_are_counted():
    net = chain(nn.ReLU, 3, "normalized")
    for linear in net[::2]:
        linear.weight.data.mul_(0.1)
        linear.bias.data.fill_(1)  # so that no other unit is dead
    net[2].bias.data[:20] = -1e3
    found = report(net, batch())
    assert [row.dead for row in found.rows[:3]] == pytest.approx([0, 0.4, 0])
    assert [f for f in found.findings if "fire" in f] == ["2: 40% of its ReLU units never fire"]


def test_a_unit_that_fires_at_times_is_not_dead():
    net, (x, y) = chain(nn.ReLU, 1), batch()
    off = (net[:2](x) == 0).double().mean(0)
    assert 0.2 < off.mean() < 0.8
    row = report(net, (x, y)).rows[0]
    assert row.dead == pytest.approx((off == 1).double().mean().item())


def test_a_dead_layer_cuts_the_gradient():
    net = chain(nn.ReLU, 4, "normalized")
    net[4].bias.data.fill_(-1e3)
    net[6].bias.data.fill_(0.5)
    found = report(net, batch()).findings
    # Layer 4 is 0, layer 6 nothing but its bias.
    assert "activations have no spread in 2 of 4 hidden layers" in found
    assert "gradients have no spread in 3 of 4 hidden layers" in found
    assert "4: 100% of its ReLU units never fire" in found


def test_uneven_layers_are_told():
    net = chain(nn.Tanh, 2, "normalized")
    net[0].weight.data.mul_(1e-3)
    net[2].weight.data.mul_(30)
    assert any("relative weight gradients differ" in f for f in report(net, batch()).findings)


def test_a_cost_that_is_not_finite():
    net = chain(nn.ReLU, 3)
    net[2].weight.data.fill_(float("nan"))
    expected = ["the cost or an activation is not finite: lower the learning rate or the weights"]
    assert report(net, batch()).findings == expected
    net = chain(nn.ReLU, 3)
    net[2].weight.data.fill_(1e38)
    assert report(net, batch()).findings == expected


# ---- anyone's network ------------------------------------------------------------------------


def test_convolutions_batch_norm_and_dropout():
    net = convolutional()
    rows = report(net, batch(shape=(1, 10, 10))).rows
    assert [row.name for row in rows] == ["0", "3", "7"]
    assert [row.kind for row in rows] == ["Conv2d + ReLU", "Conv2d + ReLU", "Linear"]
    assert [row.fan_in for row in rows] == [9, 36, 96]
    assert all(math.isfinite(row.gradient_std) for row in rows)


def test_activations_called_as_functions():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(INPUTS, INPUTS) for _ in range(3))
            self.top = nn.Linear(INPUTS, CLASSES)

        def forward(self, x):
            for layer in self.layers:
                x = torch.tanh(layer(x))
            return self.top(x)

    net, (x, y) = Net(), batch()
    rows = report(net, (x, y)).rows
    assert [row.name for row in rows] == ["layers.0", "layers.1", "layers.2", "top"]
    assert [row.kind for row in rows] == ["Linear"] * 4
    s = net.layers[0](x)
    assert rows[0].activation_std == pytest.approx(s.std(correction=0).item(), rel=1e-5)
    assert math.isnan(rows[0].saturated)


def test_a_single_layer_and_an_unused_one():
    rows = report(nn.Linear(INPUTS, CLASSES), batch()).rows
    assert [row.name for row in rows] == ["(itself)"]
    net = chain(nn.Tanh, 1)
    net[0].unused = nn.Linear(3, 3)  # never called: not in the table
    net[0].forward = lambda x, linear=net[0]: F.linear(x, linear.weight, linear.bias)
    assert len(report(net, batch()).rows) == 1


def test_frozen_layers():
    net = chain(nn.Tanh, 2)
    net[0].requires_grad_(False)
    rows = report(net, batch()).rows
    assert math.isnan(rows[0].weight_gradient) and rows[1].weight_gradient > 0
    net.requires_grad_(False)
    with pytest.raises(ValueError, match="no gradient reaches any weight: are they all frozen"):
        report(net, batch())


def test_embeddings_take_whole_numbers():
    net = nn.Sequential(nn.Embedding(10, 8), nn.Flatten(), nn.Linear(24, CLASSES))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 10, (40, 3), generator=generator)
    rows = report(net, (tokens, batch(40)[1])).rows
    assert [row.kind for row in rows] == ["Embedding", "Linear"]


def test_costs():
    net, (x, y) = chain(nn.Tanh, 2), batch()
    assert report(net, (x, y)).cost == pytest.approx(F.cross_entropy(net(x), y).item())
    target = F.one_hot(y, CLASSES).float()
    assert report(net, (x, target)).cost == pytest.approx(F.mse_loss(net(x), target).item())
    own = report(net, (x, y), loss=lambda out, y: 3 * F.cross_entropy(out, y))
    assert own.cost == pytest.approx(3 * F.cross_entropy(net(x), y).item())
    usual = report(net, (x, y)).rows[0]
    assert own.rows[0].gradient_std == pytest.approx(3 * usual.gradient_std, rel=1e-5)


# ---- what is shown ---------------------------------------------------------------------------


def test_text_and_html_hold_the_table_and_the_findings():
    found = report(chain(nn.Tanh, 8, "standard"), batch())
    lines = str(found).splitlines()
    assert lines[0] == f"200 examples, cost {found.cost:.3f}" and len(lines) >= 12
    assert lines[2].startswith("0 (Linear + Tanh)") and lines[11] == f"* {found.findings[0]}"
    page = found._repr_html_()
    assert page.count("<tr>") == 10 and f"<li>{found.findings[0]}</li>" in page
    assert page.count("<th scope=") == page.count("<td>") / 9 == 7


def test_html_is_escaped():
    net = nn.Sequential()
    net.add_module("<b>", nn.Linear(INPUTS, CLASSES))
    assert "<b>" not in report(net, batch())._repr_html_()


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(3, INPUTS), r"batch must be a pair \(inputs, targets\)"),
        (7, r"batch must be a pair \(inputs, targets\)"),
        ((torch.zeros(3, INPUTS), torch.zeros(4, dtype=torch.int64)), "3 inputs and 4 targets"),
        ((torch.zeros(0, INPUTS), torch.zeros(0, dtype=torch.int64)), "0 inputs and 0 targets"),
        ((np.zeros((3, INPUTS)), torch.zeros(3)), "inputs must be a tensor.*not ndarray"),
        ((torch.zeros(3, INPUTS), [0, 1, 2]), "targets must be a tensor.*not list"),
        ((torch.zeros(3, INPUTS), torch.zeros(3)), r"shape \(3,\) do not fit .* \(3, 6\)"),
        ((torch.full((3, INPUTS), torch.nan), torch.zeros(3)), "not finite"),
        ((torch.full((3, INPUTS), torch.inf), torch.zeros(3)), "not finite"),
    ],
)
def test_wrong_batches_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        report(chain(nn.Tanh, 2), bad)


def test_wrong_modules_are_named():
    with pytest.raises(ValueError, match="an nn.Module or an MLP, not function"):
        report(lambda x: x, batch())
    with pytest.raises(ValueError, match="Tanh has no layer with a weight matrix"):
        report(nn.Tanh(), batch())
    with pytest.raises(ValueError, match=r"this model has 3: use model.run\(r\)"):
        report(models.MLP([INPUTS, CLASSES], "tanh", runs=3), batch())
