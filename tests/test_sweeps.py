"""Sweeps: what is stacked, what is kept, and that nothing that stops one changes its numbers."""

import contextlib
import errno
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
)
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_jobs import WATCH, make

from course_lib import (
    datasets,
    instruments,
    jacobian,
    models,
    pretraining,
    results,
    shapeset,
    storage,
    sweeps,
    training,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Here(Executor):
    """An executor that does everything at once, in this process."""

    def __init__(self):
        self.jobs = []

    def submit(self, function, job, *arguments):
        self.jobs.append(job)
        future = Future()
        try:
            future.set_result(function(job, *arguments))
        except Exception as why:
            future.set_exception(why)
        return future


def sweep(jobs, folder, executor=None):
    return sweeps.sweep(jobs, folder, executor or Here(), progress=False)


def assert_same(found, expected):
    """Bit for bit: curve by curve, all arrays, axes and configurations."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.config == other.config and one.axes == other.axes
        assert one.arrays.keys() == other.arrays.keys()
        for name, values in other.arrays.items():
            np.testing.assert_array_equal(one[name], values, strict=True, err_msg=name)


def files(folder):
    return sorted(path.name for path in folder.glob("*.npz"))


# ---- runs and watches ------------------------------------------------------------------------


def test_a_run_is_trained_as_it_says(tmp_path):
    """Against the same training written out, in every field that a stack shares or not."""
    runs = [
        make(scheme="standard", learning_rate=0.1, seed=3, stream=8, cost="quadratic", depth=1),
        make(
            scheme="xavier",
            learning_rate=0.3,
            seed=5,
            stream=8,
            cost="quadratic",
            depth=1,
            output_bias=False,
        ),
    ]
    runs = [replace(run, batch_size=7, activation="sigmoid") for run in runs]
    found = sweep(sweeps.plan(runs), tmp_path)
    model = models.MLP(
        [1024, 6, 9],
        "sigmoid",
        runs=2,
        scheme=["standard", "normalized"],
        seed=[3, 5],
        output_bias=[True, False],
    )
    images, labels = shapeset.sample(20, 2_010_000)
    watch = instruments.Monitor(images, labels, instruments.every(50), ("cost", "activation_std"))
    history = training.train(
        model,
        shapeset.Stream(7, seed=8),
        120,
        [0.1, 0.3],
        cost="quadratic",
        monitors=[watch],
        progress=False,
    )
    joined = results.join(found)
    assert joined.axes == history.axes
    for name, values in history.arrays.items():
        np.testing.assert_array_equal(joined[name], values, strict=True, err_msg=name)
    assert [curve.config["run"]["seed"] for curve in found] == [3, 5]
    assert found[0].provenance["code_version"] == storage.code_version()


def test_the_stream_is_the_seeds_own_unless_named(tmp_path):
    own, same, other = make(seed=4), make(seed=4, stream=4), make(seed=4, stream=5)
    curves = sweep([sweeps.Job((run,)) for run in (own, same, other)], tmp_path)
    np.testing.assert_array_equal(curves[0]["train_cost"], curves[1]["train_cost"])
    assert not np.array_equal(curves[0]["train_cost"], curves[2]["train_cost"])


def test_runs_with_streams_of_their_own_in_one_job(tmp_path):
    """As on CUDA: in a stack each run sees its own seed's images."""
    runs = (make(seed=0), make(seed=1))
    together = sweep([sweeps.Job(runs)], tmp_path)
    alone = sweep([sweeps.Job((run,)) for run in runs], tmp_path)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one["train_cost"], other["train_cost"], rtol=1e-4)
    assert not np.allclose(together[0]["train_cost"], together[1]["train_cost"], rtol=1e-3)


def test_a_run_is_pretrained_first(tmp_path):
    """On other mini-batches than it is trained on, once for runs that start alike."""
    rates = [0.1, 0.3]
    runs = [make(learning_rate=rate, seed=3, stream=8, pretraining=60, depth=2) for rate in rates]
    found = sweep(sweeps.plan(runs), tmp_path)
    model = models.MLP([1024, 6, 6, 9], "tanh", runs=2, scheme=runs[0].scheme, seed=[3, 3])
    stream = shapeset.Stream(10, sweeps.PRETRAINING_STREAM + 8)
    before = pretraining.pretrain_(model, stream, 60, seed=8, progress=False)
    stream = shapeset.Stream(10, seed=8)
    history = training.train(model, stream, 120, rates, progress=False)
    joined = results.join(found)
    np.testing.assert_array_equal(joined["train_cost"], history["train_cost"])
    np.testing.assert_array_equal(joined["reconstruction_cost"], before["reconstruction_cost"])
    assert joined.axes.items() >= before.axes.items()
    assert found[0].provenance["pretraining"]["updates"] == 60
    (without,) = sweep([sweeps.Job((replace(runs[0], pretraining=0),))], tmp_path)
    assert not np.array_equal(without["train_cost"], found[0]["train_cost"])
    assert "reconstruction_cost" not in without


