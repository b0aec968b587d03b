"""Assignment 4, a saturation monitor: its examples, and the library's answers."""

import contextlib
import copy
import math
from typing import NamedTuple

import numpy as np
import torch

from course_lib import activations, checks, fresh, instruments, models, report
from course_lib.classroom import patients

DEPTH = 6  # hidden layers of a patient
FAR = 2.5  # from the healthy network's, by this factor, is the gradient of one to be treated
# What `monitor` returns, in its order.
COLUMNS = ("mean", "std", "2nd percentile", "98th percentile", "saturated share", "gradient's std")


class Example(NamedTuple):
    """A network, a batch, and the `Activation` of its hidden layers, in double precision."""

    net: torch.nn.Sequential
    x: torch.Tensor
    labels: torch.Tensor
    activation: activations.Activation


def example(values, **instead):
    """Return the `Example` of a dict of sizes n_0 .. n_{d+1}, activation, batch and seed.

    What is named besides is taken in the place of an entry: ``example(setting, batch=1)``. Weights
    and biases are large, so that some units saturate.
    """
    names = ("sizes", "activation", "batch", "seed")
    sizes, activation, batch, seed = ({**values, **instead}[name] for name in names)
    model = models.MLP(sizes, activation, seed=seed, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed + 1)
    for weight, bias in zip(model.weights, model.biases, strict=True):
        weight *= 2
        bias.copy_(0.5 * torch.randn(bias.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(batch, sizes[0], generator=generator, dtype=torch.float64)
    labels = torch.randint(sizes[-1], (batch,), generator=generator)
    return Example(report.as_module(model), x, labels, model.activation)


def outputs(values, **instead):
    """Return what the hidden layers of an example put out: something to measure."""
    return recorded(values, **instead)[0]


def saturated_share(z, activation):
    """Part 1: the share of activations that are saturated, by the course's definition."""
    return activation.saturated(z).double().mean().item()


def flat(name):
    """Part 1: activations (13,) of a layer of which no unit is where its slope is steepest."""
    s = torch.linspace(1, 6, 13, dtype=torch.float64)
    return activations.get(name).function(-s)


def describe(values, percentiles):
    """Part 2: mean, standard deviation and percentiles, by the library."""
    names = ("mean", "std", "percentiles")
    found = instruments.statistics([values.reshape(1, -1)], names, percentiles)
    return found["mean"].item(), found["std"].item(), found["percentiles"][0, 0]


def check_deviation(namespace, values):
    """Part 2: raise `NotYet`, in words, if a notebook's `describe` has another deviation."""
    found = checks.call("describe", namespace, (values, (0, 1)))[1]
    right, likely = fresh.call(deviations, values)
    checks.number("the standard deviation", {"the standard deviation": found}, right, 1e-6, likely)


def deviations(values):
    """Part 2: the standard deviation, and what is likely to come out instead, with the reason."""
    right, n = describe(values, (0,))[1], values.numel()
    return right, [
        (
            right * math.sqrt(n / max(n - 1, 1)),
            f"That divides by {n - 1}, an estimate for other numbers; here all {n} are counted.",
        ),
        (right**2, "That is the variance."),
        (values.square().mean().sqrt().item(), "Is the mean taken off before squaring?"),
        (values.std(0, correction=0).mean().item(), "That is a mean over columns, not of all."),
    ]


def record(net, x, labels):
    """Part 3: each hidden layer's activations, and gradients by its pre-activations."""
    with instruments.record(net) as calls:
        cost = torch.nn.functional.cross_entropy(net(x), labels, reduction="sum")
        torch.autograd.grad(cost, list(net.parameters()))
    hidden = calls[:-1]
    return [call.output for call in hidden[1::2]], [call.gradient for call in hidden[::2]]


def recorded(values, **instead):
    """Part 3, for an example: what `record` should return."""
    net, x, labels, _ = example(values, **instead)
    return record(net, x, labels)


def monitor(outputs, gradients, activation):
    """Part 4: the six `COLUMNS`, a number for each hidden layer."""
    rows = []
    for z, gradient in zip(outputs, gradients, strict=True):
        mean, std, (low, high) = describe(z, (2, 98))
        size = describe(gradient, (2,))[1]
        rows.append((mean, std, float(low), float(high), saturated_share(z, activation), size))
    return list(torch.tensor(rows, dtype=torch.float64).T)


def percent_off(namespace, given):
    """Part 4: say whether a notebook's `monitor` asked for percentiles 0.02 and 0.98."""
    try:
        mine = checks.call("monitor", namespace, given)
        low, high = (np.asarray([float(v) for v in mine[k]]) for k in (2, 3))
    except (checks.NotYet, TypeError, ValueError, IndexError, KeyError, RuntimeError):
        return ""  # what is wrong there, another test says
    shares = np.array([np.percentile(z, (0.02, 0.98)) for z in given[0]]).T
    found = low.shape == high.shape == shares[0].shape and np.allclose((low, high), shares, 1e-6, 0)
    return "percentiles count from 0 to 100: is it 2 and 98 that you ask for?" if found else ""


def bound(activation):
    """Return the |s| from which on a tanh or a softsign is saturated."""
    root = math.sqrt(activations.SATURATION)
    return {
        "tanh": math.atanh(math.sqrt(1 - activations.SATURATION)),
        "softsign": (1 - root) / root,
    }[activation]


def expected_share(values):
    """Part 4: the saturated share if s is Gaussian with mean 0 and sd ``values["sigma"]``."""
    return math.erfc(bound(values["activation"]) / values["sigma"] / math.sqrt(2))


def likely_shares(values):
    """Part 4: shares that are likely, and what leads to each; for its visible test."""
    right, sigma = expected_share(values), values["sigma"]
    in_z = {"tanh": 0.9, "softsign": 1 - math.sqrt(activations.SATURATION)}[values["activation"]]
    other = {"tanh": "softsign", "softsign": "tanh"}[values["activation"]]
    reached = {"tanh": math.atanh, "softsign": lambda z: z / (1 - z)}[values["activation"]]
    level = activations.SATURATION
    return [
        *(
            (math.erfc(s / sigma / math.sqrt(2)), "0.19 is the slope: at which |z| is it so flat?")
            for s in (level, reached(level))
        ),
        *(
            (math.erfc(s / sigma / math.sqrt(2)), "|z| = 0.81: is a root missing?")
            for s in (1 - level, reached(1 - level))
        ),
        (right / 2, "That is one side only."),
        (1 - right, "That is the share which is not saturated."),
        (100 * right, "A share is asked for, not per cent."),
        (math.erfc(in_z / sigma / math.sqrt(2)), "That bound is one of z; s is what is Gaussian."),
        (expected_share(values | {"activation": other}), f"That is for {other}."),
        (
            math.erfc(bound(values["activation"]) / sigma),
            "What is the square root of 2 for in the error function?",
        ),
        (
            math.erfc(bound(values["activation"]) / math.sqrt(2 * sigma)),
            "sigma is the standard deviation, not the variance.",
        ),
    ]


def answer_about(name, namespace):
    """Part 5: return what a notebook says of a patient; `NotYet`, in words, if it has no form."""
    (said,) = _needed(namespace, "diagnosis")
    checks.require(isinstance(said, dict), "diagnosis should be a dict.")
    checks.require(name in said, f"diagnosis says nothing of patient {name!r}.")
    pair = said[name]
    checks.require(
        isinstance(pair, (tuple, list)) and len(pair) == 2,
        f"of patient {name} two things should be said: (condition, layer).",
    )
    condition, layer = pair
    checks.require(
        condition in list(patients.CONDITIONS),
        f"of patient {name}: {condition!r} is none of {', '.join(patients.CONDITIONS)}.",
    )
    try:
        number = int(layer)
    except (TypeError, ValueError):
        number = -1
    checks.require(
        number == layer and 0 <= number <= DEPTH,
        f"of patient {name}: a layer is a whole number from 1 to {DEPTH}, or 0, not {layer!r}.",
    )
    checks.require(
        (number == 0) == (condition in patients.NO_LAYER),
        f"of patient {name}: {condition!r} with layer {number}; the layer is 0 if the condition "
        f"is {' or '.join(patients.NO_LAYER)}, and only then.",
    )
    print(f"What is said of patient {name} has the right form.")
    pairs = {n: two for n, two in said.items() if n != name and isinstance(two, (tuple, list))}
    same = [n for n, two in pairs.items() if condition in two]
    if same:
        print(f"But patient {same[0]} is said to have {condition!r}, too: no two have the same.")
    return condition, number


def _needed(namespace, *names):
    for name in names:
        there = name in namespace
        checks.require(there, f"there is no {name} yet: run the cell that defines it.")
    return [namespace[name] for name in names]


def compare(name, namespace, secret):
    """Part 5: raise `NotYet`, in words, if what is said of a patient is not what it has."""
    condition, layer = answer_about(name, namespace)
    its, where = fresh.call(patients.diagnosis, secret)[name]
    checks.require(condition == its, f"patient {name} does not have {condition!r}.")
    checks.require(layer == where, f"patient {name}: the condition is right, not the layer.")


def state(name, namespace):
    """Return the parameters of a notebook's ``nn.Sequential``, by their names."""
    (net,) = _needed(namespace, name)
    checks.require(isinstance(net, torch.nn.Module), f"{name} should be a network.")
    return {key: value.detach().double() for key, value in net.state_dict().items()}


def treatment(setting, namespace):
    """Part 6: return the parameters before and after; `NotYet`, in words, if there are none."""
    (name,) = _needed(namespace, "treated")
    ward = patients.ward(setting)
    checks.require(name in list(ward), f"treated should be one of {', '.join(ward)}.")
    before = {key: value.detach() for key, value in ward[name].state_dict().items()}
    ratio = fresh.call(reach, setting, before)
    checks.require(
        max(ratio, 1 / max(ratio, 1e-300)) >= FAR,
        f"patient {name} is not one to treat here: the gradient's standard deviation in layer 1 is "
        f"{ratio:.2g} times that of a healthy network.",
    )
    after = state("cured", namespace)
    same = {k: v.shape for k, v in before.items()} == {k: v.shape for k, v in after.items()}
    checks.require(same, f"cured has not the layers of patient {name}.")
    return before, after


def complaint(setting, before, after):
    """Part 6: say in a sentence what is still wrong with a treated network, or with the cure."""
    moved = {k.split(".")[0] for k in before if not torch.allclose(before[k], after[k], 1e-5, 0)}
    if not moved:
        return "cured has the weights and biases of the patient: nothing was done."
    if not all(torch.isfinite(value).all() for value in after.values()):
        return "cured holds numbers that are not finite."
    if len(moved) > 1 and not all(_scaled(before[k], after[k]) for k in before):
        return (
            f"{len(moved)} layers were changed. Change the sick layer alone or, if no single one "
            "is to blame, multiply the weights of layers by numbers; all other numbers stay."
        )
    share, std, size, apart = _measured(setting, after)
    _, usual, gradient, _ = _measured(setting, None)
    # The gradient comes last: where it is off, the fault lies in a layer above.
    for values, off, words in (
        (share, share > 0.3, "{:.0%} of the activations are saturated"),
        (std, _far(std, usual, 4), "the activations' standard deviation is {:.2g}"),
        (apart, apart < std / 10, "all units do nearly the same (they differ by {:.1g})"),
        (size, _far(size, gradient, 4), "the gradient's standard deviation is {:.2g}"),
    ):
        if off.any():
            layer = int(off.int().argmax())
            said = words.format(float(values[layer]))
            return f"in layer {layer + 1} of cured {said}, which is not what a healthy layer has."
    return ""


def elsewhere(before, after, layer):
    """Part 6: say in a sentence whether another than the sick layer (0: none) was changed."""
    same = (k for k in before if int(k.split(".")[0]) != 2 * (layer - 1))
    moved = not all(torch.allclose(before[k], after[k], 1e-5, 0) for k in same)
    return "another layer than the sick one was changed: change that one alone." * bool(
        layer and moved
    )


def reach(setting, arrays):
    """Part 6: the gradient's standard deviation in layer 1, over that of a healthy network."""
    return float(_measured(setting, arrays)[2][0] / _measured(setting, None)[2][0])


def gain(setting, before, after):
    """Part 6: the gradient's standard deviation in layer 1, after over before."""
    return float(_measured(setting, after)[2][0] / _measured(setting, before)[2][0])


def gains(setting, before, after):
    """Part 6: the gain, and what is likely to come out instead, with the reason."""
    right = gain(setting, before, after)
    top = [_measured(setting, arrays)[2][-1] for arrays in (after, before)]
    healthy = "That is against the healthy network: what was the patient's own, before?"
    return right, [
        (float(top[0] / top[1]) if top[1] else math.inf, "That is layer 6: layer 1 is asked for."),
        (reach(setting, after), healthy),
        (1 / max(reach(setting, before), 1e-300), healthy),
        (1 / right if right else math.inf, "That is before over after."),
        (
            1,
            "Is ward[treated] the changed network itself? Cure a copy; the first cell reads it"
            " again.",
        ),
        (right**2, "That is the factor of the variance."),
        (right**0.5, "Was a root taken too often?"),
    ]


def _far(values, usual, factor):
    return ((values / usual).log().abs() > math.log(factor)) | (values == 0)


def _scaled(before, after):
    """Say whether a parameter is what it was but for a positive factor."""
    ratio = (before * after).sum() / before.square().sum()
    return bool(ratio > 0 and torch.allclose(after, ratio * before, rtol=1e-4, atol=1e-9))


def _measured(setting, arrays):
    """Return saturated share, std, gradient's std and distance of units, of each hidden layer."""
    if arrays is None:
        net = patients.textbook(setting, "healthy")
    else:
        net = patients.sequential(setting["activation"], arrays)
    found, gradients = record(net, *patients.examination(setting))
    table = monitor(found, gradients, activations.get(setting["activation"]))
    return table[4], table[1], table[5], torch.stack([z.std(1).mean() for z in found])


def handed(net):
    """Return the network, made such that `checks.call` hands over itself and not a copy.

    A copy that is made of it after that is one.
    """

    def once(self, memo):
        self.__class__ = torch.nn.Sequential
        return self

    net.__class__ = type("Sequential", (torch.nn.Sequential,), {"__deepcopy__": once})
    return net


def list_off(mine, which, expected, batch):
    """Part 3: say in a sentence how one of the two lists that `record` returns is off."""
    if not isinstance(mine, (list, tuple)) or len(mine) != 2:
        return "record should return two lists: activations and gradients."
    what, depth = ("z", "the gradient")[which], len(expected[which])
    names = [f"{what} of layer {k + 1}" for k in range(depth)]
    if isinstance(mine[which], (list, tuple)) and len(mine[which]) == depth + 1:
        return (
            f"{depth + 1} things are in the list of {what}, for {depth} hidden layers: the last "
            "linear layer is none, nor are the inputs."
        )
    if not isinstance(mine[which], (list, tuple, torch.Tensor, np.ndarray)):
        return f"what record returns of {what} should be a list, with an entry for each layer."
    return checks.difference(list(mine[which]), expected[which], names, batch=batch)


def left_behind(net, before):
    """Part 3: say in a sentence what a function has left in a network; empty if nothing."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, kind) for module in net.modules() for kind in hooks):
        return "hooks are left in the network: handle.remove() takes one out."
    if any(parameter._backward_hooks for parameter in net.parameters()):
        return "hooks are left on its weights: handle.remove() takes one out."
    if any(parameter.grad is not None for parameter in net.parameters()):
        return "its weights have a .grad now, to which the next training step would add its own."
    if any(not torch.equal(value, before[key]) for key, value in net.state_dict().items()):
        return "its weights are not what they were."
    return ""


def tidiness(namespace, values, broken):
    """Part 3: run a notebook's `record`; say what it leaves in the network, if anything.

    The network has a hook of somebody else. With `broken`, it stops with an error at its end.
    """
    net, x, labels, _ = example(values)
    before = copy.deepcopy(net.state_dict())
    others = net[-1].register_forward_hook(_stop if broken else _look)
    found = ()
    with contextlib.suppress(checks.NotYet) if broken else contextlib.nullcontext():
        found = checks.call("record", namespace, (handed(net), x, labels))
    if others.id not in net[-1]._forward_hooks:
        return "a hook that was there before is gone: take out your own, with handle.remove()."
    others.remove()
    there = found if isinstance(found, (list, tuple)) else ()
    kinds = (list, tuple, torch.Tensor, np.ndarray)
    lists = [list(some) for some in there if isinstance(some, kinds)]
    depth = len(net) // 2
    whole = len(lists) == 2 and all(len(some) >= depth for some in lists)
    if not broken and not (whole and all(hasattr(one, "shape") for some in lists for one in some)):
        return f"there are no two lists of {depth} tensors: nothing was to be tidied up yet."
    off = left_behind(net, before)
    if not off and any(getattr(one, "requires_grad", False) for some in lists for one in some):
        off = "what it returned holds on to the whole computation: z.detach() is z without it."
    return off


def _look(*_):
    pass


def _stop(*_):
    raise ValueError("stopped by the test, half-way")
