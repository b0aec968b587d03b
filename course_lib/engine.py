"""Many updates of many networks at once: Eqs. (2) and (3) with nothing made twice.

What `backprop` explains, arranged for speed. Where the time of a small network goes is not the
arithmetic but the calls, so there are few of them: each bias is a last row of its weight matrix,
fed by an input that is always 1; the learning rate scales delta once, at the top; a step writes
into buffers that the next one uses again; costs are computed a hundred updates at a time from the
logits kept. No gradient into the input is computed. What is left is the matrix products, and
`benchmarks/training.py` measures how near to their own time it comes. On a GPU the whole step is
recorded once as a CUDA graph and replayed.
"""

import contextlib
import math
import os
from functools import partial

import torch

from course_lib import backprop

KERNELS = ("default", "onednn")
MOST = 100  # updates a block, so that Ctrl-C is answered and costs are averaged in time
_BLOCK_FLOPS = 2e10  # and at most about half a second's work of one core
_BLOCK_BYTES = {"cpu": 32e6, "cuda": 512e6}  # of mini-batches held ready


class Engine:
    """Trains the runs of a model by gradient descent on the mean cost, Eqs. (2) and (3).

    Parameters
    ----------
    model : MLP, whose weights are copied; `store` writes them back
    learning_rate : tensor, shape (R, 1, 1), or what broadcasts to it
    shape : (B, n_0) of a mini-batch for all runs alike, or (R, B, n_0)
    cost : a name of `backprop.COSTS`

    Attributes
    ----------
    block : int, the number of updates that `advance` is best given at once
    """

    def __init__(self, model, learning_rate, shape, cost="cross_entropy"):
        first = model.weights[0]
        like = {"dtype": first.dtype, "device": first.device}
        runs, sizes, batch_size = model.runs, model.sizes, shape[-2]
        self.depth, self.rule = model.depth, backprop.cost_named(cost)
        self._rules = IN_PLACE[model.activation.name]
        self._packed = [
            torch.cat([w, b], 1) for w, b in zip(model.weights, model.biases, strict=True)
        ]
        self._weights = [p[:, :-1] for p in self._packed]
        self._biases = [p[:, -1:] for p in self._packed]
        free = torch.tensor(model.output_bias, device=first.device).view(-1, 1, 1)
        self._held = None if free.all() else (~free, self._biases[-1].clone())
        rate = torch.as_tensor(learning_rate, **like)
        self._scale = (rate / -batch_size).expand(runs, 1, 1).contiguous()
        buffers = partial(_buffers, runs, batch_size, sizes[1:-1], like)
        self._z = buffers(1)  # z^i, with the 1 that feeds the biases in a last column
        self._s, self._delta, self._scratch = buffers(), buffers(), buffers()
        self._back = [s.new_empty(runs, s.shape[2], batch_size) for s in self._s]
        rows = (runs if len(shape) == 3 else 1, batch_size)
        self.block = _block(sizes, runs, rows, first.device, first.dtype.itemsize)
        self._x = torch.ones(self.block, *rows, sizes[0] + 1, **like)
        self._target = torch.empty(self.block, *rows, sizes[-1], **like)
        self._logits = torch.empty(self.block, runs, batch_size, sizes[-1], **like)
        # Views are made once: at width 100 making them takes a fifth of a step.
        self._z_views = [z[..., :-1] for z in self._z]
        self._z_transposed = [z.mT for z in self._z]
        self._delta_transposed = [delta.mT for delta in self._delta]
        self._back_transposed = [back.mT for back in self._back]
        self._blocks = list(zip(self._x, self._target, self._logits, strict=True))
        self._recorded, self._graph = first.is_cuda, None

    @torch.inference_mode()
    def advance(self, images, labels):
        """Take K updates, one a mini-batch; K is at most `block`.

        Parameters
        ----------
        images : tensor (K, B, n_0) for all runs alike, or (K, R, B, n_0)
        labels : tensor (K, B) or (K, R, B), int64

        Returns
        -------
        tensor (K, R), the mean cost of each mini-batch before its update
        """
        count = len(images)
        x, target, logits = self._x[:count], self._target[:count], self._logits[:count]
        x[..., :-1].copy_(images.reshape(*x.shape[:3], -1))
        labels = labels.to(x.device).reshape(x.shape[:3])
        target.zero_().scatter_(-1, labels.unsqueeze(-1), 1)
        take = self._replay if self._recorded else self._step
        for step in self._blocks[:count]:
            take(*step)
        return self.rule.values(logits, labels).mean(-1)

    def store(self, model):
        """Copy the weights and biases into a model of the same shape."""
        for i in range(self.depth + 1):
            model.weights[i].copy_(self._weights[i])
            model.biases[i].copy_(self._biases[i])

    def finite(self):
        """Say of each run whether all its weights are finite: a bool tensor (R,)."""
        sums = torch.stack([p.sum((1, 2)) for p in self._packed]).sum(0)
        if sums.isfinite().all():
            return sums.isfinite()
        return torch.stack([p.flatten(1).isfinite().all(1) for p in self._packed]).all(0)

    def _step(self, x, target, logits):
        """Take one update on inputs (1 or R, B, n_0 + 1); `logits` get those before it."""
        depth, packed, (forward_, backward) = self.depth, self._packed, self._rules
        x = x.expand(len(logits), -1, -1)
        z, s = [x, *self._z], self._s
        for i in range(depth):
            torch.bmm(z[i], packed[i], out=s[i])
            forward_(s[i], self._scratch[i])  # from here on s holds z, without the 1
            self._z_views[i].copy_(s[i])
        torch.bmm(z[depth], packed[depth], out=logits)
        delta = self.rule.delta(logits, target).mul_(self._scale)  # linear in delta: all inherit it
        transposed = delta.mT
        for i in range(depth - 1, -1, -1):
            # W delta^T is up to twice as fast here as delta W^T, its transpose.
            torch.bmm(self._weights[i + 1], transposed, out=self._back[i])
            backward(self._back_transposed[i], s[i], self._scratch[i], self._delta[i])
            packed[i + 1].baddbmm_(self._z_transposed[i], delta)
            delta, transposed = self._delta[i], self._delta_transposed[i]
        packed[0].baddbmm_(x.mT, delta)
        if self._held:
            frozen, bias = self._held
            self._biases[-1].copy_(torch.where(frozen, bias, self._biases[-1]))

    def _replay(self, x, target, logits):
        """Take one update on a GPU: one launch, where one for each kernel would cost most."""
        if self._graph is None:
            self._record(x, target, logits)
        for still, values in zip(self._still, (x, target), strict=False):
            still.copy_(values)
        self._graph.replay()
        logits.copy_(self._still[-1])

    def _record(self, *step):
        """Record a step as a CUDA graph, which always reads and writes the same memory."""
        self._still = [values.clone() for values in step]
        before = [packed.clone() for packed in self._packed]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # CUDA wants a few rounds before it records
            for _ in range(3):
                self._step(*self._still)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._step(*self._still)
        for packed, values in zip(self._packed, before, strict=True):
            packed.copy_(values)


