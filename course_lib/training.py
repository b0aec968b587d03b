"""One visible training loop, and the history it leaves behind."""

import hashlib
import numbers
import pathlib
import sys
import time

import numpy as np
import torch
from tqdm import tqdm

from course_lib import backprop, engine, processes, storage

COST_EVERY = 100  # updates averaged into one entry of ``train_cost``
SAVE_EVERY = 60.0  # seconds between checkpoints, after a few sooner; saving changes no result


class History:
    """What a training run recorded: arrays by name, each with named axes.

    ``history["activation_mean"]`` has axes ``history.axes["activation_mean"]``, for example
    ("update", "run", "layer"); ``history["update"]`` says at which updates. Always there:
    ``train_cost`` over ``train_update`` (the mean cost of the last 100 mini-batches, in nats for
    the cross-entropy) and ``diverged`` (per run the update by which its cost or its weights
    were no longer finite, or -1).
    """

    def __init__(self, arrays, axes, config, provenance=None):
        self.arrays, self.axes, self.config = arrays, axes, config
        self.provenance = provenance or {}

    def __getitem__(self, name):
        if name not in self.arrays:
            raise KeyError(f"no array {name!r}; there are: {', '.join(sorted(self.arrays))}")
        return self.arrays[name]

    def __contains__(self, name):
        return name in self.arrays

    def save(self, path):
        """Write everything to one ``.npz``, atomically."""
        axes = {name: list(names) for name, names in self.axes.items()}
        storage.save(path, self.arrays, self.config, self.provenance, axes)

    @classmethod
    def load(cls, path):
        """Read a history that `save` wrote; ValueError names a damaged file."""
        stored = storage.load(path)
        axes = {name: tuple(names) for name, names in stored.axes.items()}
        return cls(stored.arrays, axes, stored.config, stored.provenance)


class Minibatches:
    """Endless mini-batches from a finite set, reshuffled each time it has been seen once.

    Parameters
    ----------
    images : tensor (n, n_0);  labels : tensor (n,)
    batch_size : int, at most n
    seed : int
        Batch k is a pure function of (seed, k).
    """

    def __init__(self, images, labels, batch_size, seed):
        _whole(seed, "seed", 0)
        if not isinstance(batch_size, numbers.Integral) or not 1 <= batch_size <= len(images):
            raise ValueError(f"batch_size must lie in 1 to {len(images)}, not {batch_size!r}")
        if len(labels) != len(images):
            raise ValueError(f"{len(images)} images but {len(labels)} labels")
        self.images, self.labels = images, labels
        self.batch_size, self.seed = batch_size, seed
        self._epoch, self._order = None, None

    def batch(self, k):
        """Return mini-batch k: images (batch_size, n_0) and labels (batch_size,)."""
        per_epoch = len(self.images) // self.batch_size
        epoch, place = divmod(k, per_epoch)
        if epoch != self._epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.images))
            self._epoch, self._order = epoch, torch.from_numpy(order)
        rows = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        return self.images[rows], self.labels[rows]

    @property
    def config(self):
        """What determines the batches, for JSON."""
        content = digest({"images": self.images, "labels": self.labels})
        return {
            "examples": len(self.images),
            "content": content,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }


class PerRun:
    """Mini-batches of its own for each run of a stack, of equal size.

    Parameters
    ----------
    sources : sequence of R data objects, such as `shapeset.Stream`
    """

    def __init__(self, sources):
        self.sources = list(sources)

    def batch(self, k):
        """Return mini-batch k of every run: images (R, B, n_0) and labels (R, B)."""
        return tuple(map(torch.stack, zip(*(s.batch(k) for s in self.sources), strict=True)))

    @property
    def config(self):
        """What determines the batches, for JSON."""
        return {"runs": [source.config for source in self.sources]}


