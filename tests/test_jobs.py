"""Trainings as plain data: what exists, what is stacked, what a key holds, what a job takes."""

import itertools
import os
import pathlib
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from course_lib import engine, instruments, jobs, storage, sweeps

ROOT = pathlib.Path(__file__).resolve().parent.parent
WATCH = jobs.Watch(("cost", "activation_std"), ("every", 50), examples=20)


def make(**changes):
    """A run that takes a few hundredths of a second."""
    given = {
        "activation": "tanh",
        "scheme": "standard",
        "learning_rate": 0.1,
        "seed": 0,
        "updates": 120,
        "width": 6,
        "depth": 2,
        "watches": (WATCH,),
    }
    return jobs.Run(**given | changes)


def test_sweeps_are_written_in_these_words():
    for name in ("Run", "Watch", "Job", "Plan", "plan", "schedule", "seconds"):
        assert getattr(sweeps, name) is getattr(jobs, name)


# ---- runs and watches ------------------------------------------------------------------------


@pytest.mark.parametrize(("per_decade", "records", "updates"), [(20, 400, 3000), (3, 7, 50)])
def test_early_and_even(per_decade, records, updates):
    """Against the definition, update by update."""
    found = jobs.schedule(("early_and_even", per_decade, records), updates)
    early, step = instruments.logarithmic(per_decade), max(1, updates // records)
    expected = [k for k in range(updates + 1) if early(k) or k % step == 0 or k == updates]
    assert [k for k in range(updates + 1) if found(k)] == expected
    assert found.name == instruments.at(expected).name


@pytest.mark.parametrize(
    "spec",
    [
        ("every", 7),
        ("logarithmic", 5),
        ("at", (0, 3, 50)),
        ("early_and_even", 4, 10),
        ("early_and_even", 1, 1),
    ],
)
def test_the_estimate_counts_the_records(spec):
    for updates in (0, 1, 50, 1000):
        due = jobs.schedule(spec, updates)
        count = sum(map(due, range(updates + 1)))
        assert jobs._records(spec, updates) == count or (spec[0] == "at" and updates < 50)


@pytest.mark.parametrize(
    "spec", ["every 3", ("every",), ("hourly", 3), (), None, ("at", 3), ("logarithmic", "x")]
)
def test_schedules_that_do_not_exist(spec):
    with pytest.raises(ValueError, match=r'a schedule must be \("every", n\).*not '):
        jobs.schedule(spec, 100)
    with pytest.raises(ValueError, match="a schedule must be"):
        jobs.Watch(("cost",), spec)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "gauss"}, "unknown activation 'gauss'"),
        ({"scheme": "gauss"}, "unknown scheme 'gauss'"),
        ({"cost": "mse"}, "unknown cost 'mse'"),
        ({"learning_rate": 0}, "a learning rate must be positive and finite, not 0"),
        ({"learning_rate": float("nan")}, "a learning rate must be positive"),
        ({"learning_rate": "fast"}, "a learning rate must be positive and finite, not 'fast'"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"stream": -1}, "stream must be a whole number of at least 0, not -1"),
        ({"updates": -1}, "updates must be"),
        ({"width": 0}, "width must be a whole number of at least 1"),
        ({"depth": -1}, "depth must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"data": "cifar100"}, "data must be one of shapeset, mnist, cifar10, cifar10_reen"),
        ({"watches": ("cost",)}, "watches must be sweeps.Watch objects, not 'cost'"),
    ],
)
def test_runs_that_do_not_exist(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantities": "cost"}, "quantities must be a sequence of names, not 'cost'"),
        ({"quantities": ("costs",)}, "unknown quantity 'costs'"),
        ({"quantities": ("activation_histogram",)}, "activation_histogram needs its bins"),
        ({"percentiles": (101,)}, "percentiles must lie in 0 to 100"),
        ({"examples": 0}, "examples must be a whole number of at least 1, not 0"),
        ({"part": "train"}, "part must be one of validation, test, not 'train'"),
        ({"kind": "weights"}, "kind must be one of signal, jacobian, not 'weights'"),
        ({"kind": "jacobian"}, "a quantity must be one of mean, "),
    ],
)
def test_watches_that_do_not_exist(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(WATCH, **changes)


def test_runs_are_plain_values():
    """Lists and numpy numbers make an equal run, so the same key."""
    edges = [["activation", np.array([-1.0, 0.0, 1.0])]]
    loose = jobs.Watch(["activation_histogram"], ["at", [0, np.int64(5)]], edges=edges)
    plain = jobs.Watch(
        ("activation_histogram",), ("at", (0, 5)), edges=(("activation", (-1.0, 0.0, 1.0)),)
    )
    assert loose == plain
    rate = np.float64(0.1)
    run = make(learning_rate=rate, seed=np.int64(3), watches=[loose], scheme="glorot")
    assert run == make(seed=3, watches=(plain,), scheme="normalized")
    assert jobs.Job([run]).key == jobs.Job((make(seed=3, watches=(plain,), scheme="xavier"),)).key
    assert make(learning_rate=1).learning_rate == 1.0


def test_names_tell_runs_apart():
    plain = jobs.Run("tanh", "normalized", 0.03, 2, 100)
    assert plain.name == "tanh5-normalized-rate0.03-seed2"
    assert replace(plain, stream=2).name == plain.name  # its own stream, named
    changes = [
        {"activation": "sigmoid"},
        {"scheme": "standard"},
        {"learning_rate": 0.1},
        {"seed": 3},
        {"width": 100},
        {"depth": 4},
        {"batch_size": 20},
        {"cost": "quadratic"},
        {"output_bias": False},
        {"data": "mnist"},
        {"stream": 7},
    ]
    names = [replace(plain, **change).name for change in changes]
    assert len({plain.name, *names}) == len(changes) + 1
    assert names[-7:] == [
        "tanh5-normalized-rate0.03-seed2-width100",
        "tanh4-normalized-rate0.03-seed2",
        f"{plain.name}-batch20",
        f"{plain.name}-quadratic",
        f"{plain.name}-no_output_bias",
        f"{plain.name}-mnist",
        f"{plain.name}-stream7",
    ]


# ---- jobs and plans --------------------------------------------------------------------------


def test_what_decides_the_numbers_decides_the_key(monkeypatch):
    run, other = make(), make(seed=1, stream=0)
    found = [jobs.Job((run,)), jobs.Job((run, other)), jobs.Job((run,), threads=2)]
    found += [jobs.Job((run,), kernel="onednn"), jobs.Job((run,), device="cuda")]
    changes = [
        {"updates": 121},
        {"width": 7},
        {"watches": ()},
        {"learning_rate": 0.2},
        {"stream": 9},
    ]
    found += [jobs.Job((replace(run, **change),)) for change in changes]

    def keys():
        return [job.key for job in found] + [job.files("")[0].stem[-16:] for job in found]

    before = keys()
    assert len(set(before)) == 2 * len(found)
    assert before == keys()
    monkeypatch.setattr(storage, "code_version", lambda: "other")
    assert not set(before) & set(keys())
    monkeypatch.undo()
    monkeypatch.setattr(jobs, "MEANING", jobs.MEANING + 1)
    assert not set(before) & set(keys())


def test_the_key_of_a_curve_knows_its_stack():
    """The last digits may depend on it."""
    run, one, two = make(), make(scheme="normalized"), make(learning_rate=0.2)
    stacks = [(run,), (run, one), (run, two)]
    assert len({jobs.Job(stack).files("x")[0] for stack in stacks}) == 3
    config = jobs.Job((run, one)).config(run)
    assert [entry["scheme"] for entry in config["stack"]] == ["standard", "normalized"]
    assert config["run"]["watches"][0]["quantities"] == ["cost", "activation_std"]
    assert config == storage.plain(config)


def test_runs_are_stacked_where_they_share_a_stream():
    runs = [
        make(scheme=scheme, learning_rate=rate, seed=seed, output_bias=bias)
        for seed, scheme, rate, bias in itertools.product(
            (0, 1), ("standard", "normalized"), (0.1, 0.3), (True, False)
        )
    ]
    found = jobs.plan(runs)
    assert [len(job.runs) for job in found] == [8, 8]
    assert [{run.seed for run in job.runs} for job in found] == [{0}, {1}]
    shared = jobs.plan([replace(run, stream=5) for run in runs])
    assert [len(job.runs) for job in shared] == [16]
    assert [len(job.runs) for job in jobs.plan(runs, stack=3)] == [3, 3, 2, 3, 3, 2]
    on_a_card = jobs.plan(runs, device="cuda", threads=2)
    assert [(len(job.runs), job.device, job.threads) for job in on_a_card] == [(16, "cuda", 2)]


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "sigmoid"},
        {"updates": 100},
        {"width": 8},
        {"depth": 1},
        {"batch_size": 5},
        {"cost": "quadratic"},
        {"data": "mnist"},
        {"watches": ()},
    ],
)
def test_other_runs_are_not_stacked(change):
    other = make(scheme="normalized", **change)
    assert len(jobs.plan([make(), other])) == 2
    name = next(iter(change))
    with pytest.raises(ValueError, match=f"runs of one job must have the same {name}, not"):
        jobs.Job((make(), other))


