"""Unsupervised pre-training: denoising auto-encoders, one for each hidden layer, from below.

Vincent et al. (2008). A layer z -> f(z W + b) learns, together with a decoder, to give back its
input from a damaged copy of it, before the network has seen a label. Then the decoder is dropped,
the layer's output is what the next layer's auto-encoder takes, and in the end `training.train`
goes on with the whole network.
"""

import numbers
from collections.abc import Iterable

import numpy as np
import torch

from course_lib import engine, processes, storage, training

# Chosen on seed 100, on which rates are searched, with tanh networks of width 100 and depth 5: the
# least validation error, over rates .03 and .1, after 10,000 updates of fine-tuning. (4,000
# examples: a standard error of .8 %.) Without pre-training 73.7 %. 5,000 updates a layer at rate
# .003, corruption 1/2: 71.1; at .01: 67.0, and the same with corruption .1; at .03: 69.2; at .1:
# 73.1. 20,000 at .01: 65.7, at .03: 68.2; 50,000 at .01: 67.5. Rate .01 also leaves the least cost
# in the first layer. With W itself, transposed, as the decoder ("tied weights", which Vincent et
# al. leave open) most units of all layers saturate within 100 updates; the best of four settings
# had 71.0 % after 20,000 updates of fine-tuning, a network without pre-training 71.1.
LEARNING_RATE = 0.01
CORRUPTION = 0.25
UPDATES = 20_000

RECORDS = 20  # times that a layer's cost is measured after the first
EXAMPLES = 300  # on so many
MOST = 100  # updates whose inputs are made together
_BLOCK_BYTES = 32e6  # and at most about so many bytes of them
# The least value that a unit can take; the largest is 1. In between lies a probability.
_LEAST = {"sigmoid": 0, "tanh": -1, "softsign": -1}


