"""Assignment 3, an initialisation for unequal layers: its examples, and the library's answers."""

import math

import numpy as np

from course_lib import theory

RULES = {
    "forward": theory.forward_variance,
    "backward": theory.backward_variance,
    "compromise": theory.compromise_variance,
}
CUT = 2  # where the truncated Gaussian ends, in standard deviations before the cut
# Variance that is left of a Gaussian of variance 1 beyond whose +-CUT everything is drawn again.
_EDGE = CUT * math.sqrt(2 / math.pi) * math.exp(-(CUT**2) / 2) / math.erf(CUT / math.sqrt(2))
LEFT = 1 - _EDGE  # integrating x^2 by parts, and x^4 for the next one
# Fourth moment over squared variance, of U[-a, a] and of the Gaussian that was cut.
KURTOSIS = {"uniform": 1.8, "truncated": (3 * LEFT - CUT**2 * _EDGE) / LEFT**2}


# ---- examples
def variances(sizes, seed):
    """Return v_0 .. v_d, numbers, for layers of these sizes; no n v is 1, and no two are alike."""
    factors = np.random.default_rng(seed).uniform(0.4, 2.2, len(sizes) - 1)
    return [float(factor) / n for factor, n in zip(factors, sizes, strict=False)]


# ---- answers
def forward_variances(sizes, variances, mean_square):
    """Part 1: E[(z^i)^2], i = 0 .. d, of a linear network, Eq. (5)."""
    return theory.activation_variances(sizes, variances, mean_square)


def backward_variances(sizes, variances, top):
    """Part 1: Var[delta^i], i = 0 .. d, of a linear network, Eq. (6) corrected."""
    return theory.gradient_variances(sizes, variances, top)


def backward_off(found, sizes, variances, top):
    """Part 1: name a likely mistake in what `backward_variances` returned; empty if it is none."""
    try:
        mine = np.asarray(found, dtype=float).ravel()
    except (TypeError, ValueError, RuntimeError):
        return ""
    right = np.asarray(backward_variances(sizes, variances, top), dtype=float)
    if len(mine) == len(right) + 1:
        return (
            f"Var[delta^i] holds {len(mine)} numbers: that is one matrix too many. Does W^0 lead "
            "to delta^0?"
        )
    if mine.shape == right.shape and len(right) > 1 and np.allclose(mine[::-1], right, 1e-6, 0):
        return "Var[delta^i] is right, but the list is upside down: Var[delta^0] comes first."
    return ""


def down(sizes):
    """Part 1: Var[delta^0] over Var[delta^d] with the standard weights of Eq. (1)."""
    return float(theory.gradient_variances(sizes, theory.variances("standard", sizes))[0])


def hints_down(sizes):
    """Part 1: numbers that are likely, and what leads to each; for its visible test."""
    d, right = len(sizes) - 2, down(sizes)
    v = theory.variances("standard", sizes)
    return [
        (1 / right, "That is the other way round: delta^0 stands above the line."),
        (math.sqrt(right), "The variance is asked for, not the standard deviation."),
        (3.0**-d, "Is fan-out times variance 1/3 in every matrix, or is that fan-in?"),
        (3.0 ** -(d + 1), "Is fan-out times variance 1/3 in every matrix, or is that fan-in?"),
        (right * sizes[1] * v[0], "That is one matrix too many: does W^0 lead to delta^0?"),
        (
            right * sizes[1] / sizes[0],
            "Has W^0 a part in it? Write down what is left.",
        ),
        (right * 3 ** (d - 1), "Every matrix brings a third of its own."),
        (right * 3**d, "Which variance has a number between -a and a?"),
        (right * 12**d / 3**d, "Which variance has a number between -a and a?"),
    ]


def weight_variance(rule, fan_in, fan_out):
    """Part 2: the Var[W] of Eq. (10), (11) or (12)."""
    return RULES[rule](fan_in, fan_out)


