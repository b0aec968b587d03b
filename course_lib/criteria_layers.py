"""The criteria of claims about layers in training: which saturates when, and how gradients spread.

As in `criteria`: functions of recorded arrays that answer for every seed, T recorded steps, R runs
(one per seed), L hidden layers. C07 to C10, C17 to C19 and C30. How their words are read was
settled before the runs they judge were looked at:

- C08 compares layers 1 to 4; C09 and C19 are read of the same four. Figure 3's networks have five.
- Times between two records are interpolated, so that no tie comes from the grid of records.
- A run whose values are not numbers (it diverged) fails, also where a criterion says "not".
"""

import numpy as np

from course_lib import criteria, criteria_before

LEVEL = 0.5  # a std of activations that counts as saturated; see `level`
LEVEL_NORMALIZED = 0.7
COMPARED = 4  # layers, from layer 1 up
TOGETHER = 2  # largest over smallest time of layers that saturate together


def level(scheme):
    """Return the std from which a layer of this scheme counts as saturated: C08's t."""
    return LEVEL_NORMALIZED if scheme == "normalized" else LEVEL


# ---------------------------------------------------------------- when a layer saturates
def reaches(update, values, threshold):
    """Find when values first reach a threshold; never counts as the last update, T.

    Parameters
    ----------
    update : (T,) increasing;  values : (T, R, L);  threshold : float, or (R, L)

    Returns
    -------
    (R, L) updates, interpolated; NaN where a value is not a number
    """
    update, values = criteria.recorded(update, values)
    threshold = np.broadcast_to(threshold, values.shape[1:])
    times = np.full(values.shape[1:], update[-1])
    for place in np.ndindex(times.shape):
        column, goal = values[(slice(None), *place)], threshold[place]
        there = np.flatnonzero(column >= goal)
        if np.isnan(column).any() or np.isnan(goal):
            times[place] = np.nan
        elif there.size:
            after = there[0]
            before = max(after - 1, 0)
            times[place] = np.interp(goal, column[[before, after]], update[[before, after]])
    return times


def half_rise(update, std):
    """Find h: when each layer's std has made half of its way from the first record to the last.

    Parameters
    ----------
    update : (T,);  std : (T, R, L)

    Returns
    -------
    (R, L) updates, interpolated; NaN where the std does not end above its start
    """
    update, std = criteria.recorded(update, std)
    rises = std[-1] > std[0]
    return reaches(update, std, np.where(rises, (std[0] + std[-1]) / 2, np.nan))


def one_after_another(times):
    """Say whether times (R, L) increase strictly, the last at least 3 times the first: (R,)."""
    times = _compared(times)
    return (np.diff(times) > 0).all(1) & (times[:, -1] >= 3 * times[:, 0])


def in_turn(times):
    """Say whether times (R, L) are ordered by depth, from layer 1 up: (R,) bool.

    Looser than `one_after_another`, for C19 asks for *no* order: equal times, such as those of
    two layers that never get there, do not break it; but not all may be equal.
    """
    times = _compared(times)
    return (np.diff(times) >= 0).all(1) & (times[:, -1] > times[:, 0])


def spread(times):
    """Return the largest over the smallest of times (R, L), layers 1 to 4: (R,)."""
    times = _compared(times)
    return times.max(1) / times.min(1)


def _compared(times):
    times = np.asarray(times, dtype=float)
    if times.ndim != 2 or times.shape[1] < COMPARED:
        raise ValueError(f"times need shape (R, L), L at least {COMPARED}, not {times.shape}")
    return times[:, :COMPARED]


def saturate_in_sequence(update, std):
    """C08: tanh layers 1 to 4 saturate one after another, the last 3 times as late as the first.

    Parameters
    ----------
    update : (T,);  std : (T, R, L) of activations, tanh with standard weights

    Returns
    -------
    dict of (R,) bool: "a" by t, when the std reaches 0.5; "b" by h, half of its rise
    """
    times = reaches(update, std, LEVEL), half_rise(update, std)
    return dict(zip("ab", map(one_after_another, times), strict=True))


def saturate_together(update, softsign, tanh):
    """C09: softsign layers 1 to 4 saturate less than tanh's, together, and fast at first.

    By the letter of the criterion a softsign whose layers never reach 0.5 has t4/t1 = 1, and "c"
    holds for it. "d" is read as: in each of the four layers.

    Parameters
    ----------
    update : (T,)
    softsign, tanh : pairs of arrays (T, R, L), std and 98th percentile of activations; run r of
        one is compared with run r of the other

    Returns
    -------
    dict of (R,) bool: "a" percentiles at T below tanh's; "b" largest h at most twice the
        smallest; "c" t4/t1 at most half of tanh's; "d" half of the rise by T/5
    """
    (std, high), (tanh_std, tanh_high) = softsign, tanh
    half = half_rise(update, std)
    ends = [_compared(np.asarray(values)[-1]) for values in (high, tanh_high)]
    ratio, tanh_ratio = (last_to_first(reaches(update, s, LEVEL)) for s in (std, tanh_std))
    return {
        "a": (ends[0] < ends[1]).all(1),
        "b": spread(half) <= TOGETHER,
        "c": ratio <= tanh_ratio / 2,
        "d": (_compared(half) <= np.asarray(update)[-1] / 5).all(1),
    }


def last_to_first(times):
    """Return layer 4's time over layer 1's, (R, L) -> (R,)."""
    times = _compared(times)
    return times[:, -1] / times[:, 0]


