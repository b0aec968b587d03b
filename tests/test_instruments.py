"""Measurements against plain numpy on the same trace; hooks against gradients taken by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import instrumentation
from course_lib import activations, backprop, instruments, models, sweeps

PERCENTILES = (0, 2, 37.5, 50, 98, 100)
EDGES = {kind: np.linspace(-9, 9, 40) for kind in instruments.KINDS}  # hold every value below
EVERYTHING = instruments.QUANTITIES


def problem(activation="tanh", runs=2, sizes=(6, 5, 4, 3), examples=50):
    model = models.MLP(sizes, activation, runs=runs, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for bias in model.biases:
        bias.copy_(torch.rand(bias.shape, generator=generator, dtype=torch.float64) - 0.5)
    x = torch.rand(examples, sizes[0], generator=generator, dtype=torch.float64) * 6 - 3
    return model, x, torch.randint(0, sizes[-1], (examples,), generator=generator)


def values_of(model, x, labels):
    """What each kind's layers hold, as numpy arrays with the run axis first."""
    trace = model(x)
    gradients = backprop.gradients(model, trace, labels)
    layers = {
        "activation": trace.activations[1:],
        "pre_activation": trace.pre_activations,
        "back_propagated": gradients.pre_activations,
        "weight_gradient": gradients.weights,
    }
    return {kind: [value.numpy() for value in values] for kind, values in layers.items()}


# ---- statistics ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", activations.NAMES)
def test_statistics_equal_plain_numpy(activation):
    model, x, labels = problem(activation)
    found = instruments.measure(model, x, labels, EVERYTHING, PERCENTILES, EDGES)
    assert list(found) == list(EVERYTHING)
    plain = {
        "mean": np.mean,
        "std": np.std,
        "percentiles": lambda v: np.percentile(v, PERCENTILES),
    }
    for kind, layers in values_of(model, x, labels).items():
        for statistic, function in plain.items():
            expected = np.array([[function(layer[run]) for layer in layers] for run in range(2)])
            name = f"{kind}_{statistic}"
            np.testing.assert_allclose(found[name], expected, rtol=1e-12, atol=1e-14, err_msg=name)
            assert found[name].dtype == np.float64
        shares = np.array(
            [
                [np.histogram(layer[run], EDGES[kind])[0] / layer[run].size for layer in layers]
                for run in range(2)
            ]
        )
        np.testing.assert_array_equal(found[f"{kind}_histogram"], shares)
        np.testing.assert_allclose(found[f"{kind}_histogram"].sum(-1), 1, rtol=1e-12)


def test_values_outside_the_bins_count_in_the_shares():
    model, x, labels = problem("linear")
    names = ["activation_histogram"]
    edges = {"activation": [0, np.inf]}
    found = instruments.measure(model, x, labels, names, edges=edges)["activation_histogram"]
    for layer, z in enumerate(values_of(model, x, labels)["activation"]):
        np.testing.assert_allclose(found[:, layer, 0], (z >= 0).mean((1, 2)), rtol=1e-12)
    assert (found < 0.9).all()


def test_saturated_share_has_the_bounds_of_the_paper():
    # Weights 1 and a linear sum make the activation any value that is wanted.
    for activation, inverse, bounds in (
        ("tanh", np.arctanh, (-0.9, 0.9)),
        ("sigmoid", lambda z: np.log(z / (1 - z)), (0.05, 0.95)),
    ):
        model = models.MLP([1, 1, 2], activation, dtype=torch.float64)
        model.weights[0].fill_(1)
        low, high = bounds
        middle = (low + high) / 2
        z = [low - 1e-9, low + 1e-9, middle, high - 1e-9, high + 1e-9]
        x = torch.tensor(inverse(np.array(z)))[:, None]
        labels = torch.zeros(5, dtype=torch.int64)
        found = instruments.measure(model, x, labels, ["activation_saturated"])
        assert found["activation_saturated"].tolist() == [[2 / 5]]


