"""The ledger: 31 claims of the paper, each with a criterion fixed beforehand, and its verdict.

A criterion is a function of recorded arrays that answers yes or no for every seed; `decide` turns
the answers into a verdict. Arrays are those of a `training.History`: T recorded steps, R runs (one
per seed), L hidden layers. Where a criterion's wording leaves room between two recorded steps or
between two readings, the docstring says which was taken.
"""

import html
from dataclasses import dataclass, field

import numpy as np

from course_lib import results, training

QUICK = 100_000  # updates: five of the paper's epochs of 20,000
FALLEN = 0.1  # a sigmoid layer whose mean activation is below this has been driven to zero
ESCAPED = 0.2  # and above this it has come back
PRIOR_ENTROPY = 2.110  # nats, of Shapeset's class priors 3 x 1/6, 3 x 1/9, 3 x 1/18
LEARNS = 0.97 * PRIOR_ENTROPY  # a cost below this knows more than the priors
SEEDS = 5  # what a verdict on a training asks for; with fewer it is provisional

# The shipped results that verdicts are computed from, by the argument of `sigmoid_verdicts`.
SHIPPED = {
    "depth4": "sigmoid_depth4",
    "depth5": "sigmoid_depth5",
    "frozen": "sigmoid_depth4_frozen",
}

# Verdict: the words shown, and the style-sheet class.
VERDICTS = {
    "reproduced": "verdict-reproduced",
    "partly": "verdict-partly",
    "not reproduced": "verdict-not",
    "not measured yet": "verdict-open",
}


