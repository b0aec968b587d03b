"""Verdicts on layers in training: C07 to C10, C17 to C19 and C30, with the numbers.

Every function takes shipped results, the width that decides first; what other widths give stands
beside it in the evidence. Where the statistic can decide, both are in the evidence.
"""

import numpy as np

from course_lib import criteria, results, verdicts
from course_lib import criteria_layers as layers
from course_lib.criteria_before import largest_to_smallest
from course_lib.verdicts import average

TANH = {"activation": "tanh", "scheme": "standard", "depth": 5}
SOFTSIGN = TANH | {"activation": "softsign"}
TANH_N = TANH | {"scheme": "normalized"}
HIGH = 0.9  # a 98th percentile of tanh activations that some would call saturated


def layer_verdicts(fig11, width100=None):
    """Judge C08, C09, C10, C19 and C30 on the networks of Figure 11.

    Parameters
    ----------
    fig11, width100 : storage.Stored or training.History
        With what `experiments` records inside Figure 11's networks; the first decides.

    Returns
    -------
    dict, claim id to `verdicts.Verdict`; none for a claim whose curves are missing
    """
    judges = {
        "C08": _in_sequence,
        "C09": _together,
        "C10": _piles_up,
        "C19": _no_sequence,
        "C30": _top_spared,
    }
    return _judged(judges, (fig11, width100))


def gradient_verdicts(fig09, *others):
    """Judge C17 and C18 on tanh networks with standard and normalized weights; returns as above.

    Parameters
    ----------
    fig09, others : storage.Stored or training.History
        With `back_propagated_std` and `weight_gradient_std` (T, R, L + 1); the first decides. For
        C17 it is the first that was trained for `criteria.QUICK` updates: a shorter training can
        say that the decay reverses within them, but not that it does not.
    """
    histories = [history for history in (fig09, *others) if history is not None]
    long_first = sorted(histories, key=lambda history: history["update"][-1] < criteria.QUICK)
    return _judged({"C17": _reversal}, long_first) | _judged({"C18": _divergence}, histories)


def pretrained_saturation_verdicts(pretrained, *others):
    """Judge C07 on pre-trained sigmoid networks of depth 4 and 5; a seed needs both to hold.

    Parameters
    ----------
    pretrained, others : storage.Stored or training.History, with `activation_mean` (T, R, L)
        Runs of other activations, and runs without pre-training, are left out.
    """
    return _judged({"C07": _pretrained_top}, (pretrained, *others))


def _judged(judges, histories):
    """Judge on the first of the histories; what the others give is said beside it."""
    main, *others = [history for history in histories if history is not None]
    found = {}
    for claim, judge in judges.items():
        if (answer := judge(main)) is None:
            continue
        parts, evidence, *limit = answer
        beside = [_beside(*more[:2]) for history in others if (more := judge(history))]
        found[claim] = verdicts.judged(parts, "".join([evidence, *beside]), *limit)
    return found


def _beside(parts, evidence):
    seeds = len(next(iter(parts.values())))
    held = ", ".join(
        f"({name}) in {np.sum(yes)}" if name != "whole" else f"in {np.sum(yes)}"
        for name, yes in parts.items()
    )
    return f". Beside it, {evidence[0].lower()}{evidence[1:]}; there it holds {held} of {seeds}"


# ---------------------------------------------------------------- which runs, and their numbers
def _runs(history, *curves):
    """Return the run numbers of each curve, for the seeds that all have; None without any."""
    by_seed = [
        {results.runs(history)[n]["seed"]: n for n in results.which(history, **curve)}
        for curve in curves
    ]
    seeds = sorted(set.intersection(*map(set, by_seed)))
    return [[numbers[seed] for seed in seeds] for numbers in by_seed] if seeds else None


def _of(history, name, numbers, depth=5):
    return np.asarray(history[name][:, numbers, :depth], dtype=float)


def _high(history, numbers):
    return np.asarray(history["activation_percentiles"][..., 0][:, numbers], dtype=float)


def layer_times(times, last):
    """Write the mean time of each layer over seeds, (R, L) updates; `last` counts as never."""
    said = []
    for column in times.T:
        reached = column[column < last]
        missing = len(column) - len(reached)
        text = verdicts.number(reached.mean()) if len(reached) else "never"
        said.append(f"{text} ({missing} never)" if missing and len(reached) else text)
    return ", ".join(said)