@pytest.mark.parametrize("name", activations.NAMES)
def test_saturated_share_is_that_of_the_activation(name):
    activation = activations.get(name)
    for dtype in (torch.float32, torch.float64):
        s = 4 * torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)).to(dtype)
        z = activation.function(s)
        before = z.clone()
        found = instruments.statistics([z], ["saturated"], activation=activation)["saturated"]
        assert found[:, 0].tolist() == (activation.saturated(z).sum(1).double() / 1000).tolist()
        assert torch.equal(z, before)


def test_cost_error_and_the_parts_of_the_logits():
    model, x, labels = problem()
    names = ["cost", "error", "logit_weight_rms", "logit_bias_rms"]
    found = instruments.measure(model, x, labels, names)
    trace = model(x)
    for run in range(2):
        logits = trace.logits[run]
        cost = nn.functional.cross_entropy(logits, labels).item()
        assert found["cost"][run] == pytest.approx(cost, rel=1e-12)
        wrong = (logits.argmax(1) != labels).double().mean().item()
        assert found["error"][run] == pytest.approx(wrong, rel=1e-12)
        wh = trace.activations[-1][run] @ model.weights[-1][run]
        assert found["logit_weight_rms"][run] == pytest.approx(
            wh.square().mean().sqrt().item(), rel=1e-12
        )
        bias = model.biases[-1][run]
        assert found["logit_bias_rms"][run] == pytest.approx(
            bias.square().mean().sqrt().item(), rel=1e-12
        )


def test_back_propagated_gradients_are_per_example():
    """Seeing every example twice changes no statistic: neither kind is summed over the batch."""
    model, x, labels = problem()
    names = ["back_propagated_std", "weight_gradient_std", "back_propagated_percentiles"]
    once = instruments.measure(model, x, labels, names[:2])
    twice = instruments.measure(model, x.repeat(2, 1), labels.repeat(2), names[:2])
    for name in names[:2]:
        np.testing.assert_allclose(once[name], twice[name], rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (4, 1001)])
def test_percentiles_are_those_of_numpy(shape, dtype):
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    asked = [0, 0.1, 25, 50, 99.9, 100]
    found = instruments.statistics([rows, 2 * rows], ["percentiles"], asked)["percentiles"]
    expected = np.percentile(rows.double().numpy(), asked, axis=1).T
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[:, 1], 2 * expected, rtol=1e-12, atol=1e-15)


def test_statistics_of_float32_values_are_those_of_numpy_in_double():
    """Also where mean and std differ by decades, and where squares leave the range of float32."""
    draws = torch.randn(3, 40, 50, generator=torch.Generator().manual_seed(0))
    for values in (draws, 1 + 1e-5 * draws, 1e-30 * draws, 1e30 * draws):
        layers = [values.flatten(1), values[:, :7].flatten(1)]
        found = instruments.statistics(layers, ("std", "mean"))
        assert list(found) == ["std", "mean"]
        for layer, rows in enumerate(layers):
            exact = rows.double().numpy()
            for name, function in (("mean", np.mean), ("std", np.std)):
                np.testing.assert_allclose(
                    found[name][:, layer], function(exact, axis=1), rtol=1e-10, err_msg=name
                )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_histograms_count_as_numpy_also_values_on_an_edge(dtype):
    """Edges such as .1 are no float32 numbers: 0.1 in float32 lies above the edge .1."""
    values = torch.arange(-30, 31).double() / 10
    grid = torch.cat([values, values.nextafter(values - 1), torch.tensor([math.inf, -math.inf])])
    rows = torch.stack([grid, grid.flip(0) / 2]).to(dtype)
    exact = rows.double().numpy()
    for edges in (
        [k / 10 for k in range(-30, 31)],
        np.linspace(-0.3, 0.3, 7),
        [-3, 3],
        [0.1, np.inf],
        [-np.inf, 1e300],
        [-1e300, 0, 0.30000001192092896],
    ):
        found = instruments.statistics([rows], ["histogram"], edges=edges)["histogram"]
        expected = [np.histogram(row, edges)[0] / len(row) for row in exact]
        np.testing.assert_array_equal(found[:, 0], expected, err_msg=f"{edges}")


