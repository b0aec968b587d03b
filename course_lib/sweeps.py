"""Many runs at once: stacked, on the cores of one machine or on a cluster, and resumable.

`plan` stacks runs into jobs, which are plain data (`jobs`); `sweep` has them computed by anything
that speaks ``concurrent.futures`` and keeps each run's curve in a file of its own as soon as its
job is done. The same call after any interruption goes on with what is missing, and ends with the
same numbers.
"""

import contextlib
import functools
import glob
import os
import pathlib
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait

import numpy as np
from tqdm import tqdm

from course_lib import (
    datasets,
    instruments,
    jacobian,
    models,
    pretraining,
    processes,
    shapeset,
    storage,
    training,
)

# The words in which sweeps are written, such as sweeps.Run.
from course_lib.jobs import Job, Plan, Run, Watch, plan, schedule, seconds  # noqa: F401

ATTEMPTS = 3  # times that a job's worker may die before the job has got any further
ABANDONED = 3600.0  # seconds after which nobody can still be writing a file
PRETRAINING_STREAM = 3_000_000  # added to a run's seed: auto-encoders see other mini-batches


# ---------------------------------------------------------------- one job
def _train(job, checkpoint=None, progress=False):
    """Return the history of all runs of a job."""
    run = job.runs[0]
    monitors = [_monitor(watch, run) for watch in run.watches]
    model = models.MLP(
        run.sizes,
        run.activation,
        runs=len(job.runs),
        scheme=[r.scheme for r in job.runs],
        seed=[r.seed for r in job.runs],
        output_bias=[r.output_bias for r in job.runs],
        device=job.device,
    )
    before = _pretrain(model, job, progress) if run.pretraining else None
    history = training.train(
        model,
        _data(job),
        run.updates,
        [r.learning_rate for r in job.runs],
        cost=run.cost,
        monitors=monitors,
        checkpoint=checkpoint,
        threads=job.threads,
        kernel=job.kernel,
        progress=progress,
    )
    if before:
        history.arrays |= before.arrays
        history.axes |= before.axes
        how = ("learning_rate", "corruption", "updates")
        history.provenance["pretraining"] = {name: before.config[name] for name in how}
    return history


def _pretrain(model, job, progress):
    """Pre-train the runs of a job. A resumed job does it again, and starts from the same weights.

    Runs with the same first weights and stream, such as those of a search for a rate, share it.
    """
    run = job.runs[0]
    return pretraining.pretrain_(
        model,
        _data(job, PRETRAINING_STREAM),
        run.pretraining,
        seed=[r.stream_seed for r in job.runs],
        least=-1 if run.data == "shapeset" else 0,
        threads=job.threads,
        kernel=job.kernel,
        progress=progress,
    )


def _data(job, offset=0):
    """Return the mini-batches of a job's runs, from streams with `offset` added to their seeds."""
    runs = job.runs if job.own_streams else job.runs[:1]
    streams = [_stream(run, run.stream_seed + offset, job.device) for run in runs]
    return training.PerRun(streams) if job.own_streams else streams[0]


def _stream(run, seed, device):
    if run.data == "shapeset":
        return shapeset.Stream(run.batch_size, seed, device=device)
    images, labels = _dataset(run.data).train
    return training.Minibatches(images, labels, run.batch_size, seed)


def _monitor(watch, run):
    images, labels = _examples(run.data, watch.part, watch.examples, watch.seed)
    due = schedule(watch.schedule, run.updates)
    if watch.kind == "jacobian":
        prefix = {"name": watch.name} if watch.name else {}
        return jacobian.Monitor(images, labels, due, watch.quantities, **prefix)
    edges = {kind: list(values) for kind, values in watch.edges}
    return instruments.Monitor(
        images, labels, due, watch.quantities, watch.percentiles, edges, watch.name
    )


@functools.lru_cache(maxsize=4)  # jobs of one sweep look at the same few
def _examples(data, part, examples, seed):
    if data == "shapeset":
        return shapeset.sample(examples, seed)
    return datasets.some(getattr(_dataset(data), part), examples, seed)


@functools.lru_cache(maxsize=1)
def _dataset(name):
    return getattr(datasets, name)()


