"""An experiment from its plan to its curves: choose the rates, train, join."""

import pathlib
from dataclasses import dataclass

from course_lib import datasets, engine, experiments, results, sweeps, training, untrained
from course_lib.experiments import Curve

# Bytes that a job may take: 10,000 examples are measured at the end, in every run of its stack.
MEMORY = {"cpu": 4e9, "cuda": 24e9}


@dataclass(frozen=True)
class Plan:
    """What reproducing an experiment takes, before it is done.

    Attributes
    ----------
    search, jobs : list of `sweeps.Job`, those that choose the rates, and those whose curves show
    device : str;  workers : int, jobs at a time
    networks : int, those that are measured without training
    seconds : float, about
    """

    search: list
    jobs: list
    device: str
    workers: int
    networks: int = 0
    seconds: float = 0.0

    @property
    def runs(self):
        """How many networks are trained."""
        return sum(len(job.runs) for job in (*self.search, *self.jobs))

    @property
    def updates(self):
        """How many updates they make, all networks together."""
        return sum(run.updates for job in (*self.search, *self.jobs) for run in job.runs)

    @property
    def memory(self):
        """Bytes that the jobs hold which run at a time."""
        sizes = sorted((job.memory for job in (*self.search, *self.jobs)), reverse=True)
        return sum(sizes[: self.workers])


def plan(name, scale="lesson", seeds=None, device="cpu", threads=1, workers=None, reencoded=False):
    """Return the `Plan` of an experiment; the rates that are searched for are not known yet.

    Parameters
    ----------
    name, scale : str, of `EXPERIMENTS`;  seeds : int, in place of the scale's own number
    device : "cpu" or "cuda";  threads : int, of one job
    workers : int, jobs at a time; by default as many as this machine takes
    reencoded : bool, as for `experiments.trainings`

    Raises
    ------
    ValueError
        If there is no such experiment, or a job cannot fit into memory.
    """
    experiment = experiments.find(name, scale)
    if isinstance(experiment, experiments.Untrained):
        _no_seeds(name, seeds)
        size = experiment.scales[scale]
        return Plan([], [], "cpu", 1, size.networks, experiment.seconds * size.effort)
    first = _jobs(experiments.search(name, scale, reencoded), device, threads)
    then = _jobs(experiments.runs(name, scale, seeds, reencoded=reencoded), device, threads)
    workers = workers or sweeps.workers(max(first, then, key=len))
    return Plan(first, then, device, workers, 0, _elapsed(first, workers) + _elapsed(then, workers))


def _jobs(wanted, device, threads):
    return sweeps.plan(wanted, threads=threads, device=device, memory=MEMORY[device])


def _no_seeds(name, seeds):
    if seeds is not None:
        raise ValueError(f"{name} has no seeds to choose: its networks are numbered from 0")


def _elapsed(jobs, workers):
    """Return about how long jobs take, the longest first, each where a worker is free."""
    busy = [0.0] * workers
    for seconds in sorted((job.seconds for job in jobs), reverse=True):
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def choose(curves):
    """Return the rate of each curve: that of the least validation error, diverged runs left out.

    Parameters
    ----------
    curves : list of `training.History`, what sweeping `experiments.search` gave

    Returns
    -------
    dict, `Curve` to float

    Raises
    ------
    ValueError
        If a curve diverged at every rate.
    """
    best = {}
    for curve in curves:
        kind, error = Curve.of(curve.config["run"]), _validation(curve)
        if error < best.get(kind, (1.0, None))[0]:
            best[kind] = error, curve.config["run"]["learning_rate"]
        else:
            best.setdefault(kind, (1.0, None))
    for kind, (_, rate) in best.items():
        if rate is None:
            raise ValueError(f"{kind.label} on {kind.data} diverged at every rate of the grid")
    return {kind: rate for kind, (_, rate) in best.items()}


def run(
    name,
    scale="lesson",
    folder="hard-to-train",
    seeds=None,
    device="auto",
    threads=1,
    executor=None,
    progress=True,
    reencoded=False,
):
    """Reproduce an experiment: choose the rates, train, and join the curves.

    Parameters
    ----------
    name, scale : str, of `EXPERIMENTS`;  seeds : int, in place of the scale's own number
    folder : path, where finished curves and checkpoints stay; a stopped call goes on from there
    device : as `resolve` takes it;  threads : int, of one job
    executor : concurrent.futures.Executor, as `sweeps.sweep` takes it
    reencoded : bool, as for `experiments.trainings`

    Returns
    -------
    training.History, runs in the order of `experiments.runs`
        `results.runs` and `results.which` tell them apart; ``config["search"]`` lists the runs
        that chose the rates, each with its validation error.
    """
    experiment, folder = experiments.find(name, scale), pathlib.Path(folder)
    if isinstance(experiment, experiments.Untrained):
        _no_seeds(name, seeds)
        kept = folder / "checkpoints" / f"{name}-{scale}.npz"
        more = {"reencoded": True} if reencoded and experiment.elsewhere else {}
        measure, size = experiment.measure, experiment.scales[scale]
        history = measure(size, checkpoint=kept, progress=progress, **more)
        history.config = {"experiment": name, "scale": scale} | history.config
        history.provenance["command"] = command(name, scale, reencoded=bool(more))
        return history
    device = resolve(device, executor is not None)
    parts = experiments.trainings(name, scale, reencoded)
    sets = {curve.data for part, _ in parts for curve in part.curves}
    for data in sorted(sets - {"shapeset"}):
        getattr(datasets, data)()  # fetched once, before many workers want it

    def swept(wanted):
        return sweeps.sweep(_jobs(wanted, device, threads), folder / "curves", executor, progress)

    tried = swept(experiments.search(name, scale, reencoded))
    curves = swept(experiments.runs(name, scale, seeds, choose(tried), reencoded))
    if isinstance(experiment, experiments.Summary):
        curves = [_last(curve) for curve in curves]
    joined = results.join(curves)
    search = [curve.config["run"] | {"error": _validation(curve)} for curve in tried]
    config = {"experiment": name, "scale": scale, "search": search} | joined.config
    made = joined.provenance | {"command": command(name, scale, seeds, reencoded)}
    return training.History(joined.arrays, joined.axes, config, made)


def command(name, scale, seeds=None, reencoded=False):
    """Return the line that makes a result again: results keep it in their provenance."""
    line = f"hard-to-train reproduce {name} --scale {scale}"
    return line + (f" --seeds {seeds}" if seeds else "") + (" --reencoded" if reencoded else "")


def _validation(curve):
    """Return the share of validation examples that a curve's network gets wrong at the end."""
    return float(curve["validation_error"][-1, 0]) if curve["diverged"][0] < 0 else 1.0


def resolve(device, elsewhere=False):
    """Return "cpu" or "cuda" for what was asked; "auto" takes a GPU of this machine.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda"
    elsewhere : bool, whether other machines compute: their GPUs are used only if asked for
    """
    if elsewhere and device != "auto":
        return device
    return engine.device("cpu" if elsewhere else device).type


def tidy(name, scale, folder):
    """Remove what `run` kept of networks before training, once the whole is saved."""
    untrained.tidy(pathlib.Path(folder) / "checkpoints" / f"{name}-{scale}.npz")


def _last(curve):
    """Return a curve's last test and validation errors alone, so that lengths may differ."""
    names = ("test_error", "validation_error")
    arrays = {name: curve[name][-1] for name in names} | {"diverged": curve["diverged"]}
    axes = {name: ("run",) for name in arrays}
    return training.History(arrays, axes, curve.config, curve.provenance)