def test_statistics_of_a_diverged_run_are_nan_and_those_of_others_are_not():
    rows = torch.tensor([[1.0, math.nan, 3.0], [1.0, 2.0, 3.0]])
    names = ("mean", "std", "percentiles", "histogram")
    found = instruments.statistics([rows, rows], names, [0, 50], [0.0, 1.5, 2.5])
    assert all(found[name][0].isnan().all() for name in names)
    assert found["mean"][1].tolist() == [2, 2]
    assert found["percentiles"][1].tolist() == [[1, 2], [1, 2]]
    np.testing.assert_allclose(found["histogram"][1], [[1 / 3, 1 / 3]] * 2, rtol=1e-15)
    infinite = torch.full((1, 3), math.inf)
    assert (
        not instruments.statistics([infinite], ["percentiles"], [0, 50])["percentiles"]
        .isfinite()
        .any()
    )


def test_statistics_leave_the_values_as_they_are():
    for dtype in (torch.float32, torch.float64):
        rows = torch.randn(2, 100, generator=torch.Generator().manual_seed(0), dtype=dtype)
        before = rows.clone()
        instruments.statistics(
            [rows], instruments.STATISTICS + ("saturated",), (2,), [0, 1], activations.get("tanh")
        )
        assert torch.equal(rows, before)


def test_one_quantity_is_the_same_beside_others_and_alone():
    model, x, labels = problem("sigmoid")
    together = instruments.measure(model, x, labels, EVERYTHING, PERCENTILES, EDGES)
    for name in EVERYTHING:
        alone = instruments.measure(model, x, labels, [name], PERCENTILES, EDGES)
        assert list(alone) == [name]
        np.testing.assert_allclose(alone[name], together[name], rtol=1e-12, err_msg=name)


def test_many_examples_go_through_the_network_in_parts():
    model, _, _ = problem()
    count = 2 * instruments.PART + 1
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(count, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (count,), generator=generator)
    names = ["error", "cost", "logit_weight_rms"]
    parts = instruments.measure(model, x, labels, names)
    whole = instruments.measure(model, x, labels, [*names, "activation_mean"])
    for name in names:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-12, err_msg=name)


def test_a_stack_measures_as_its_runs_alone():
    model, x, labels = problem(runs=3)
    together = instruments.measure(model, x, labels, EVERYTHING, PERCENTILES, EDGES)
    for run in range(3):
        alone = instruments.measure(model.run(run), x, labels, EVERYTHING, PERCENTILES, EDGES)
        for name in EVERYTHING:
            np.testing.assert_allclose(
                together[name][run], alone[name][0], rtol=1e-12, atol=1e-14, err_msg=name
            )


def test_nothing_waits_for_a_device_before_the_one_transfer(monkeypatch):
    """Tensors of the device "meta" have shapes but no values: reading one raises."""
    model = models.MLP([6, 5, 4, 3], "tanh", runs=2, device="meta")
    _, x, labels = problem()
    transfers = []

    def fetched(tensors):
        transfers.append(tensors)
        return {name: np.zeros(tensor.shape) for name, tensor in tensors.items()}

    monkeypatch.setattr(instruments, "_fetched", fetched)
    found = instruments.measure(model, x, labels, EVERYTHING, PERCENTILES, EDGES)
    (tensors,) = transfers
    assert all(tensor.is_meta and tensor.dtype == torch.float64 for tensor in tensors.values())
    model, _, _ = problem()
    monkeypatch.undo()
    here = instruments.measure(model, x, labels, EVERYTHING, PERCENTILES, EDGES)
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in here.items()
    }


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA GPU")
def test_a_gpu_measures_as_the_processor():
    model, x, labels = problem()
    there = models.MLP(model.sizes, "tanh", runs=2, dtype=torch.float64, device="cuda")
    for name, value in there.parameters.items():
        value.copy_(model.parameters[name])
    expected = instruments.measure(model, x, labels, EVERYTHING, PERCENTILES, EDGES)
    found = instruments.measure(there, x, labels, EVERYTHING, PERCENTILES, EDGES)
    for name in EVERYTHING:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_measuring_changes_nothing():
    model, x, labels = problem()
    before = {name: value.clone() for name, value in model.parameters.items()}
    state = torch.random.get_rng_state()
    first = instruments.measure(model, x, labels, EVERYTHING, edges=EDGES)
    second = instruments.measure(model, x, labels, EVERYTHING, edges=EDGES)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert all(torch.equal(before[name], value) for name, value in model.parameters.items())
    assert torch.equal(torch.random.get_rng_state(), state)


