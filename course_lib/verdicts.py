"""Verdicts: what recorded results say about the claims, by the ledger's rule, with the numbers.

`criteria` and its like have each criterion as a function that answers yes or no for every seed;
`decide` turns the answers into a verdict, and what follows it writes numbers down. Here are also
the verdicts of the sigmoid's story, C01 to C06; other modules have the others. T are recorded
steps, R runs (one per seed), L hidden layers.
"""

from dataclasses import dataclass, field

import numpy as np

from course_lib import criteria, results

SEEDS = 5  # what a verdict on a training asks for; with fewer it is provisional

# Verdict: the words shown, and the style-sheet class.
VERDICTS = {
    "reproduced": "verdict-reproduced",
    "partly": "verdict-partly",
    "not reproduced": "verdict-not",
    "not measured yet": "verdict-open",
}


@dataclass(frozen=True)
class Verdict:
    """What the shipped results say about a claim.

    Attributes
    ----------
    verdict : str, a key of `VERDICTS`
    evidence : str, the numbers, with width, rate and seeds
    seeds : int, or networks at initialisation
    parts : dict, the name of each part of the criterion to a tuple of bool, one per seed
    asked : int, how many seeds a verdict asks for
    source : tuple of str, the shipped results that it rests on
    """

    verdict: str = "not measured yet"
    evidence: str = ""
    seeds: int = 0
    parts: dict = field(default_factory=dict)
    asked: int = SEEDS
    source: tuple = ()

    @property
    def provisional(self):
        """Whether it rests on fewer seeds than a verdict asks for."""
        return 0 < self.seeds < self.asked


def decide(parts, limit=None):
    """Apply the ledger's rule to the answers per seed.

    Parameters
    ----------
    parts : dict, name to (R,) bool
        The lettered parts of the criterion; one entry if it has none.
    limit : (R,) bool, optional
        Whether the wider limit for "partly" (P) holds, where the criterion names one.

    Returns
    -------
    str
        "reproduced" if all parts hold in every seed; "partly" if they do in most seeds, or one
        lettered part does in every seed, or the wider limit does; else "not reproduced".
    """
    answers = np.array([np.atleast_1d(part) for part in parts.values()], dtype=bool)
    if answers.size == 0:
        return "not measured yet"
    whole = answers.all(axis=0)
    if whole.all():
        return "reproduced"
    a_part = answers.all(axis=1).any()
    if whole.mean() > 0.5 or a_part or (limit is not None and np.all(limit)):
        return "partly"
    return "not reproduced"


def judged(parts, evidence, limit=None, asked=SEEDS):
    """Return the `Verdict` of answers per seed; the arguments are those of `decide`."""
    seeds = len(next(iter(parts.values())))
    answers = {name: tuple(bool(yes) for yes in part) for name, part in parts.items()}
    return Verdict(decide(parts, limit), evidence, seeds, answers, asked)


# ---------------------------------------------------------------- numbers in words
def span(values):
    """Write the smallest and the largest of the values over seeds; say how many have none."""
    values = np.asarray(values, dtype=float)
    known = values[np.isfinite(values)]
    if known.size == 0:
        return "never"
    low, high = (number(value) for value in (known.min(), known.max()))
    text = low if low == high else f"{low} to {high}"
    missing = values.size - known.size
    return f"{text} ({missing} of {values.size} never)" if missing else text


def when(updates):
    """Write at which updates (R,) something happened, the first and the last over seeds."""
    text = span(updates)
    return text if text == "never" else f"at update {text}"


