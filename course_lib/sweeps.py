"""Many runs at once: stacked, on the cores of one machine or on a cluster, and resumable.

A sweep is a list of `Run`, plain data. `plan` stacks the runs that can train side by side, each
stack a `Job`; `sweep` has the jobs computed by anything that speaks ``concurrent.futures`` and
keeps each run's curve in a file of its own as soon as its job is done. The same call after any
interruption goes on with what is missing, and ends with the same numbers.
"""

import contextlib
import functools
import glob
import math
import numbers
import os
import pathlib
import sys
import threading
import time
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    wait,
)
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch
from tqdm import tqdm

from course_lib import (
    activations,
    backprop,
    datasets,
    engine,
    init,
    instruments,
    jacobian,
    models,
    processes,
    shapeset,
    storage,
    training,
)

# Inputs and classes of each data set; small_imagenet needs a folder of pictures of the reader's.
DATA = {"shapeset": (1024, 9), "mnist": (784, 10), "cifar10": (3072, 10)}
PARTS = ("validation", "test")
# The most runs a stack, by the largest width it is meant for. On a CPU a run of width 100 takes
# half the time in a stack of 16 that it takes alone, and one of width 1000 twice the time in a
# stack of 4: there the weights no longer fit the cache. For CUDA a guess: few runs leave it idle.
STACK = {"cpu": {150: 16, 400: 4, math.inf: 1}, "cuda": {150: 256, 500: 128, math.inf: 32}}
MEANING = 1  # part of each key: raise it when the same `Run` comes to mean another computation
ATTEMPTS = 3  # times that a job's worker may die before the job has got any further

# What `seconds` reckons with. Measured once, as processor time of one thread of an Intel Xeon with
# torch 2.13, on stacks of 1 to 16 at widths 20 to 1000; the CUDA numbers were not measured.
RATE = {100: 65e9, 300: 68e9, 1000: 57e9}  # flops a second, by width
OVERHEAD = 3e-5, 1.5e-5  # seconds an update, and an update of each run
DRAWING = 12.5e-6  # seconds an image of Shapeset
JACOBIAN = 4e-3, 0.95e-9  # seconds a mean singular value of a layer, and those times width^3
CUDA_BYTES = 1.5e12  # bytes a second: a third of a large card's
CUDA_OVERHEAD = 1e-4  # seconds an update


# ---------------------------------------------------------------- what to compute, as data
@dataclass(frozen=True)
class Watch:
    """What to record while a network trains, when, and on which examples: a monitor as data.

    Attributes
    ----------
    quantities : names of `instruments.QUANTITIES`, or of `jacobian.QUANTITIES`
    schedule : ("every", n), ("logarithmic", per_decade), ("early_and_even", per_decade, records)
        or ("at", (update, ...)); see `schedule`
    examples, seed : how many, and the seed of Shapeset, or of the choice among `part`
    percentiles : from 0 to 100;  edges : ((kind, (edge, ...)), ...), of histograms
    name : prefix of the recorded names;  kind : "signal" or "jacobian"
    part : "test" or "validation", of a data set of limited size
    """

    quantities: tuple
    schedule: tuple
    examples: int = 300
    seed: int = 2_010_000
    percentiles: tuple = (98,)
    edges: tuple = ()
    name: str = ""
    part: str = "test"
    kind: str = "signal"

    def __post_init__(self):
        if isinstance(self.quantities, str):
            raise ValueError(f"quantities must be a sequence of names, not {self.quantities!r}")
        _freeze(self)
        _one_of(self.kind, "kind", ("signal", "jacobian"))
        _one_of(self.part, "part", PARTS)
        _whole(self.examples, "examples", 1)
        _whole(self.seed, "seed", 0)
        schedule(self.schedule, 1)
        if self.kind == "signal":
            instruments.check_quantities(self.quantities, self.percentiles, dict(self.edges))
        else:
            for quantity in self.quantities:
                _one_of(quantity, "a quantity", jacobian.QUANTITIES)