# ---- monitors --------------------------------------------------------------------------------


def monitor(**options):
    _, x, labels = problem()
    return instruments.Monitor(x, labels, instruments.every(5), **options)


@pytest.mark.parametrize("name", ["", "test"])
def test_axes_match_shapes(name):
    model, _, _ = problem(runs=3)
    watch = monitor(quantities=EVERYTHING, percentiles=(2, 98), edges=EDGES, name=name)
    length = {"run": 3, "layer": 2, "matrix": 3, watch.prefixed("percentile"): 2}
    length[watch.prefixed("example")] = len(watch.images)
    length |= {watch.prefixed(f"{kind}_bin"): 39 for kind in instruments.KINDS}
    found = watch.measure(model)
    assert found.keys() == set(EVERYTHING)
    for quantity, values in found.items():
        update, *axes = watch.axes(quantity)
        assert update == watch.prefixed("update")
        assert values.shape == tuple(length[axis] for axis in axes), quantity
    coordinates = watch.coordinates
    assert coordinates[watch.prefixed("percentile")].tolist() == [2, 98]
    np.testing.assert_array_equal(
        coordinates[watch.prefixed("activation_edges")], EDGES["activation"]
    )
    assert watch.prefixed("cost") == ("test_cost" if name else "cost")


def test_config_tells_monitors_apart():
    _, x, labels = problem()
    base = monitor().config
    changed = x.clone()
    changed[0, 0] += 1e-3
    others = [
        instruments.Monitor(changed, labels, instruments.every(5)),
        instruments.Monitor(x, (labels + 1) % 3, instruments.every(5)),
        instruments.Monitor(x, labels, instruments.every(6)),
        monitor(quantities=["cost"]),
        monitor(percentiles=(50,)),
        monitor(edges={"activation": [0, 1]}),
        monitor(name="test"),
    ]
    assert monitor().config == base
    assert all(other.config != base for other in others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantities": ["activation_men"]}, "'activation_men'; choose from activation_mean, acti"),
        ({"quantities": ["activation_histogram"]}, r"needs its bins: edges=\{'activation'"),
        ({"edges": {"activation": [0, 1, 1]}}, "edges of activation must be two or more rising"),
        ({"edges": {"activation": [0]}}, "edges of activation must be two or more rising numbers"),
        ({"edges": {"activation": 10}}, "edges of activation .* not 10"),
        ({"percentiles": (101,)}, "percentiles must lie in 0 to 100, not 101"),
        ({"percentiles": (-1,)}, "percentiles must lie in 0 to 100, not -1"),
    ],
)
def test_wrong_monitors_are_refused_when_made(options, message):
    with pytest.raises(ValueError, match=message):
        monitor(**options)


def test_wrong_examples_are_refused():
    model, x, labels = problem()
    always = instruments.every(1)
    for bad in (np.nan, np.inf):
        broken = x.clone()
        broken[3, 2] = bad
        with pytest.raises(ValueError, match=r"images hold values that are not finite"):
            instruments.Monitor(broken, labels, always)
    with pytest.raises(ValueError, match="50 images but 49 labels"):
        instruments.Monitor(x, labels[1:], always)
    with pytest.raises(ValueError, match="0 images"):
        instruments.Monitor(x[:0], labels[:0], always)
    with pytest.raises(ValueError, match="labels must lie in 0 to 2"):
        instruments.measure(model, x, labels + 1, ["error"])
    with pytest.raises(ValueError, match="inputs need shape"):
        instruments.measure(model, x[:, 1:], labels)
    shallow = models.MLP([6, 3], "tanh")
    assert instruments.measure(shallow, x, labels, ["cost"])["cost"].shape == (1,)
    with pytest.raises(ValueError, match="no hidden layer"):
        instruments.measure(shallow, x, labels)


# ---- schedules -------------------------------------------------------------------------------


def due(schedule, last):
    return [step for step in range(last + 1) if schedule(step)]