def no_sequence(update, std):
    """C19: tanh with normalized weights: neither t (std 0.7) nor h is ordered; h within 2; (R,).

    "Ordered" is that of `in_turn`, "largest h/smallest h at most 2" that of C09; one criterion.

    Parameters
    ----------
    update : (T,);  std : (T, R, L) of activations
    """
    times = reaches(update, std, LEVEL_NORMALIZED), half_rise(update, std)
    # A run that diverged has times that are not numbers, and the last comparison is false.
    return ~in_turn(times[0]) & ~in_turn(times[1]) & (spread(times[1]) <= TOGETHER)


# ---------------------------------------------------------------- where activations lie
def sizes(edges, histogram):
    """Fold a histogram of activations z into one of abs(z).

    Parameters
    ----------
    edges : (bins + 1,), symmetric about 0, which is one of them;  histogram : (..., bins)

    Returns
    -------
    (bins / 2,) centres and (..., bins / 2) shares

    Raises
    ------
    ValueError
        If the edges are not symmetric about 0, or 0 is none of them.
    """
    edges, histogram = np.asarray(edges, dtype=float), np.asarray(histogram, dtype=float)
    middle = len(edges) // 2
    if len(edges) % 2 == 0 or not np.allclose(edges, -edges[::-1]):
        raise ValueError(f"edges must lie symmetric about 0, itself an edge, not {edges.tolist()}")
    upper, lower = histogram[..., middle:], histogram[..., middle - 1 :: -1]
    return (edges[middle:-1] + edges[middle + 1 :]) / 2, upper + lower


def modes(edges, histogram):
    """Return each layer's mode: the centre of the fullest bin of abs(z); (R, L, bins) -> (R, L).

    NaN where the histogram is not of numbers.
    """
    centre, shares = sizes(edges, histogram)
    return np.where(np.isnan(shares).any(-1), np.nan, centre[shares.argmax(-1)])


def piles_up(edges, tanh, softsign):
    """C10: at the end tanh's modes are at -1, 1 or 0 in all layers, softsign's at its knees.

    A layer's mode is read as the fullest bin of abs(z), both signs together.

    Parameters
    ----------
    edges : (bins + 1,), bins of 0.1 from -1 to 1
    tanh, softsign : (R, L, bins) shares of activations at the end

    Returns
    -------
    dict of (R,) bool: "a" tanh's at 0.9 or more, or below 0.1, in all layers; "b" softsign's
        from 0.5 to 0.9 in 3 or more layers
    """
    at, knees = modes(edges, tanh), modes(edges, softsign)
    return {
        "a": ((at > 0.9) | (at < 0.1)).all(1),
        "b": ((knees > 0.5) & (knees < 0.9)).sum(1) >= 3,
    }


def beyond(edges, histogram, bound=0.9):
    """Return the share of activations with abs(z) above `bound`, an edge: (..., bins) -> (...)."""
    centre, shares = sizes(edges, histogram)
    return shares[..., centre > bound].sum(-1)


def top_spared(update, share, quick=criteria.QUICK):
    """C30: the share of the top layer's activations beyond 0.9 stays below 5 %; (R,) bool.

    At every record up to `quick` updates; False for a recording that ends before.

    Parameters
    ----------
    update : (T,);  share : (T, R)
    """
    update, share = criteria.recorded(update, share)
    return (share[update <= quick] < 0.05).all(0) & (update[-1] >= quick)


def top_above(top_mean):
    """C07: a pre-trained sigmoid's top mean is above 0.1 at every record; (T, R) -> (R,) bool."""
    return (np.asarray(top_mean, dtype=float) > criteria.FALLEN).all(0)


# ---------------------------------------------------------------- gradients
def reversal(update, back_propagated):
    """Find the first record at which layer 1's dC/ds is as large as the top hidden layer's.

    Parameters
    ----------
    update : (T,);  back_propagated : (T, R, L), std over units and examples, hidden layers only

    Returns
    -------
    (R,) updates; NaN if never, or if layer 1's was as large at the first record
    """
    update, std = criteria.recorded(update, back_propagated)
    larger = std[:, :, 0] >= std[:, :, -1]
    reverses = larger.any(0) & ~larger[0]
    return np.where(reverses, update[larger.argmax(0)], np.nan)


def decay_reverses(update, back_propagated, quick=criteria.QUICK):
    """C17: the decay of dC/ds towards the input is reversed at a record within `quick`; (R,) bool.

    Of tanh with standard weights. The arguments are those of `reversal`; with `quick` at infinity
    it is the wider limit P, by T.
    """
    return reversal(update, back_propagated) <= quick


def gradients_diverge(standard, normalized):
    """C18: with standard weights the layers' weight gradients drift apart, twice as far as N's.

    M is the largest over the smallest sd of the matrices W^0 to W^{L-1} that lead to the hidden
    layers (as C15 is read), at the last record.

    Parameters
    ----------
    standard, normalized : (R, L) std of weight gradients at T

    Returns
    -------
    dict of (R,) bool: "a" M at least 3, and layer 1's larger than the top hidden layer's;
        "b" normalized: M at most half of that
    """
    ratio, other = map(criteria_before.largest_to_smallest, (standard, normalized))
    standard = np.asarray(standard, dtype=float)
    return {
        "a": (ratio >= 3) & (standard[:, 0] > standard[:, -1]),
        "b": other <= ratio / 2,
    }