@dataclass(frozen=True)
class Run:
    """One network, from its first weights to its last update: one curve.

    Attributes
    ----------
    activation, scheme, cost : names of `activations`, `init`, `backprop`
    learning_rate : float;  seed : int, of the first weights;  updates : int
    width, depth : units a hidden layer, hidden layers;  batch_size : int
    output_bias : bool, False holds the output biases at 0
    data : "shapeset", "mnist" or "cifar10"
    stream : int, optional, the seed of the mini-batches; without it the run's own seed
    watches : tuple of `Watch`
    """

    activation: str
    scheme: str
    learning_rate: float
    seed: int
    updates: int
    width: int = 1000
    depth: int = 5
    batch_size: int = 10
    cost: str = "cross_entropy"
    output_bias: bool = True
    data: str = "shapeset"
    stream: int | None = None
    watches: tuple = ()

    def __post_init__(self):
        _freeze(self)
        _set(self, "activation", activations.get(self.activation).name)
        _set(self, "scheme", init.resolve(self.scheme))
        backprop.cost_named(self.cost)
        rate = self.learning_rate
        if not isinstance(rate, numbers.Real) or not 0 < rate < math.inf:
            raise ValueError(f"a learning rate must be positive and finite, not {rate!r}")
        _set(self, "learning_rate", float(rate))
        for name, least in (("seed", 0), ("updates", 0), ("width", 1), ("depth", 0)):
            _whole(getattr(self, name), name, least)
        _whole(self.batch_size, "batch_size", 1)
        if self.stream is not None:
            _whole(self.stream, "stream", 0)
        _one_of(self.data, "data", tuple(DATA))
        _set(self, "output_bias", bool(self.output_bias))
        for watch in self.watches:
            if not isinstance(watch, Watch):
                raise ValueError(f"watches must be sweeps.Watch objects, not {watch!r}")

    @property
    def stream_seed(self):
        """The seed of the mini-batches."""
        return self.seed if self.stream is None else self.stream

    @property
    def sizes(self):
        """The layer sizes, inputs first."""
        inputs, classes = DATA[self.data]
        return [inputs, *self.depth * [self.width], classes]

    @property
    def name(self):
        """What a reader tells it by, such as ``tanh5-normalized-rate0.03-seed2-width100``."""
        parts = [f"{self.activation}{self.depth}", self.scheme, f"rate{self.learning_rate:g}"]
        parts.append(f"seed{self.seed}")
        if self.stream_seed != self.seed:
            parts.append(f"stream{self.stream}")
        if self.width != 1000:
            parts.append(f"width{self.width}")
        if self.batch_size != 10:
            parts.append(f"batch{self.batch_size}")
        if self.cost != "cross_entropy":
            parts.append(self.cost)
        if not self.output_bias:
            parts.append("no_output_bias")
        if self.data != "shapeset":
            parts.append(self.data)
        return "-".join(parts)


# What may differ within a stack; the data may where each run brings its own.
_PER_RUN = ("scheme", "learning_rate", "seed", "stream", "output_bias")
_SHARED = tuple(f.name for f in fields(Run) if f.name not in _PER_RUN)