@pytest.mark.parametrize("own", [False, True], ids=["one stream", "own streams"])
def test_a_pretrained_run_goes_on_where_it_stopped(own, tmp_path, monkeypatch):
    runs = (make(pretraining=30), make(pretraining=30, seed=1, stream=None if own else 0))
    job = sweeps.Job(runs)
    whole = sweeps._train(job)
    checkpoint = tmp_path / "checkpoint.npz"
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    save = training._save

    def stop(path, config, provenance, model, records, step):
        save(path, config, provenance, model, records, step)
        if step:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stop)
    with pytest.raises(KeyboardInterrupt):
        sweeps._train(job, checkpoint)
    assert checkpoint.exists()
    monkeypatch.undo()
    again = sweeps._train(job, checkpoint)
    for name, values in whole.arrays.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_data_in_0_to_1_is_pretrained_on_as_such(tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(50, 784, generator=generator)
    part = datasets.Split(images, torch.zeros(50, dtype=torch.long))
    monkeypatch.setattr(sweeps, "_dataset", lambda name: SimpleNamespace(train=part))
    run = make(data="mnist", pretraining=20, watches=())
    history = sweeps._train(sweeps.Job((run,)))
    model = models.MLP(run.sizes, run.activation, scheme=run.scheme)
    data = training.Minibatches(*part, 10, sweeps.PRETRAINING_STREAM)
    before = pretraining.pretrain_(model, data, 20, least=0, progress=False)
    np.testing.assert_array_equal(history["reconstruction_cost"], before["reconstruction_cost"])


def test_a_jacobian_is_watched(tmp_path):
    watch = sweeps.Watch(("mean", "rms"), ("at", (0, 10)), examples=5, kind="jacobian")
    (curve,) = sweep([sweeps.Job((make(updates=10, watches=(WATCH, watch)),))], tmp_path)
    model = models.MLP([1024, 6, 6, 9], "tanh", scheme="standard", seed=0)
    images, labels = shapeset.sample(5, 2_010_000)
    expected = jacobian.Monitor(images, labels, instruments.every(1)).measure(model)
    assert curve["jacobian_update"].tolist() == [0, 10]
    np.testing.assert_array_equal(curve["jacobian_mean"][0], expected["mean"])


def test_real_data_in_parts(tmp_path, monkeypatch):
    """MNIST in small: mini-batches of the training part, watches of the others."""
    generator = torch.Generator().manual_seed(0)

    def split(n):
        return datasets.Split(torch.rand(n, 784, generator=generator), torch.arange(n) % 10)

    parts = [split(n) for n in (40, 30, 20)]
    tiny = datasets.Dataset("tiny", *parts, classes=tuple("0123456789"), shape=(28, 28))
    monkeypatch.setattr(datasets, "mnist", lambda: tiny)
    monkeypatch.setattr(datasets, "COUNTS", {"mnist": (40, 30, 20)})
    sweeps._dataset.cache_clear()
    sweeps._examples.cache_clear()
    watches = tuple(
        sweeps.Watch(("error",), ("at", (0,)), examples, name=part, part=part)
        for part, examples in (("test", 20), ("validation", 15))
    )
    run = make(data="mnist", watches=watches, updates=9, seed=6)
    (curve,) = sweep([sweeps.Job((run,))], tmp_path)
    model = models.MLP([784, 6, 6, 10], "tanh", scheme="standard", seed=6)
    error = instruments.measure(model, *tiny.test, ["error"])["error"]
    np.testing.assert_array_equal(curve["test_error"][0], error)
    assert curve["validation_error"][0, 0] * 15 == pytest.approx(
        round(curve["validation_error"][0, 0] * 15)
    )
    too_many = replace(run, watches=(replace(watches[1], examples=31),))
    with pytest.raises(ValueError, match="there are 30 examples; 31 were asked for"):
        sweep([sweeps.Job((too_many,))], tmp_path)
    sweeps._dataset.cache_clear()
    sweeps._examples.cache_clear()


def test_workers_are_as_many_as_there_are_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    jobs = [sweeps.Job((make(seed=s),)) for s in range(12)]
    assert sweeps.workers(jobs) == 8 and sweeps.workers(jobs[:3]) == 3
    assert sweeps.workers([replace(job, threads=3) for job in jobs]) == 2
    assert sweeps.workers([replace(jobs[0], threads=20)]) == 1
    assert sweeps.workers([*jobs, replace(jobs[0], device="cuda")]) == 1


# ---- what is kept ----------------------------------------------------------------------------


def six():
    return [make(seed=seed, learning_rate=rate) for rate in (0.3, 0.1) for seed in (2, 0, 1)]


def test_curves_come_in_the_order_of_the_runs_each_in_its_file(tmp_path):
    runs = six()
    jobs = sweeps.plan(runs)
    found = sweep(jobs, tmp_path)
    assert [(c.config["run"]["seed"], c.config["run"]["learning_rate"]) for c in found] == [
        (run.seed, run.learning_rate) for run in runs
    ]
    expected = [path.name for job in jobs for path in job.files(tmp_path)]
    assert files(tmp_path) == sorted(expected) and len(expected) == 6
    assert all(curve["diverged"].shape == (1,) for curve in found)
    kept = [training.History.load(path) for job in jobs for path in job.files(tmp_path)]
    by_run = {str(c.config["run"]): c for c in kept}
    assert_same(found, [by_run[str(c.config["run"])] for c in found])
    assert list((tmp_path / "checkpoints").iterdir()) == []
    # Without a plan, job by job.
    again = sweep(list(jobs), tmp_path)
    job_by_job = [(run.seed, run.learning_rate) for job in jobs for run in job.runs]
    assert [
        (c.config["run"]["seed"], c.config["run"]["learning_rate"]) for c in again
    ] == job_by_job
    assert job_by_job != [(run.seed, run.learning_rate) for run in runs]


def test_finished_jobs_are_not_computed_again(tmp_path):
    jobs = sweeps.plan(six())
    expected = sweep(jobs, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    executor = Here()
    assert_same(sweep(jobs, tmp_path, executor), expected)
    assert executor.jobs == []
    # One curve of a job is missing: the job again, the other curve as it lies.
    jobs[1].files(tmp_path)[0].unlink()
    assert_same(sweep(jobs, tmp_path, executor), expected)
    assert executor.jobs == [jobs[1]]
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert {p for p in times if times[p] != after[p]} == {jobs[1].files(tmp_path)[0]}


def test_the_same_run_twice_is_computed_once(tmp_path):
    executor = Here()
    found = sweep(sweeps.plan([make(), make(seed=1), make()]), tmp_path, executor)
    assert len(executor.jobs) == 2 and [c.config["run"]["seed"] for c in found] == [0, 1, 0]
    job = sweeps.Job((make(seed=5),))
    assert len(sweep([job, job], tmp_path, executor)) == 2 and len(executor.jobs) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "another"])