def test_the_order_of_the_list_changes_no_job():
    runs = [make(seed=s, learning_rate=r) for s in (2, 0, 1) for r in (0.3, 0.1, 0.2)]
    keys = {job.key for job in jobs.plan(runs, stack=2)}
    random.Random(0).shuffle(runs)
    assert {job.key for job in jobs.plan(runs, stack=2)} == keys
    more = [*runs, *(make(seed=7, learning_rate=r) for r in (0.1, 0.2))]
    assert keys < {job.key for job in jobs.plan(more, stack=2)}  # a seed more leaves the rest


def test_stacks_come_from_the_table():
    for width, most in ((100, 16), (300, 4), (1000, 1)):
        runs = [make(width=width, learning_rate=0.01 * k, watches=()) for k in range(1, 18)]
        assert len(jobs.plan(runs)[0].runs) == most
    assert engine.device("auto").type == jobs.plan([make()], device="auto")[0].device


def test_a_stack_that_cannot_fit_is_refused_with_the_number_to_use():
    runs = [make(width=1000, learning_rate=0.01 * k) for k in range(1, 17)]
    single = jobs.Job((runs[0],)).memory
    with pytest.raises(
        ValueError, match=r"a stack of 16 .*more than the .* use stack=(\d+)"
    ) as why:
        jobs.plan(runs, stack=16, memory=6.5 * single)
    most = int(str(why.value).rpartition("=")[2])
    found = jobs.plan(runs, stack=most, memory=6.5 * single)
    assert max(job.memory for job in found) <= 6.5 * single
    with pytest.raises(ValueError, match=f"use stack={most}$"):
        jobs.plan(runs, stack=most + 1, memory=6.5 * single)
    with pytest.raises(ValueError, match="takes about .* GB, .* not even one fits: allow more mem"):
        jobs.plan(runs, stack=16, memory=single - 1)