@dataclass(frozen=True)
class Job:
    """Runs that train side by side as one stack, and on what.

    The last digits of a result may depend on the stack, the threads, the kernel and the device, so
    these belong to the key of each curve, and are never chosen while computing.

    Attributes
    ----------
    runs : tuple of `Run`, alike in all but scheme, learning_rate, seed, stream and output_bias
    threads : int;  kernel : of `engine.KERNELS`;  device : "cpu" or "cuda"
    """

    runs: tuple
    threads: int = 1
    kernel: str = "default"
    device: str = "cpu"

    def __post_init__(self):
        _set(self, "runs", tuple(self.runs))
        if not self.runs or not all(isinstance(run, Run) for run in self.runs):
            raise ValueError(f"a job needs sweeps.Run objects, not {self.runs!r}")
        if len(set(self.runs)) < len(self.runs):
            raise ValueError("a job cannot hold the same run twice")
        for name in _SHARED:
            values = dict.fromkeys(getattr(run, name) for run in self.runs)
            if len(values) > 1:
                raise ValueError(f"runs of one job must have the same {name}, not {list(values)}")
        _whole(self.threads, "threads", 1)
        _one_of(self.kernel, "kernel", engine.KERNELS)
        _one_of(self.device, "device", ("cpu", "cuda"))

    @property
    def name(self):
        """The first run's name, and how many others there are."""
        more = len(self.runs) - 1
        return self.runs[0].name + (f" and {more} more" if more else "")

    @property
    def updates(self):
        """Updates of all its runs together."""
        return len(self.runs) * self.runs[0].updates

    @property
    def key(self):
        """16 hexadecimal digits of all that decides its numbers, the code included."""
        own = {"runs": [asdict(run) for run in self.runs]}
        own |= {"threads": self.threads, "kernel": self.kernel, "device": self.device}
        return storage.key(own | _code())

    @property
    def memory(self):
        """About how many bytes it takes, of the device; Python and torch take .3 GB more."""
        run = self.runs[0]
        watched = max((watch.examples for watch in run.watches), default=0)
        stack = engine.memory(run.sizes, len(self.runs), run.batch_size, watched, self.device)
        images = sum(datasets.COUNTS.get(run.data, ())) * run.sizes[0] * 4
        return int(stack + images + 4 * run.sizes[0] * sum(w.examples for w in run.watches))

    @property
    def seconds(self):
        """About how long it takes: see `seconds`."""
        return seconds(self)

    def config(self, run):
        """Return the configuration that the curve of one of its runs is kept with."""
        stack = [{name: getattr(other, name) for name in _PER_RUN} for other in self.runs]
        return storage.plain(
            {
                "run": asdict(run),
                "stack": stack,
                "threads": self.threads,
                "kernel": self.kernel,
                "device": self.device,
            }
        )

    def files(self, folder):
        """Return the path of each run's curve, in the order of the runs."""
        keys = [storage.key(self.config(run) | _code()) for run in self.runs]
        return [
            pathlib.Path(folder) / f"{run.name}-{key}.npz"
            for run, key in zip(self.runs, keys, strict=True)
        ]


def _code():
    return {"code": storage.code_version(), "meaning": MEANING}


class Plan(list):
    """A list of jobs that remembers, as ``runs``, what was planned, in the order given."""

    def __init__(self, jobs, runs):
        super().__init__(jobs)
        self.runs = tuple(runs)


def plan(runs, stack=None, threads=1, kernel="default", device="cpu", memory=2e9):
    """Stack runs into jobs; equal runs count once, and the order given does not matter.

    Runs share a stack where they differ at most in scheme, learning rate, output bias and, with
    the same stream, seed; on CUDA also in stream.

    Parameters
    ----------
    runs : sequence of `Run`;  stack : int, the most runs a job; without, from the table `STACK`
    threads, kernel : of each job;  device : "cpu", "cuda" or "auto", CUDA where there is one
    memory : bytes that a job may take

    Returns
    -------
    Plan, a list of `Job`

    Raises
    ------
    ValueError
        For a stack that needs more memory, with the number to use instead.
    """
    runs = list(runs)
    device = engine.device(device).type if device == "auto" else device
    _one_of(device, "device", ("auto", "cpu", "cuda"))
    if stack is not None:
        _whole(stack, "stack", 1)
    groups = {}
    for run in dict.fromkeys(runs):
        if not isinstance(run, Run):
            raise ValueError(f"a plan is made of sweeps.Run objects, not {run!r}")
        shared = tuple(getattr(run, name) for name in _SHARED)
        own = None if device == "cuda" else run.stream_seed
        groups.setdefault((shared, own), []).append(run)
    jobs = []
    for group in groups.values():
        group.sort(key=_place)
        most = stack or next(n for width, n in STACK[device].items() if group[0].width <= width)
        whole = Job(tuple(group[:most]), threads, kernel, device)
        if whole.memory > memory:
            raise ValueError(_too_large(whole, memory))
        for first in range(0, len(group), most):
            jobs.append(replace(whole, runs=tuple(group[first : first + most])))
    return Plan(jobs, runs)