def train(
    model,
    data,
    updates,
    learning_rate,
    cost="cross_entropy",
    monitors=(),
    checkpoint=None,
    threads=1,
    kernel="default",
    progress=True,
):
    """Train all runs of a model side by side with plain stochastic gradient descent.

    Parameters
    ----------
    model : MLP, changed in place;  updates : int, the number of the last update
    data : object with ``batch(k) -> (images, labels)``, such as `shapeset.Stream`, and a dict
        ``config`` that tells it from other data; images (B, n_0), or (R, B, n_0) from `PerRun`
    learning_rate : float, or sequence of R of them;  cost : a name of `backprop.COSTS`
    monitors : sequence of `instruments.Monitor`
    checkpoint : path of a ``.npz``, optional
        Written after 5, 15, 35 s, then once a minute, and on Ctrl-C; the same call goes on from
        there and ends exactly as if it had never stopped. Removed at the end.
    threads, kernel : as in `engine.settings`;  progress : bool, a bar with the time left

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If an argument, a mini-batch or the checkpoint does not fit; the message names it.
    KeyboardInterrupt
        On Ctrl-C, after the current updates, with model and checkpoint in agreement.
    """
    backprop.cost_named(cost)
    updates, threads = _whole(updates, "updates", 0), _whole(threads, "threads", 1)
    learning_rate = _per_run(learning_rate, model)
    rates = torch.tensor(learning_rate, dtype=torch.float64).to(model.weights[0]).view(-1, 1, 1)
    shape = check_batch(model, *data.batch(0))
    config = storage.plain(
        {
            "model": model.config | {"start": digest(model.parameters)},
            "data": data.config,
            "updates": updates,
            "learning_rate": learning_rate,
            "cost": cost,
            "monitors": [monitor.config for monitor in monitors],
            "threads": threads,
            "kernel": kernel,
        }
    )
    device = engine.describe(model.weights[0].device, threads)
    provenance = storage.provenance() | {"threads": threads, "device": device}
    records = _Records(model, monitors, updates)
    step = _resume(checkpoint, config, model, records)
    if checkpoint and not step:
        _save(checkpoint, config, provenance, model, records, step)  # can it be written at all?
    with (
        engine.settings(threads, kernel),
        processes.interrupts(second=None) as stop,  # one update more is soon done
        progress_bar(updates, step, progress) as bar,
    ):
        steps = engine.Engine(model, rates, shape, cost)
        saved, pause = time.monotonic(), min(5.0, SAVE_EVERY)
        try:
            while step < updates and not stop.is_set():
                records.observe(step, model, steps, data)
                until = records.next(step, step + steps.block)
                costs = steps.advance(*draw(data, step, until, shape, stop))
                records.add_costs(costs)
                step += len(costs)
                bar.update(len(costs))
                if checkpoint and time.monotonic() - saved > pause:
                    steps.store(model)
                    _save(checkpoint, config, provenance, model, records, step)
                    saved, pause = time.monotonic(), min(2 * pause, SAVE_EVERY)
        finally:
            steps.store(model)
        if step < updates:
            if checkpoint:
                _save(checkpoint, config, provenance, model, records, step)
            then = f"goes on from {checkpoint}" if checkpoint else "starts again: no checkpoint"
            raise KeyboardInterrupt(f"stopped after {step} of {updates}; the same call {then}")
        records.observe(step, model, steps, data)
    if checkpoint:
        pathlib.Path(checkpoint).unlink(missing_ok=True)
    return History(records.arrays(), records.axes, config, provenance)