_ONE_AT_A_TIME = threading.Lock()  # threads and kernel are settings of a whole process


def _work(job, checkpoint, code):
    """Do a job for a sweep that runs elsewhere; return its history."""
    if storage.code_version() != code:
        raise ValueError(
            f"this worker's course_lib is another version ({storage.code_version()}, not {code}): "
            "install the same one everywhere, and change no code while a sweep runs"
        )
    checkpoint = pathlib.Path(checkpoint)
    with _ONE_AT_A_TIME:
        # Where the disk is not the sweep's own, a checkpoint would lie around unused.
        return _train(job, checkpoint if checkpoint.parent.is_dir() else None)


# ---------------------------------------------------------------- all jobs
def sweep(jobs, folder, executor=None, progress=True):
    """Compute the jobs that are not finished; keep each curve in ``folder/NAME-KEY.npz``.

    Stopped in any way, the same call goes on from the finished curves and the checkpoints. Ctrl-C
    lets the workers of this machine write theirs first.

    Parameters
    ----------
    jobs : `Plan`, or sequence of `Job`;  folder : path
    executor : concurrent.futures.Executor, such as `cluster` gives
        Without it, jobs go to processes of their own, cores // threads at a time.
    progress : bool, one bar over all updates

    Returns
    -------
    list of training.History, one per run, in the order that was planned (else, job by job)

    Raises
    ------
    ValueError, OSError, ImportError, RuntimeError
        If jobs failed, once the others are done; OSError at once if a curve cannot be written.
    KeyboardInterrupt
        On Ctrl-C; the message says what is finished.
    """
    order = [(job, run) for job in jobs for run in job.runs]
    if isinstance(jobs, Plan):
        home = {run: (job, run) for job, run in order}
        order = [home[run] for run in jobs.runs if run in home]
    folder = pathlib.Path(folder).absolute()
    _prepare(folder)
    tasks = {job: _Task(job, folder) for job in dict.fromkeys(jobs)}
    todo = [task for task in tasks.values() if not task.finished]
    _tell_of_other_code(todo, folder)
    if executor is None and len(todo) == 1:
        _alone(todo[0], tasks.values(), progress)
    elif todo:
        todo.sort(key=lambda task: task.job.seconds, reverse=True)  # the longest first
        with _bar(tasks.values(), progress) as bar:
            _together(todo, executor, bar, tasks.values())
    return [tasks[job].curves[run] for job, run in order]


def cluster(address):
    """Return an executor that hands jobs to a Dask cluster; it needs the extra ``cluster``.

    A Dask scheduler runs the pickles it is sent: whoever reaches its port can run code as its
    user. Use it in networks you trust, or with TLS, only. ``with`` closes the connection.

    Parameters
    ----------
    address : str, of the scheduler, such as ``"tcp://10.0.0.1:8786"``

    Raises
    ------
    ImportError
        If Dask is not installed.
    OSError
        If no scheduler answers there.
    """
    try:
        from dask import distributed
    except ImportError:
        raise ImportError(
            "a cluster needs Dask: pip install 'hard-to-train[cluster]' (or distributed)"
        ) from None
    try:
        client = distributed.Client(address, set_as_default=False)
    except (OSError, ValueError) as why:
        raise OSError(f"no Dask scheduler answers at {address!r} ({why})") from None
    executor = client.get_executor(pure=False)
    give_up = executor.shutdown

    def shutdown(wait=True):
        give_up(wait=False)  # a sweep has waited for all that it wants
        client.close()

    executor.shutdown = shutdown
    return executor


def workers(jobs):
    """Return how many jobs `sweep` computes at a time on this machine, without an executor."""
    if any(job.device == "cuda" for job in jobs):
        return 1  # they would share the one card
    affinity = getattr(os, "sched_getaffinity", None)  # what a batch system grants, where it tells
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(len(jobs), cores // max((job.threads for job in jobs), default=1)))


def _prepare(folder):
    """Make the folder, say at once if nothing can be written there, and tidy it.

    What a process left that was killed while it wrote a file is removed once it is old: until
    then it may be another sweep's, at work in the same folder.
    """
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise type(why)(why.errno, f"no sweep can lie there: {why.strerror}", str(folder)) from None
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "cannot write there", str(folder))
    for part in [*folder.glob(".*.npz.*.part"), *folder.glob("checkpoints/.*.npz.*.part")]:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


