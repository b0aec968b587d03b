"""The engine: the same step as the backward pass of the course, whatever the stack and device."""

import contextlib
import re
from types import SimpleNamespace

import pytest
import torch

from course_lib import activations, backprop, engine, models, shapeset, training

SIZES = [7, 6, 4, 5, 3]
RUNS, EXAMPLES, BATCHES = 3, 8, 4
RATES = torch.tensor([0.5, 2.0, 0.01], dtype=torch.float64).view(-1, 1, 1)
EVERY = [(name, cost) for name in activations.NAMES for cost in backprop.COSTS]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA GPU")


def problem(activation="tanh", seed=0, sizes=SIZES, own=False, dtype=torch.float64, device="cpu"):
    """A network of several runs with biases that are not zero, and mini-batches."""
    model = models.MLP(
        sizes,
        activation,
        runs=RUNS,
        scheme=["standard", "normalized", "normalized"],
        seed=seed,
        output_bias=[True, False, True],
        dtype=dtype,
        device=device,
    )
    generator = torch.Generator().manual_seed(seed)
    for bias in model.biases:
        bias.copy_(torch.rand(bias.shape, generator=generator, dtype=torch.float64) - 0.5)
    shape = (BATCHES, RUNS, EXAMPLES) if own else (BATCHES, EXAMPLES)
    x = torch.rand(*shape, sizes[0], generator=generator, dtype=torch.float64) * 2 - 1
    labels = torch.randint(0, sizes[-1], shape, generator=generator)
    return model, x.to(device, dtype), labels.to(device)


def by_hand(model, images, labels, cost):
    """Take the steps run by run with the gradients of `backprop`; return the costs (K, R)."""
    costs = torch.zeros(len(images), model.runs, dtype=torch.float64)
    for r in range(model.runs):
        single = model.run(r)
        for k in range(len(images)):
            x, y = (images[k, r], labels[k, r]) if images.ndim == 4 else (images[k], labels[k])
            found = backprop.gradients(single, single(x), y, cost)
            costs[k, r] = found.cost[0]
            for weight, gradient in zip(single.weights, found.weights, strict=True):
                weight -= RATES[r] * gradient
            free = found.biases if model.output_bias[r] else found.biases[:-1]
            for bias, gradient in zip(single.biases, free, strict=False):
                bias -= RATES[r] * gradient
        for name, value in single.parameters.items():
            model.parameters[name][r] = value[0]
    return costs


def assert_equal(found, expected):
    """Equal to 1e-10 of the largest entry: single entries may nearly cancel."""
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize("own", [False, True], ids=["one stream", "own streams"])
@pytest.mark.parametrize(("activation", "cost"), EVERY)
def test_steps_subtract_rate_times_gradient(activation, cost, own):
    for seed in range(3):
        model, images, labels = problem(activation, seed, own=own)
        twin = problem(activation, seed, own=own)[0]
        steps = engine.Engine(model, RATES, images.shape[1:], cost)
        costs = steps.advance(images, labels)
        steps.store(model)
        assert_equal(costs, by_hand(twin, images, labels, cost))
        for name, value in model.parameters.items():
            assert_equal(value, twin.parameters[name])
        start = problem(activation, seed)[0]
        assert torch.equal(model.biases[-1][1], start.biases[-1][1]), "this one is held"


def test_a_network_without_hidden_layers():
    model, images, labels = problem(sizes=[7, 3])
    twin = problem(sizes=[7, 3])[0]
    steps = engine.Engine(model, RATES, images.shape[1:])
    steps.advance(images, labels)
    steps.store(model)
    by_hand(twin, images, labels, "cross_entropy")
    for name, value in model.parameters.items():
        assert_equal(value, twin.parameters[name])


def test_the_model_keeps_its_weights_until_they_are_stored():
    model, images, labels = problem()
    before = {name: value.clone() for name, value in model.parameters.items()}
    steps = engine.Engine(model, RATES, images.shape[1:])
    steps.advance(images, labels)
    assert all(torch.equal(value, before[name]) for name, value in model.parameters.items())
    steps.store(model)
    assert not torch.equal(model.weights[0], before["weight_0"])