class _Records:
    """The lists that grow during training, and what they are called."""

    def __init__(self, model, monitors, updates):
        self.monitors, self.updates = monitors, updates
        self.axes = {
            "train_update": ("train_update",),
            "train_cost": ("train_update", "run"),
            "diverged": ("run",),
        }
        self.fixed = {}
        for monitor in monitors:
            own = {monitor.prefixed("update"): (monitor.prefixed("update"),)}
            own |= {monitor.prefixed(q): monitor.axes(q) for q in monitor.quantities}
            if taken := self.axes.keys() & own.keys():
                raise ValueError(
                    f"{sorted(taken)[0]!r} would be recorded twice; give a monitor another name"
                )
            self.axes |= own
            self.fixed |= monitor.coordinates
        self.lists = {name: [] for name in self.axes if name != "diverged"}
        self.axes |= {name: (name,) for name in self.fixed}
        self.cost_sum = np.zeros(model.runs)
        self.diverged = np.full(model.runs, -1)

    def add_costs(self, costs):
        for cost in costs.double().cpu().numpy():  # one by one: the same however it was cut
            self.cost_sum += cost

    def next(self, step, most):
        """Return the next update after `step`, and at most `most`, at which there is work."""
        window = (step // COST_EVERY + 1) * COST_EVERY
        most = min(most, window, self.updates)
        due = (k for k in range(step + 1, most) if any(m.schedule(k) for m in self.monitors))
        return next(due, most)

    def observe(self, step, model, steps, data):
        """Record what is due at `step`; `steps` is the engine, whose weights the model takes."""
        if step and (step % COST_EVERY == 0 or step == self.updates):
            self._close_window(step, model, steps, data)
        due = [monitor for monitor in self.monitors if monitor.schedule(step)]
        if due:
            steps.store(model)
        for monitor in due:
            self.lists[monitor.prefixed("update")].append(step)
            for name, value in monitor.measure(model).items():
                self.lists[monitor.prefixed(name)].append(value)

    def _close_window(self, step, model, steps, data):
        """Note the mean cost since the last full window, and the runs that diverged in it."""
        lost = ~np.isfinite(self.cost_sum) | ~steps.finite().cpu().numpy()
        new = lost & (self.diverged < 0)
        if new.any():
            for k in range((step - 1) // COST_EVERY * COST_EVERY, step):
                check_batch(model, *data.batch(k))  # were the data to blame?
            self.diverged[new] = step
        if step % COST_EVERY == 0:
            self.lists["train_update"].append(step)
            self.lists["train_cost"].append(self.cost_sum / COST_EVERY)
            self.cost_sum = np.zeros_like(self.cost_sum)

    def arrays(self):
        """Name to array: what was recorded so far, and the coordinates of fixed axes."""
        recorded = {
            name: np.array(values) if values else np.zeros(self._empty_shape(name))
            for name, values in self.lists.items()
        }
        return recorded | {"diverged": self.diverged} | self.fixed

    def _empty_shape(self, name):
        return [len(self.diverged) if axis == "run" else 0 for axis in self.axes[name]]


def _whole(value, what, least):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, not {value!r}")
    return int(value)


def _per_run(learning_rate, model):
    """Return one learning rate a run, as floats that are positive in the model's precision."""
    try:
        values = np.asarray(learning_rate, dtype=np.float64).flatten().tolist()
    except (TypeError, ValueError):
        raise ValueError(f"a learning rate must be a number, not {learning_rate!r}") from None
    if len(values) == 1:
        values = values * model.runs
    if len(values) != model.runs:
        raise ValueError(f"{len(values)} learning rates for {model.runs} runs")
    used = torch.tensor(values, dtype=torch.float64).to(model.weights[0])  # may under- or overflow
    for value, rate in zip(values, used.tolist(), strict=True):
        if not 0 < rate < float("inf"):
            raise ValueError(f"a learning rate must be positive and finite, not {value}")
    return values


def check_batch(model, images, labels):
    """Return the shape of the images; raise ValueError unless the mini-batch fits the model."""
    if not labels.numel():
        raise ValueError("the data gave a mini-batch without examples")
    if images.shape[-1] != model.sizes[0]:
        raise ValueError(
            f"the data has {images.shape[-1]} inputs an example; the model takes {model.sizes[0]}"
        )
    if images.ndim == 3 and len(images) != model.runs:
        raise ValueError(f"the data is for {len(images)} runs; the model has {model.runs}")
    if not torch.isfinite(images).all():
        raise ValueError("the training images hold values that are not finite (NaN or inf)")
    each = labels if images.ndim == 3 else labels[None]
    for own in each:
        backprop.check_labels(own, images.shape[-2], model.sizes[-1])
    return images.shape


def draw(data, start, stop, shape, stopped=None):
    """Return mini-batches `start` to `stop`, fewer if Ctrl-C comes.

    Images (K, B, n_0) or (K, R, B, n_0), labels (K, B) or (K, R, B). ValueError if one has not the
    shape of the first.
    """
    if hasattr(data, "batches"):
        return data.batches(start, stop)
    drawn = []
    for k in range(start, stop):
        drawn.append(data.batch(k))
        if drawn[-1][0].shape != shape:
            found, first = tuple(drawn[-1][0].shape), tuple(shape)
            raise ValueError(f"mini-batch {k} has shape {found}, the first one had {first}")
        if stopped and stopped.is_set():
            break
    return tuple(map(torch.stack, zip(*drawn, strict=True)))


def digest(parameters):
    """Return a short hash of the weights, so that a checkpoint fits only its own start."""
    digest = hashlib.sha256()
    for value in parameters.values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _save(path, config, provenance, model, records, step):
    arrays = {f"parameter/{name}": value.cpu() for name, value in model.parameters.items()}
    arrays |= {f"record/{name}": value for name, value in records.arrays().items()}
    arrays |= {"step": step, "cost_sum": records.cost_sum}
    storage.save(path, arrays, config, provenance, compress=False)


def _resume(path, config, model, records):
    """Load a checkpoint into model and records and return its step; 0 where there is none."""
    if path is None or not pathlib.Path(path).exists():
        return 0
    stored = storage.load(path)
    if "step" not in stored:
        raise ValueError(f"{path} is not a checkpoint; name another file")
    kept = {
        name.removeprefix("parameter/"): torch.from_numpy(value)
        for name, value in stored.arrays.items()
        if name.startswith("parameter/")
    }
    if config["model"]["start"] == digest(kept):  # the stopped model itself, not a fresh one
        config["model"]["start"] = stored.config["model"]["start"]
    here, there = _flat(config), _flat(stored.config)
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise ValueError(
                f"{path} belongs to another training: its {name} is "
                f"{there.get(name)}, not {here.get(name)}; name another checkpoint"
            )
    for name, value in model.parameters.items():
        value.copy_(kept[name])
    for name in records.lists:
        records.lists[name] = list(stored[f"record/{name}"])
    records.diverged = stored["record/diverged"]
    records.cost_sum = stored["cost_sum"]
    return int(stored["step"])


def _flat(config, prefix=""):
    """Return nested dicts as one, with names such as ``model.seeds``."""
    flat = {}
    for name, value in config.items():
        name = prefix + name
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def progress_bar(updates, step, progress):
    """Return a bar on stderr from `step` to `updates`, silent unless `progress`."""
    return tqdm(
        total=updates,
        initial=step,
        disable=not progress,
        unit=" updates",
        unit_scale=True,
        mininterval=0.5,
        file=sys.stderr,
    )