class _Task:
    """A job in a sweep: the curves that it has, and what became of its workers."""

    def __init__(self, job, folder):
        self.job, self.code = job, storage.code_version()
        self.paths = dict(zip(job.runs, job.files(folder), strict=True))
        self.checkpoint = folder / "checkpoints" / f"{job.key}.npz"
        self.curves = {}
        for run, path in self.paths.items():
            if path.exists():
                self._read(run, path)
        if not self.finished:
            self._check_checkpoint()
        self.deaths, self.mark = 0, 0

    def _read(self, run, path):
        try:
            curve = training.History.load(path)
            if curve.config != self.job.config(run):
                raise ValueError("another run's")
            self.curves[run] = curve
        except ValueError:  # the file stays until a good one takes its place
            _say(f"{path} is damaged, or another run's; it is computed again and replaced")

    def _check_checkpoint(self):
        try:
            storage.load(self.checkpoint)
        except FileNotFoundError:
            pass
        except ValueError:
            _say(f"{self.checkpoint} is damaged; its job starts again")
            self.checkpoint.unlink(missing_ok=True)

    @property
    def finished(self):
        return len(self.curves) == len(self.job.runs)

    @property
    def step(self):
        """The update at which its last checkpoint was written; 0 without one."""
        if self.finished:
            return self.job.runs[0].updates
        with contextlib.suppress(Exception), np.load(self.checkpoint, allow_pickle=False) as file:
            return int(file["step"])
        return 0

    def keep(self, history):
        """Write the curves that are missing, each run's own, and clear the checkpoint."""
        for i, (run, path) in enumerate(self.paths.items()):
            if run not in self.curves:
                curve = _curve(history, i, self.job.config(run))
                try:
                    curve.save(path)
                except OSError as why:
                    reason = f"cannot keep a finished curve: {why.strerror or why}"
                    raise type(why)(why.errno, reason, str(path)) from None
                self.curves[run] = curve
        self.checkpoint.unlink(missing_ok=True)

    def died(self):
        """Count the death of its worker; return whether the job may be tried again."""
        step = self.step
        self.deaths = 1 if step > self.mark else self.deaths + 1
        self.mark = max(step, self.mark)
        return self.deaths < ATTEMPTS


def _curve(history, i, config):
    """Return run i of a stack's history, with the run axis kept."""
    arrays = {
        name: np.take(values, [i], axis=history.axes[name].index("run"))
        if "run" in history.axes[name]
        else values
        for name, values in history.arrays.items()
    }
    return training.History(arrays, history.axes, config, history.provenance)


def _tell_of_other_code(todo, folder):
    """Say how many curves of the missing runs lie there that other code has made."""
    count = 0
    for task in todo:
        for run, own in task.paths.items():
            for path in folder.glob(f"{glob.escape(run.name)}-{'?' * 16}.npz"):
                with contextlib.suppress(ValueError, OSError):
                    count += path != own and storage.load(path).config == task.job.config(run)
    if count:
        curves = "1 curve" if count == 1 else f"{count} curves"
        _say(f"not used: {curves} of these runs in {folder}, made by another version of the code")


def _say(line):
    tqdm.write(f"sweep: {line}", file=sys.stderr)


def _bar(tasks, progress):
    return tqdm(
        total=sum(task.job.updates for task in tasks),
        initial=_updates(tasks),
        disable=not progress,
        unit=" updates",
        unit_scale=True,
        mininterval=0.5,
        file=sys.stderr,
    )


def _updates(tasks):
    return sum(len(task.job.runs) * task.step for task in tasks)


def _alone(task, tasks, progress):
    """Do the one job that is left in this very process."""
    try:
        history = _train(task.job, task.checkpoint, progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_stopped(tasks)) from None
    except Exception as why:
        raise _failure([(task, why)], tasks) from why
    with processes.interrupts():  # its checkpoint is gone
        task.keep(history)