def test_a_damaged_curve_is_computed_again_and_said(tmp_path, capsys, damage):
    jobs = sweeps.plan(six(), stack=1)
    expected = sweep(jobs, tmp_path)
    path, other = jobs[2].files(tmp_path)[0], jobs[3].files(tmp_path)[0]
    content = {
        "cut": path.read_bytes()[:-200],
        "empty": b"",
        "another": other.read_bytes(),
    }[damage]
    path.write_bytes(content)
    executor = Here()
    assert_same(sweep(jobs, tmp_path, executor), expected)
    assert executor.jobs == [jobs[2]]
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert f"{path} is damaged, or another run's; it is computed again and replaced" in err
    assert sweep(jobs, tmp_path, executor) and capsys.readouterr().err == ""


def test_curves_of_other_code_are_not_used_and_counted(tmp_path, capsys, monkeypatch):
    jobs = sweeps.plan([make(seed=0), make(seed=1)])
    monkeypatch.setattr(storage, "code_version", lambda: "older")
    sweep(jobs, tmp_path)
    monkeypatch.undo()
    sweep(sweeps.plan([make(seed=0, updates=50)]), tmp_path)  # same name, and another run
    assert capsys.readouterr().err == ""
    executor = Here()
    sweep(jobs[:1], tmp_path, executor)
    err = capsys.readouterr().err
    assert "sweep: not used: 1 curve of these runs in" in err and "another version of" in err
    sweep(jobs, tmp_path, executor)
    assert executor.jobs == list(jobs) and len(files(tmp_path)) == 5