def _buffers(runs, batch_size, widths, like, more=0):
    return [torch.ones(runs, batch_size, n + more, **like) for n in widths]


# Each activation in place, s to z, and gradient * f'(s) into `out`, with f' in terms of z. As
# `activations` has them, but in one pass over the data where torch can, and allocating nothing:
# memory that is given back and fetched again costs more than the arithmetic.
def _softsign_(s, scratch):
    s.div_(torch.abs(s, out=scratch).add_(1))


def _softsign_backward(gradient, z, scratch, out):
    torch.mul(gradient, torch.abs(z, out=scratch).sub_(1).square_(), out=out)


_aten = torch.ops.aten
IN_PLACE = {
    "sigmoid": (
        lambda s, _: s.sigmoid_(),
        lambda g, z, _, out: _aten.sigmoid_backward.grad_input(g, z, grad_input=out),
    ),
    "tanh": (
        lambda s, _: s.tanh_(),
        lambda g, z, _, out: _aten.tanh_backward.grad_input(g, z, grad_input=out),
    ),
    "softsign": (_softsign_, _softsign_backward),
    "relu": (
        lambda s, _: s.relu_(),
        lambda g, z, _, out: _aten.threshold_backward.grad_input(g, z, 0, grad_input=out),
    ),
    "linear": (lambda s, _: s, lambda g, z, _, out: out.copy_(g)),
}