def _row(values):
    """Write (R, L) values as their means over seeds, layer 1 first."""
    return verdicts.listed(np.mean(values, axis=0))


# ---------------------------------------------------------------- C08, C09, C19
def _in_sequence(history):
    if not (found := _runs(history, TANH)):
        return None
    (numbers,) = found
    update, std = history["update"], _of(history, "activation_std", numbers)
    high = _high(history, numbers)
    last = update[-1]
    times, half = layers.reaches(update, std, layers.LEVEL), layers.half_rise(update, std)
    early = layers.reaches(update, high, HIGH)
    evidence = (
        f"{verdicts.setting(history, numbers)}, {int(last):,} updates, layers 1 to 5: std "
        f"reaches 0.5 at update {layer_times(times, last)}; half of its rise at "
        f"{layer_times(half, np.inf)}; 4th/1st {average(layers.last_to_first(times))} by t, "
        f"{average(layers.last_to_first(half))} by h. The other statistic, the 98th percentile, "
        f"reaches {HIGH} at {layer_times(early, last)}, 4th/1st "
        f"{average(layers.last_to_first(early))}"
    )
    return layers.saturate_in_sequence(update, std), evidence


def _together(history):
    if not (found := _runs(history, SOFTSIGN, TANH)):
        return None
    update = history["update"]
    last = update[-1]
    (std, high), (tanh_std, tanh_high) = pairs = [
        (_of(history, "activation_std", numbers), _high(history, numbers)) for numbers in found
    ]
    half = layers.half_rise(update, std)
    times, tanh_times = (layers.reaches(update, s, layers.LEVEL) for s in (std, tanh_std))
    slowest = half[:, : layers.COMPARED].max(1) / last
    all_five = half.max(1) / half.min(1)
    evidence = (
        f"{_two(history, found)}, layers 1 to 5: at the end 98th percentiles "
        f"{_row(high[-1])} against {_row(tanh_high[-1])}, stds {_row(std[-1])} against "
        f"{_row(tanh_std[-1])}; h at update {layer_times(half, np.inf)}, largest/smallest "
        f"{average(layers.spread(half))} of layers 1 to 4, {average(all_five)} of all five, the "
        f"latest of four at {average(slowest)} of T; std reaches 0.5 at "
        f"{layer_times(times, last)}, t4/t1 {average(layers.last_to_first(times))} against "
        f"{average(layers.last_to_first(tanh_times))}"
    )
    return layers.saturate_together(update, *pairs), evidence


def _two(history, found):
    """Name softsign's and tanh's runs, which have their own rates."""
    (softsign, tanh), runs = (numbers[0] for numbers in found), results.runs(history)
    if runs[softsign]["learning_rate"] == runs[tanh]["learning_rate"]:
        return verdicts.setting(history, found[0])
    return (
        f"Depth {runs[tanh]['depth']}, width {runs[tanh]['width']}, softsign at rate "
        f"{runs[softsign]['learning_rate']:g}, tanh at {runs[tanh]['learning_rate']:g}, "
        f"{len(found[0])} seeds"
    )


def _no_sequence(history):
    if not (found := _runs(history, TANH_N)):
        return None
    (numbers,) = found
    update, std = history["update"], _of(history, "activation_std", numbers)
    last = update[-1]
    times = layers.reaches(update, std, layers.LEVEL_NORMALIZED)
    half, high = layers.half_rise(update, std), _high(history, numbers)
    ordered = [f"{layers.in_turn(each).sum()}" for each in (times, half)]
    evidence = (
        f"{verdicts.setting(history, numbers)}, {int(last):,} updates, layers 1 to 5: std "
        f"reaches 0.7 at update {layer_times(times, last)}; half of its rise at "
        f"{layer_times(half, np.inf)}; ordered in {ordered[0]} seeds by t, {ordered[1]} by h; "
        f"largest/smallest h {average(layers.spread(half))} of layers 1 to 4. The other "
        f"statistic, the 98th percentile, reaches {HIGH} at "
        f"{layer_times(layers.reaches(update, high, HIGH), last)}"
    )
    return {"whole": layers.no_sequence(update, std)}, evidence


