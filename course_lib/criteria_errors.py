"""The criteria of the claims about errors: who wins the race, by how much, and how fast.

As in `criteria`: functions of recorded arrays that answer yes or no for every seed. R are runs,
one per seed, the same seeds in the same order in all arrays of a call; I are test images, the same
in all; T are recorded steps. Errors are shares, not per cent. "A > B", that A's final error is
larger, is `worse`: one answer for all seeds together, which counts for each of them.
"""

import numpy as np

LEVEL = 0.005  # A > B asks for a p below this
RESAMPLES = 10_000
_ROUND = 1e-12  # differences of shares, such as .52 - .5, are not exact


# ---------------------------------------------------------------- A > B
def worse(a_wrong, b_wrong, level=LEVEL):
    """A > B: whether A makes more errors than B, `p_value` below `level`; bool.

    Parameters
    ----------
    a_wrong, b_wrong : (R, I) bool, which test images each seed's network got wrong at the end
    """
    return p_value(a_wrong, b_wrong) < level


def p_value(a_wrong, b_wrong, resamples=RESAMPLES, seed=0):
    """Return the p of "A makes no more errors than B" by a paired bootstrap over seeds and images.

    R seeds and I images are drawn with replacement, independently, the same for A and B. p is the
    share of resamples in which A's error is not above B's; that of the data counts as one more.

    Parameters
    ----------
    a_wrong, b_wrong : (R, I) bool;  resamples, seed : int, how many, and of their generator

    Raises
    ------
    ValueError
        If the arrays are not (R, I) both, or if p could not come below `LEVEL`.
    """
    # p is one-sided, and (1 + k)/(1 + resamples) where k resamples speak against A > B: it is never
    # 0, so p < .005 takes at least 200 resamples (1/201). With 10,000, k may be up to 49, and p's
    # own standard error at .005 is sqrt(.005 x .995/10,000) = .0007.
    if resamples < 200:
        raise ValueError(f"resamples must be at least 200 for a p below {LEVEL}, not {resamples}")
    excess = _resampled(_difference(a_wrong, b_wrong), resamples, np.random.default_rng(seed))
    return (1 + (excess <= 0).sum()) / (1 + resamples)


def _resampled(difference, resamples, generator):
    """Return A's number of errors less B's in each resample of differences (R, I).

    What this bootstrap can and cannot say. Where seeds agree and only the images are noisy, drawing
    both counts that noise more than once: false alarms are rarer than `LEVEL`. Where the seeds
    scatter more than the images do, five of them are few: the spread of five values, taken as it
    is, understates the spread of seeds by a factor of sqrt(4/5), and with tails thinner than
    Student's, so that equal networks seem to differ in about 5 % of the cases rather than 0.5 %.
    """
    # Drawing I images with replacement is drawing how often each occurs. For a given draw of seeds
    # an image counts by its sum over them alone, a whole number from -R to R: so it is enough to
    # draw how many of the I images come from each of these 2 R + 1 values. A multinomial is exactly
    # the law of I single draws, at a fraction of the work; and draws of the same seeds go together.
    runs, images = difference.shape
    values = np.arange(-runs, runs + 1)
    seeds = generator.multinomial(runs, np.full(runs, 1 / runs), size=resamples)
    sums = []
    for times, count in zip(*np.unique(seeds, axis=0, return_counts=True), strict=True):
        per_image = times @ difference
        share = np.bincount(per_image + runs, minlength=len(values)) / images
        sums.append(generator.multinomial(images, share, size=count) @ values)
    return np.concatenate(sums)


def _difference(a_wrong, b_wrong):
    a_wrong, b_wrong = np.asarray(a_wrong), np.asarray(b_wrong)
    if a_wrong.ndim != 2 or a_wrong.shape != b_wrong.shape or a_wrong.size == 0:
        raise ValueError(
            "a paired comparison needs two arrays (R, I) of the same seeds and images, not "
            f"{a_wrong.shape} and {b_wrong.shape}"
        )
    return a_wrong.astype(int) - b_wrong.astype(int)


# ---------------------------------------------------------------- the claims
def better_cost(cross_entropy, quadratic, points=2):
    """C12: with the log-likelihood the final error is at least `points` per cent lower; (R,) bool.

    Parameters
    ----------
    cross_entropy, quadratic : (R,) final errors of one kind of network, each at its own best rate
    """
    lower = np.asarray(quadratic, dtype=float) - np.asarray(cross_entropy, dtype=float)
    return lower >= points / 100 - _ROUND


def final_order(wrong):
    """C20: each curve is worse than the next, and the limit for "partly".

    The limit P is read as: 4 of the neighbours hold; and the first curve is worse than every other
    one, the last better than every other one, by the same test.

    Parameters
    ----------
    wrong : sequence of (R, I) bool, from the curve that should be worst to the best

    Returns
    -------
    whole, limit : (R,) bool, one answer for all seeds;  p : list of float, of each neighbour
    """
    runs = len(wrong[0])
    p = [p_value(a, b) for a, b in zip(wrong, wrong[1:], strict=False)]
    holds = sum(value < LEVEL for value in p)
    whole = holds == len(p)
    limit = whole or (
        holds >= 4
        and all(worse(wrong[0], other) for other in wrong[2:])
        and all(worse(other, wrong[-1]) for other in wrong[:-2])
        and max(p[0], p[-1]) < LEVEL
    )
    return np.full(runs, whole), np.full(runs, limit), p