def _block(sizes, runs, rows, device, bytes_each):
    """Return how many updates to take at a time; a function of the shapes alone.

    `rows` are the mini-batches held for one update, 1 or R, and the examples in each.
    """
    flops = 6 * runs * rows[1] * sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))
    quick = _BLOCK_FLOPS / flops if device.type == "cpu" else MOST
    fits = _BLOCK_BYTES[device.type] / (rows[0] * rows[1] * sizes[0] * bytes_each)
    return max(1, int(min(MOST, fits, quick)))


def memory(sizes, runs, batch_size=10, examples=300, device="cpu", own_data=False):
    """Estimate the memory that training a stack in float32 takes, in bytes.

    Twice the weights (the model's and the engine's), the buffers of one step, a block of
    mini-batches, and the forward and backward pass of the monitored examples with one layer's
    weight gradients. Not counted: Python and torch themselves, about 0.3 GB a process.

    Parameters
    ----------
    sizes : layer sizes, inputs first;  runs : int, R
    batch_size : int;  examples : int, how many the monitors look at
    device : "cpu" or "cuda";  own_data : bool, whether each run has mini-batches of its own
    """
    pairs = list(zip(sizes, sizes[1:], strict=False))
    weights, units = sum((a + 1) * b for a, b in pairs), sum(sizes[1:])
    rows = (runs if own_data else 1, batch_size)
    ready = _block(sizes, runs, rows, torch.device(device), 4) * rows[0] * rows[1] * (sizes[0] + 1)
    watched = runs * (3 * examples * units + weights) if examples else 0
    return 4 * (2 * runs * weights + 5 * runs * batch_size * units + 2 * ready + watched)


def device(name="auto"):
    """Return the `torch.device` to train on: "auto" takes a CUDA GPU where there is one.

    Raises
    ------
    ValueError
        If `name` is not auto, cpu or cuda, or CUDA is asked for and there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, not {name!r}")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ValueError("device 'cuda' was asked for, but torch finds no CUDA GPU; use 'cpu'")
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def describe(chosen, threads=1):
    """Return the line that says what is computed on, such as "cpu, 1 of 2 cores a job"."""
    if torch.device(chosen).type == "cuda":
        card = torch.cuda.get_device_properties(chosen)
        return f"cuda, {card.name}, {card.total_memory / 2**30:.0f} GiB"
    return f"cpu, {threads} of {os.cpu_count()} cores a job"


@contextlib.contextmanager
def settings(threads=1, kernel="default"):
    """Let torch compute with that many threads and that matrix kernel while the block runs.

    "onednn" asks for oneDNN's kernels, which some processors run faster than torch's own choice
    at width 1000; others then multiply in bfloat16, and there it is refused.

    Raises
    ------
    ValueError
        If there is no such kernel, or its products err more than twice as much as the default's.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, not {kernel!r}")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with _onednn() if kernel == "onednn" else contextlib.nullcontext():
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _onednn():
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    if not hasattr(matmul, "fp32_precision"):
        raise ValueError(f"torch {torch.__version__} cannot be asked for kernel 'onednn'")
    plain, before = product_error(), matmul.fp32_precision
    matmul.fp32_precision = "bf16"  # the name of what may be used; it is measured what is
    try:
        error = product_error()
        if error > 2 * plain:
            raise ValueError(
                f"kernel 'onednn' rounds to {error:.0e} on this processor, the default to "
                f"{plain:.0e}; use kernel 'default'"
            )
        yield
    finally:
        matmul.fp32_precision = before


def product_error(n=512, rows=10):
    """Return the relative error of the present float32 matrix product against float64."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(rows, n, generator=generator)
    weight = torch.randn(n, n, generator=generator) / math.sqrt(n)
    exact = z.double() @ weight.double()
    return float((torch.bmm(z[None], weight[None])[0] - exact).norm() / exact.norm())
