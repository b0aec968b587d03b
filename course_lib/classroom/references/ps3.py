"""Assignment 3, an initialisation for unequal layers: its examples, and the library's answers."""

import math

import numpy as np
import torch

from course_lib import theory

RULES = {
    "forward": theory.forward_variance,
    "backward": theory.backward_variance,
    "compromise": theory.compromise_variance,
}
CUT = 2  # where the truncated Gaussian ends, in standard deviations before the cut
# Variance that is left of a Gaussian of variance 1 beyond whose +-CUT everything is drawn again.
LEFT = 1 - CUT * math.sqrt(2 / math.pi) * math.exp(-(CUT**2) / 2) / math.erf(CUT / math.sqrt(2))


# ---- examples
def weights(sizes, seed):
    """Return variances v_0 .. v_d for layers of these sizes; no n v is 1, and no two are alike."""
    factors = np.random.default_rng(seed).uniform(0.4, 2.2, len(sizes) - 1)
    return [float(factor) / n for factor, n in zip(factors, sizes, strict=False)]


# ---- answers
def forward_variances(sizes, variances, mean_square):
    """Part 1: E[(z^i)^2], i = 0 .. d, of a linear network, Eq. (5)."""
    return theory.activation_variances(sizes, variances, mean_square)


def backward_variances(sizes, variances, top):
    """Part 1: Var[delta^i], i = 0 .. d, of a linear network, Eq. (6) corrected."""
    return theory.gradient_variances(sizes, variances, top)


def fall(sizes):
    """Part 1: Var[delta^0] over Var[delta^d] with the standard weights of Eq. (1)."""
    return float(theory.gradient_variances(sizes, theory.variances("standard", sizes))[0])


def misfalls(sizes):
    """Part 1: numbers that are likely, and what leads to each; for its visible test."""
    d, right = len(sizes) - 2, fall(sizes)
    v = theory.variances("standard", sizes)
    return [
        (1 / right, "That is the other way round: delta^0 stands above the line."),
        (math.sqrt(right), "The variance is asked for, not the standard deviation."),
        (3.0**-d, "Is fan-out times variance 1/3 in every matrix, or is that fan-in?"),
        (3.0 ** -(d + 1), "Is fan-out times variance 1/3 in every matrix, or is that fan-in?"),
        (right * sizes[1] * v[0], "That is one matrix too many: does W^0 lead to delta^0?"),
        (right * 3**d, "Which variance has a number between -a and a?"),
        (right * 12**d / 3**d, "Which variance has a number between -a and a?"),
    ]


def weight_variance(rule, fan_in, fan_out):
    """Part 2: the Var[W] of Eq. (10), (11) or (12)."""
    return RULES[rule](fan_in, fan_out)


def rise(sizes):
    """Part 2: Var[z^d] over E[x^2] in a linear network with the weights of Eq. (12)."""
    return float(theory.activation_variances(sizes, theory.variances("normalized", sizes))[-1])


def misrises(sizes):
    """Part 2: numbers that are likely, and what leads to each; for its visible test."""
    v, n = theory.variances("normalized", sizes), np.array(sizes)
    return [
        (np.prod(n[:-1] * v), "That goes on to the logits: which matrix leads to z^d?"),
        (np.prod(n[1:-1] * v[:-1]), "On the way up, which of a matrix's two sizes counts?"),
        (np.prod(n[2:] * v[1:]), "That is the way down."),
        (1 / rise(sizes), "That is the other way round."),
        (math.sqrt(rise(sizes)), "The variance is asked for, not the standard deviation."),
        (1, "It would be 1 if all sizes were equal."),
    ]


def relu_mean_squares(sizes, variances, mean_square):
    """Part 5: E[(z^i)^2], i = 0 .. d, of a network of rectified units."""
    halves = 0.5 ** np.arange(len(sizes) - 1)
    return theory.activation_variances(sizes, variances, mean_square) * halves


def relu_bound(fan_in, fan_out):
    """Part 5: a of U[-a, a] for rectified units: the compromise with twice the variance."""
    return float(theory.uniform_bound(2 * theory.compromise_variance(fan_in, fan_out)))