def test_memory_counts_what_is_looked_at_and_data_sets():
    job = jobs.Job((make(width=1000, watches=()),))
    large = replace(WATCH, examples=10_000)
    watched = jobs.Job((make(width=1000, watches=(large,)),))
    assert watched.memory > job.memory + 10_000 * 1024 * 4
    two = (make(watches=()), make(watches=(), seed=1))
    alike = jobs.Job(tuple(replace(run, stream=0) for run in two))
    assert jobs.Job(two).memory > alike.memory + 100 * 10 * 1024 * 4  # a second block of images
    cifar = jobs.Job((make(width=1000, watches=(), data="cifar10"),))
    assert cifar.memory > job.memory + 60_000 * 3072 * 4


def test_memory_counts_what_statistics_are_made_in():
    """Each beyond a watch that only asks for the error."""

    def memory(*quantities, examples=300, kind="signal", runs=1):
        watch = jobs.Watch(quantities, ("every", 10), examples, kind=kind)
        made = [make(width=300, seed=k, stream=0, watches=(watch,)) for k in range(runs)]
        return jobs.Job(tuple(made)).memory

    weights = 1024 * 300  # the first matrix is the largest
    error, forward = memory("error"), memory("activation_std")
    back, gradients = memory("back_propagated_std"), memory("weight_gradient_std")
    assert error < forward < back < gradients
    assert gradients - error > (8 + 4) * weights  # double precision, and a layer's own
    assert memory("weight_gradient_std", runs=4) - memory("error", runs=4) > 4 * 12 * weights
    assert memory("activation_std", examples=3000) - forward > 2700 * 300 * 12
    # Logits alone are looked at in parts: what is left is the examples themselves.
    parts = 3 * instruments.PART
    assert memory("error", examples=9000) - memory("error", examples=parts) == pytest.approx(
        4 * 1024 * (9000 - parts)
    )
    assert memory("mean", kind="jacobian") > error + 8 * 300**2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": ()}, "a job needs sweeps.Run objects"),
        ({"runs": ("tanh",)}, "a job needs sweeps.Run objects"),
        ({"runs": (make(), make())}, "a job cannot hold the same run twice"),
        ({"threads": 0}, "threads must be a whole number of at least 1, not 0"),
        ({"kernel": "mkl"}, "kernel must be one of default, onednn, not 'mkl'"),
        ({"device": "tpu"}, "device must be one of cpu, cuda, not 'tpu'"),
    ],
)
def test_jobs_that_do_not_exist(arguments, message):
    with pytest.raises(ValueError, match=message):
        jobs.Job(**{"runs": (make(),)} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stack": 0}, "stack must be a whole number of at least 1, not 0"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, not 'tpu'"),
        ({"runs": ["tanh"]}, "a plan is made of sweeps.Run objects, not 'tanh'"),
    ],
)
def test_plans_that_do_not_exist(arguments, message):
    with pytest.raises(ValueError, match=message):
        jobs.plan(**{"runs": [make()]} | arguments)


