"""Training: R runs equal R single ones, a stopped run ends as if it had never stopped."""

import os
import signal
import threading

import numpy as np
import pytest
import torch

from course_lib import backprop, instruments, models, shapeset, storage, training

SIZES = [12, 10, 8, 4]


class Batches:
    """Random mini-batches, batch k from seed k; `spoil` may change one of them."""

    def __init__(self, size=10, dtype=torch.float32, spoil=None, seed=0):
        self.size, self.dtype, self.spoil, self.seed = size, dtype, spoil, seed
        self.config = {"batch_size": size, "seed": seed}

    def batch(self, k):
        generator = torch.Generator().manual_seed(1000 * self.seed + k)
        x = torch.rand(self.size, SIZES[0], generator=generator, dtype=torch.float64) * 2 - 1
        y = torch.randint(0, SIZES[-1], (self.size,), generator=generator)
        return self.spoil(k, x.to(self.dtype), y) if self.spoil else (x.to(self.dtype), y)


def network(activation="tanh", dtype=torch.float32, runs=2, **options):
    return models.MLP(SIZES, activation, runs=runs, dtype=dtype, **options)


def varied(activation="tanh", dtype=torch.float64):
    return models.MLP(
        SIZES,
        activation,
        runs=4,
        scheme=["standard", "normalized", "standard", "normalized"],
        seed=[3, 3, 0, 8],
        output_bias=[True, False, False, True],
        dtype=dtype,
    )


RATES = [0.05, 0.3, 1.0, 0.01]


def monitors(schedule=None, **options):
    images, labels = Batches(size=30).batch(10**6)
    quantities = ("activation_std", "activation_percentiles", "cost", "error")
    schedule = schedule or instruments.every(7)
    return [instruments.Monitor(images, labels, schedule, quantities, (2, 98), **options)]


def train(model, updates, rate=0.1, data=None, **options):
    return training.train(model, data or Batches(), updates, rate, progress=False, **options)


def assert_same(found, expected):
    """Bit for bit: two histories with all their arrays, axes and configuration."""
    assert found.arrays.keys() == expected.arrays.keys() and found.axes == expected.axes
    for name, values in expected.arrays.items():
        np.testing.assert_array_equal(found[name], values, strict=True, err_msg=name)
    assert found.config == expected.config


def same_weights(a, b):
    return all(torch.equal(a.parameters[name], value) for name, value in b.parameters.items())


# ---- the loop --------------------------------------------------------------------------------