def _place(run):
    """Return what runs of a stack are ordered by, so that the order of a list changes no key."""
    return (run.stream_seed, run.seed, run.scheme, run.learning_rate, run.output_bias)


def _too_large(job, memory):
    needs = f"a stack of {len(job.runs)} such as {job.runs[0].name} takes about"
    allowed = f"more than the {memory / 1e9:.1f} GB allowed"
    fits = [n for n in range(1, len(job.runs)) if replace(job, runs=job.runs[:n]).memory <= memory]
    advice = f"use stack={fits[-1]}" if fits else "not even one fits: allow more memory"
    return f"{needs} {job.memory / 1e9:.1f} GB, {allowed}; {advice}"


def schedule(spec, updates):
    """Return the schedule that a `Watch` describes, for a training of so many updates.

    ``("early_and_even", per_decade, records)`` is due at `per_decade` updates in each factor of
    ten, at about `records` more in even steps, and at the last update.

    Raises
    ------
    ValueError
        If there is none of that name, or its numbers do not fit.
    """
    with contextlib.suppress(TypeError, IndexError):  # said below
        kind, *values = spec or (None,)
        if kind == "every" and len(values) == 1:
            return instruments.every(*values)
        if kind == "logarithmic" and len(values) == 1:
            return instruments.logarithmic(*values)
        if kind == "at" and len(values) == 1:
            return instruments.at(*values)
        if kind == "early_and_even" and len(values) == 2:
            return instruments.at(_early_and_even(*values, updates))
    raise ValueError(
        'a schedule must be ("every", n), ("logarithmic", per_decade), ("early_and_even", '
        f'per_decade, records) or ("at", (update, ...)), not {spec!r}'
    )