def robust_to_initialisation(softsign, softsign_n, tanh, tanh_n):
    """C21: softsign's gap between schemes is at most half of tanh's, and tanh > tanh N; (R,) bool.

    The gaps are compared seed by seed; "tanh > tanh N" is `worse`.

    Parameters
    ----------
    softsign, softsign_n, tanh, tanh_n : (R, I) bool, which test images were wrong at the end
    """
    s, sn, t, tn = (np.asarray(part).mean(1) for part in (softsign, softsign_n, tanh, tanh_n))
    return (np.abs(s - sn) <= (t - tn) / 2 + _ROUND) & worse(tanh, tanh_n)


def same_elsewhere(errors, images, gap):
    """C22 on one data set: the sigmoid is worst, tanh N best or tied, the gap smaller; (R,) bool.

    Seed by seed. "Within 1 SE of the best" is read as: tanh N's final error is at most the least of
    all curves' in that seed plus that one's standard error over test images, sqrt(e(1 - e)/images).

    Parameters
    ----------
    errors : dict, (activation, scheme) to (R,) final errors; with ("sigmoid", "standard"),
        ("tanh", "standard") and ("tanh", "normalized")
    images : int, how many test images they are measured on
    gap : (R,), tanh's final error less tanh N's on Shapeset, at the same width
    """
    errors = {curve: np.asarray(values, dtype=float) for curve, values in errors.items()}
    sigmoid = errors["sigmoid", "standard"]
    others = [values for curve, values in errors.items() if curve != ("sigmoid", "standard")]
    best = np.min(list(errors.values()), axis=0)
    tied = errors["tanh", "normalized"] <= best + np.sqrt(best * (1 - best) / images)
    smaller = errors["tanh", "standard"] - errors["tanh", "normalized"] < gap - _ROUND
    return (sigmoid > np.max(others, axis=0)) & tied & smaller


def best_depth(errors):
    """Return the depth of the least validation error in each seed, (R,); the shallower of equals.

    Parameters
    ----------
    errors : dict, depth to (R,) validation errors
    """
    depths = np.array(sorted(errors))
    return depths[np.argmin([errors[depth] for depth in depths], axis=0)]


def depths_as_found(tanh, sigmoid):
    """C26: the best depth is 5, the sigmoid's 4; and P, that the sigmoid's is smaller; (R,) bool.

    "Best depth 5 on Shapeset" is read as: for each of the other networks that were searched.

    Parameters
    ----------
    tanh : sequence of (R,), best depths of networks that are not sigmoid;  sigmoid : (R,)

    Returns
    -------
    whole, limit : (R,) bool
    """
    tanh, sigmoid = np.asarray(tanh), np.asarray(sigmoid)
    return (tanh == 5).all(0) & (sigmoid == 4), (sigmoid < tanh).all(0)


def closes_gap(tanh, tanh_n, pretrained, share=0.5):
    """C27: (tanh - tanh N)/(tanh - pre-trained) is at least `share`; (R,) bool.

    False where pre-training did not help: there is no gap to remove.

    Parameters
    ----------
    tanh, tanh_n, pretrained : (R,) final errors;  share : float, 0.25 for the wider limit P
    """
    tanh, tanh_n, pretrained = (np.asarray(e, dtype=float) for e in (tanh, tanh_n, pretrained))
    gap = tanh - pretrained
    return (gap > 0) & (tanh - tanh_n >= share * gap - _ROUND)


def time_to_reach(update, error, target):
    """Find the first recorded update at which each run's error is at most its target, (R,).

    NaN where it never is. The record is late, as the error may have come down between two; and it
    may be a lucky one, for an error on few images jumps about.

    Parameters
    ----------
    update : (T,);  error : (T, R);  target : (R,)
    """
    update, error = np.asarray(update, dtype=float), np.asarray(error, dtype=float)
    if error.ndim != 2 or update.shape != error.shape[:1] or (np.diff(update) <= 0).any():
        raise ValueError(
            f"errors (T, R) need T increasing updates, not {error.shape} and {update.shape}"
        )
    there = error <= np.asarray(target, dtype=float)
    return np.where(there.any(axis=0), update[there.argmax(axis=0)], np.nan)


def converges_faster(update, tanh, tanh_n):
    """C29: tanh N reaches tanh's final error in at most half the updates; and P, in fewer.

    Seed by seed and on the same images: tanh's last recorded test error, and the first record of
    tanh N at or below it.

    Parameters
    ----------
    update : (T,);  tanh, tanh_n : (T, R) test errors on the way, recorded at the same updates

    Returns
    -------
    whole, limit : (R,) bool
    """
    time = time_to_reach(update, tanh_n, np.asarray(tanh)[-1])
    return time <= update[-1] / 2, time < update[-1]