def test_schedules():
    assert due(instruments.every(3), 10) == [0, 3, 6, 9]
    assert due(instruments.every(1), 3) == [0, 1, 2, 3]
    assert due(instruments.at([7, 2, 2]), 10) == [2, 7]
    assert due(instruments.logarithmic(1), 1000) == [0, 1, 10, 100, 1000]
    assert due(instruments.logarithmic(3), 1000) == [0, 1, 2, 5, 10, 22, 46, 100, 215, 464, 1000]


@pytest.mark.parametrize("per_decade", [1, 2, 5, 10, 20])
def test_logarithmic_hits_every_point_of_its_grid(per_decade):
    grid = {round(10 ** (k / per_decade)) for k in range(4 * per_decade + 1)}
    assert due(instruments.logarithmic(per_decade), 10_000) == sorted({0} | grid)


def test_schedules_have_names_that_tell_them_apart():
    schedules = [
        instruments.every(3),
        instruments.every(4),
        instruments.logarithmic(3),
        instruments.at([1, 2]),
        instruments.at([1, 3]),
    ]
    assert len({schedule.name for schedule in schedules}) == 5
    assert instruments.at([2, 1]).name == instruments.at(range(1, 3)).name


@pytest.mark.parametrize("n", [0, -1, 2.5, "3"])
def test_every_needs_a_whole_number(n):
    with pytest.raises(ValueError, match=f"whole number of at least 1, not {n!r}"):
        instruments.every(n)


def test_logarithmic_needs_at_least_one_point():
    with pytest.raises(ValueError, match="per_decade must be at least 1, not 0"):
        instruments.logarithmic(0)


# ---- record ----------------------------------------------------------------------------------


def torch_problem(*layers, inputs=5, classes=3):
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(*layers).double()
    with torch.no_grad():
        for parameter in net.parameters():
            draws = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(draws - 0.5)
    x = torch.rand(8, inputs, generator=generator, dtype=torch.float64) - 0.5
    return net, x, torch.randint(0, classes, (8,), generator=generator)