@dataclass(frozen=True)
class Claim:
    """A statement of the paper that an experiment can support or not.

    Attributes
    ----------
    id : str, C01 .. C31
    where : str, section and figure
    statement, criterion : str, in our own words; the criterion was fixed before measuring
    lesson : str, the file name of the lesson that measures it, or empty
    """

    id: str
    where: str
    statement: str
    criterion: str
    lesson: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the shipped results say about a claim.

    Attributes
    ----------
    verdict : str, a key of `VERDICTS`
    evidence : str, the numbers, with width, rate and seeds
    seeds : int
    parts : dict, the name of each part of the criterion to a tuple of bool, one per seed
    """

    verdict: str = "not measured yet"
    evidence: str = ""
    seeds: int = 0
    parts: dict = field(default_factory=dict)

    @property
    def provisional(self):
        """Whether it rests on fewer than the 5 seeds that a verdict asks for."""
        return 0 < self.seeds < SEEDS


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


# ---------------------------------------------------------------- the sigmoid's story, C01 to C06
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
    update, top_mean = _recorded(update, top_mean)
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
    update, mean = _recorded(update, activation_mean)
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
    others = _at_lowest_top(np.asarray(activation_mean, dtype=float))[:, :-1]
    return {"a": (others > 0.5).all(axis=1), "b": (np.diff(others) > 0).all(axis=1)}


def _at_lowest_top(mean):
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
    update, cost = _recorded(update, cost)
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
    update, share = _recorded(update, saturated)
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
    update, mean = _recorded(update, top_mean)
    answers = []
    for run, time in zip(mean.T, escaped_shallower, strict=True):
        recorded = 3 * time <= update[-1]
        answers.append(recorded and np.interp(3 * time, update, run) < FALLEN)
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
    update, rms = _recorded(update, logit_weight_rms)
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
    update, mean = _recorded(update, top_mean)
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


def _recorded(update, values):
    update, values = np.asarray(update, dtype=float), np.asarray(values, dtype=float)
    if update.ndim != 1 or values.ndim < 2 or len(update) != len(values):
        raise ValueError(
            f"a recording needs update (T,) and values (T, R, ...), not {update.shape} "
            f"and {values.shape}"
        )
    if len(update) == 0 or (np.diff(update) <= 0).any():
        raise ValueError("update must name at least one step, in increasing order")
    return update, values


# ---------------------------------------------------------------- from shipped results to verdicts
def sigmoid_verdicts(depth4, depth5=None, frozen=None):
    """Judge C01 to C06 on recorded sigmoid trainings; run r has the same seed in each.

    Parameters
    ----------
    depth4, depth5 : training.History
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
    marks = escape(update, top)
    setting = _setting(depth4)
    lowest = _at_lowest_top(mean)
    others = lowest[:, :-1].mean(axis=0)
    share = depth4["activation_saturated"][:, :, 0]
    left = leaves_plateau(update, depth4["cost"])
    verdicts = {
        "C01": _verdict(
            {"whole": top_layer_driven_to_zero(update, mean)},
            f"{setting}: below 0.1 from update {_span(marks.fall)}; "
            f"lowest mean {_span(lowest[:, -1])}",
        ),
        "C02": _verdict(
            others_above_half(mean),
            f"{setting}: layers 1 to {len(others)} at {', '.join(f'{m:.2f}' for m in others)} "
            "(mean over seeds)",
        ),
        "C03": _verdict(
            plateau_and_escape(update, top),
            f"{setting}: below 0.1 for {_span(marks.plateau)} updates, "
            f"{_span(marks.plateau / marks.fall)} times the fall; back above 0.2 "
            f"{_when(marks.escape)}",
        ),
        "C04": _verdict(
            first_layer_saturates(update, share, left),
            f"{setting}: share of layer 1 outside [.05, .95] "
            f"{_span(_at(update, share, left / 2))} at half, "
            f"{_span(_at(update, share, 2 * left))} at twice the escape time "
            f"(cost below {LEARNS:.2f} nats {_when(left)}), "
            f"{_span(share[-1])} at the end",
        ),
    }
    if depth5 is not None:
        # Where depth 4 leaves its plateau with a mean below 0.1, the criterion alone would hold for
        # it too: the cost tells the two apart.
        top5 = depth5["activation_mean"][:, :, -1]
        left5 = leaves_plateau(depth5["update"], depth5["cost"])
        verdicts["C05"] = _verdict(
            {"whole": never_escapes(depth5["update"], top5, left)},
            f"{_setting(depth5)}: top mean {_span(_at(depth5['update'], top5, 3 * left))} "
            f"at 3 times depth 4's escape time (depth 4's own: "
            f"{_span(_at(update, top, 3 * left))}); cost below {LEARNS:.2f} nats: {_when(left5)} "
            f"in {depth5['update'][-1]:,} updates (depth 4: {_when(left)})",
        )
    if frozen is not None:
        pushed = weights_pushed_out(update, depth4["logit_weight_rms"], depth4["cost"])
        lowest = _at_lowest_top(frozen["activation_mean"])[:, -1]
        verdicts["C06"] = _verdict(
            biases_first(depth4, frozen),
            f"{setting}: W h down 5-fold {_when(pushed)}; with output biases held at 0 "
            f"the lowest top mean is {_span(lowest)}",
        )
    return verdicts


def ledger(load=None):
    """Return every claim with its verdict, computed from the shipped results.

    Parameters
    ----------
    load : callable, name -> recorded training or None, optional
        Where to look for the results of `SHIPPED`; by default the package's own. A claim whose
        result is missing is "not measured yet".

    Returns
    -------
    list of (Claim, Verdict), in the order of `CLAIMS`
    """
    recorded = {part: (load or _shipped)(name) for part, name in SHIPPED.items()}
    verdicts = sigmoid_verdicts(**recorded) if recorded["depth4"] is not None else {}
    return [(claim, verdicts.get(claim.id, Verdict())) for claim in CLAIMS]


def _shipped(name):
    if name not in results.names():
        return None
    return training.History.load(results.FOLDER / f"{name}.npz")


def _verdict(parts, evidence):
    seeds = len(next(iter(parts.values())))
    answers = {name: tuple(bool(yes) for yes in part) for name, part in parts.items()}
    return Verdict(decide(parts), evidence, seeds, answers)


def _at(update, values, times):
    """Each run's value (T, R) at its own time (R,), interpolated; NaN beyond the recording."""
    columns = zip(values.T, times, strict=True)
    return np.array([np.interp(t, update, run, right=np.nan) for run, t in columns])