def test_what_a_killed_writer_left_is_removed_once_it_is_old(tmp_path):
    """A younger one may be another sweep's, which is writing it."""
    job = sweeps.Job((make(),))
    (tmp_path / "checkpoints").mkdir()
    places = [tmp_path / f".{job.files(tmp_path)[0].name}", tmp_path / "checkpoints/.other.npz"]
    old = [path.with_name(f"{path.name}.old.part") for path in places]
    young = [path.with_name(f"{path.name}.young.part") for path in places]
    mine = tmp_path / ".notes.part"
    for path in [*old, *young, mine]:
        path.write_bytes(b"half")
    for path in [*old, mine]:
        os.utime(path, (time.time() - 4000,) * 2)
    for _ in range(2):  # at work, and with nothing left to do
        sweep([job], tmp_path)
        assert not any(path.exists() for path in old)
        assert all(path.exists() for path in [*young, mine])


def test_two_sweeps_at_once_in_one_folder(tmp_path, monkeypatch):
    """Each is in the middle of every write of the other."""
    jobs = sweeps.plan(six())
    write, inside = storage.atomic_write, []

    @contextlib.contextmanager
    def writes(path):
        with write(path) as file:
            if not inside:
                inside.append(path)
                assert_same(sweep(jobs, tmp_path), expected)
                inside.pop()
            yield file

    expected = sweep(jobs, tmp_path / "alone")
    monkeypatch.setattr(storage, "atomic_write", writes)
    monkeypatch.setattr(sweeps, "_ONE_AT_A_TIME", contextlib.nullcontext())  # this is one thread
    assert_same(sweep(jobs, tmp_path), expected)
    assert list(tmp_path.glob(".*")) == list((tmp_path / "checkpoints").iterdir()) == []


def test_a_damaged_checkpoint_is_said_and_its_job_starts_again(tmp_path, capsys):
    job = sweeps.Job((make(),))
    checkpoint = tmp_path / "one" / "checkpoints" / f"{job.key}.npz"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"half a file")
    found = sweep([job], tmp_path / "one")
    err = capsys.readouterr().err
    assert err == f"sweep: {checkpoint} is damaged; its job starts again\n"
    assert_same(found, sweep([job], tmp_path / "two"))


def test_a_folder_that_cannot_be_made_is_named_before_the_work(tmp_path):
    (tmp_path / "taken").write_text("a file")
    executor = Here()
    with pytest.raises(OSError, match="no sweep can lie there: .*taken"):
        sweep([sweeps.Job((make(),))], tmp_path / "taken", executor)
    assert executor.jobs == []


# ---- what fails ------------------------------------------------------------------------------


def test_a_job_that_raises_is_named_when_the_others_are_done(tmp_path, monkeypatch):
    jobs = sweeps.plan(six())
    train = training.train

    def fails(model, *arguments, **options):
        if model.seeds[0] == 1:
            raise ValueError("the images are upside down")
        return train(model, *arguments, **options)

    monkeypatch.setattr(training, "train", fails)
    with pytest.raises(ValueError, match="the images are upside down$") as why:
        sweep(jobs, tmp_path)
    (bad,) = [job for job in jobs if job.runs[0].seed == 1]
    assert "1 of 3 jobs failed, 2 are finished and kept" in str(why.value)
    assert bad.key in str(why.value) and all(run.name in str(why.value) for run in bad.runs)
    assert len(files(tmp_path)) == 4
    with pytest.raises(ValueError, match="upside down"):  # the one that is left, in this process
        sweeps.sweep(jobs, tmp_path, progress=False)
    monkeypatch.undo()
    executor = Here()
    sweep(jobs, tmp_path, executor)
    assert executor.jobs == [bad]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(2, "no such file", "mnist.gz"), OSError),
        (ImportError("MNIST needs pooch"), ImportError),
        (MemoryError("no room"), RuntimeError),
        (CancelledError("lost"), RuntimeError),
    ],
)
def test_errors_keep_their_kind_where_it_tells_the_reader(tmp_path, monkeypatch, error, kind):
    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr(training, "train", fails)
    with pytest.raises(kind, match=f"2 of 2 jobs failed, 0 are .*{type(error).__name__}"):
        sweep(sweeps.plan([make(), make(seed=1)]), tmp_path)