def test_record_equals_gradients_taken_by_hand():
    net, x, y = torch_problem(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    with instruments.record(net) as calls:
        nn.functional.cross_entropy(net(x), y).backward()
    s1 = net[0](x)
    z1 = torch.tanh(s1)
    s2 = net[2](z1)
    outputs = [s1, z1, s2]
    expected = torch.autograd.grad(nn.functional.cross_entropy(s2, y), outputs)
    assert [(call.name, call.type) for call in calls] == [
        ("0", "Linear"),
        ("1", "Tanh"),
        ("2", "Linear"),
    ]
    for call, output, gradient in zip(calls, outputs, expected, strict=True):
        assert torch.equal(call.output, output.detach())
        torch.testing.assert_close(call.gradient, gradient, rtol=1e-12, atol=1e-15)
        assert not call.output.requires_grad


def test_record_equals_our_own_network():
    model, x, labels = problem("tanh", runs=1)
    layers = []
    for i, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        linear = nn.Linear(*weight.shape[1:], dtype=torch.float64)
        linear.weight.data, linear.bias.data = weight[0].T, bias[0, 0]
        layers += [linear, nn.Tanh()] if i < model.depth else [linear]
    net = nn.Sequential(*layers)
    with instruments.record(net) as calls:
        nn.functional.cross_entropy(net(x), labels).backward()
    gradients = backprop.gradients(model, model(x), labels)
    for ours, call in zip(gradients.pre_activations, calls[::2], strict=True):
        theirs = call.gradient * len(x)  # theirs are of the mean cost
        torch.testing.assert_close(ours[0], theirs, rtol=1e-10, atol=1e-14)


def test_record_before_an_in_place_relu():
    """The linear layer's output and gradient are those before the ReLU overwrites it."""
    layers = [nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3)]
    net, x, y = torch_problem(*layers)
    with instruments.record(net) as calls:
        nn.functional.cross_entropy(net(x), y).backward()
    s1 = net[0](x)
    z1 = torch.relu(s1)
    cost = nn.functional.cross_entropy(net[2](z1), y)
    ds, dz = torch.autograd.grad(cost, [s1, z1])
    assert (s1 < 0).any() and (s1 > 0).any()
    assert torch.equal(calls[0].output, s1.detach()) and torch.equal(calls[1].output, z1.detach())
    torch.testing.assert_close(calls[0].gradient, ds, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(calls[1].gradient, dz, rtol=1e-12, atol=1e-15)


def test_record_a_module_called_twice_and_autograd_grad():
    net, x, y = torch_problem(nn.Linear(5, 5))
    shared = net[0]

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = shared

        def forward(self, x):
            return self.shared(torch.tanh(self.shared(x)))

    twice = Twice()
    with instruments.record(twice) as calls:
        torch.autograd.grad(nn.functional.cross_entropy(twice(x), y), shared.weight)
    first = shared(x)
    second = shared(torch.tanh(first))
    expected = torch.autograd.grad(nn.functional.cross_entropy(second, y), [first, second])
    assert [call.name for call in calls] == ["shared", "shared"]
    assert shared.weight.grad is None
    for call, output, gradient in zip(calls, [first, second], expected, strict=True):
        assert torch.equal(call.output, output.detach())
        torch.testing.assert_close(call.gradient, gradient, rtol=1e-12, atol=1e-15)


def test_record_nested_modules_and_a_bare_one():
    inner = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
    net, x, y = torch_problem(inner, nn.Linear(4, 3))
    with instruments.record(net) as calls:
        net(x)
    assert [call.name for call in calls] == ["0.0", "0.1", "1"]
    assert all(call.gradient is None for call in calls)
    with instruments.record(net[1]) as calls:
        net(x)
    assert [call.name for call in calls] == ["(itself)"]


def test_record_without_gradients():
    net, x, _ = torch_problem(nn.Linear(5, 3), nn.Tanh())
    with torch.no_grad(), instruments.record(net) as calls:
        z = net(x)
    assert torch.equal(calls[1].output, z) and calls[0].gradient is None


def test_record_skips_outputs_that_are_no_floating_point_tensors():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class Ranks(nn.Module):
        def forward(self, pair):
            return pair[0].argsort(-1)

    net, x, _ = torch_problem(nn.Linear(5, 3), Pair(), Ranks())
    with instruments.record(net) as calls:
        net(x)
    assert [call.type for call in calls] == ["Linear"]


def hooks_of(net):
    return [len(module._forward_hooks) for module in net.modules()]


def test_hooks_are_gone_also_after_an_exception():
    net, x, y = torch_problem(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    with instruments.record(net) as calls:
        assert sum(hooks_of(net)) == 3
        cost = nn.functional.cross_entropy(net(x), y)
    assert sum(hooks_of(net)) == 0
    cost.backward()  # after the block: not recorded any more
    assert all(call.gradient is None for call in calls)
    for bad in (torch.zeros(8, 4, dtype=torch.float64), x):
        with pytest.raises(RuntimeError), instruments.record(net) as calls:
            net(bad)
            raise RuntimeError("a reader's mistake")
        assert sum(hooks_of(net)) == 0
    recorded = len(calls)
    net(x)
    assert len(calls) == recorded == 3


# ---- statistics of what was recorded ----------------------------------------------------------


def test_summary_is_what_numpy_says_of_any_module():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    x, y = 4 * torch.randn(11, 5).double(), torch.randint(0, 3, (11,))
    edges = {"output": np.linspace(-1, 1, 5)}
    with instruments.record(net) as calls:
        nn.functional.cross_entropy(net(x), y, reduction="sum").backward()
    first, tanh, last = instruments.summary(calls, percentiles=(2, 98), edges=edges)
    s = net[0](x).detach()
    z = torch.tanh(s).numpy()
    assert [row["type"] for row in (first, tanh, last)] == ["Linear", "Tanh", "Linear"]
    assert first["output_mean"] == pytest.approx(s.numpy().mean())
    assert tanh["output_std"] == pytest.approx(z.std())
    np.testing.assert_allclose(tanh["output_percentiles"], np.percentile(z, (2, 98)))
    np.testing.assert_allclose(
        tanh["output_histogram"], np.histogram(z, edges["output"])[0] / z.size
    )
    assert tanh["output_saturated"] == (1 - z**2 < 0.19).mean() > 0
    delta = torch.softmax(net(x), -1).detach().numpy() - np.eye(3)[y]
    assert last["gradient_std"] == pytest.approx(delta.std())
    assert last["weight_gradient_std"] == pytest.approx((delta.T @ z).std())
    assert "output_saturated" not in first and "weight_gradient_std" not in tanh


def test_summary_before_backward_has_outputs_only():
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU())
    with instruments.record(net) as calls:
        net(torch.randn(4, 5))
    rows = instruments.summary(calls)
    assert not any(key.startswith(("gradient", "weight")) for row in rows for key in row)
    assert rows[1]["output_saturated"] == float((calls[1].output == 0).double().mean())
    with pytest.raises(ValueError, match="0 to 100, not 101"):
        instruments.summary(calls, percentiles=(101,))


def test_weight_gradients_come_from_autograd_grad_too_and_the_hooks_go():
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    x, y = torch.randn(4, 5), torch.randint(0, 3, (4,))
    with instruments.record(net) as calls:
        cost = nn.functional.cross_entropy(net(x), y)
        found = torch.autograd.grad(cost, list(net.parameters()))
    assert torch.equal(calls[0].weight_gradient, found[0])
    assert torch.equal(calls[2].weight_gradient, found[2])
    assert not any(parameter._backward_hooks for parameter in net.parameters())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"images": np.zeros((3, 4))}, "images must be a tensor, not ndarray"),
        ({"labels": [0, 1, 2]}, "labels must be a tensor, not list"),
        ({"schedule": 100}, "schedule must be callable, such as every\\(100\\), not 100"),
        ({"images": torch.zeros(3, 1, 4)}, "shape \\(B, n_0\\), not \\(3, 1, 4\\)"),
    ],
)
def test_a_monitor_is_refused_when_it_is_made(changes, line):
    given = {
        "images": torch.zeros(3, 4),
        "labels": torch.zeros(3, dtype=torch.int64),
        "schedule": instruments.every(1),
    }
    with pytest.raises(ValueError, match=line):
        instruments.Monitor(**(given | changes))