def _span(values):
    """Write the smallest and the largest of the values over seeds; say how many have none."""
    values = np.asarray(values, dtype=float)
    known = values[np.isfinite(values)]
    if known.size == 0:
        return "never"
    low, high = (_number(value) for value in (known.min(), known.max()))
    text = low if low == high else f"{low} to {high}"
    missing = values.size - known.size
    return f"{text} ({missing} of {values.size} never)" if missing else text


def _when(updates):
    text = _span(updates)
    return text if text == "never" else f"at update {text}"


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _setting(history):
    """Name width, depth, rate and seeds of a recorded training."""
    mean = history["activation_mean"]
    words = [f"Depth {mean.shape[2]}"]
    config = history.config
    if "model" in config:
        words.append(f"width {config['model']['sizes'][1]}")
    if "learning_rate" in config:
        rates = np.unique(config["learning_rate"])
        words.append("rate " + ", ".join(f"{rate:g}" for rate in rates))
    words.append(f"{mean.shape[1]} seeds")
    return ", ".join(words)


# ---------------------------------------------------------------- showing the ledger
def scoreboard(entries, page="claims.html"):
    """Return HTML that counts the verdicts and links one chip per claim to the ledger's page.

    Parameters
    ----------
    entries : list of (Claim, Verdict), from `ledger`
    page : str, the address of the page that holds `table`
    """
    counts = {name: sum(v.verdict == name for _, v in entries) for name in VERDICTS}
    summary = "".join(
        f'<li class="{style}"><strong>{counts[name]}</strong> {name}</li>'
        for name, style in VERDICTS.items()
    )
    chips = "".join(
        f'<li><a class="{VERDICTS[v.verdict]}" href="{page}#{c.id.lower()}" '
        f'title="{html.escape(c.statement)}">{c.id}<span class="visually-hidden">: {v.verdict}'
        "</span></a></li>"
        for c, v in entries
    )
    return (
        '<div class="scoreboard">'
        f'<ul class="scoreboard-counts" aria-label="Verdicts so far">{summary}</ul>'
        f'<ul class="scoreboard-chips" aria-label="Claims, each with its verdict">{chips}</ul>'
        "</div>"
    )


def table(entries, lessons="../lessons"):
    """Return the ledger as an HTML table, one row per claim with its verdict and evidence.

    Parameters
    ----------
    entries : list of (Claim, Verdict), from `ledger`
    lessons : str, the address of the folder of the lessons' pages

    Notes
    -----
    The roles repeat what the tags say: a style sheet that stacks the cells on a phone would
    otherwise take the table away from a screen reader.
    """
    head = "".join(
        f'<th role="columnheader" scope="col">{title}</th>'
        for title in ("Claim", "Criterion", "Verdict")
    )
    rows = "".join(_row(claim, verdict, lessons) for claim, verdict in entries)
    return (
        '<table class="table claims-table" role="table">'
        "<caption>The claims, what would count as reproducing each, and what was found.</caption>"
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )


def _row(claim, verdict, lessons):
    found = f'<strong class="{VERDICTS[verdict.verdict]}">{verdict.verdict}</strong>'
    if verdict.provisional:
        found += f" provisional: {verdict.seeds} of {SEEDS} seeds"
    if len(verdict.parts) > 1:
        parts = (f"({name}) in {sum(yes)}" for name, yes in verdict.parts.items())
        found += f"<br>Holds {', '.join(parts)} of {verdict.seeds} seeds."
    if verdict.evidence:
        found += f"<br>{html.escape(verdict.evidence)}."
    if claim.lesson:
        found += f'<br><a href="{lessons}/{claim.lesson}.html">Lesson {claim.lesson[:2]}</a>'
    return (
        f'<tr role="row" id="{claim.id.lower()}">'
        f'<th role="rowheader" scope="row"><span class="claim-id">{claim.id}</span> '
        f'<span class="claim-where">{html.escape(claim.where)}</span>'
        f'<span class="claim-statement">{html.escape(claim.statement)}</span></th>'
        f'<td role="cell">{html.escape(claim.criterion)}</td><td role="cell">{found}</td></tr>'
    )


# ---------------------------------------------------------------- the claims
_SIGMOID = "03_watch_the_sigmoid_saturate"