def test_training_is_plain_gradient_descent():
    """Against autograd on the same network as PyTorch modules, over 20 updates in float64."""
    model = network(dtype=torch.float64, runs=1)
    layers = []
    for i, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        linear = torch.nn.Linear(*weight.shape[1:], dtype=torch.float64)
        linear.weight.data, linear.bias.data = weight[0].T.clone(), bias[0, 0].clone()
        layers += [linear, torch.nn.Tanh()] if i < model.depth else [linear]
    net = torch.nn.Sequential(*layers)
    data = Batches(dtype=torch.float64)
    for k in range(20):
        images, labels = data.batch(k)
        cost = torch.nn.functional.cross_entropy(net(images), labels)
        gradients = torch.autograd.grad(cost, list(net.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter -= 0.3 * gradient
    train(model, 20, 0.3, data)
    for i, linear in enumerate(net[::2]):
        torch.testing.assert_close(
            model.weights[i][0], linear.weight.data.T, rtol=1e-10, atol=1e-13
        )
        torch.testing.assert_close(model.biases[i][0, 0], linear.bias.data, rtol=1e-10, atol=1e-13)


def test_train_cost_is_the_mean_over_a_hundred_batches():
    model, twin = varied(), varied()
    history = train(model, 250, RATES)
    rates = torch.tensor(RATES, dtype=torch.float64).view(-1, 1, 1)
    costs = []
    for k in range(200):
        images, labels = Batches().batch(k)
        trace = twin(images.double())
        costs.append(plain_cost(trace.logits, labels))
        found = backprop.gradients(twin, trace, labels)
        for weight, gradient in zip(twin.weights, found.weights, strict=True):
            weight -= rates * gradient
        found.biases[-1].mul_(torch.tensor(twin.output_bias).view(-1, 1, 1))
        for bias, gradient in zip(twin.biases, found.biases, strict=True):
            bias -= rates * gradient
    assert history["train_update"].tolist() == [100, 200]
    expected = [np.mean(costs[:100], 0), np.mean(costs[100:], 0)]
    np.testing.assert_allclose(history["train_cost"], expected, rtol=1e-9)


def plain_cost(logits, labels):
    return [torch.nn.functional.cross_entropy(run, labels).item() for run in logits]


def test_it_learns():
    """A rule that a line can tell: the cost falls far below knowing nothing, log 4 = 1.39."""

    def spoil(k, x, y):
        return x, x[:, :4].argmax(1)

    history = train(network(runs=1), 2000, 0.3, data=Batches(spoil=spoil))
    assert history["train_cost"][0] > 0.5 and history["train_cost"][-1] < 0.35


def test_monitors_record_when_due_and_axes_match_shapes():
    schedule = instruments.at([0, 3, 20])
    edges = {"activation": [-1, 0, 1]}
    images, labels = Batches(size=30).batch(10**6)
    watch = [
        instruments.Monitor(
            images,
            labels,
            schedule,
            ("cost", "activation_histogram", "weight_gradient_std", "activation_percentiles"),
            (2, 50, 98),
            edges,
        ),
        instruments.Monitor(images, labels, instruments.every(8), ("error",), name="test"),
        instruments.Monitor(images, labels, instruments.at([99]), ("activation_mean",), name="no"),
    ]
    start = network(runs=3)
    before = watch[0].measure(start)
    history = train(start, 20, monitors=watch)
    assert history["update"].tolist() == [0, 3, 20]
    assert history["test_update"].tolist() == [0, 8, 16]
    assert history.axes["activation_percentiles"] == ("update", "run", "layer", "percentile")
    assert history["percentile"].tolist() == [2, 50, 98]
    lengths = {}
    for name, values in history.arrays.items():
        axes = history.axes[name]
        assert values.ndim == len(axes), name
        for axis, length in zip(axes, values.shape, strict=True):
            assert lengths.setdefault(axis, length) == length or not values.size, name
    assert (lengths["run"], lengths["layer"], lengths["matrix"]) == (3, 2, 3)
    assert lengths["update"] == 3 and lengths["train_update"] == 0
    assert history["train_cost"].shape == (0, 3)
    np.testing.assert_array_equal(history["cost"][0], before["cost"])
    np.testing.assert_array_equal(history["cost"][-1], watch[0].measure(start)["cost"])


def test_no_updates_measures_the_start():
    model = network()
    history = train(model, 0, monitors=monitors())
    assert history["update"].tolist() == [0] and same_weights(model, network())


def test_output_bias_can_be_held_at_zero_run_by_run():
    model = varied()
    train(model, 30, RATES)
    moved = (model.biases[-1] != 0).flatten(1).any(1)
    assert moved.tolist() == [True, False, False, True]
    assert all((bias != 0).all() for bias in model.biases[:-1])


# ---- the run axis ----------------------------------------------------------------------------


@pytest.mark.parametrize("cost", backprop.COSTS)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softsign", "relu"])
def test_stacked_runs_equal_single_runs(activation, cost):
    together = varied(activation)
    alone = [together.run(run) for run in range(4)]
    history = train(together, 50, RATES, monitors=monitors(), cost=cost)
    for run, single in enumerate(alone):
        own = train(single, 50, RATES[run], monitors=monitors(), cost=cost)
        for name, value in single.parameters.items():
            found = together.parameters[name][run]
            assert (found - value[0]).abs().max() <= 1e-10 * value.abs().max()
        for name in ("activation_std", "activation_percentiles", "cost"):
            np.testing.assert_allclose(history[name][:, run], own[name][:, 0], rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [2, 10, 32])
def test_stacked_runs_equal_single_runs_bit_for_bit_on_one_thread(dtype, size):
    """What the design relies on. Batches of one example are no part of it: torch multiplies a
    single row by another kernel for one run than for several."""
    together = varied(dtype=dtype)
    alone = [together.run(run) for run in range(4)]
    data = Batches(size)
    train(together, 50, RATES, data)
    for run, single in enumerate(alone):
        train(single, 50, RATES[run], data)
        for name, value in single.parameters.items():
            assert torch.equal(together.parameters[name][run], value[0]), name


# ---- divergence ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "linear", "tanh"])
def test_a_diverged_run_is_recorded_and_leaves_the_others_alone(activation):
    together = network(activation, runs=3, seed=[1, 2, 3])
    alone = [together.run(0), together.run(2)]
    history = train(together, 230, [0.05, 1e38, 0.2], monitors=monitors())
    assert history["diverged"].tolist() == [-1, 100, -1]
    assert np.isnan(history["train_cost"][1, 1]) and np.isfinite(history["train_cost"][:, 0]).all()
    assert not np.isfinite(history["cost"][-1, 1])
    for run, single, rate in zip((0, 2), alone, (0.05, 0.2), strict=True):
        own = train(single, 230, rate, monitors=monitors())
        assert own["diverged"].tolist() == [-1]
        np.testing.assert_array_equal(history["train_cost"][:, run], own["train_cost"][:, 0])
        for name in ("cost", "error", "activation_std", "activation_percentiles"):
            # A mean over one row may be summed in another order than over several: rounding.
            np.testing.assert_allclose(history[name][:, run], own[name][:, 0], rtol=1e-12)
        for name, value in single.parameters.items():
            assert torch.equal(together.parameters[name][run], value[0])


def test_divergence_is_noticed_at_the_end_of_a_short_training():
    history = train(network("relu"), 30, [1e30, 0.1])
    assert history["diverged"].tolist() == [30, -1]


# ---- stop and resume -------------------------------------------------------------------------


def interrupt(signal_number=signal.SIGINT):
    os.kill(os.getpid(), signal_number)


@pytest.fixture(params=[1, 99, 100, 137])
def stop_at(request):
    """The update during which Ctrl-C comes; 99 and 100 are the edges of a window."""
    return request.param


def test_ctrl_c_and_resume_equal_an_uninterrupted_run(tmp_path, stop_at):
    whole = varied(dtype=torch.float32)
    expected = train(whole, 250, RATES, monitors=monitors())
    path, pressed = tmp_path / "run.npz", []

    def spoil(k, x, y):
        if k == stop_at and not pressed:
            pressed.append(k)
            interrupt()
        return x, y

    handler, threads = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    data, stopped = Batches(spoil=spoil), varied(dtype=torch.float32)
    message = f"stopped after {stop_at + 1} of 250; the same call goes on from .*run.npz"
    with pytest.raises(KeyboardInterrupt, match=message):
        train(stopped, 250, RATES, data, monitors=monitors(), checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is handler and torch.get_num_threads() == threads
    assert path.exists() and not same_weights(stopped, varied(dtype=torch.float32))

    fresh = varied(dtype=torch.float32)
    history = train(fresh, 250, RATES, data, monitors=monitors(), checkpoint=path)
    assert_same(history, expected)
    assert same_weights(fresh, whole) and not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_measuring_and_resume_with_the_stopped_model_itself(tmp_path):
    """As when a reader runs the same cell of a notebook again."""
    whole = network()
    expected = train(whole, 60, monitors=monitors())
    measured = []

    class Pressed(instruments.Monitor):
        def measure(self, model):
            measured.append(len(measured))
            if len(measured) in (3, 6):  # at updates 14 and 35
                interrupt()
            return super().measure(model)

    (watch,) = monitors()
    watch.__class__ = Pressed
    model, path = network(), tmp_path / "run.npz"
    for step in (15, 36):
        with pytest.raises(KeyboardInterrupt, match=f"stopped after {step} of 60"):
            train(model, 60, monitors=[watch], checkpoint=path)
    assert_same(train(model, 60, monitors=[watch], checkpoint=path), expected)
    assert same_weights(model, whole)


def test_a_crash_after_a_periodic_checkpoint(tmp_path, monkeypatch):
    expected = train(network(), 130, monitors=monitors())
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    path = tmp_path / "run.npz"

    def spoil(k, x, y):
        if k == 105 and crash:
            raise RuntimeError("the machine goes down")
        return x, y

    handler, threads = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    crash, data = True, Batches(spoil=spoil)
    with pytest.raises(RuntimeError, match="goes down"):
        train(network(), 130, data=data, monitors=monitors(), checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is handler and torch.get_num_threads() == threads
    assert int(storage.load(path)["step"]) == 105
    crash, seen = False, []
    data.spoil = lambda k, x, y: (seen.append(k), x, y)[1:]
    assert_same(train(network(), 130, data=data, monitors=monitors(), checkpoint=path), expected)
    assert seen[1:] == list(range(105, 130))  # after one look at batch 0


def test_resuming_twice_across_a_divergence(tmp_path):
    rates = [0.1, 1e38]
    expected = train(network("relu"), 250, rates, monitors=monitors())
    path, model = tmp_path / "run.npz", network("relu")
    for stop in (40, 150):
        data = Batches(spoil=lambda k, x, y, stop=stop: (interrupt() if k == stop else 0, x, y)[1:])
        with pytest.raises(KeyboardInterrupt):
            train(model, 250, rates, data, monitors=monitors(), checkpoint=path)
    found = train(network("relu"), 250, rates, monitors=monitors(), checkpoint=path)
    assert_same(found, expected)
    assert expected["diverged"].tolist() == [-1, 100]


def test_ctrl_c_without_a_checkpoint_says_so():
    data = Batches(spoil=lambda k, x, y: (interrupt() if k == 5 else None, x, y)[1:])
    with pytest.raises(KeyboardInterrupt, match="after 6 of 20; the same call starts again: no ch"):
        train(network(), 20, data=data)


def test_ctrl_c_during_the_last_update_finishes():
    data = Batches(spoil=lambda k, x, y: (interrupt() if k == 19 else None, x, y)[1:])
    assert_same(train(network(), 20, data=data), train(network(), 20))


def test_training_outside_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(train(network(), 20)))
    thread.start()
    thread.join()
    assert_same(found[0], train(network(), 20))


def stopped_checkpoint(path, **options):
    data = Batches(spoil=lambda k, x, y: (interrupt() if k == 5 else None, x, y)[1:])
    with pytest.raises(KeyboardInterrupt):
        train(network(), 20, data=data, checkpoint=path, monitors=monitors(), **options)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": lambda: network(seed=4)}, r"its model.seeds is \[0, 1\], not \[4, 5\]"),
        ({"model": lambda: network("relu")}, "its model.activation is tanh, not relu"),
        ({"model": lambda: network(scheme="standard")}, "its model.schemes is"),
        ({"model": lambda: network(runs=3)}, "its learning_rate is|its model.output_bias is"),
        ({"model": lambda: moved(network())}, "its model.start is"),
        ({"updates": 21}, "its updates is 20, not 21"),
        ({"rate": 0.2}, r"its learning_rate is \[0.1, 0.1\], not \[0.2, 0.2\]"),
        ({"cost": "quadratic"}, "its cost is cross_entropy, not quadratic"),
        ({"data": Batches(seed=1)}, "its data.seed is 0, not 1"),
        ({"monitors": []}, "its monitors is"),
        ({"threads": 2}, "its threads is 1, not 2"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_name(tmp_path, change, field):
    path = tmp_path / "run.npz"
    stopped_checkpoint(path)
    content = path.read_bytes()
    call = {"model": network, "updates": 20, "monitors": monitors()} | change
    model = call.pop("model")()
    before = {name: value.clone() for name, value in model.parameters.items()}
    with pytest.raises(ValueError, match=f"run.npz belongs to another training: {field}"):
        train(model, checkpoint=path, **call)
    assert path.read_bytes() == content
    assert all(torch.equal(model.parameters[name], value) for name, value in before.items())


def moved(model):
    model.weights[0].add_(1e-3)
    return model


def test_a_damaged_checkpoint_and_another_file_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    stopped_checkpoint(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="run.npz is damaged"):
        train(network(), 20, checkpoint=path, monitors=monitors())
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="run.npz is damaged"):
        train(network(), 20, checkpoint=path, monitors=monitors())
    train(network(), 20, monitors=monitors()).save(path)
    with pytest.raises(ValueError, match="run.npz is not a checkpoint"):
        train(network(), 20, checkpoint=path, monitors=monitors())


def test_checkpoints_change_no_result(tmp_path, monkeypatch):
    expected = train(network(), 50, monitors=monitors())
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    found = train(network(), 50, monitors=monitors(), checkpoint=tmp_path / "run.npz")
    assert_same(found, expected)


def test_a_stopped_run_on_a_stream_of_shapeset(tmp_path):
    """The real data: block boundaries lie within the training, and the monitor sees images too."""

    def call(model, checkpoint=None, at=()):
        schedule = instruments.Schedule(
            "every 40", lambda k: (k in at and interrupt(), k % 40)[1] == 0
        )
        images, labels = shapeset.sample(30, 99, size=8)
        watch = [instruments.Monitor(images, labels, schedule)]
        stream = shapeset.Stream(10, seed=1, size=8)
        return train(model, 220, 0.1, stream, monitors=watch, checkpoint=checkpoint)

    def make():
        return models.MLP([64, 20, 9], "tanh", runs=2)

    whole, stopped, fresh = make(), make(), make()
    expected = call(whole)
    with pytest.raises(KeyboardInterrupt):
        call(stopped, tmp_path / "run.npz", at=[133])
    assert_same(call(fresh, tmp_path / "run.npz"), expected)
    assert same_weights(fresh, whole)


# ---- history ---------------------------------------------------------------------------------


def test_history_round_trip(tmp_path):
    history = train(varied(), 120, RATES, monitors=monitors(name="test"))
    path = tmp_path / "history.npz"
    history.save(path)
    loaded = training.History.load(path)
    assert_same(loaded, history)
    assert loaded.provenance == history.provenance and "code_version" in loaded.provenance
    assert loaded.provenance["threads"] == 1
    assert loaded.config["learning_rate"] == RATES
    assert "test_cost" in loaded and "cost" not in loaded
    with pytest.raises(KeyError, match="no array 'cost'; there are: diverged, percentile|test_"):
        loaded["cost"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="history.npz is damaged"):
        training.History.load(path)


def test_runs_with_streams_of_their_own_equal_single_runs():
    together = varied()
    alone = [together.run(run) for run in range(4)]
    sources = [Batches(seed=seed) for seed in (3, 0, 3, 8)]
    train(together, 50, RATES, training.PerRun(sources))
    for run, single in enumerate(alone):
        train(single, 50, RATES[run], sources[run])
        for name, value in single.parameters.items():
            found = together.parameters[name][run]
            assert (found - value[0]).abs().max() <= 1e-10 * value.abs().max()
    with pytest.raises(ValueError, match="the data is for 3 runs; the model has 4"):
        train(varied(), 50, RATES, training.PerRun(sources[:3]))


# ---- mini-batches ----------------------------------------------------------------------------


def test_minibatches_show_every_example_once_an_epoch_and_do_not_depend_on_the_past():
    images = torch.arange(23.0)[:, None].expand(23, 12)
    labels = torch.arange(23)
    data = training.Minibatches(images, labels, 5, seed=3)
    batches = [data.batch(k) for k in range(12)]
    for epoch in range(3):
        seen = torch.cat([y for _, y in batches[4 * epoch : 4 * epoch + 4]])
        assert len(seen.unique()) == 20
    assert all(torch.equal(x[:, 0].long(), y) for x, y in batches)
    fresh = training.Minibatches(images, labels, 5, seed=3)
    for k in (11, 0, 6, 6):
        assert torch.equal(fresh.batch(k)[1], batches[k][1])
    assert not torch.equal(batches[0][1], batches[4][1])
    other = training.Minibatches(images, labels, 5, seed=4)
    assert not torch.equal(other.batch(0)[1], batches[0][1])


@pytest.mark.parametrize("size", [0, -1, 24, 2.5, "a"])
def test_wrong_batch_sizes(size):
    with pytest.raises(ValueError, match=f"batch_size must lie in 1 to 23, not {size!r}"):
        training.Minibatches(torch.zeros(23, 12), torch.zeros(23), size, 0)


def test_minibatches_of_other_images_have_another_configuration():
    """Or a checkpoint would go on with the wrong data set."""
    images, labels = torch.zeros(23, 12), torch.zeros(23, dtype=torch.int64)
    config = training.Minibatches(images, labels, 5, 0).config
    assert training.Minibatches(images.clone(), labels, 5, 0).config == config
    assert training.Minibatches(images + 1, labels, 5, 0).config != config
    assert training.Minibatches(images, labels + 1, 5, 0).config != config


def test_minibatches_need_as_many_labels_as_images():
    with pytest.raises(ValueError, match="23 images but 22 labels"):
        training.Minibatches(torch.zeros(23, 12), torch.zeros(22), 5, 0)


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, -0.1, float("inf"), float("nan"), 1e-60, 1e60])
@pytest.mark.parametrize(
    "wrap", [lambda r: r, lambda r: [0.1, r], lambda r: torch.tensor([r, 0.1])]
)
def test_learning_rates_must_be_positive_and_finite(rate, wrap):
    """1e-60 and 1e60 are 0 and infinity in the model's float32."""
    before = network()
    with pytest.raises(ValueError, match="a learning rate must be positive and finite, not"):
        train(before, 5, wrap(rate))
    assert same_weights(before, network())


def test_small_rates_are_fine_in_double_precision():
    model = network(dtype=torch.float64)
    history = train(model, 3, 1e-60)
    assert history.config["learning_rate"] == [1e-60, 1e-60]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": [0.1, 0.2, 0.3]}, "3 learning rates for 2 runs"),
        ({"rate": "fast"}, "a learning rate must be a number, not 'fast'"),
        ({"rate": None}, "a learning rate must be"),
        ({"updates": -1}, "updates must be a whole number of at least 0, not -1"),
        ({"updates": 2.5}, "updates must be a whole number of at least 0, not 2.5"),
        ({"threads": 0}, "threads must be a whole number of at least 1, not 0"),
        ({"cost": "mse"}, "unknown cost 'mse'; choose one of cross_entropy, quadratic"),
        (
            {"monitors": monitors() + monitors()},
            "'activation_percentiles' would be recorded twice; give a monitor",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    threads = torch.get_num_threads()
    with pytest.raises(ValueError, match=message):
        train(network(), **({"updates": 5} | arguments))
    assert torch.get_num_threads() == threads


def test_two_monitors_with_names_are_fine():
    history = train(network(), 7, monitors=monitors() + monitors(name="again"))
    np.testing.assert_array_equal(history["cost"], history["again_cost"])


def spoiled(at, where, value):
    def spoil(k, x, y):
        if k == at:
            x = x.clone()
            x[where] = value
        return x, y

    return Batches(spoil=spoil)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("at", "updates"), [(0, 20), (13, 20), (120, 300), (199, 200)])
def test_images_that_are_not_finite_are_refused(value, at, updates):
    """Such data is an error and no divergence of the runs, whenever it comes."""
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match=r"training images hold values that are not finite"):
        train(network(), updates, data=spoiled(at, (2, 3), value))
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda k, x, y: (x[:, 1:], y), "the data has 11 inputs an example; the model takes 12"),
        (lambda k, x, y: (x, y[1:]), r"labels need shape \(10,\) and int64, not \(9,\)"),
        (
            lambda k, x, y: (x, y.float()),
            r"labels need shape \(10,\) and int64, not .* torch.float32",
        ),
        (lambda k, x, y: (x, y + 1), "labels must lie in 0 to 3; they span 1 to 4"),
        (lambda k, x, y: (x[:0], y[:0]), "a mini-batch without examples"),
        (
            lambda k, x, y: (x[: 9 if k == 3 else 10], y[: 9 if k == 3 else 10]),
            r"mini-batch 3 has shape \(9, 12\), the first one had \(10, 12\)",
        ),
    ],
)
def test_wrong_data_is_named(spoil, message):
    with pytest.raises(ValueError, match=message):
        train(network(), 5, data=Batches(spoil=spoil))