def test_how_the_updates_are_cut_into_blocks_changes_nothing():
    model, images, labels = problem(dtype=torch.float32)
    whole = engine.Engine(model, RATES, images.shape[1:])
    expected = whole.advance(images, labels)
    cut = engine.Engine(model, RATES, images.shape[1:])
    parts = [cut.advance(images[a:b], labels[a:b]) for a, b in ((0, 1), (1, 4))]
    assert torch.equal(torch.cat(parts), expected)
    for a, b in zip(whole._packed, cut._packed, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", ["weights", "biases"])
def test_finite_tells_the_runs_apart(value, place):
    model, images, _ = problem()
    assert engine.Engine(model, RATES, images.shape[1:]).finite().tolist() == [True] * RUNS
    getattr(model, place)[2][1].view(-1)[3] = value
    steps = engine.Engine(model, RATES, images.shape[1:])
    assert steps.finite().tolist() == [True, False, True]


def test_weights_whose_sum_overflows_are_finite():
    model, images, _ = problem(dtype=torch.float32)
    model.weights[0][0] = 3e38
    steps = engine.Engine(model, RATES, images.shape[1:])
    assert steps.finite().tolist() == [True] * RUNS


# ---- blocks and memory -----------------------------------------------------------------------


def test_a_block_is_bounded_in_work_and_memory():
    def block(width, runs, batch_size, own=False):
        model = models.MLP([1024, width, 9], "tanh", runs=runs)
        shape = (runs, batch_size, 1024) if own else (batch_size, 1024)
        return engine.Engine(model, 0.1, shape).block

    assert block(10, 1, 10) == engine.MOST
    assert 1 <= block(10, 1, 1000) < 10  # 4 MB a mini-batch
    assert block(10, 8, 100, own=True) < block(10, 8, 100)
    assert block(2000, 16, 10) < 20  # a second's work at 40 GFLOP/s


def test_the_memory_estimate_is_near_what_tensors_take():
    """Against a count of what the engine and the model hold, without the monitored examples."""
    for runs, width in ((1, 200), (4, 100)):
        model = models.MLP([1024, width, width, 9], "tanh", runs=runs)
        steps = engine.Engine(model, 0.1, (10, 1024))
        own = [v for v in vars(steps).values() if isinstance(v, (list, torch.Tensor))]
        tensors = [t for v in own for t in (v if isinstance(v, list) else [v])]
        held = {
            t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
            for t in [*tensors, *model.parameters.values()]
            if isinstance(t, torch.Tensor)
        }
        drawn = steps.block * 10 * 1024 * 4  # the block that `advance` is given
        estimate = engine.memory(model.sizes, runs, examples=0)
        assert 0.95 * estimate < sum(held.values()) + drawn < 1.05 * estimate
    assert engine.memory([1024, 100, 9], 4, examples=600) > engine.memory([1024, 100, 9], 4)


# ---- device, threads, kernel -----------------------------------------------------------------


def test_the_device_is_chosen_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert engine.device().type == engine.device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="'cuda' was asked for, but torch finds no CUDA GPU"):
        engine.device("cuda")
    with pytest.raises(ValueError, match="must be auto, cpu or cuda, not 'gpu'"):
        engine.device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert engine.device().type == engine.device("cuda").type == "cuda"
    assert engine.device("cpu").type == "cpu"


def test_the_line_that_says_what_is_used():
    assert re.fullmatch(r"cpu, 2 of \d+ cores a job", engine.describe("cpu", threads=2))


def test_threads_and_kernel_are_restored_also_after_an_error():
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), engine.settings(threads + 1):
        assert torch.get_num_threads() == threads + 1
        raise RuntimeError("inside")
    assert torch.get_num_threads() == threads
    with pytest.raises(ValueError, match="kernel must be one of default, onednn, not 'fast'"):
        engine.settings(1, "fast").__enter__()
    assert torch.get_num_threads() == threads