def hints_variance(rule, fan_in, fan_out):
    """Part 2: variances that are likely, and what leads to each; for its visible test."""
    right, total = weight_variance(rule, fan_in, fan_out), fan_in + fan_out
    other = "That is the other rule: which size counts on the way up?"
    hints = {
        "forward": [(1 / fan_out, other), (2 / total, "That is the compromise.")],
        "backward": [(1 / fan_in, other), (2 / total, "That is the compromise.")],
        "compromise": [
            ((1 / fan_in + 1 / fan_out) / 2, _MEAN),
            (1 / total, "That is one over the sum of the sizes: where is their mean?"),
            (1 / fan_in, "That keeps the signal alone: where is the compromise?"),
            (1 / fan_out, "That keeps the gradient alone: where is the compromise?"),
        ],
    }
    return [
        *hints[rule],
        (1 / right, "That is a size, not yet a variance: the variance is one over it."),
        (math.sqrt(right), "The variance is asked for, not the standard deviation."),
        (1 / right**2, "That is a size, squared: the variance is one over the size."),
    ]


_MEAN = "That is the mean of two variances; Eq. (12) is one over the mean of two sizes."


def up(sizes):
    """Part 2: Var[z^d] over E[x^2] in a linear network with the weights of Eq. (12)."""
    return float(theory.activation_variances(sizes, theory.variances("normalized", sizes))[-1])


def hints_up(sizes, mean_square):
    """Part 2: numbers that are likely, and what leads to each; for its visible test."""
    v, n = theory.variances("normalized", sizes), np.array(sizes)
    return [
        (np.prod(n[:-1] * v), "That goes on to the logits: which matrix leads to z^d?"),
        (np.prod(n[1:-1] * v[:-1]), "On the way up, which of a matrix's two sizes counts?"),
        (np.prod(n[2:] * v[1:]), "That is the way down."),
        (1 / up(sizes), "That is the other way round."),
        (math.sqrt(up(sizes)), "The variance is asked for, not the standard deviation."),
        (1, "It would be 1 if all sizes were equal."),
        (up(sizes) * mean_square, "That is Var[z^d] itself: divide by E[x²]."),
    ]


def relu_mean_squares(sizes, variances, mean_square):
    """Part 5: E[(z^i)^2], i = 0 .. d, of a network of rectified units."""
    halves = 0.5 ** np.arange(len(sizes) - 1)
    return theory.activation_variances(sizes, variances, mean_square) * halves


def relu_bound(fan_in, fan_out):
    """Part 5: a of U[-a, a] for rectified units: the compromise with twice the variance."""
    return float(theory.uniform_bound(2 * theory.compromise_variance(fan_in, fan_out)))


def hints_bound(fan_in, fan_out):
    """Part 5: bounds that are likely, and what leads to each; for its visible test."""
    right = relu_bound(fan_in, fan_out)
    return [
        (right**2 / 3, "That is the variance; the bound is asked for."),
        (math.sqrt(right**2 / 3), "That is the root of the variance. Which variance has U[-a, a]?"),
        (right / math.sqrt(2), "That is Eq. (16) itself, for units that are not rectified."),
        (math.sqrt(6 / fan_in), "That keeps the signal alone: where is the compromise?"),
        (math.sqrt(6 / fan_out), "That keeps the gradient alone: where is the compromise?"),
        (math.sqrt(3 / fan_in + 3 / fan_out), _MEAN),
        (right / 2, "That is Eq. (16) with half the variance: is less wanted, or more?"),
    ]