def _early_and_even(per_decade, records, updates):
    even = range(0, updates + 1, max(1, updates // _whole(records, "records", 1)))
    return {*_logarithmic(per_decade, updates), *even, updates}


def _logarithmic(per_decade, updates):
    """Return the updates at which `instruments.logarithmic` is due."""
    instruments.logarithmic(per_decade)  # refuses what is too small
    places = range(math.ceil(math.log10(max(updates, 1)) * per_decade) + 1)
    return {0} | {k for k in (round(10 ** (p / per_decade)) for p in places) if k <= updates}


def seconds(job):
    """Estimate how long a job takes on its own, in seconds: right to a factor of two or so.

    An update takes an overhead, the drawing of its mini-batches, and for each run 6 flops for
    every weight and example (4 in the first layer) at the rate that the engine reached at that
    width on one thread, `RATE`; looking at an example takes 2 a weight, or 6 with gradients.
    Reading data and starting a process are left out. For CUDA it is a guess, not measured: the
    weights pass four times an update at a third of the bandwidth of a large card.
    """
    run, runs, rate = job.runs[0], len(job.runs), _rate(job.runs[0].width)
    pairs = list(zip(run.sizes, run.sizes[1:], strict=False))
    weights = sum(a * b for a, b in pairs)
    if job.device == "cuda":
        return run.updates * (CUDA_OVERHEAD + 16 * weights * runs / CUDA_BYTES)
    flops = run.batch_size * (6 * weights - 2 * pairs[0][0] * pairs[0][1])
    drawn = run.batch_size * len({r.stream_seed for r in job.runs}) * (run.data == "shapeset")
    fixed, each = OVERHEAD
    update = fixed + DRAWING * drawn + runs * (each + flops / rate)
    looks = sum(
        _records(watch.schedule, run.updates) * runs * _look(watch, run, weights, rate)
        for watch in run.watches
    )
    return run.updates * update + looks


def _look(watch, run, weights, rate):
    """Return the seconds that a watch takes to look at one run once."""
    back = ("back_propagated", "weight_gradient", "rms", "geometric_mean")
    flops = 6 if any(q.startswith(back) for q in watch.quantities) else 2
    found = flops * watch.examples * weights / rate
    if watch.kind == "jacobian" and {"mean", "standard_error"} & set(watch.quantities):
        fixed, cubic = JACOBIAN
        found += run.depth * (fixed + cubic * run.width**3)
    return found


def _rate(width):
    """Interpolate `RATE` at a width."""
    return float(np.interp(math.log(width), np.log(list(RATE)), list(RATE.values())))


def _records(spec, updates):
    """Return how often a schedule is due."""
    kind, *values = spec
    if kind == "every":
        return updates // values[0] + 1
    if kind == "at":
        return len(values[0])
    due = _logarithmic if kind == "logarithmic" else _early_and_even
    return len(due(*values, updates))


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
    streams = [_stream(run, seed, job.device) for seed in [r.stream_seed for r in job.runs]]
    alike = len({r.stream_seed for r in job.runs}) == 1
    return training.train(
        model,
        streams[0] if alike else training.PerRun(streams),
        run.updates,
        [r.learning_rate for r in job.runs],
        cost=run.cost,
        monitors=monitors,
        checkpoint=checkpoint,
        threads=job.threads,
        kernel=job.kernel,
        progress=progress,
    )


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
    images, labels = getattr(_dataset(data), part)
    if examples > len(images):
        raise ValueError(f"{data} has {len(images)} {part} examples; {examples} were asked for")
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:examples]
    return images[chosen], labels[chosen]


@functools.lru_cache(maxsize=1)
def _dataset(name):
    return {"mnist": datasets.mnist, "cifar10": datasets.cifar10}[name]()


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
    """Make the folder, and say at once if nothing can be written there."""
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise type(why)(why.errno, f"no sweep can lie there: {why.strerror}", str(folder)) from None
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "cannot write there", str(folder))


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
        self.deaths, self.mark = 0, 0

    def _read(self, run, path):
        try:
            curve = training.History.load(path)
            if curve.config != self.job.config(run):
                raise ValueError("another run's")
            self.curves[run] = curve
        except ValueError:  # the file stays until a good one takes its place
            _say(f"{path} is damaged, or another run's; it is computed again and replaced")

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
                _sweep_up(path)
        self.checkpoint.unlink(missing_ok=True)
        _sweep_up(self.checkpoint)

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


def _sweep_up(path):
    """Remove what a process that was killed while it wrote `path` left behind."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


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
                future = slot.submit(_work, task.job, str(task.checkpoint), task.code)
                running[future] = task, slot
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
    for task, history, why in unwritten:
        with contextlib.suppress(OSError):  # the workers have stopped: there may be room now
            task.keep(history)
        raise why
    if stop.is_set():
        raise KeyboardInterrupt(_stopped(tasks))
    if failed:
        raise _failure(failed, tasks) from failed[0][1]


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
        for slots, busy in ((idle, False), ([slot for _, slot in running.values()], True)):
            for slot in slots:
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


# ---------------------------------------------------------------- checks
def _set(frozen, name, value):
    object.__setattr__(frozen, name, value)


def _freeze(instance):
    """Make the fields of a dataclass plain values: tuples for lists, Python's own numbers."""
    for field in fields(instance):
        _set(instance, field.name, _frozen(getattr(instance, field.name)))


def _frozen(value):
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    return value.item() if isinstance(value, np.generic) else value


def _one_of(value, what, allowed):
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, not {value!r}")


def _whole(value, what, least):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, not {value!r}")
    return int(value)