class Matmul:
    fp32_precision = "none"


@pytest.mark.parametrize("error", [4e-7, 2e-3])
def test_onednn_is_refused_where_it_rounds_to_bfloat16(monkeypatch, error):
    """Which of the two a processor does cannot be chosen here: its error is put in its place."""
    matmul = Matmul()
    monkeypatch.setattr(torch.backends.mkldnn, "matmul", matmul, raising=False)
    monkeypatch.setattr(
        engine, "product_error", lambda: error if matmul.fp32_precision == "bf16" else 3e-7
    )
    if error < 6e-7:
        with engine.settings(1, "onednn"):
            assert matmul.fp32_precision == "bf16"
    else:
        with (
            pytest.raises(ValueError, match="rounds to 2e-03 on this processor, the default to 3e"),
            engine.settings(1, "onednn"),
        ):
            raise AssertionError("not to be reached")
    assert matmul.fp32_precision == "none"


def test_an_older_torch_has_no_onednn_switch(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "matmul", None, raising=False)
    with pytest.raises(ValueError, match="cannot be asked for kernel 'onednn'"):
        engine.settings(1, "onednn").__enter__()


def test_the_default_product_rounds_like_float32():
    assert 1e-8 < engine.product_error() < 2e-6


class Replayed:
    """Stands in for a CUDA graph: what was recorded is the engine's step on its still tensors."""

    def replay(self):
        self.steps._step(*self.steps._still)


@pytest.mark.parametrize("own", [False, True])
def test_replaying_on_still_tensors_equals_stepping(monkeypatch, own):
    """All of the GPU's path that needs no GPU: what is copied in and out, and what is restored."""
    nothing = contextlib.nullcontext
    monkeypatch.setattr(torch.cuda, "Stream", lambda: SimpleNamespace(wait_stream=lambda _: None))
    monkeypatch.setattr(torch.cuda, "current_stream", torch.cuda.Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nothing())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Replayed)
    monkeypatch.setattr(torch.cuda, "graph", lambda _: nothing())
    model, images, labels = problem(own=own)
    expected = engine.Engine(model, RATES, images.shape[1:])
    replayed = engine.Engine(model, RATES, images.shape[1:])
    replayed._recorded, Replayed.steps = True, replayed
    for a, b in ((0, 1), (1, 4)):
        assert torch.equal(
            replayed.advance(images[a:b], labels[a:b]), expected.advance(images[a:b], labels[a:b])
        )
    for a, b in zip(expected._packed, replayed._packed, strict=True):
        assert torch.equal(a, b)


# ---- on a GPU --------------------------------------------------------------------------------


@needs_cuda
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("activation", activations.NAMES)
def test_the_recorded_step_equals_that_of_the_cpu(activation, own):
    here, images, labels = problem(activation, own=own)
    there = problem(activation, own=own, device="cuda")[0]
    costs = []
    for model in (here, there):
        steps = engine.Engine(model, RATES, images.shape[1:])
        costs.append(
            torch.cat(
                [steps.advance(images[:1], labels[:1]), steps.advance(images[1:], labels[1:])]
            )
        )
        steps.store(model)
    assert_equal(costs[1].cpu(), costs[0])
    for name, value in here.parameters.items():
        assert_equal(there.parameters[name].cpu(), value)


@needs_cuda
def test_training_on_a_gpu_follows_the_cpu_and_resumes(tmp_path):
    histories = []
    for device in ("cpu", "cuda"):
        model = models.MLP([1024, 20, 20, 9], "tanh", runs=2, device=device, dtype=torch.float64)
        stream = shapeset.Stream(10, 0, device=device)
        histories.append(training.train(model, stream, 300, 0.1, progress=False))
    costs = [history["train_cost"] for history in histories]
    assert abs(costs[0] - costs[1]).max() < 1e-6