def test_estimates_grow_with_the_work():
    run = make(width=300, watches=())
    base = jobs.Job((run,)).seconds
    assert base > 0
    watched = replace(run, watches=(replace(WATCH, schedule=("every", 1)),))
    assert jobs.Job((watched,)).seconds > base
    longer = [replace(run, updates=240), replace(run, width=600), replace(run, depth=9)]
    longer += [replace(run, batch_size=20), replace(run, pretraining=1)]
    assert all(jobs.Job((other,)).seconds > base for other in longer)
    two = jobs.Job((run, replace(run, scheme="normalized")))
    assert base < two.seconds < 2 * base  # the images are drawn once
    assert 0 < replace(two, device="cuda").seconds
    start = replace(run, pretraining=100)
    alike, unlike = replace(start, learning_rate=0.2), replace(start, scheme="normalized")
    once, twice = jobs.Job((start, alike)).seconds, jobs.Job((start, unlike)).seconds
    assert once < twice, "runs that start alike are pre-trained together"
    card = jobs.Job((start,), device="cuda").seconds
    assert card > jobs.Job((run,), device="cuda").seconds
    jacobians = replace(WATCH, quantities=("rms",), kind="jacobian")
    means = replace(jacobians, quantities=("rms", "mean"))
    cheap, dear = (jobs.Job((replace(run, watches=(w,)),)).seconds for w in (jacobians, means))
    assert base < cheap < dear


# ---- what it takes, in memory ----------------------------------------------------------------
# A process of its own, and its high-water mark from after a small job of the same kind.
MEASURE = """
import pathlib, sys
from dataclasses import replace
from course_lib import jobs, sweeps

def kilobytes(what):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))

edges = tuple(k / 50 - 1 for k in range(101))
statistics = ("mean", "std", "percentiles", "histogram")
watch = jobs.Watch(
    tuple(f"weight_gradient_{name}" for name in statistics) + ("activation_std", "cost"),
    ("every", 10), edges=(("weight_gradient", edges),),
)
small = jobs.Run("tanh", "standard", 0.1, 0, 10, width=20, watches=(watch,))
sweeps._train(jobs.Job((small,)))
runs = [replace(small, width=600, depth=1, learning_rate=r) for r in (0.01, 0.02, 0.05, 0.1)]
before = kilobytes("VmRSS")
pathlib.Path("/proc/self/clear_refs").write_text("5")
job = jobs.Job(tuple(runs))
sweeps._train(job)
print(1024 * (kilobytes("VmHWM") - before), job.memory)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc")
def test_the_memory_estimate_is_near_what_a_process_takes():
    """Networks with large matrices and few of them: the statistics take more than the training."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = subprocess.run(
        [sys.executable, "-c", MEASURE], env=environment, capture_output=True, text=True, check=True
    ).stdout
    taken, estimate = map(int, out.split())
    assert taken / 1.5 < estimate < 1.5 * taken