# ---- what is wrong with draws: an empty text, or a sentence
def _matrix(found, rows, columns, what="the weight"):
    """Return draws as an array (rows, columns), and what is wrong with their form."""
    try:
        w = np.asarray(found, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        return None, f"{what} should be one tensor of numbers."
    if w.shape != (rows, columns):
        more = " That is the transpose." if w.shape == (columns, rows) else ""
        return None, f"{what} has shape {w.shape}, where {(rows, columns)} is asked for.{more}"
    return (w, "") if np.isfinite(w).all() else (None, f"{what} is not finite.")


def spread_off(weight, fan_in, fan_out, variance, law):
    """Say what is wrong with the mean and the variance of draws, within 5 standard errors.

    `law` is "uniform" or "truncated"; the error of the variance is that of the law.
    """
    w, off = _matrix(weight, fan_in, fan_out)
    if off:
        return off
    if abs(w.mean()) > 5 * math.sqrt(variance / w.size):
        return f"the draws have the mean {w.mean():.3g}, where 0 is asked for."
    found, error = w.var(), variance * math.sqrt((KURTOSIS[law] - 1) / w.size)
    if abs(found - variance) <= 5 * error:
        return ""
    why = (f" {why}" for ratio, why in HINTS[law] if abs(found / variance / ratio - 1) < 0.04)
    return (
        f"the draws have the variance {found:.3g}; {variance:.3g} ± {error:.1g} is expected."
        f"{next(why, '')}"
    )


UNIFORM_HINTS = (  # found over wanted variance, and what leads to it
    (1 / 3, "Is the bound the root of the variance? Which variance has U[-a, a]?"),
    (4, "A number between -a and a: is the whole length 2a, or 4a?"),
    (1 / 4, "A number between -a and a: is the whole length 2a, or a?"),
    (3, "That is three times as much: is the 3 in its place?"),
)
TRUNCATED_HINTS = (
    (LEFT, "The cut takes the largest draws away, and their variance with them."),
    (0.9196, "Draws beyond the cut are to be drawn again, not moved to it."),
    (0.9196 / LEFT, "Draws beyond the cut are to be drawn again, not moved to it."),
    (
        1 / LEFT,
        "That is the Gaussian before the cut. Has anything been cut? Or have the draws been "
        "multiplied by what their variance needs?",
    ),
    (1 / LEFT**2, "The cut has been made up for twice, or nothing has been cut."),
    (LEFT**2, "The cut has been counted the wrong way: is the Gaussian wider before it?"),
)


HINTS = {"uniform": UNIFORM_HINTS, "truncated": TRUNCATED_HINTS}


def uniform_off(weight, fan_in, fan_out):
    """Say in which way draws are not uniform between the smallest and the largest of them.

    Where that range lies is the business of `spread_off`.
    """
    w, off = _matrix(weight, fan_in, fan_out)
    if off:
        return off
    half = np.ptp(w) / 2
    if half == 0:
        return "all draws are the same number."
    place = np.abs(w - w.min() - half) / half  # from 0, in the middle, to 1
    for inner in (0.25, 0.5, 0.75):
        found, error = (place < inner).mean(), math.sqrt(inner * (1 - inner) / w.size)
        if abs(found - inner) > 5 * error:
            return (
                f"not uniform: {100 * found:.1f} % of the draws lie in the inner {inner:g} of "
                f"their range, where {100 * inner:.0f} % is expected."
            )
    return _dependent(w)


def _dependent(w):
    """Say whether entries of draws know of each other: neighbours, within 5 standard errors."""
    u = (w - w.mean()) / w.std()
    for what, one, two in (("rows", u[1:], u[:-1]), ("columns", u[:, 1:], u[:, :-1])):
        r = (one * two).mean()
        if abs(r) > 5 / math.sqrt(one.size):
            return f"entries in neighbouring {what} have the correlation {r:.2g}: independent?"
    # By chance, in single precision, 2 % of so many at most.
    if len(np.unique(np.round(np.abs(w) / w.std(), 9))) < 0.9 * w.size:
        return "draws occur again, with the same sign or the other one: independent?"
    return ""


def truncated_off(weight, fan_in, fan_out):
    """Say in which way draws are not those of a Gaussian cut at `CUT` standard deviations.

    Its standard deviation is taken from the draws: how large it is `spread_off` judges.
    """
    w, off = _matrix(weight, fan_in, fan_out)
    if off or np.ptp(w) == 0:
        return off or "all draws are the same number."
    size = np.abs(w - w.mean()) * math.sqrt(LEFT / w.var())  # in standard deviations before the cut
    # As near as the mean and the standard deviation of so many draws are known.
    known = 5 * (math.sqrt((KURTOSIS["truncated"] - 1) / w.size) / 2 + 0.5 / math.sqrt(w.size))
    if size.max() > CUT * (1 + known):
        return (
            f"a draw lies {size.max():.3f} standard deviations, before the cut, from 0: the cut is "
            f"at {CUT}."
        )
    if (size > size.max() * (1 - 1e-9)).mean() > 1e-3:
        return "many draws lie exactly at the cut: they are to be drawn again, not moved there."
    inside = math.erf(1 / math.sqrt(2)) / math.erf(CUT / math.sqrt(2))
    found, error = (size < 1).mean(), math.sqrt(inside * (1 - inside) / w.size)
    if abs(found - inside) > 5 * error or size.max() < 0.95 * CUT:
        return (
            f"{100 * found:.1f} % of the draws lie within one standard deviation of the Gaussian "
            f"before the cut, and the largest at {size.max():.2f}; {100 * inside:.1f} % and "
            f"{CUT} are expected."
        )
    return _dependent(w)


def seeds_off(first, again, other):
    """Say whether draws with one seed, the same seed and another one are as they should be."""
    first, again, other = (np.asarray(w, dtype=float) for w in (first, again, other))
    if not np.array_equal(first, again):
        return "the same seed gives other draws the second time."
    if np.array_equal(first, other):
        return "another seed gives the same draws."
    same = np.array_equal(np.sort(first, axis=None), np.sort(other, axis=None))
    return "another seed gives the same numbers in another order: no draws." if same else ""


def sample_off(squares, sizes, expected, networks):
    """Say what is wrong with sampled mean squares (networks, d) of z^1 .. z^d, as in part 4.

    Means may be 5 standard errors off. The scatter at the top is that of independent Gaussian
    networks, each with an input of its own, up to a factor of 1.5: other draws differ by less.
    """
    d = len(sizes) - 2
    y, off = _matrix(squares, networks, d, "the result")
    if off:
        return off
    # Of networks of n_0 .. n_i Gaussian numbers, in parts of the mean.
    scatter = np.sqrt(np.cumprod([1 + 2 / n for n in sizes[:-1]]) - 1)[1:]
    ratio = y.mean(0) / expected[1:]
    wrong = np.abs(ratio - 1) > 5 * scatter / math.sqrt(networks)
    if wrong.any():
        i = int(wrong.argmax())
        alike = wrong.all() and np.ptp(ratio) < 0.15 * ratio.mean()
        more = " All layers are off by about the same factor: look at the inputs." if alike else ""
        return (
            f"the mean square of z^{i + 1} is {ratio[i]:.3g} times what Eq. (5) has; 1 ± "
            f"{scatter[i] / math.sqrt(networks):.1g} is expected.{more}"
        )
    found = y[:, -1].std(ddof=1) / y[:, -1].mean()
    if not scatter[-1] / 1.5 < found < scatter[-1] * 1.5:
        return (
            f"networks scatter by {100 * found:.0f} % of the mean at the top; "
            f"{100 * scatter[-1]:.0f} % is expected."
        )
    return ""


NARROW = [1, 1, 1, 2]  # sizes of a network of one unit a layer
# Mean and variance of the logarithm of a squared standard Gaussian number, and the excess of that.
_LOG = -np.euler_gamma - math.log(2), math.pi**2 / 2, 4


def own_off(squares, variances, mean_square, networks):
    """Say whether networks of `NARROW` sizes have Gaussian weights and an input of their own.

    With one unit a layer, z^1 is a weight times an input, and z^2 / z^1 a weight: the logarithms
    of their squares have known means and variances, here within 5 standard errors.
    """
    y, off = _matrix(squares, networks, 2, "the result, of networks with one unit a layer,")
    if off or (y < 0).any():
        return off or "a mean square is negative."
    if (y == 0).any():
        return "with one unit a layer a mean square is 0: is it a variance about the mean?"
    first = np.log(y[:, 0] / variances[0] / mean_square)
    second = np.log(y[:, 1] / y[:, 0] / variances[1])
    mean, variance, excess = _LOG

    def apart(found, count):  # of the variance, for a sum of `count` such logarithms
        return (found.var() / variance / count - 1) / math.sqrt((2 + excess / count) / networks)

    where = "in networks with one unit a layer, "
    if second.var() < 1e-3:
        return f"{where}z^2 / z^1 is the same number in all: has each its own W^1?"
    if apart(first, 2) < -5:
        return f"{where}z^1 scatters too little: has each its own W^0, and its own Gaussian input?"
    if apart(first, 2) > 5:
        return f"{where}z^1 scatters too much: are input and W^0 made of the same draws?"
    if abs(np.corrcoef(first, second)[0, 1]) > 5 / math.sqrt(networks):
        return f"{where}z^1 tells something of z^2 / z^1: are W^0 and W^1 made of the same draws?"
    for what, found, count in (("z^1", first, 2), ("z^2 / z^1", second, 1)):
        off = abs(found.mean() - count * mean) > 5 * math.sqrt(count * variance / networks)
        if off or abs(apart(found, count)) > 5:
            return f"{where}{what} is not what Gaussian weights and inputs give."
    return ""
