"""Trainings as plain data, before any is computed: what to train and record, stacked into jobs.

A `Run` is one network, a `Watch` what to record on its way, a `Job` the runs that train side by
side, with its key and what it costs; `plan` makes jobs of runs. `sweeps` has them computed.
"""

import contextlib
import math
import numbers
import pathlib
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from course_lib import (
    activations,
    backprop,
    datasets,
    engine,
    init,
    instruments,
    jacobian,
    storage,
)

# Inputs and classes of each data set; small_imagenet needs a folder of pictures of the reader's.
DATA = {
    "shapeset": (1024, 9),
    "mnist": (784, 10),
    "cifar10": (3072, 10),
    "cifar10_reencoded": (3072, 10),
}
# The most runs a stack, by the largest width it is meant for. On a CPU a run of width 100 takes
# half the time in a stack of 16 that it takes alone, and one of width 1000 twice the time in a
# stack of 4: there the weights no longer fit the cache. For CUDA a guess: few runs leave it idle.
STACK = {"cpu": {150: 16, 400: 4, math.inf: 1}, "cuda": {150: 256, 500: 128, math.inf: 32}}
MEANING = 1  # part of each key: raise it when the same `Run` comes to mean another computation

# What `seconds` reckons with. Measured once, as processor time of one thread of an Intel Xeon with
# torch 2.13, on stacks of 1 to 16 at widths 20 to 1000; the CUDA numbers were not measured.
RATE = {100: 65e9, 300: 68e9, 1000: 57e9}  # flops a second, by width
OVERHEAD = 3e-5, 1.5e-5  # seconds an update, and an update of each run
DRAWING = 12.5e-6  # seconds an image of Shapeset
JACOBIAN = 4e-3, 0.95e-9  # seconds a mean singular value of a layer, and those times width^3
CUDA_BYTES = 1.5e12  # bytes a second: a third of a large card's
CUDA_OVERHEAD = 1e-4  # seconds an update


# ---------------------------------------------------------------- what to train and to record
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
        _one_of(self.part, "part", ("validation", "test"))
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
    data : "shapeset", "mnist", "cifar10" or "cifar10_reencoded"
    stream : int, optional, the seed of the mini-batches; without it the run's own seed
    pretraining : int, updates of each layer as a denoising auto-encoder before training
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
    pretraining: int = 0
    watches: tuple = ()

    def __post_init__(self):
        rate = self.learning_rate
        if not isinstance(rate, numbers.Real) or not 0 < rate < math.inf:
            raise ValueError(f"a learning rate must be positive and finite, not {rate!r}")
        _freeze(
            self,
            activation=activations.get(self.activation).name,
            scheme=init.resolve(self.scheme),
            learning_rate=float(rate),
            output_bias=bool(self.output_bias),
        )
        backprop.cost_named(self.cost)
        least = {"seed": 0, "stream": 0, "updates": 0, "width": 1, "depth": 0, "batch_size": 1}
        least["pretraining"] = 0
        if self.stream is None:
            del least["stream"]
        for name, value in least.items():
            _whole(getattr(self, name), name, value)
        _one_of(self.data, "data", DATA)
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
        """What a reader tells it by, such as ``tanh5-normalized-rate0.03-seed2``."""
        usual = f"{self.activation}{self.depth}-{self.scheme}-rate{self.learning_rate:g}"
        unusual = {
            f"stream{self.stream}": self.stream_seed != self.seed,
            f"width{self.width}": self.width != 1000,
            f"batch{self.batch_size}": self.batch_size != 10,
            self.cost: self.cost != "cross_entropy",
            "no_output_bias": not self.output_bias,
            self.data: self.data != "shapeset",
            f"pretrained{self.pretraining}": self.pretraining > 0,
        }
        return "-".join([usual, f"seed{self.seed}", *(part for part in unusual if unusual[part])])


# What may differ within a stack; the data may where each run brings its own.
_PER_RUN = ("scheme", "learning_rate", "seed", "stream", "output_bias")
_SHARED = tuple(f.name for f in fields(Run) if f.name not in _PER_RUN)


# ---------------------------------------------------------------- jobs
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
        runs = tuple(self.runs)
        object.__setattr__(self, "runs", runs)
        if not runs or not all(isinstance(run, Run) for run in runs):
            raise ValueError(f"a job needs sweeps.Run objects, not {runs!r}")
        if len(set(runs)) < len(runs):
            raise ValueError("a job cannot hold the same run twice")
        for name in _SHARED:
            values = dict.fromkeys(getattr(run, name) for run in runs)
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
    def own_streams(self):
        """Whether runs differ in their mini-batches."""
        return len({run.stream_seed for run in self.runs}) > 1

    @property
    def key(self):
        """16 hexadecimal digits of all that decides its numbers, the code included."""
        return storage.key({"runs": [asdict(run) for run in self.runs]} | self._on | _code())

    @property
    def memory(self):
        """About how many bytes it takes, of the device; Python and torch take .3 GB more."""
        run, count = self.runs[0], len(self.runs)
        stack = engine.memory(run.sizes, count, run.batch_size, 0, self.device, self.own_streams)
        kept = sum(datasets.COUNTS.get(run.data, ())) + sum(w.examples for w in run.watches)
        looking = max((_looking(watch, run, count) for watch in run.watches), default=0)
        return int(stack + 4 * run.sizes[0] * kept + looking)

    @property
    def seconds(self):
        """About how long it takes: see `seconds`."""
        return seconds(self)

    def config(self, run):
        """Return the configuration that the curve of one of its runs is kept with."""
        stack = [{name: getattr(other, name) for name in _PER_RUN} for other in self.runs]
        return storage.plain({"run": asdict(run), "stack": stack} | self._on)

    def files(self, folder):
        """Return the path of each run's curve, in the order of the runs."""
        keys = [storage.key(self.config(run) | _code()) for run in self.runs]
        names = [f"{run.name}-{key}.npz" for run, key in zip(self.runs, keys, strict=True)]
        return [pathlib.Path(folder) / name for name in names]

    @property
    def _on(self):
        return {"threads": self.threads, "kernel": self.kernel, "device": self.device}


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