# ---------------------------------------------------------------- C10, C30, C07
def _piles_up(history):
    if not (found := _runs(history, TANH, SOFTSIGN)):
        return None
    edges = history["bins_activation_edges"]
    tanh, softsign = (history["bins_activation_histogram"][-1, numbers] for numbers in found)
    said = [
        "; ".join(verdicts.span(layer) for layer in layers.modes(edges, shares).T)
        for shares in (tanh, softsign)
    ]
    evidence = (
        f"{_two(history, found[::-1])}: fullest bin of abs(z) at the end, layers 1 to 5, "
        f"over seeds: tanh {said[0]}; softsign {said[1]} (the paper: about .6 to .8)"
    )
    return layers.piles_up(edges, tanh, softsign), evidence


def _top_spared(history):
    if not (found := _runs(history, TANH, SOFTSIGN)):
        return None
    update, edges = history["bins_update"], history["bins_activation_edges"]
    spared, said = [], []
    for name, numbers in zip(("tanh", "softsign"), found, strict=True):
        top = history["bins_activation_histogram"][:, numbers, 4]
        share = layers.beyond(edges, top)
        spared.append(layers.top_spared(update, share))
        quick = update <= criteria.QUICK
        most = 100 * share[quick].max(0)
        said.append(f"{name} {verdicts.span(most)} %, at the end {_row(100 * share[-1:].T)} %")
    evidence = (
        f"{_two(history, found[::-1])}: share of the top layer with abs(z) > .9, at most up to "
        f"update {int(min(criteria.QUICK, update[-1])):,}: {'; '.join(said)}"
    )
    return {"whole": np.logical_and(*spared)}, evidence


def _pretrained_top(history):
    by_depth = {depth: {} for depth in (4, 5)}
    for number, run in enumerate(results.runs(history)):
        own = by_depth.get(run["depth"])
        if own is not None and run["activation"] == "sigmoid" and run.get("pretraining", 0) > 0:
            own[run["seed"]] = number
    seeds = sorted(set.intersection(*map(set, by_depth.values())))
    if not seeds:
        return None
    holds, said = [], []
    for depth, own in by_depth.items():
        numbers = [own[seed] for seed in seeds]
        top = history["activation_mean"][:, numbers, depth - 1]
        holds.append(layers.top_above(top))
        said.append(f"depth {depth} {verdicts.span(top.min(0))}, {average(top[-1])} at the end")
    numbers = [number for own in by_depth.values() for number in own.values()]
    evidence = (
        f"{verdicts.setting(history, numbers)}, pre-trained: the top layer's lowest mean "
        f"{'; '.join(said)}"
    )
    return {"whole": np.logical_and(*holds)}, evidence


# ---------------------------------------------------------------- C17, C18
def _reversal(history):
    if not (found := _runs(history, TANH, TANH_N)):
        return None
    update, said = history["update"], []
    both = [_of(history, "back_propagated_std", numbers) for numbers in found]
    for name, std in zip(("standard", "normalized"), both, strict=True):
        ratio = std[:, :, 0] / std[:, :, -1]
        said.append(
            f"{name} {average(ratio[0])} before training, {average(ratio[-1])} at the end, 1 first "
            f"reached {verdicts.when(layers.reversal(update, std))}"
        )
    evidence = (
        f"{verdicts.setting(history, sum(found, []))}, {int(update[-1]):,} updates: sd of dC/ds, "
        f"layer 1/layer 5: {'; '.join(said)}"
    )
    within = layers.decay_reverses(update, both[0])
    return {"whole": within}, evidence, layers.decay_reverses(update, both[0], quick=np.inf)


def _divergence(history):
    if not (found := _runs(history, TANH, TANH_N)):
        return None
    ends = [_of(history, "weight_gradient_std", numbers)[-1] for numbers in found]
    first = [_of(history, "weight_gradient_std", numbers)[0] for numbers in found]
    said = [
        f"{name} {average(largest_to_smallest(end))} (before training "
        f"{np.mean(largest_to_smallest(start)):.2f}), layer 1/layer 5 "
        f"{average(end[:, 0] / end[:, -1])}"
        for name, start, end in zip(("standard", "normalized"), first, ends, strict=True)
    ]
    evidence = (
        f"{verdicts.setting(history, sum(found, []))}, after {int(history['update'][-1]):,} "
        f"updates: largest/smallest sd of weight gradients {'; '.join(said)}"
    )
    return layers.gradients_diverge(*ends), evidence