def test_a_full_disk_stops_the_sweep_and_names_the_file(tmp_path, monkeypatch):
    jobs = sweeps.plan(six())
    save, calls = training.History.save, []

    def full(history, path):
        calls.append(path)
        if len(calls) in (3, 4):  # the first curve of the second job, and of the third
            raise OSError(errno.ENOSPC, "No space left on device")
        save(history, path)

    monkeypatch.setattr(training.History, "save", full)
    with pytest.raises(OSError, match="cannot keep a finished curve: No space left") as why:
        sweep(jobs, tmp_path)
    assert str(calls[2]) in str(why.value) and why.value.errno == errno.ENOSPC
    # What had been computed by then was tried once more, and was kept where there was room.
    assert {*calls[2:4]} <= {*calls[4:]} and len(files(tmp_path)) == 6
    monkeypatch.undo()
    executor = Here()
    assert_same(sweep(jobs, tmp_path, executor), sweep(jobs, tmp_path / "other"))
    assert executor.jobs == []


def test_no_job_is_begun_once_the_disk_is_full(tmp_path, monkeypatch):
    """What it found could not be kept. One job at a time; the second waits for the first's end."""
    begun, tried, retried = [], [], threading.Event()
    train = training.train

    def waits(model, *arguments, **options):
        begun.append(model.seeds[0])
        assert len(begun) == 1 or retried.wait(20)
        return train(model, *arguments, **options)

    def full(history, path):
        tried.append(path)
        if len(tried) > 1:
            retried.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "train", waits)
    monkeypatch.setattr(training.History, "save", full)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(OSError, match="No space left"):
            sweep(sweeps.plan([make(seed=seed) for seed in range(6)]), tmp_path, executor)
    assert len(begun) <= 2 and len(tried) == 2


def test_a_worker_that_cannot_be_given_a_job_counts_as_dead(tmp_path, monkeypatch):
    """It was killed between two jobs; submit itself raises."""

    class Worker(Here):
        made = []

        def __init__(self):
            super().__init__()
            self.made.append(self)

        def submit(self, *arguments):
            if len(self.made) <= 2:
                raise BrokenExecutor("it is dead")
            return super().submit(*arguments)

        def close(self, busy=False):
            assert not busy

    monkeypatch.setattr(sweeps.processes, "Worker", Worker)
    monkeypatch.setattr(sweeps, "workers", lambda jobs: 1)
    jobs = sweeps.plan(six())
    found = sweeps.sweep(jobs, tmp_path / "one", progress=False)
    assert len(Worker.made) == 3
    assert_same(found, sweep(jobs, tmp_path / "two"))


def test_a_cluster_that_takes_no_jobs_any_more(tmp_path):
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="3 of 3 jobs failed, 0 are finished .*after shutdown"):
        sweep(sweeps.plan(six()), tmp_path, executor)


def test_a_worker_with_other_code_is_refused(tmp_path):
    with pytest.raises(ValueError, match="this worker's course_lib is another version .*not other"):
        sweeps._work(sweeps.Job((make(),)), tmp_path / "checkpoint.npz", "other")


def test_a_worker_without_the_sweeps_disk_writes_no_checkpoint(tmp_path, monkeypatch):
    job, seen = sweeps.Job((make(),)), []
    monkeypatch.setattr(sweeps, "_train", lambda job, checkpoint: seen.append(checkpoint))
    for folder in (tmp_path, tmp_path / "elsewhere"):
        sweeps._work(job, str(folder / "checkpoint.npz"), storage.code_version())
    assert seen == [tmp_path / "checkpoint.npz", None]


# ---- in this process -------------------------------------------------------------------------


def test_a_single_job_runs_in_this_process(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweeps, "_together", None)
    job = sweeps.Job((make(),))
    (found,) = sweeps.sweep([job], tmp_path / "one")
    out, err = capsys.readouterr()
    assert out == "" and "120" in err  # training's own bar
    monkeypatch.undo()
    assert_same([found], sweep([job], tmp_path / "two"))