def test_a_configuration_that_cannot_be_stored_is_refused_before_the_work(tmp_path):
    data = Batches()
    data.config = {"seed": np.int64(3)}
    with pytest.raises(ValueError, match="cannot be stored as JSON"):
        train(network(), 5, data=data)


def test_threads_apply_while_training_only():
    before, seen = torch.get_num_threads(), []
    data = Batches(spoil=lambda k, x, y: (seen.append(torch.get_num_threads()), x, y)[1:])
    state = torch.random.get_rng_state()
    train(network(), 3, data=data, threads=2)
    assert seen[1:] == [2, 2, 2] and torch.get_num_threads() == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_progress_bar_goes_to_stderr(capsys):
    training.train(network(), Batches(), 50, 0.1)
    out, err = capsys.readouterr()
    assert out == "" and "50" in err and "updates" in err
    train(network(), 50)
    assert capsys.readouterr() == ("", "")


def test_a_checkpoint_that_cannot_be_written_is_noticed_before_the_work(tmp_path):
    (tmp_path / "taken").write_text("a file where a folder is needed")
    seen = []
    watch = instruments.Schedule("each", lambda step: seen.append(step) or False)
    with pytest.raises(OSError, match="taken"):
        train(network(), 10, monitors=monitors(watch), checkpoint=tmp_path / "taken" / "run.npz")
    assert seen == []