CLAIMS = (
    Claim(
        "C01",
        "Section 3.1, Fig. 2",
        "In a sigmoid network of depth 4 the top hidden layer is driven to about 0 early on.",
        "The top layer's mean is below .1 within Quick.",
        _SIGMOID,
    ),
    Claim(
        "C02",
        "Section 3.1, Fig. 2",
        "Meanwhile the other hidden layers have a mean above .5, decreasing from output to input.",
        "At the top layer's minimum: (a) m1, m2, m3 > .5; (b) m3 > m2 > m1.",
        _SIGMOID,
    ),
    Claim(
        "C03",
        "Section 3.1, Fig. 2",
        "After a long plateau the top layer leaves saturation by itself.",
        "(a) m4 < .1 lasts 10 times as long as its fall took; (b) m4 > .2 later.",
        _SIGMOID,
    ),
    Claim(
        "C04",
        "Section 3.1",
        "When it does, the first hidden layer begins to saturate, and settles.",
        "Share of z1 outside [.05, .95]: (a) triples from half to twice the escape time; "
        "(b) changes by less than 20 % in the last quarter of training.",
        _SIGMOID,
    ),
    Claim(
        "C05",
        "Section 3.1",
        "A sigmoid network of depth 5 never escapes.",
        "m5 < .1 at 3 times depth 4's escape time, at the same rate.",
        _SIGMOID,
    ),
    Claim(
        "C06",
        "Section 3.1",
        "The mechanism: the output relies on its biases first, and the gradient pushes W h, "
        "and with it h, to 0.",
        "(a) The rms of W h falls 5-fold while the cost is at most 1.02 x 2.110 nats, the entropy "
        "of the priors; (b) with output biases frozen at 0 there is no m4 < .1 in 3 times that "
        "time.",
        _SIGMOID,
    ),
    Claim(
        "C07",
        "Section 3.1",
        "A sigmoid network that starts from unsupervised pre-training does not saturate so.",
        "Pre-trained: the top layer's mean is above .1 throughout.",
    ),
    Claim(
        "C08",
        "Section 3.2, Fig. 3",
        "With tanh and standard initialisation, layers saturate one after the other from layer 1 "
        "up.",
        "Strictly increasing over layers 1 to 4, last/first at least 3: (a) by t; (b) by h.",
    ),
    Claim(
        "C09",
        "Section 3.3, Fig. 3",
        "Softsign saturates less, and its layers do so together: fast at first, then slowly.",
        "(a) p98 at T below tanh's, layers 1 to 4; (b) largest h/smallest h at most 2; (c) t4/t1 "
        "at most half of tanh's; (d) half of the rise by T/5.",
    ),
    Claim(
        "C10",
        "Section 3.3, Fig. 4",
        "At the end of training tanh piles up at -1, +1 or 0; softsign's modes are at its knees, "
        "around .6 to .8.",
        "Histograms with bins of .1: (a) tanh's modes at |z| >= .9 or < .1, all layers; "
        "(b) softsign's at .5 to .9 in 3 or more layers.",
    ),
    Claim(
        "C11",
        "Section 4.1, Fig. 5",
        "The quadratic cost has the more severe plateaus.",
        "A 1-1-1 network, weights in [-8, 8] x [-8, 8]: the area where the gradient is under 5 % "
        "of its maximum is at least 2 times larger (20 draws).",
    ),
    Claim(
        "C12",
        "Section 4.1",
        "Log-likelihood trains much better than the quadratic cost.",
        "Error lower by at least 2 points, each cost at its own best rate.",
    ),
    Claim(
        "C13",
        "Section 4.2, Fig. 6",
        "tanh at initialisation: activations shrink layer by layer under standard weights, and "
        "hold under normalized ones.",
        "sd5/sd1: (a) standard at most .2; (b) normalized at least .8 (P: at least .5).",
    ),
    Claim(
        "C14",
        "Section 4.2, Fig. 7",
        "tanh at initialisation: back-propagated gradients shrink towards the input under standard "
        "weights, and hold under normalized ones.",
        "sd of dC/ds, layer 1/layer 5: (a) standard at most .2; (b) normalized .8 to 1.25 "
        "(P: .5 to 2).",
    ),
    Claim(
        "C15",
        "Section 4.2, Fig. 8, Eq. (14)",
        "tanh at initialisation: weight gradients are about equal in every layer, under both.",
        "Hidden layers, largest/smallest sd at most 1.25 under both (P: 2).",
    ),
    Claim(
        "C16",
        "Section 4.2.2",
        "The mean singular value of the Jacobians is about .5 with standard and .8 with "
        "normalized weights.",
        "Average over layers in .45 to .55 and in .75 to .85.",
    ),
    Claim(
        "C17",
        "Section 4.3",
        "The decay of gradients towards the input reverses very quickly in training.",
        "sd of dC/ds: layer 1 at least layer 5 within Quick (P: by T).",
    ),
    Claim(
        "C18",
        "Section 4.3, Fig. 9",
        "Weight gradients of different layers drift apart in training, larger below, and more so "
        "under standard weights.",
        "Width 1000, at T, M = largest/smallest sd: (a) standard M at least 3, layer 1 > layer 5; "
        "(b) normalized M at most half of that.",
    ),
    Claim(
        "C19",
        "Section 4.3, Fig. 10",
        "tanh with normalized weights behaves like softsign: its layers do not saturate in turn.",
        "Neither t nor h is ordered by depth; largest h/smallest h at most 2.",
    ),
    Claim(
        "C20",
        "Section 5, Fig. 11",
        "Final error on Shapeset, worst to best: sigmoid depth 5, sigmoid depth 4, tanh, softsign, "
        "softsign N, tanh N, pre-trained.",
        "All 6 neighbours A > B (P: 4 of them, and both ends right).",
    ),
    Claim(
        "C21",
        "Section 5, Table 1",
        "Softsign is more robust to the initialisation than tanh.",
        "The gap between softsign and softsign N is at most half of that between tanh and tanh N, "
        "and tanh > tanh N.",
    ),
    Claim(
        "C22",
        "Section 5, Fig. 12",
        "On MNIST and CIFAR-10 the sigmoid is worst, tanh N is best or tied, and gaps are smaller.",
        "On both: the sigmoid is worst; tanh N within 1 standard error of the best; tanh less "
        "tanh N below Shapeset's.",
    ),
    Claim(
        "C23",
        "Section 5",
        "An RBF SVM on 100,000 Shapeset examples is worse than tanh N at depth 5.",
        "By at least 5 points (P: A > B).",
    ),
    Claim(
        "C24",
        "Section 5",
        "A rate per parameter (from the Hessian's diagonal or the gradient's variance) helps tanh "
        "with standard weights, though not to the level of normalized; both together help further.",
        "For each method: (a) it beats plain; (b) it loses to N; (c) N with it beats N.",
    ),
    Claim(
        "C25",
        "Section 5",
        "The gains hold when layers grow or shrink with depth.",
        "Widths times 2 and divided by 2 across depth: the gain is at least half of that at equal "
        "width.",
    ),
    Claim(
        "C26",
        "Section 2.3",
        "The best depth on Shapeset is 5, for the sigmoid 4.",
        "Least validation error at depth 5, for the sigmoid at 4 (P: the sigmoid's is shallower).",
    ),
    Claim(
        "C27",
        "Section 5",
        "Normalized initialisation removes a good part of the gap to pre-training.",
        "(tanh - tanh N)/(tanh - pre-trained) at least .5 (P: .25).",
    ),
    Claim(
        "C28",
        "Section 4.2.2",
        "The mean singular value equals the volume ratio and the variance ratio.",
        "Geometric mean and variance ratio within 10 % of the mean (expected: not reproduced).",
    ),
    Claim(
        "C29",
        "Abstract",
        "Normalized initialisation converges much faster.",
        "tanh N reaches tanh's final error in at most half the updates (P: in fewer).",
    ),
    Claim(
        "C30",
        "Section 3.2",
        "tanh and softsign show no early saturation of the top layer.",
        "Share of |z| > .9 in the top layer below 5 % up to Quick.",
    ),
    Claim(
        "C31",
        "Sections 3.1 and 4.2.2",
        "The other data sets show the same behaviour.",
        "The verdicts of C01 and C13 to C15 recur on MNIST and CIFAR-10.",
    ),
)