# ---- what is wrong with draws: an empty text, or a sentence
def _matrix(weight, fan_in, fan_out):
    """Return the draws as an array (fan_in, fan_out), and what is wrong with their form."""
    try:
        w = np.asarray(weight, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        return None, "the draws should be one tensor of numbers."
    if w.shape != (fan_in, fan_out):
        more = " That is the transpose." if w.shape == (fan_out, fan_in) else ""
        return (
            None,
            f"the weight has shape {w.shape}, where {(fan_in, fan_out)} is asked for.{more}",
        )
    return (w, "") if np.isfinite(w).all() else (None, "the weight is not finite.")


def spread_off(weight, fan_in, fan_out, variance, hints=()):
    """Say what is wrong with the mean and the variance of draws, within 5 standard errors.

    `hints` holds pairs: found over wanted variance, and what leads to it.
    """
    w, off = _matrix(weight, fan_in, fan_out)
    if off:
        return off
    root = math.sqrt(w.size)
    if abs(w.mean()) > 5 * max(w.std(), 1e-300) / root:
        return f"the draws have the mean {w.mean():.3g}, where 0 is asked for."
    found = w.var()
    # Of a variance: from the fourth moment of the draws themselves.
    error = math.sqrt(((w**2 - found) ** 2).mean()) / root
    if abs(found - variance) <= 5 * error + 1e-9 * variance and error > 0:
        return ""
    why = next((f" {why}" for ratio, why in hints if abs(found / variance / ratio - 1) < 0.04), "")
    return f"the draws have the variance {found:.3g} ± {error:.1g}; {variance:.3g} is wanted.{why}"


UNIFORM_HINTS = (
    (1 / 3, "Is the bound the root of the variance? Which variance has U[-a, a]?"),
    (4, "A number between -a and a: is the whole length 2a, or 4a?"),
    (1 / 4, "A number between -a and a: is the whole length 2a, or a?"),
    (3, "That is three times as much: is the 3 in its place?"),
)
TRUNCATED_HINTS = (
    (LEFT, "The cut takes the largest draws away, and their variance with them."),
    (0.9196, "Draws beyond the cut are to be drawn again, not moved to it."),
    (0.9196 / LEFT, "Draws beyond the cut are to be drawn again, not moved to it."),
    (1 / LEFT, "That is the Gaussian before the cut: has anything been cut?"),
    (1 / LEFT**2, "The cut has been made up for twice, or nothing has been cut."),
    (LEFT**2, "The cut has been counted the wrong way: is the Gaussian wider before it?"),
)


def uniform_off(weight, fan_in, fan_out, variance):
    """Say in which way draws are not uniform on [-a, a] of this variance."""
    w, off = _matrix(weight, fan_in, fan_out)
    if off:
        return off
    a = float(theory.uniform_bound(variance))
    if np.abs(w).max() > a * (1 + 1e-6):
        return f"a draw of {np.abs(w).max():.3g} lies outside of [-a, a], with a = {a:.3g}."
    inner = (np.abs(w) < a / 2).mean()  # one half of them, with a standard error
    if abs(inner - 0.5) > 5 * 0.5 / math.sqrt(w.size) or w.min() > -0.98 * a or w.max() < 0.98 * a:
        return f"not uniform: {100 * inner:.1f} % of the draws lie in the inner half of [-a, a]."
    return ""


def truncated_off(weight, fan_in, fan_out, variance):
    """Say in which way draws are not those of a Gaussian cut at `CUT` standard deviations."""
    w, off = _matrix(weight, fan_in, fan_out)
    if off:
        return off
    size = np.abs(w) / math.sqrt(variance / LEFT)  # in standard deviations before the cut
    if size.max() > CUT * (1 + 1e-3):
        return f"a draw lies {size.max():.3g} standard deviations from 0: the cut is at {CUT}."
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
    return ""


def seeds_off(first, again, other):
    """Say whether draws with one seed, the same seed and another one are as they should be."""
    first, again, other = (np.asarray(w, dtype=float) for w in (first, again, other))
    if not np.array_equal(first, again):
        return "the same seed gives other draws the second time."
    return "another seed gives the same draws." if np.array_equal(first, other) else ""


def sample_off(squares, sizes, expected, networks):
    """Say what is wrong with sampled mean squares (networks, d) of z^1 .. z^d, as in part 4.

    Means may be 5 standard errors off. The scatter at the top is that of independent Gaussian
    networks, each with an input of its own, up to a factor of 1.5: other draws differ by less.
    """
    d = len(sizes) - 2
    y, off = _matrix(squares, networks, d)
    if off:
        return off.replace("the weight has", "the result has")
    scatter = math.sqrt(np.prod([1 + 2 / n for n in sizes[:-1]]) - 1)
    mean, found = y.mean(0), y.std(0, ddof=1) / y.mean(0)
    error = mean * np.maximum(found, scatter / 2) / math.sqrt(networks)
    for i in range(d):
        if abs(mean[i] - expected[i + 1]) > 5 * error[i]:
            return (
                f"the mean square of z^{i + 1} is {mean[i]:.3g} ± {error[i]:.1g}; Eq. (5) has "
                f"{expected[i + 1]:.3g}."
            )
    if not scatter / 1.5 < found[-1] < scatter * 1.5:
        return (
            f"networks scatter by {100 * found[-1]:.0f} % of the mean at the top; "
            f"{100 * scatter:.0f} % is expected of networks with weights and an input of their own."
        )
    return ""


def deviation(samples, expected):
    """Part 4: mean of samples (R,) less `expected`, in standard errors of the mean."""
    samples = samples.double()
    return float((samples.mean() - expected) / (samples.std() / math.sqrt(len(samples))))


def some_samples(seed, count):
    """Return numbers (count,) as networks give them, and what they might be compared with."""
    generator = torch.Generator().manual_seed(seed)
    samples = 0.4 * torch.rand(count, generator=generator, dtype=torch.float64).exp()
    return samples, 0.7


def misdeviations(samples, expected):
    """Part 4: deviations that are likely, and what leads to each; for its visible test."""
    off, scatter, n = float(samples.mean() - expected), float(samples.std()), len(samples)
    return [
        (off, "That is not yet in standard errors."),
        (off / scatter, "That is in standard deviations of one network, not of the mean."),
        (off / (scatter / n), "How does the error of a mean fall with the number of networks?"),
        (off / (scatter**2 / n), "That is in variances: a standard error is a root."),
        (-off / (scatter / math.sqrt(n)), "Positive where the sample is too large."),
    ]