def test_ctrl_c_on_a_single_job(tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt("stopped after 7")

    jobs = sweeps.plan([make(seed=0), make(seed=1)])
    sweep(jobs[:1], tmp_path)
    monkeypatch.setattr(training, "train", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"stopped: 1 of 2 jobs are finished in .*goes on"):
        sweeps.sweep(jobs, tmp_path, progress=False)


def test_one_bar_over_all_updates(tmp_path, capsys):
    jobs = sweeps.plan([make(seed=s) for s in range(3)])
    sweep(jobs[:1], tmp_path)
    assert capsys.readouterr() == ("", "")
    sweeps.sweep(jobs, tmp_path, Here())
    out, err = capsys.readouterr()
    first, last = err.split("\r")[1], err.split("\r")[-1]
    assert out == "" and "120/360" in first and "360/360" in last and "updates" in last


def test_checkpoints_move_the_bar(tmp_path):
    job = sweeps.Job((make(updates=500), make(updates=500, scheme="normalized")))
    (tmp_path / "checkpoints").mkdir()
    task = sweeps._Task(job, tmp_path)
    assert task.step == 0 and sweeps._updates([task]) == 0
    storage.save(task.checkpoint, {"step": 70}, {})
    assert task.step == 70 and sweeps._updates([task]) == 140
    task.checkpoint.write_bytes(b"half a file")
    assert task.step == 0


def test_deaths_count_only_without_progress(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    task = sweeps._Task(sweeps.Job((make(),)), tmp_path)
    assert task.died() and task.died()
    storage.save(task.checkpoint, {"step": 70}, {})
    assert task.died() and task.died() and not task.died()


def test_a_sweep_in_another_thread(tmp_path):
    """Signals reach the main thread only: there a sweep goes without them."""
    found = []
    jobs = sweeps.plan([make(seed=0), make(seed=1)])
    thread = threading.Thread(target=lambda: found.extend(sweep(jobs, tmp_path)))
    thread.start()
    thread.join()
    assert len(found) == 2


def test_a_sweep_leaves_ctrl_c_as_it_was(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    sweep(sweeps.plan(six()), tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    with contextlib.suppress(AttributeError):
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


# ---- processes that die ----------------------------------------------------------------------
# A script, so that a whole sweep can be killed with all its processes. Its workers import it too.
SCRIPT = """
import os, pathlib, signal, sys, time
from course_lib import sweeps, training

folder, mode = pathlib.Path(sys.argv[1]), sys.argv[2]
training.SAVE_EVERY = 0.05 if mode == "killed" else 1e9
sweeps.ATTEMPTS = 2
train = training.train

def logged(model, *arguments, checkpoint=None, **options):
    with open(folder / "log", "a") as log:
        log.write(f"{model.seeds[0]}\\n")
    if mode == "deadly":
        starts = (folder / "log").read_text().split()
        if model.seeds[0] == 0 or model.seeds[0] == 1 and starts.count("1") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if model.seeds[0] == 2:
            raise ValueError("the third is no good")
    return train(model, *arguments, checkpoint=checkpoint, **options)

training.train = logged
watch = sweeps.Watch(("cost", "activation_std"), ("every", 500), examples=20)
jobs = [
    sweeps.Job(tuple(
        sweeps.Run("tanh", scheme, 0.1, seed, {updates}, width=6, depth=2, watches=(watch,))
        for scheme in ("standard", "normalized")
    ))
    for seed in range({jobs})
]
if __name__ == "__main__":
    sys.stdin.readline() or sys.exit()
    print("begun", flush=True)
    try:
        sweeps.sweep(jobs, folder / "curves", progress=False)
    except KeyboardInterrupt as stop:
        sys.exit(f"KeyboardInterrupt: {stop}")
    except Exception as why:
        sys.exit(f"{type(why).__name__}: {why}")
    print("finished")
"""


class Script:
    """The script in a session of its own; with `waits` it imports and begins when told to."""

    def __init__(self, folder, mode, jobs, updates, waits=False):
        self.folder, self.count, self.updates = folder, jobs, updates
        text = SCRIPT.replace("{jobs}", str(jobs)).replace("{updates}", str(updates))
        if not (folder / "script.py").exists():
            (folder / "script.py").write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, folder / "script.py", folder, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

        if not waits:
            self.begin()

    def begin(self):
        self.process.stdin.write("begin\n")
        self.process.stdin.flush()

    @property
    def log(self):
        """The seeds whose training was begun, in order."""
        path = self.folder / "log"
        return [int(seed) for seed in path.read_text().split()] if path.exists() else []

    def until_started(self, count):
        """Wait until so many trainings were begun in all; return whether the script still runs."""
        while len(self.log) < count and self.process.poll() is None:
            time.sleep(0.01)
        return self.process.poll() is None

    def end(self):
        """Wait for the end; return the exit status, stdout and stderr."""
        try:
            out, err = self.process.communicate(timeout=100)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return self.process.returncode, out, err

    def alive(self):
        """Return the processes of its session that still run."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.process.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    def until_all_dead(self):
        deadline = time.monotonic() + 20
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.alive()

    def jobs(self):
        watch = sweeps.Watch(("cost", "activation_std"), ("every", 500), examples=20)
        return [
            sweeps.Job(
                tuple(
                    sweeps.Run(
                        "tanh", s, 0.1, seed, self.updates, width=6, depth=2, watches=(watch,)
                    )
                    for s in ("standard", "normalized")
                )
            )
            for seed in range(self.count)
        ]

    def finished(self):
        """Return the seeds of the jobs whose curves are all there."""
        curves = self.folder / "curves"
        return {
            job.runs[0].seed
            for job in self.jobs()
            if all(path.exists() for path in job.files(curves))
        }


needs_proc = pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc")
UPDATES = 2_000


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The curves of twelve jobs that nothing stopped, and a function that compares with them."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    script = Script.__new__(Script)
    script.count, script.updates, script.folder = 12, UPDATES, folder
    jobs = script.jobs()
    expected = sweep(jobs, folder / "curves")

    def compare(curves, count=12):
        kept = [path for job in jobs[:count] for path in job.files(curves)]
        assert set(kept) <= set(curves.glob("*.npz"))
        assert_same([training.History.load(path) for path in kept], expected[: len(kept)])

    return compare


@needs_proc
def test_a_sweep_killed_five_times_ends_as_if_it_never_had_been(tmp_path, uninterrupted):
    """SIGKILL to the parent at random moments; its workers must die with it."""
    moments, kills = random.Random(), 5
    following = Script(tmp_path, "killed", 12, UPDATES, waits=True)
    for _ in range(kills):
        script, finished, begun = following, following.finished(), len(following.log)
        script.begin()
        following = Script(tmp_path, "killed", 12, UPDATES, waits=True)  # imports meanwhile
        assert script.until_started(begun + moments.choice([1, 2, 3])), script.end()
        time.sleep(moments.uniform(0, 0.4))
        script.process.kill()
        script.process.wait()
        assert script.until_all_dead(), "workers outlived their parent"
        assert not set(script.log[begun:]) & finished, "a finished job was begun again"
        script.process.communicate()
    script, finished, begun = following, following.finished(), len(following.log)
    script.begin()
    status, out, err = script.end()
    assert (status, out, err) == (0, "begun\nfinished\n", "")
    assert not set(script.log[begun:]) & finished
    assert set(script.log) == set(range(12))
    workers = sweeps.workers(script.jobs())
    assert len(script.log) <= 12 + kills * workers
    assert list((tmp_path / "curves" / "checkpoints").glob("[!.]*")) == []
    uninterrupted(tmp_path / "curves")


@needs_proc
@pytest.mark.parametrize("whom", ["parent", "everyone"])
def test_ctrl_c_lets_the_workers_write_their_checkpoints(tmp_path, uninterrupted, whom):
    """In a terminal Ctrl-C goes to every process of the group."""
    send = {"parent": os.kill, "everyone": os.killpg}[whom]
    count = 3
    script = Script(tmp_path, "interrupted", count, UPDATES)
    assert script.until_started(2), script.end()
    time.sleep(0.1)
    send(script.process.pid, signal.SIGINT)
    status, out, err = script.end()
    assert status == 1 and out == "begun\n"
    assert err.count("\n") == 1 and err.startswith("KeyboardInterrupt: stopped: ")
    assert f"{len(script.finished())} of {count} jobs are finished in" in err
    assert script.until_all_dead()
    steps = [
        int(storage.load(path)["step"])
        for path in (tmp_path / "curves" / "checkpoints").glob("*.npz")
    ]
    # A worker that has only just begun is at 0: one further on shows that places are kept.
    assert steps and max(steps) > 0 and all(step < UPDATES for step in steps), steps
    if whom == "everyone":  # going on is the same for both
        sweep(script.jobs(), tmp_path / "curves")
        uninterrupted(tmp_path / "curves", count)


@needs_proc
def test_ctrl_c_while_the_workers_are_starting(tmp_path):
    """They import for a second or two: no traceback then either."""
    script = Script(tmp_path, "interrupted", 3, UPDATES)
    while len(script.alive()) < 3:  # itself, Python's keeper of shared resources, a worker
        time.sleep(0.01)
    time.sleep(0.2)
    os.killpg(script.process.pid, signal.SIGINT)
    status, out, err = script.end()
    assert status == 1 and err.count("\n") == 1, err
    assert err.startswith("KeyboardInterrupt: stopped: 0 of 3 jobs are finished in")
    assert script.until_all_dead()


@needs_proc
def test_workers_that_die_and_jobs_that_raise(tmp_path, uninterrupted):
    """Job 0 kills its worker always, job 1 the first time, job 2 raises; the others finish."""
    script = Script(tmp_path, "deadly", 5, UPDATES)
    status, out, err = script.end()
    assert status == 1 and out == "begun\n" and err.count("\n") == 1, err
    assert "2 of 5 jobs failed, 3 are finished and kept" in err
    assert "no good" in err or "its process was killed 2 times at update 0" in err
    assert script.finished() == {1, 3, 4}
    counts = [script.log.count(seed) for seed in range(5)]
    assert counts == [2, 2, 1, 1, 1]
    executor = Here()
    sweep(script.jobs(), tmp_path / "curves", executor)
    assert {job.runs[0].seed for job in executor.jobs} == {0, 2}
    uninterrupted(tmp_path / "curves", 5)


def test_a_worn_out_job_is_told_what_it_takes(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    task = sweeps._Task(sweeps.Job((make(),)), tmp_path)
    words = str(sweeps._worn_out(task))
    assert "killed 3 times at update 0" in words and "takes about 0.3 GB" in words
    assert "__main__" in words


# ---- a cluster -------------------------------------------------------------------------------


@needs_proc
def test_a_dask_cluster_that_loses_a_worker(tmp_path, uninterrupted):
    distributed = pytest.importorskip("distributed")
    script = Script.__new__(Script)
    script.count, script.updates, script.folder = 6, UPDATES, tmp_path
    curves, killed = tmp_path / "curves", []

    def kill(cluster):
        """Kill a worker once two jobs are finished."""
        while len(list(curves.glob("*.npz"))) < 4:
            time.sleep(0.01)
        pid = cluster.workers[0].pid
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        sweeps.cluster(cluster.scheduler_address) as executor,
    ):
        thread = threading.Thread(target=kill, args=(cluster,), daemon=True)
        thread.start()
        sweeps.sweep(script.jobs(), curves, executor, progress=False)
        thread.join()
    assert len(killed) == 1
    assert executor._client.status == "closed"
    uninterrupted(curves, 6)


def test_without_dask_one_line_names_the_extra(monkeypatch):
    for name in ("dask", "dask.distributed", "distributed"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'hard-to-train\[cluster\]'"):
        sweeps.cluster("tcp://127.0.0.1:1")


def test_an_address_where_nobody_answers():
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}):
        with pytest.raises(OSError, match="no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
            sweeps.cluster("tcp://127.0.0.1:1")


# ---- the page --------------------------------------------------------------------------------


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    """As they stand, but for the number of updates and where the jobs are computed."""
    page = (ROOT / "book" / "sweeps.md").read_text()
    example, cluster = (part.split("```")[0] for part in page.split("```python\n")[1:])
    assert example.count("20_000") == 1
    compute, executors = sweeps.sweep, []

    def without_processes(jobs, folder, executor=None):
        return compute(jobs, folder, executor or Here(), progress=False)

    def connected(address):
        executors.append(Here())
        return executors[0]

    monkeypatch.setattr(sweeps, "sweep", without_processes)
    monkeypatch.setattr(sweeps, "cluster", connected)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(example.replace("20_000", "100"), names)
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("3 jobs of about") and len(out) == 7
    rates = [float(line.split()[1]) for line in out[1:]]
    assert rates == 2 * [0.01, 0.03, 0.1]
    assert all(len(re.findall(r"0\.\d+", line)) == 4 for line in out[1:])  # and three errors
    assert len(files(tmp_path / "my_sweep")) == 18
    expected = names["curves"]
    os.rename(tmp_path / "my_sweep", tmp_path / "first")
    exec(cluster, names)
    assert executors[0].jobs == names["jobs"]
    assert_same(names["curves"], expected)