def number(value):
    """Write a number with two digits, or as whole from 100 up."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def listed(values, digits=2):
    """Write numbers with so many decimals, one after the other."""
    return ", ".join(f"{value:.{digits}f}" for value in values)


def average(values, digits=2, unit=""):
    """Write the mean of (R,) values with its 95 % interval, all with so many decimals."""
    mean, low, high = (f"{v:z.{digits}f}" for v in (np.mean(values), *interval(values)))
    return f"{mean}{unit} ({low} to {high})"


def setting(history, numbers=None):
    """Name depth, width, rate and seeds of recorded trainings: of all runs, or of those numbered.

    Parameters
    ----------
    history : training.History or storage.Stored;  numbers : sequence of int, as `results.which`
    """
    runs = results.runs(history)
    runs = runs if numbers is None else [runs[number] for number in numbers]
    depths, widths, rates = (
        ", ".join(f"{value:g}" for value in sorted({run[name] for run in runs}))
        for name in ("depth", "width", "learning_rate")
    )
    seeds = len({run["seed"] for run in runs})
    return f"Depth {depths}, width {widths}, rate {rates}, {seeds} seeds"


def interval(values):
    """Return the 95 % interval of the mean of (R,) values by Student's t, R at least 5.

    Of 3 values it is a tenth too short; of one there is none, NaN.
    """
    freedom = len(values) - 1
    if freedom < 1:
        return np.nan, np.nan
    z = 1.959964  # and the first terms of t's expansion in 1/freedom: within 2 % from R = 5 on
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    half = t * np.std(values, ddof=1) / np.sqrt(len(values))
    return np.mean(values) - half, np.mean(values) + half


# ---------------------------------------------------------------- the sigmoid's story
def sigmoid_verdicts(depth4, depth5=None, frozen=None):
    """Judge C01 to C06 on recorded sigmoid trainings; run r has the same seed in each.

    Parameters
    ----------
    depth4, depth5 : training.History, or storage.Stored
        With `update`, `activation_mean` and `cost`, and for depth 4 `activation_saturated` and
        `logit_weight_rms`.
    frozen : training.History
        Depth 4 with output biases held at 0.

    Returns
    -------
    dict, claim id to `Verdict`; without depth5 or frozen there is no C05 or C06
    """
    update, mean = depth4["update"], depth4["activation_mean"]
    top = mean[:, :, -1]
    marks = criteria.escape(update, top)
    where = setting(depth4)
    lowest = criteria.at_lowest_top(mean)
    others = lowest[:, :-1].mean(axis=0)
    share = depth4["activation_saturated"][:, :, 0]
    left = criteria.leaves_plateau(update, depth4["cost"])
    verdicts = {
        "C01": judged(
            {"whole": criteria.top_layer_driven_to_zero(update, mean)},
            f"{where}: below 0.1 from update {span(marks.fall)}; lowest mean {span(lowest[:, -1])}",
        ),
        "C02": judged(
            criteria.others_above_half(mean),
            f"{where}: layers 1 to {len(others)} at {listed(others)} (mean over seeds)",
        ),
        "C03": judged(
            criteria.plateau_and_escape(update, top),
            f"{where}: below 0.1 for {span(marks.plateau)} updates, "
            f"{span(marks.plateau / marks.fall)} times the fall; back above 0.2 "
            f"{when(marks.escape)}",
        ),
        "C04": judged(
            criteria.first_layer_saturates(update, share, left),
            f"{where}: share of layer 1 outside [.05, .95] "
            f"{span(value_at(update, share, left / 2))} at half, "
            f"{span(value_at(update, share, 2 * left))} at twice the escape time "
            f"(cost below {criteria.LEARNS:.2f} nats {when(left)}), "
            f"{span(share[-1])} at the end",
        ),
    }
    if depth5 is not None:
        # Where depth 4 leaves its plateau with a mean below 0.1, the criterion alone would hold for
        # it too: the cost tells the two apart.
        top5 = depth5["activation_mean"][:, :, -1]
        left5 = criteria.leaves_plateau(depth5["update"], depth5["cost"])
        verdicts["C05"] = judged(
            {"whole": criteria.never_escapes(depth5["update"], top5, left)},
            f"{setting(depth5)}: top mean {span(value_at(depth5['update'], top5, 3 * left))} "
            f"at 3 times depth 4's escape time (depth 4's own: "
            f"{span(value_at(update, top, 3 * left))}); cost below {criteria.LEARNS:.2f} nats: "
            f"{when(left5)} in {depth5['update'][-1]:,} updates (depth 4: {when(left)})",
        )
    if frozen is not None:
        pushed = criteria.weights_pushed_out(update, depth4["logit_weight_rms"], depth4["cost"])
        lowest = criteria.at_lowest_top(frozen["activation_mean"])[:, -1]
        verdicts["C06"] = judged(
            criteria.biases_first(depth4, frozen),
            f"{where}: W h down 5-fold {when(pushed)}; with output biases held at 0 "
            f"the lowest top mean is {span(lowest)}",
        )
    return verdicts


def value_at(update, values, times):
    """Each run's value (T, R) at its own time (R,), interpolated; NaN beyond the recording."""
    columns = zip(values.T, times, strict=True)
    return np.array([np.interp(t, update, run, right=np.nan) for run, t in columns])