def _together(todo, executor, bar, tasks):
    """Have the jobs computed at the same time; keep each one's curves when it is done."""
    own = executor is None
    count = workers([task.job for task in todo])
    idle = [processes.Worker() for _ in range(count)] if own else [executor] * len(todo)
    running, failed, unwritten, looked = {}, [], [], time.monotonic()
    todo = todo[::-1]
    with processes.interrupts() as stop, _closing(idle, running):
        while running or (todo and not stop.is_set()):
            while todo and idle and not stop.is_set():
                task, slot = todo.pop(), idle.pop()
                running[_begin(task, slot)] = task, slot
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                task, slot = running.pop(future)
                error = _error(future)
                if error is None:
                    try:
                        task.keep(future.result())
                    except OSError as why:  # what ends after it would be lost as well: stop
                        unwritten.append((task, future.result(), why))
                        stop.set()
                elif own and isinstance(error, (BrokenExecutor, KeyboardInterrupt)):
                    slot.close()
                    slot = processes.Worker()
                    if not task.died():
                        failed.append((task, _worn_out(task)))
                    elif not stop.is_set():
                        todo.append(task)
                else:
                    failed.append((task, error))
                idle.append(slot)
            if stop.is_set():
                _stop(running)
            if done or time.monotonic() - looked > 5:
                bar.n, looked = max(bar.n, _updates(tasks)), time.monotonic()
                bar.refresh()
    for task, history, _ in unwritten:
        with contextlib.suppress(OSError):  # the workers have stopped: there may be room now
            task.keep(history)
    if unwritten:
        raise unwritten[0][2]
    if stop.is_set():
        raise KeyboardInterrupt(_stopped(tasks))
    if failed:
        raise _failure(failed, tasks) from failed[0][1]


def _begin(task, slot):
    """Hand a job to a worker; return its future, which has the error if that cannot be done."""
    try:
        return slot.submit(_work, task.job, str(task.checkpoint), task.code)
    except Exception as why:  # the process has died since its last job, or the cluster is gone
        future = Future()
        future.set_exception(why)
        return future


def _error(future):
    """Return what a future that is done ended with: an exception, or None."""
    try:
        return future.exception()
    except CancelledError as cancelled:
        return cancelled


def _stop(running):
    """Ask the workers of this machine to write their checkpoints; give up what runs elsewhere."""
    for future, (_, slot) in list(running.items()):
        if isinstance(slot, processes.Worker):
            slot.stop()
        else:  # a job that has begun there goes on to its end, or to that of its worker
            future.cancel()
            del running[future]


@contextlib.contextmanager
def _closing(idle, running):
    """Close all workers at the end; kill those that have not finished, whatever the reason."""
    try:
        yield
    finally:
        for future in running:
            future.cancel()
        slots = [(slot, False) for slot in idle] + [(slot, True) for _, slot in running.values()]
        for slot, busy in slots:
            if isinstance(slot, processes.Worker):
                slot.close(busy)


def _stopped(tasks):
    finished = sum(task.finished for task in tasks)
    folder = next(iter(tasks)).checkpoint.parent.parent
    done = f"{finished} of {len(tasks)} jobs are finished"
    return f"stopped: {done} in {folder}, and the same call goes on from there"


def _worn_out(task):
    return RuntimeError(
        f"its process was killed {ATTEMPTS} times at update {task.mark}. A system kills what takes "
        f"too much memory, and this job takes about {task.job.memory / 1e9 + 0.3:.1f} GB. (If this "
        'is a script of yours: it must call sweep under `if __name__ == "__main__":`.)'
    )


def _failure(failed, tasks):
    """Return one error for all jobs that failed, of the kind of the first."""
    task, why = failed[0]
    names = ", ".join(run.name for run in task.job.runs)
    others = sum(task.finished for task in tasks)
    kinds = (ImportError, OSError, ValueError)
    kind = next((kind for kind in kinds if isinstance(why, kind)), RuntimeError)
    which = "" if len(failed) == 1 else "first "
    return kind(
        f"{len(failed)} of {len(tasks)} jobs failed, {others} are finished and kept; the {which}"
        f"one that failed is {task.job.key} (runs: {names}): {type(why).__name__}: {why}"
    )
