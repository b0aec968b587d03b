"""The same training, done by others: each peer takes the same updates from the same weights.

`benchmarks.training` starts this file once for every peer and number of threads, so that none
meets another's threads, memory or settings, and asks each in turn. A peer is a function of the
first weights (name to array, as `MLP.parameters`), the mini-batches (K, B, n_0) with labels (K, B)
and the learning rate; it returns `advance`, which takes one update a mini-batch, and `parameters`.
"""

import contextlib
import itertools
import json
import os
import sys
import time

import numpy as np


def layers(start):
    """Return the pairs of weights (R, n_i, n_{i+1}) and biases (R, 1, n_{i+1}) of a network."""
    return [(start[f"weight_{i}"], start[f"bias_{i}"]) for i in range(len(start) // 2)]


def named(pairs):
    """Return the pairs of weights and biases by name, as `layers` takes them."""
    found = {}
    for i, (weight, bias) in enumerate(pairs):
        found[f"weight_{i}"], found[f"bias_{i}"] = np.asarray(weight), np.asarray(bias)
    return found


def this_engine(start, images, labels, rate):
    import torch

    from course_lib import engine, models

    weights = [w for w, _ in layers(start)]
    sizes = [w.shape[1] for w in weights] + [weights[-1].shape[2]]
    model = models.MLP(sizes, "tanh", runs=len(weights[0]))
    for name, value in model.parameters.items():
        value.copy_(torch.from_numpy(start[name]))
    made = engine.Engine(model, rate, images.shape[1:])
    parts = list(
        zip(*(torch.from_numpy(a).split(made.block) for a in (images, labels)), strict=True)
    )

    def advance():
        for part in parts:
            made.advance(*part)

    def parameters():
        made.store(model)
        return {name: value.numpy() for name, value in model.parameters.items()}

    return advance, parameters


def _sequential(sizes):
    """A `torch.nn.Sequential` of linear layers with tanh between them."""
    from torch import nn

    parts = []
    for fan_in, fan_out in sizes:
        parts += [nn.Linear(fan_in, fan_out), nn.Tanh()]
    return nn.Sequential(*parts[:-1])


def plain_pytorch(start, images, labels, rate):
    """One network after the other, with autograd and `torch.optim.SGD`."""
    import torch

    pairs = layers(start)
    networks = []
    for run in range(len(pairs[0][0])):
        network = _sequential([w.shape[1:] for w, _ in pairs])
        with torch.no_grad():
            for linear, (w, b) in zip(network[::2], pairs, strict=True):
                linear.weight.copy_(torch.from_numpy(w[run].T))
                linear.bias.copy_(torch.from_numpy(b[run, 0]))
        networks.append((network, torch.optim.SGD(network.parameters(), lr=rate)))
    batches = list(zip(torch.from_numpy(images), torch.from_numpy(labels), strict=True))
    cost = torch.nn.CrossEntropyLoss()

    def advance():
        for network, optimizer in networks:
            for x, y in batches:
                optimizer.zero_grad()
                cost(network(x), y).backward()
                optimizer.step()

    def parameters():
        with torch.no_grad():
            return named(
                (
                    torch.stack([network[2 * i].weight.T for network, _ in networks]),
                    torch.stack([network[2 * i].bias[None] for network, _ in networks]),
                )
                for i in range(len(pairs))
            )

    return advance, parameters


def torch_vmap(start, images, labels, rate):
    """All networks at once: `vmap` of the gradient over the stacked parameters."""
    import torch

    pairs = layers(start)
    network = _sequential([w.shape[1:] for w, _ in pairs])
    stacked = {}
    for i, (w, b) in enumerate(pairs):
        stacked[f"{2 * i}.weight"] = torch.from_numpy(w).mT.contiguous()
        stacked[f"{2 * i}.bias"] = torch.from_numpy(b)[:, 0].clone()
    batches = list(zip(torch.from_numpy(images), torch.from_numpy(labels), strict=True))

    def cost(weights, x, y):
        logits = torch.func.functional_call(network, weights, (x,))
        return torch.nn.functional.cross_entropy(logits, y)

    gradient = torch.func.vmap(torch.func.grad(cost), in_dims=(0, None, None))

    def advance():
        for x, y in batches:
            for name, value in gradient(stacked, x, y).items():
                stacked[name].add_(value, alpha=-rate)

    def parameters():
        return named(
            (stacked[f"{2 * i}.weight"].mT, stacked[f"{2 * i}.bias"][:, None])
            for i in range(len(pairs))
        )

    return advance, parameters


def _jax_update(rate):
    """One step of gradient descent of one network, for `scan`: (weights, batch) -> (weights, 0)."""
    import jax
    import jax.numpy as jnp

    def cost(pairs, x, y):
        for w, b in pairs[:-1]:
            x = jnp.tanh(x @ w + b)
        w, b = pairs[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), y[:, None], 1).mean()

    def update(pairs, x, y):
        gradient = jax.grad(cost)(pairs, x, y)
        return jax.tree.map(lambda value, g: value - rate * g, pairs, gradient)

    return update


def jax_vmap(start, images, labels, rate):
    """All networks at once, all steps in one compiled call: `vmap` inside `scan` inside `jit`."""
    import jax
    import jax.numpy as jnp

    pairs = [(jnp.asarray(w), jnp.asarray(b)) for w, b in layers(start)]
    runs = len(pairs[0][0])
    batches = jnp.asarray(images), jnp.asarray(labels)
    every = jax.vmap(_jax_update(rate))

    def step(pairs, batch):
        # A copy of the batch for each run: where the runs share it, XLA transposes the weights.
        x, y = (jnp.broadcast_to(part, (runs, *part.shape)) for part in batch)
        return every(pairs, x, y), 0

    train = jax.jit(lambda pairs: jax.lax.scan(step, pairs, batches)[0], donate_argnums=0)
    now = [pairs]

    def advance():
        now[0] = jax.block_until_ready(train(now[0]))

    return advance, lambda: named(now[0])


def jax_single(start, images, labels, rate):
    """One network after the other, all steps of one in one compiled call: `scan` inside `jit`."""
    import jax
    import jax.numpy as jnp

    pairs = layers(start)
    batches = jnp.asarray(images), jnp.asarray(labels)
    update = _jax_update(rate)

    def step(pairs, batch):
        return update(pairs, *batch), 0

    train = jax.jit(lambda pairs: jax.lax.scan(step, pairs, batches)[0], donate_argnums=0)
    networks = [
        [(jnp.asarray(w[run]), jnp.asarray(b[run])) for w, b in pairs]
        for run in range(len(pairs[0][0]))
    ]

    def advance():
        for run, network in enumerate(networks):
            networks[run] = train(network)
        jax.block_until_ready(networks)

    def parameters():
        return named(
            (np.stack([n[i][0] for n in networks]), np.stack([n[i][1] for n in networks]))
            for i in range(len(pairs))
        )

    return advance, parameters


def products(start, images, labels, rate):
    """The limit: the matrix products of the updates and nothing else, in the order of the step.

    Forward, backward except into the input, and the update, each over the weights of all layers by
    turns, so that they are as cold as in the step. Each product can be written in several ways;
    the fastest of them for these shapes is what `advance` takes.
    """
    import torch

    alone = [torch.from_numpy(w).clone() for w, _ in layers(start)]
    runs, batch, depth = len(alone[0]), images.shape[1], len(alone) - 1
    delta = [torch.rand(runs, batch, w.shape[2]).mul_(1e-6) for w in alone]
    forward = [torch.empty_like(d) for d in delta]

    def stacked(first, weights_left, biases):
        """Return a step that multiplies all runs at once; `biases` are a last row of the weights.

        They change the strides, and with these the rate: at width 1000 for the better.
        """
        weights = [torch.cat([w, w[:, :1]], 1) if biases else w.clone() for w in alone]
        rows = [w[:, :-1] if biases else w for w in weights]
        z = [torch.rand(runs, batch, w.shape[1]) for w in weights]
        back = [torch.empty(runs, batch, w.shape[1]) for w in rows]
        transposed = [torch.empty(runs, w.shape[1], batch) for w in rows]
        shared = z[0][0].clone()
        x = z[0] if first == "copied" else shared.expand(runs, -1, -1)
        joined = weights[0].transpose(0, 1).flatten(1)  # (n_0, R n_1): one product for all runs
        joined_delta, joined_forward = torch.rand(2, batch, joined.shape[1]).mul_(1e-6)

        def step():
            if first == "joined":
                torch.mm(shared, joined, out=joined_forward)
            else:
                torch.bmm(x, weights[0], out=forward[0])
            for i in range(1, depth + 1):
                torch.bmm(z[i], weights[i], out=forward[i])
            for i in range(depth, 0, -1):
                if weights_left:
                    torch.bmm(rows[i], delta[i].mT, out=transposed[i])
                else:
                    torch.bmm(delta[i], rows[i].mT, out=back[i])
                weights[i].baddbmm_(z[i].mT, delta[i])
            if first == "joined":
                joined.addmm_(shared.T, joined_delta)
            else:
                weights[0].baddbmm_(x.mT, delta[0])

        return step

    def one_by_one():
        """Return a step that multiplies run after run."""
        z = [torch.rand(runs, batch, w.shape[1]) for w in alone]
        transposed = [torch.empty(runs, w.shape[1], batch) for w in alone]

        def step():
            for i, w in enumerate(alone):
                for run in range(runs):
                    torch.mm(z[i][run], w[run], out=forward[i][run])
            for i in range(depth, 0, -1):
                for run in range(runs):
                    torch.mm(alone[i][run], delta[i][run].T, out=transposed[i][run])
                    alone[i][run].addmm_(z[i][run].T, delta[i][run])
            for run in range(runs):
                alone[0][run].addmm_(z[0][run].T, delta[0][run])

        return step

    options = itertools.product(("shared", "copied", "joined"), (True, False), (True, False))
    ways = [one_by_one(), *itertools.starmap(stacked, options)]
    count = len(images)

    @torch.inference_mode()
    def repeat(way, times):
        begin = time.perf_counter()
        for _ in range(times):
            way()
        return time.perf_counter() - begin

    tried = [[repeat(way, max(1, count // 5)) for way in ways] for _ in range(4)][1:]
    fastest = ways[int(np.argmin(np.median(tried, 0)))]
    return lambda: repeat(fastest, count), dict


PEERS = {
    "this engine": this_engine,
    "plain PyTorch": plain_pytorch,
    "torch.func.vmap": torch_vmap,
    "JAX": jax_vmap,
    "JAX without vmap": jax_single,
    "matrix products alone": products,
}


def answer(build, start, images, labels, job, made, request):
    """Do what the driver asks: take some steps and save the weights, or time whole rounds.

    `made` keeps what is timed from one request to the next.
    """
    if request["do"] == "steps":
        some = slice(request["first"], request["first"] + request["count"])
        advance, parameters = build(start, images[some], labels[some], request["rate"])
        advance()
        np.savez(request["path"], **parameters())
        return {}
    if "advance" not in made:
        made["advance"], _ = build(start, images, labels, job["rate"])
        for _ in range(2):  # the first call compiles, allocates, or finds things cold
            begin = time.perf_counter()
            made["advance"]()
            once = time.perf_counter() - begin
        made["times"] = max(1, round(request["seconds"] / once))
    begin = time.perf_counter()
    for _ in range(made["times"]):
        made["advance"]()
    return {"seconds": (time.perf_counter() - begin) / made["times"] / len(images)}


def main(job):
    """Answer the requests of the driver, one line of JSON each, until it closes the pipe."""
    with contextlib.ExitStack() as stack:
        if job["peer"].startswith("JAX"):
            # Read when jax is imported.
            os.environ["PJRT_NPROC"] = os.environ["NPROC"] = str(job["threads"])
            if job["threads"] == 1:
                os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        else:
            from course_lib import engine

            try:
                stack.enter_context(engine.settings(job["threads"], job["kernel"]))
            except ValueError as why:
                print(json.dumps({"refused": str(why)}), flush=True)
                return
        with np.load(job["file"]) as stored:
            start = {name: stored[name] for name in stored.files}
        images, labels = start.pop("images"), start.pop("labels")
        print(json.dumps({}), flush=True)
        made = {}
        for line in sys.stdin:
            reply = answer(PEERS[job["peer"]], start, images, labels, job, made, json.loads(line))
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
