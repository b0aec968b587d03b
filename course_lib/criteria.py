"""The criteria of the claims: functions of recorded arrays that answer yes or no for every seed.

Arrays are those of a `training.History`: T recorded steps, R runs (one per seed), L hidden layers.
Where a criterion's wording leaves room between two recorded steps or between two readings, the
docstring says which was taken. Here the sigmoid's story, C01 to C06; `criteria_before` has what
asks for no training, `criteria_layers` layers in training, `criteria_errors` errors.
"""

from dataclasses import dataclass

import numpy as np

QUICK = 100_000  # updates: five of the paper's epochs of 20,000
FALLEN = 0.1  # a sigmoid layer whose mean activation is below this has been driven to zero
ESCAPED = 0.2  # and above this it has come back
PRIOR_ENTROPY = 2.110  # nats, of Shapeset's class priors 3 x 1/6, 3 x 1/9, 3 x 1/18
LEARNS = 0.97 * PRIOR_ENTROPY  # a cost below this knows more than the priors


@dataclass(frozen=True)
class Escape:
    """Landmarks of a top layer's mean activation, (R,) each, in updates; NaN if never reached."""

    fall: np.ndarray
    plateau: np.ndarray
    escape: np.ndarray


def escape(update, top_mean):
    """Find when the top layer falls below 0.1, how long it stays there, when it is back above 0.2.

    `fall` is the first recorded update with a mean below 0.1 (a late estimate); a run that is
    below at the first record has not fallen. `plateau` is the length of the longest unbroken
    stretch of records below 0.1, from its first to its last (a short estimate, and only what was
    recorded if training ended first). `escape` is the first record above 0.2 after that stretch.

    Parameters
    ----------
    update : (T,) increasing;  top_mean : (T, R)

    Returns
    -------
    Escape
    """
    update, top_mean = recorded(update, top_mean)
    return Escape(*np.array([_landmarks(update, run) for run in top_mean.T]).T)


def _landmarks(update, mean):
    below = mean < FALLEN
    if below[0] or not below.any():
        return np.nan, np.nan, np.nan
    change = np.diff(np.concatenate([[0], below.astype(int), [0]]))
    first, last = np.flatnonzero(change == 1), np.flatnonzero(change == -1) - 1
    longest = np.argmax(update[last] - update[first])
    start, end = first[longest], last[longest]
    back = np.flatnonzero(mean[end:] > ESCAPED)
    escaped = update[end + back[0]] if back.size else np.nan
    return update[first[0]], update[end] - update[start], escaped


def top_layer_driven_to_zero(update, activation_mean, quick=QUICK):
    """C01: the top layer's mean is below 0.1 at a record within `quick` updates; (R,) bool.

    Parameters
    ----------
    update : (T,);  activation_mean : (T, R, L)
    """
    update, mean = recorded(update, activation_mean)
    return (mean[update <= quick, :, -1] < FALLEN).any(axis=0)


def others_above_half(activation_mean):
    """C02: where the top layer's mean is smallest, the others are above 0.5, rising with depth.

    Parameters
    ----------
    activation_mean : (T, R, L), L >= 2; the smallest value is taken over all records

    Returns
    -------
    dict of (R,) bool: "a" all others above 0.5; "b" strictly increasing from layer 1 to L - 1
    """
    others = at_lowest_top(np.asarray(activation_mean, dtype=float))[:, :-1]
    return {"a": (others > 0.5).all(axis=1), "b": (np.diff(others) > 0).all(axis=1)}


def at_lowest_top(mean):
    """(T, R, L) -> (R, L): the means of all layers where the top layer's is smallest."""
    top = np.where(np.isnan(mean[:, :, -1]), np.inf, mean[:, :, -1])
    return mean[top.argmin(axis=0), np.arange(mean.shape[1])]


def plateau_and_escape(update, top_mean):
    """C03: the plateau lasts 10 times the fall ("a"), and the top layer is back later ("b").

    The fall and the plateau are those of `escape`: late and short, so that a yes on the recorded
    grid is a yes between the records too.
    """
    marks = escape(update, top_mean)
    return {"a": marks.plateau >= 10 * marks.fall, "b": np.isfinite(marks.escape)}


def leaves_plateau(update, cost):
    """Find when a network leaves its plateau: C04 and C05 call it the escape time.

    Read as the first record at which the cost is below 0.97 x 2.110 nats. The top layer's mean
    cannot serve here: a network of width 100 leaves with a mean that stays below 0.2 (C03 b).

    Parameters
    ----------
    update : (T,);  cost : (T, R), cross-entropy of the monitored examples, nats

    Returns
    -------
    (R,) updates; NaN where it never does
    """
    update, cost = recorded(update, cost)
    below = cost < LEARNS
    return np.where(below.any(axis=0), update[below.argmax(axis=0)], np.nan)