# ---- what it costs: the benchmark runs, and its shares add up ----------------------------------


def test_the_benchmark_prices_each_watch_and_adds_the_shares(monkeypatch):
    watches = (
        sweeps.Watch(("activation_mean",), ("every", 10), 20),
        sweeps.Watch(("error",), ("at", (100,)), 20, name="end"),
    )
    case = instrumentation.Case("tiny", "tanh", 5, 2, 2, 100, watches)
    # A second a call, 3 an update, 7 a record: 12 records in 100 updates add 84 to 300.
    monkeypatch.setattr(
        instrumentation.Timer, "__call__", lambda _, updates, records: 1 + 3 * updates + 7 * records
    )
    assert instrumentation.share(case, rounds=3, seconds=0) == pytest.approx(
        {
            "tiny: records": 11,
            "tiny: milliseconds a record": 7000,
            "tiny, end: records": 1,
            "tiny, end: milliseconds a record": 7000,
            "tiny: % added to the training": 28,
        }
    )


def test_the_benchmark_runs():
    before = torch.get_num_threads()
    case = instrumentation.full(5, 2, instrumentation.FULL + instrumentation.WEIGHTS, "all")
    numbers = instrumentation.run([case], (5,), rounds=1, seconds=0)
    assert all(math.isfinite(value) for value in numbers.values())
    assert any(label.endswith("% added to the training") for label in numbers)
    assert any(label.startswith("one record at width 5: forward") for label in numbers)
    assert torch.get_num_threads() == before


def test_the_timer_takes_the_records_it_is_asked_for(monkeypatch):
    due = []
    monkeypatch.setattr(instruments.Monitor, "measure", lambda self, model: due.append(1) or {})
    watch = sweeps.Watch(("error",), ("every", 1), 20)
    timer = instrumentation.Timer(instrumentation.Case("", "tanh", 5, 1, 1, 10, (watch,)), watch)
    for records in (0, 1, 7):
        due.clear()
        assert timer(20, records) >= 0 and len(due) == records