# ---------------------------------------------------------------- when to record
def schedule(spec, updates):
    """Return the schedule that a `Watch` describes, for a training of so many updates.

    ``("early_and_even", per_decade, records)`` is due at `per_decade` updates in each factor of
    ten, at about `records` more in even steps, and at the last update.

    Raises
    ------
    ValueError
        If there is none of that name, or its numbers do not fit.
    """
    kinds = {
        "every": instruments.every,
        "logarithmic": instruments.logarithmic,
        "at": instruments.at,
        "early_and_even": lambda *values: instruments.at(_early_and_even(*values, updates)),
    }
    with contextlib.suppress(TypeError, LookupError):
        kind, *values = spec or (None,)
        return kinds[kind](*values)
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


def _records(spec, updates):
    """Return how often a schedule is due."""
    kind, *values = spec
    if kind == "every":
        return updates // values[0] + 1
    if kind == "at":
        return len(values[0])
    due = _logarithmic if kind == "logarithmic" else _early_and_even
    return len(due(*values, updates))


# ---------------------------------------------------------------- what it takes
def seconds(job):
    """Estimate how long a job takes on its own, in seconds: right to a factor of two or so.

    An update takes an overhead, the drawing of its mini-batches, and for each run 6 flops for
    every weight and example (4 in the first layer) at the rate that the engine reached at that
    width on one thread, `RATE`; looking at an example takes 2 a weight, or 6 with gradients.
    Reading data and starting a process are left out. For CUDA it is a guess, not measured: the
    weights pass four times an update at a third of the bandwidth of a large card.

    Pre-training takes 10 flops for a weight of the layer that learns, 2 for one below it; runs
    that start alike do it together.
    """
    run, runs, matrices = job.runs[0], len(job.runs), _matrices(job.runs[0])
    if job.device == "cuda":
        once = CUDA_OVERHEAD + 16 * sum(matrices) * runs / CUDA_BYTES
        return (run.updates + run.depth * run.pretraining) * once
    flops = run.batch_size * (6 * sum(matrices) - 2 * matrices[0])
    drawn = run.batch_size * len({r.stream_seed for r in job.runs}) * (run.data == "shapeset")
    fixed, each = OVERHEAD
    fixed += DRAWING * drawn
    update = fixed + runs * (each + flops / _rate(run.width))
    looks = sum(_records(w.schedule, run.updates) * runs * _look(w, run) for w in run.watches)
    learned = sum(10 * n + 2 * sum(matrices[:i]) for i, n in enumerate(matrices[:-1]))
    starts = len({(r.seed, r.scheme, r.stream_seed) for r in job.runs})
    before = run.depth * (fixed + starts * each)
    before += starts * run.batch_size * learned / _rate(run.width)
    return run.updates * update + looks + run.pretraining * before


def _look(watch, run):
    """Return the seconds that a watch takes to look at one run once."""
    back = ("back_propagated", "weight_gradient", "rms", "geometric_mean")
    flops = 6 if any(q.startswith(back) for q in watch.quantities) else 2
    found = flops * watch.examples * sum(_matrices(run)) / _rate(run.width)
    if watch.kind == "jacobian" and {"mean", "standard_error"} & set(watch.quantities):
        fixed, cubic = JACOBIAN
        found += run.depth * (fixed + cubic * run.width**3)
    return found


def _rate(width):
    """Interpolate `RATE` at a width."""
    return float(np.interp(math.log(width), np.log(list(RATE)), list(RATE.values())))


def _matrices(run):
    """Return how many weights each layer has."""
    return [a * b for a, b in zip(run.sizes, run.sizes[1:], strict=False)]


def _looking(watch, run, runs):
    """Return the bytes that a watch takes while it looks at a stack.

    The forward pass of its examples (4 bytes for s and z each), the backward pass, and for the
    largest layer what the statistics are made in: 8 bytes a value in double precision and 4 to
    sort a copy. Weight gradients are there two layers at a time, the next beside the last.
    """
    units, examples = sum(run.sizes[1:]), watch.examples
    if watch.kind == "jacobian":  # 15 or 45 examples are decomposed, in four copies of a chunk
        square = run.width**2
        chunk = max(square, min(jacobian.CHUNK, min(examples, 45) * square))
        return 8 * runs * examples * units + 4 * 8 * chunk
    kinds = {quantity.rpartition("_")[0] for quantity in watch.quantities} & set(instruments.KINDS)
    if not kinds:  # in parts, but what one has freed the next may find in pieces
        return 8 * runs * min(examples, 3 * instruments.PART) * units
    back = kinds & {"back_propagated", "weight_gradient"}
    largest = examples * max(run.sizes[1:])
    found = (12 if back else 8) * examples * units + 12 * largest
    if "weight_gradient" in kinds:
        matrix = max(_matrices(run))
        found += 8 * matrix + 12 * max(matrix - largest, 0)
    return runs * found


# ---------------------------------------------------------------- checks
def _freeze(instance, **values):
    """Give the fields of a dataclass these values, made plain: tuples, Python's own numbers."""
    for field in fields(instance):
        value = values.get(field.name, getattr(instance, field.name))
        object.__setattr__(instance, field.name, _frozen(value))


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