def first_layer_saturates(update, saturated, escaped):
    """C04: when the top layer escapes, the first one begins to saturate, and settles.

    Values between records are interpolated. A run that never escaped, or was not recorded up to
    twice its escape time, fails "a". "Changes under 20 %" is read as: every record of the last
    quarter stays within 20 % of its start; a run fails "b" unless it escaped before that quarter.

    Parameters
    ----------
    update : (T,)
    saturated : (T, R), share of layer 1 outside [.05, .95]
    escaped : (R,) updates, as `leaves_plateau` finds them

    Returns
    -------
    dict of (R,) bool: "a" the share triples from half to twice the escape time; "b" it settles
    """
    update, share = recorded(update, saturated)
    quarter = 0.75 * update[-1]
    triples, settles = [], []
    for run, time in zip(share.T, escaped, strict=True):
        before, after, start = np.interp([time / 2, 2 * time, quarter], update, run)
        triples.append(2 * time <= update[-1] and after > 0 and after >= 3 * before)
        change = np.abs(run[update >= quarter] - start)
        settles.append(time < quarter and (change < 0.2 * start).all())
    return {"a": np.array(triples, dtype=bool), "b": np.array(settles, dtype=bool)}


def never_escapes(update, top_mean, escaped_shallower):
    """C05: at 3 times depth 4's escape time the depth-5 top layer is still below 0.1; (R,) bool.

    False where depth 4 did not escape, or where depth 5 was not recorded for so long. Both are
    trained at the same rate; run r of one is compared with run r of the other.

    Parameters
    ----------
    update : (T,);  top_mean : (T, R), of depth 5;  escaped_shallower : (R,), of depth 4
    """
    update, mean = recorded(update, top_mean)
    answers = []
    for run, time in zip(mean.T, escaped_shallower, strict=True):
        long_enough = 3 * time <= update[-1]
        answers.append(long_enough and np.interp(3 * time, update, run) < FALLEN)
    return np.array(answers, dtype=bool)


def weights_pushed_out(update, logit_weight_rms, cost):
    """Find when W h at the output has fallen 5-fold while the cost is at the priors' entropy.

    "While" is read as: between two records at both of which the cost is at most 1.02 x 2.110
    nats; the records between may lie above, for a step on ten examples jumps.

    Parameters
    ----------
    update : (T,)
    logit_weight_rms : (T, R), root mean square of W h over examples and classes
    cost : (T, R), cross-entropy of the monitored examples, nats

    Returns
    -------
    (R,) the update of the first such second record, NaN if there is none
    """
    update, rms = recorded(update, logit_weight_rms)
    at_priors = np.asarray(cost, dtype=float) <= 1.02 * PRIOR_ENTROPY
    highest = np.maximum.accumulate(np.where(at_priors, rms, 0.0), axis=0)
    fallen = at_priors & (highest > 0) & (rms <= highest / 5)
    return np.where(fallen.any(axis=0), update[fallen.argmax(axis=0)], np.nan)


def holds_without_biases(update, top_mean, time):
    """Say for each run whether its top mean stays at 0.1 or above up to 3 times `time`; (R,) bool.

    False where `time` is NaN or the recording is shorter than that.

    Parameters
    ----------
    update : (T,);  top_mean : (T, R), output biases held at 0;  time : (R,)
    """
    update, mean = recorded(update, top_mean)
    answers = []
    for run, t in zip(mean.T, time, strict=True):
        answers.append(3 * t <= update[-1] and (run[update <= 3 * t] >= FALLEN).all())
    return np.array(answers, dtype=bool)


def biases_first(free, frozen):
    """C06: the output relies on its biases first, and W h, so h, is pushed to 0.

    "That time" of part b is read as the later of two, in the same seed with free biases: when W h
    has fallen 5-fold, and when the top layer has fallen below 0.1.

    Parameters
    ----------
    free, frozen : mappings with `update`, `activation_mean` (T, R, L) and, for `free`,
        `logit_weight_rms` and `cost` (T, R); `frozen` had its output biases held at 0

    Returns
    -------
    dict of (R,) bool: "a" W h falls 5-fold while the cost is at most 1.02 x 2.110 nats;
        "b" with frozen output biases the top mean stays at 0.1 or above for 3 times that time
    """
    pushed = weights_pushed_out(free["update"], free["logit_weight_rms"], free["cost"])
    fall = escape(free["update"], free["activation_mean"][:, :, -1]).fall
    time = np.fmax(pushed, fall)
    held = holds_without_biases(frozen["update"], frozen["activation_mean"][:, :, -1], time)
    return {"a": np.isfinite(pushed), "b": held}


def recorded(update, values):
    """Return a recording as arrays, update (T,) and values (T, R, ...); ValueError if none."""
    update, values = np.asarray(update, dtype=float), np.asarray(values, dtype=float)
    if update.ndim != 1 or values.ndim < 2 or len(update) != len(values):
        raise ValueError(
            f"a recording needs update (T,) and values (T, R, ...), not {update.shape} "
            f"and {values.shape}"
        )
    if len(update) == 0 or (np.diff(update) <= 0).any():
        raise ValueError("update must name at least one step, in increasing order")
    return update, values