class Noise:
    """Which inputs are kept and which are set to 0, as a pure function of seed, layer and place.

    Parameters
    ----------
    corruption : float, probability that an input is set to 0, to within 1/65,536
    seed, layer : int;  place : int, 0 for the noise that a layer learns under
    """

    def __init__(self, corruption, seed, layer, place=0):
        self._threshold = round(corruption * 2**16)
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(layer, place)))

    def keep(self, count, examples, units):
        """Return the next masks: bool tensor (count * examples, units), False where damaged."""
        each = -(-examples * units // 4)  # words of 64 bits, four numbers of 16 bits in each
        drawn = self._bits.random_raw(count * each).view(np.uint16).reshape(count, -1)
        kept = drawn[:, : examples * units] >= self._threshold
        return torch.from_numpy(kept.reshape(count * examples, units))


class AutoEncoder:
    """R denoising auto-encoders, trained on the cross-entropy summed over their inputs.

    From a damaged input x: the code h = f(x W + b), the logits a = h V + c. With y the undamaged
    input as probabilities, the cost of an example is sum log(1 + exp a) - y a, so that
    dC/da = sigmoid(a) - y; from there on it is Eqs. (2) and (3). V starts as the transpose of W
    and then learns by itself.

    Parameters
    ----------
    weight : tensor (R, n, m);  bias : tensor (R, 1, m), both copied
    activation : "sigmoid", "tanh" or "softsign", f;  batch_size : int, B
    learning_rate : float, for the gradient of the mean over the mini-batch
    """

    def __init__(self, weight, bias, activation, batch_size, learning_rate):
        runs, n, m = weight.shape
        self._alpha = -learning_rate / batch_size
        self._function = engine.IN_PLACE[activation]
        # As in `engine`, a bias is the last row of its matrix, fed by an input that is always 1.
        self._encoder = torch.cat([weight, bias], 1)
        self._decoder = torch.cat([weight.mT, weight.new_zeros(runs, 1, n)], 1)
        self.weight, self.bias = self._encoder[:, :n], self._encoder[:, n:]
        self.decoder, self.output_bias = self._decoder[:, :m], self._decoder[:, m:]
        self._x = weight.new_ones(runs, batch_size, n + 1)
        self._h = weight.new_ones(runs, batch_size, m + 1)
        self._a = weight.new_empty(runs, batch_size, n)
        self._s, self._delta, self._scratch = (weight.new_empty(runs, batch_size, m) for _ in "123")
        self._back = weight.new_empty(runs, m, batch_size)
        self._views = self._x[..., :n], self._h[..., :m]

    def step(self, damaged, target):
        """Take one update on inputs and probabilities, each (1 or R, B, n)."""
        (forward_, backward), (x, h) = self._function, self._views
        x.copy_(damaged)
        torch.bmm(self._x, self._encoder, out=self._s)
        forward_(self._s, self._scratch)
        h.copy_(self._s)
        torch.bmm(self._h, self._decoder, out=self._a)
        self._a.sigmoid_().sub_(target)
        torch.bmm(self.decoder, self._a.mT, out=self._back)
        backward(self._back.mT, self._s, self._scratch, self._delta)
        self._decoder.baddbmm_(self._h.mT, self._a, alpha=self._alpha)
        self._encoder.baddbmm_(self._x.mT, self._delta, alpha=self._alpha)

    def logits(self, damaged):
        """Return what inputs (1 or R, N, n) are decoded to, as logits (R, N, n)."""
        inputs = damaged.expand(len(self.weight), -1, -1)
        code = torch.baddbmm(self.bias, inputs, self.weight)
        self._function[0](code, torch.empty_like(code))
        return torch.baddbmm(self.output_bias, code, self.decoder)

    def cost(self, damaged, target):
        """Return the mean cost (R,) in nats an example, of inputs and probabilities (., N, n)."""
        logits = self.logits(damaged)
        each = torch.nn.functional.softplus(logits).sub_(logits.mul_(target))
        return each.sum(-1, dtype=torch.float64).mean(-1)


def pretrain_(
    model,
    data,
    updates,
    learning_rate=LEARNING_RATE,
    corruption=CORRUPTION,
    seed=0,
    least=-1,
    threads=1,
    kernel="default",
    progress=True,
):
    """Train each hidden layer of each run as a denoising auto-encoder, the lowest first.

    Parameters
    ----------
    model : MLP of sigmoid, tanh or softsign; all but its output layer changes in place
    data : as for `training.train`, labels unused; layer l, from 0, learns from mini-batches
        ``l * updates`` to ``(l + 1) * updates - 1``
    updates : int, of each layer;  learning_rate : float, for the mean cost of a mini-batch
    corruption : probability that an input is set to 0;  seed : int, or R of them, of that noise
    least : -1 or 0; the data's inputs lie between it and 1
    threads, kernel, progress : as for `training.train`

    Returns
    -------
    History
        ``reconstruction_cost`` (update, run, layer) over ``reconstruction_update``: in nats,
        the mean of some 300 examples that the layer has not learned from.

    Raises
    ------
    ValueError
        If an argument or a mini-batch does not fit; the message names it.
    KeyboardInterrupt
        On Ctrl-C; whole layers are in the model, and there is no checkpoint.
    """
    seeds = _checked(model, updates, learning_rate, corruption, seed, least, threads)
    shape = training.check_batch(model, *data.batch(0))
    config = {
        "model": model.config | {"start": training.digest(model.parameters)},
        "data": data.config,
        "updates": updates,
        "learning_rate": learning_rate,
        "corruption": corruption,
        "noise": seeds,
        "least": least,
        "threads": threads,
        "kernel": kernel,
    }
    provenance = storage.provenance() | {"threads": threads}
    kinds = _kinds(model, seeds) if len(shape) == 2 else list(range(model.runs))
    chosen = sorted(set(kinds))  # runs that start alike end alike: one of each kind is trained
    origin = [chosen.index(kind) for kind in kinds]
    source = _Source(model, data, shape, least, corruption, [seeds[run] for run in chosen])
    due = sorted({updates * part // RECORDS for part in range(RECORDS + 1)})
    costs = []
    with (
        engine.settings(threads, kernel),
        processes.interrupts(second=None) as stop,
        training.progress_bar(updates * model.depth, 0, progress) as bar,
        torch.inference_mode(),
    ):
        for layer in range(model.depth):
            start = model.weights[layer][chosen], model.biases[layer][chosen]
            coder = AutoEncoder(*start, model.activation.name, shape[-2], learning_rate)
            source.begin(layer * updates)
            costs.append(_learn(coder, source, due, stop, bar))
            source.below.append((coder.weight.clone(), coder.bias.clone()))
            model.weights[layer].copy_(coder.weight[origin])
            model.biases[layer].copy_(coder.bias[origin])
    recorded = "reconstruction_update"
    arrays = {recorded: np.array(due), "reconstruction_cost": np.stack(costs, -1)[:, origin]}
    axes = {recorded: (recorded,), "reconstruction_cost": (recorded, "run", "layer")}
    return training.History(arrays, axes, storage.plain(config), provenance)


def _learn(coder, source, due, stop, bar):
    """Train one layer; return its costs (T, R) at the updates `due`."""
    costs, step = [], 0
    for until in due:
        while step < until and not stop.is_set():
            count = min(source.block, until - step)
            damaged, target = source.pairs(step, count)
            for k in range(count):
                coder.step(damaged[:, k], target[:, k])
            step += count
            bar.update(count)
        damaged, target = source.unseen(until)
        costs.append(coder.cost(damaged, target).cpu().numpy())
        if stop.is_set():
            layer = len(source.below) + 1
            raise KeyboardInterrupt(
                f"stopped in the pre-training of layer {layer}; it keeps no checkpoint: the same "
                "call starts with the first layer"
            )
    return np.stack(costs)


class _Source:
    """The inputs of one layer after another, as they are damaged, and as they should come out."""

    def __init__(self, model, data, shape, least, corruption, seeds):
        self._data, self._shape, self._sizes = data, shape, model.sizes
        self._activation, self._like = model.activation, model.weights[0]
        self._inputs, self._corruption = least, corruption
        self._seeds = seeds if len(set(seeds)) > 1 else seeds[:1]
        each = max(len(seeds), 1) * shape[-2] * max(model.sizes[:-1])
        self.block = max(1, min(MOST, int(_BLOCK_BYTES / (4 * each))))
        self.below = []  # weights and biases of the layers that are done

    def begin(self, first):
        """Turn to the layer on top of those that are done, which starts at mini-batch `first`."""
        self._first, self._noise = first, self._noises(0)

    def pairs(self, step, count):
        """Return inputs and targets of updates from `step` on: (1 or R, count, B, n) each."""
        shape = -1, count, self._shape[-2], self._sizes[len(self.below)]
        return tuple(part.view(shape) for part in self._damage(step, count, self._noise))

    def unseen(self, step):
        """Return inputs and targets of about `EXAMPLES` from update `step` on: (., N, n) each."""
        count = -(-EXAMPLES // self._shape[-2])
        return self._damage(step, count, self._noises(step + 1))

    def _noises(self, place):
        layer = len(self.below)
        return [Noise(self._corruption, seed, layer, place) for seed in self._seeds]

    def _damage(self, step, count, noises):
        """Return the layer's inputs with some of them at 0, and as probabilities."""
        z = self._forward(self._first + step, count)
        keep = [noise.keep(count, self._shape[-2], z.shape[-1]) for noise in noises]
        least = _LEAST[self._activation.name] if self.below else self._inputs
        return z * torch.stack(keep).to(z.device), (z - least) / (1 - least)

    def _forward(self, start, count):
        """Return what the finished layers make of mini-batches: (1 or R, count * B, n)."""
        images, _ = training.draw(self._data, start, start + count, self._shape)
        low, high = (float(value) for value in images.aminmax())
        if not (self._inputs <= low and high <= 1):
            raise ValueError(
                f"inputs must lie between least={self._inputs} and 1; some are {low:g} to {high:g}"
            )
        z = images.to(self._like)
        z = z.transpose(0, 1).flatten(1, 2) if z.ndim == 4 else z.flatten(0, 1)[None]
        for weight, bias in self.below:
            z = self._activation.function(torch.baddbmm(bias, z.expand(len(bias), -1, -1), weight))
        return z


def _kinds(model, seeds):
    """Return for each run the number of the first that has its weights, biases and noise."""
    hidden = [*model.weights[:-1], *model.biases[:-1]]

    def alike(r, other):
        return seeds[r] == seeds[other] and all(torch.equal(v[r], v[other]) for v in hidden)

    return [next(o for o in range(r + 1) if alike(r, o)) for r in range(model.runs)]


def _checked(model, updates, learning_rate, corruption, seed, least, threads):
    """Return the seeds of the noise, one a run; ValueError names what does not fit."""
    if model.activation.name not in _LEAST:
        raise ValueError(
            f"auto-encoders here are of {', '.join(_LEAST)} layers, whose values can be read as "
            f"probabilities, not of {model.activation.name}"
        )
    for value, what, lowest in ((updates, "updates", 0), (threads, "threads", 1)):
        if not _is_whole(value) or value < lowest:
            raise ValueError(f"{what} must be a whole number of at least {lowest}, not {value!r}")
    for value, what, allowed in (
        (learning_rate, "learning_rate", "positive and finite"),
        (corruption, "corruption", "at least 0 and below 1"),
    ):
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        fits = number and (0 < value < float("inf") if what == "learning_rate" else 0 <= value < 1)
        if not fits:
            raise ValueError(f"{what} must be {allowed}, not {value!r}")
    if least not in (-1, 0):
        raise ValueError(f"least must be -1 or 0, not {least!r}")
    seeds = list(seed) if isinstance(seed, Iterable) else [seed] * model.runs
    if len(seeds) != model.runs or not all(_is_whole(s) and s >= 0 for s in seeds):
        raise ValueError(f"seed must be a whole number, or one for each run, not {seed!r}")
    return [int(s) for s in seeds]


def _is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
