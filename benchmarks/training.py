"""Training many small networks: this engine, its peers, and the limit that the products set.

Each peer trains the same networks on the same mini-batches, drawn beforehand, in a process of its
own. They are timed by turns, so that whatever else the machine does meets all of them alike; times
are medians over the rounds, ratios belong to one run of this benchmark. That all do the same work
is checked first: after three updates every peer must have changed the weights as the engine did.
"""

import contextlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks import _peers
from course_lib import backprop, engine, models, shapeset

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = ((100, 16), (300, 8), (1000, 1))  # units a hidden layer, runs side by side
DEPTH, BATCH, RATE = 5, 10, 0.1
SAME = 1e-4  # relative difference of the changes of all weights after STEPS updates
STEPS = 3
# So large a step that the weights before it do not count, and what is left is the gradient's error.
ONE_STEP = 2.0**20
ENGINE, PLAIN, LIMIT = "this engine", "plain PyTorch", "matrix products alone"


def origin():
    """What the provenance cannot know: the version of JAX, where it is installed."""
    found = importlib.util.find_spec("jax")
    return {
        "jax": importlib.metadata.version("jax") if found else "not installed",
        "cores": os.cpu_count(),
    }


class Worker:
    """A process that trains as one peer does, and answers one request at a time."""

    def __init__(self, peer, threads, kernel, file):
        self.peer, self.threads, self.kernel = peer, threads, kernel
        job = {
            "peer": peer,
            "threads": threads,
            "kernel": kernel,
            "file": str(file),
            "rate": RATE,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._peers", json.dumps(job)],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the driver's alone; it then stops the workers
        )
        self.refused = None

    @property
    def name(self):
        kernel = f", kernel {self.kernel}" if self.peer in (ENGINE, LIMIT) else ""
        return f"{self.peer}{kernel}, {self.threads} thread{'s' * (self.threads > 1)}"

    def ready(self):
        """Wait until it has started; say whether this machine can do what it is for."""
        self.refused = self._reply().get("refused")
        return not self.refused

    def ask(self, **request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._reply()

    def _reply(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} stopped with status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def change(worker, folder, start, first, count, rate):
    """Let a worker take some updates; return how each of its weights changed, in float64."""
    path = Path(folder) / "after.npz"
    worker.ask(do="steps", first=first, count=count, rate=rate, path=str(path))
    with np.load(path) as after:
        return {name: after[name] - value.astype(float) for name, value in start.items()}


def difference(found, expected):
    """Mean over the arrays of the relative difference, in the root of the squares' sum."""
    parts = [np.linalg.norm(found[n] - v) / np.linalg.norm(v) for n, v in expected.items()]
    return float(np.mean(parts))


def exact_change(model, images, labels, rate):
    """How one update changes each weight, computed in float64 throughout."""
    exact = models.MLP(model.sizes, "tanh", runs=model.runs, dtype=torch.float64)
    for name, value in exact.parameters.items():
        value.copy_(model.parameters[name])
    gradients = backprop.gradients(exact, exact(images.double()), labels)
    pairs = zip(gradients.weights, gradients.biases, strict=True)
    return {name: -rate * value for name, value in _peers.named(pairs).items()}


def check(name, found, expected):
    """Raise RuntimeError unless a peer changed the weights as the engine did."""
    apart = difference(found, expected)
    if not apart < SAME:
        raise RuntimeError(f"{name} does other work: its weights differ by {apart:.1e}")


def measure(width, runs, threads, rounds, seconds, batches, inputs):
    """Return the name of each worker to its times (seconds an update), and peers' errors."""
    sizes = [inputs, *DEPTH * [width], 9]
    model = models.MLP(sizes, "tanh", runs=runs, seed=0)
    start = {name: value.numpy() for name, value in model.parameters.items()}
    stream = shapeset.Stream(BATCH, seed=0)
    drawn = [stream.batch(k) for k in range(batches)]
    images = torch.stack([x for x, _ in drawn])[..., :inputs].contiguous()
    labels = torch.stack([y for _, y in drawn])
    jobs = [
        (peer, count, kernel)
        for peer, count in itertools.product(_peers.PEERS, threads)
        for kernel in (engine.KERNELS if peer in (ENGINE, LIMIT) else ("default",))
        if not peer.startswith("JAX") or importlib.util.find_spec("jax")
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = Path(folder) / "start.npz"
        np.savez(file, images=images.numpy(), labels=labels.numpy(), **start)
        workers = []
        for job in jobs:
            workers.append(Worker(*job, file))
            stack.callback(workers[-1].close)
        workers = [worker for worker in workers if worker.ready()]
        total = len(workers) * (1 + rounds)
        bar = stack.enter_context(tqdm(total=total, desc=f"width {width}", file=sys.stderr))
        errors = {}
        expected = change(workers[0], folder, start, 0, STEPS, RATE)
        several = range(0, batches, max(1, batches // 5))
        exact = [exact_change(model, images[k], labels[k], ONE_STEP) for k in several]
        for worker in workers:
            if worker.peer != LIMIT:
                check(worker.name, change(worker, folder, start, 0, STEPS, RATE), expected)
                one = [change(worker, folder, start, k, 1, ONE_STEP) for k in several]
                errors[worker.name] = float(np.mean(list(map(difference, one, exact))))
            worker.ask(do="time", seconds=seconds)  # to be warm
            bar.update()
        times = {worker: [] for worker in workers}
        for _ in range(rounds):
            for worker in workers:
                times[worker].append(worker.ask(do="time", seconds=seconds)["seconds"])
                bar.update()
        return times, errors


def summary(times, errors, runs):
    """Return the numbers of one width by name, from the times in seconds an update.

    A kernel of ours counts only where one step errs no more than twice as much as the plain loop.
    """
    median = {worker: float(np.median(values)) for worker, values in times.items()}
    numbers = {
        f"{worker.name}: microseconds": 1e6 * seconds / runs for worker, seconds in median.items()
    }
    best = {}
    allowed = 2 * max(error for name, error in errors.items() if name.startswith(PLAIN))
    for worker in sorted(median, key=median.get):
        if worker.peer != ENGINE or errors[worker.name] <= allowed:
            best.setdefault(worker.peer, worker)
    ours = best[ENGINE]
    for peer, worker in best.items():
        numbers[f"{peer}: microseconds"] = 1e6 * median[worker] / runs
        numbers[f"{peer}: threads"] = worker.threads
        if peer != ENGINE:
            ratios = np.array(times[worker]) / times[ours]
            numbers[f"{peer}: times the engine's time"] = median[worker] / median[ours]
            numbers[f"{peer}: times the engine's time, lowest of the rounds"] = ratios.min()
            numbers[f"{peer}: times the engine's time, highest of the rounds"] = ratios.max()
        if peer != LIMIT:
            numbers[f"{peer}: relative error"] = errors[worker.name]
    for worker in times:
        if worker.peer == ENGINE and worker.threads == min(w.threads for w in times):
            name = f"kernel {worker.kernel}: error against the plain loop's"
            numbers[name] = errors[worker.name] / errors[best[PLAIN].name]
    return {name: float(value) for name, value in numbers.items()}


def run(widths=WIDTHS, threads=(1, 2), rounds=5, seconds=0.7, batches=100, inputs=1024):
    """Times per update and run, ratios to the engine's, errors, and the share of the limit."""
    numbers = {}
    for width, runs in widths:
        times, errors = measure(width, runs, threads, rounds, seconds, batches, inputs)
        many = f"{runs} run{'s' * (runs > 1)}"
        for name, value in summary(times, errors, runs).items():
            numbers[f"width {width}, {many}: {name}"] = value
    return numbers
