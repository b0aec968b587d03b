"""The fresh process computes what the library does, whatever was done to the library here."""

import os
import signal
import time

import numpy as np
import pytest
import torch

from course_lib import activations, backprop, fresh, models, shapeset, theory

SIZES = [7, 5, 4, 3]


def same(a, b):
    """Say whether two values have the same types, structure and numbers."""
    if isinstance(a, models.MLP):
        return a.config == b.config and same(a.parameters, b.parameters)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (torch.Tensor, np.ndarray)):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    return a == b


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.5, "word", None, True],
        {"a": (1, 2), 3: [torch.arange(3), np.ones((2, 0))]},
        torch.rand(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        torch.tensor(2.0),
        activations.get("softsign"),
        models.MLP(SIZES, "tanh", runs=2, scheme=["standard", "normalized"], dtype=torch.float64),
        models.MLP(SIZES, "sigmoid")(torch.zeros(2, 7)),
    ],
    ids=["list", "nested", "matrix", "number", "activation", "network", "trace"],
)
def test_what_travels_arrives(value):
    assert same(fresh.loads(fresh.dumps(value)), value)


def test_weights_travel_as_they_are_and_not_as_they_were_drawn():
    model = models.MLP(SIZES, "tanh")
    model.weights[1].mul_(2)
    assert same(fresh.loads(fresh.dumps(model)), model)


@pytest.mark.parametrize("value", [print, object(), np.array([print])])
def test_what_is_no_data_does_not_travel(value):
    with pytest.raises(ValueError, match="cannot be handed"):
        fresh.dumps(value)


def test_the_answer_is_the_librarys_whatever_was_done_to_it_here(monkeypatch):
    model = models.MLP(SIZES, "softsign", dtype=torch.float64)
    x = torch.rand(6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    trace = model(x)
    expected = backprop.gradients(model, trace, labels)
    monkeypatch.setattr(backprop, "gradients", lambda *given: "mine")
    monkeypatch.setattr(backprop, "deltas", lambda *given: "mine")
    assert same(fresh.call("course_lib.backprop.gradients", model, trace, labels), expected)
    images, _ = fresh.call(shapeset.sample, 3, seed=5)
    assert same(images, shapeset.sample(3, seed=5)[0])


def test_one_process_answers_all_calls_and_an_error_does_not_end_it():
    fresh.call("course_lib.init.bound", "normalized", 3, 4)
    before = fresh._child.process.pid
    with pytest.raises(ValueError, match="unknown scheme 'nothing'"):
        fresh.call("course_lib.init.bound", "nothing", 3, 4)
    bound = fresh.call("course_lib.init.bound", "normalized", 3, 4)
    assert bound == theory.BOUNDS["normalized"](3, 4)
    assert fresh._child.process.pid == before


def test_a_process_that_died_is_replaced():
    fresh.call("course_lib.init.bound", "normalized", 3, 4)
    fresh._child.process.kill()
    fresh._child.process.wait()
    assert fresh.call("course_lib.init.bound", "standard", 4, 4) == 0.5


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_of_the_kernel_does_not_end_it():
    """It comes to all processes of the kernel's group."""
    fresh.call("course_lib.init.bound", "normalized", 3, 4)
    before = fresh._child.process
    before.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert fresh.call("course_lib.init.bound", "standard", 4, 4) == 0.5
    assert fresh._child.process is before


def test_a_silent_process_is_given_up(monkeypatch):
    fresh.call("course_lib.init.bound", "normalized", 3, 4)
    monkeypatch.setattr(fresh, "PATIENCE", 0.05)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="silent"):
        fresh.call("course_lib.shapeset.sample", 20_000, seed=0)
    assert time.monotonic() - start < 5
    monkeypatch.undo()
    assert fresh.call("course_lib.init.bound", "standard", 4, 4) == 0.5


@pytest.mark.parametrize("name", [print, "os.system", "course_lib", "course_lib.init.bound()", "x"])
def test_only_the_librarys_own_functions_can_be_called(name):
    with pytest.raises(ValueError, match="course_lib"):
        fresh.call(name, "true")


def test_a_name_that_does_not_exist():
    with pytest.raises(ValueError, match="nothing"):
        fresh.call("course_lib.init.nothing")
