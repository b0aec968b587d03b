"""The ledger: 31 claims of the paper, each with a criterion fixed beforehand, and its verdict.

`criteria` has the criteria as functions, `verdicts` what the shipped results say.
"""

import html
from dataclasses import dataclass

from course_lib import results, verdicts, verdicts_elsewhere

# How verdicts are made: a function, and the names of the shipped results that it takes. Without
# the first result there is no verdict.
SOURCES = (
    (verdicts.sigmoid_verdicts, ("fig02", "sigmoid_depth5", "sigmoid_depth4_frozen")),
    (verdicts.signal_verdicts, ("signal_at_initialisation",)),
    (verdicts.jacobian_verdicts, ("jacobian_at_initialisation",)),
    (
        verdicts_elsewhere.elsewhere_verdicts,
        ("signal_at_initialisation", "fig02", "signal_elsewhere", "sigmoid_elsewhere"),
    ),
)


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


def ledger(load=None):
    """Return every claim with its verdict, computed from the shipped results.

    Parameters
    ----------
    load : callable, name -> storage.Stored or None, optional
        Where to look for results by name; by default the package's own. A claim whose result is
        missing is "not measured yet".

    Returns
    -------
    list of (Claim, Verdict), in the order of `CLAIMS`
    """
    found = {}
    for judge, names in SOURCES:
        first, *others = map(load or _shipped, names)
        if first is not None:
            found |= judge(first, *others)
    return [(claim, found.get(claim.id, verdicts.Verdict())) for claim in CLAIMS]


def _shipped(name):
    return results.load(name) if name in results.names() else None


# ---------------------------------------------------------------- showing the ledger
def scoreboard(entries, page="claims.html"):
    """Return HTML that counts the verdicts and links one chip per claim to the ledger's page.

    Parameters
    ----------
    entries : list of (Claim, Verdict), from `ledger`
    page : str, the address of the page that holds `table`
    """
    counts = {name: sum(v.verdict == name for _, v in entries) for name in verdicts.VERDICTS}
    summary = "".join(
        f'<li class="{style}"><strong>{counts[name]}</strong> {name}</li>'
        for name, style in verdicts.VERDICTS.items()
    )
    chips = "".join(
        f'<li><a class="{verdicts.VERDICTS[v.verdict]}" href="{page}#{c.id.lower()}" '
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
    found = f'<strong class="{verdicts.VERDICTS[verdict.verdict]}">{verdict.verdict}</strong>'
    if verdict.provisional:
        found += f" provisional: {verdict.seeds} of {verdict.asked} seeds"
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
_SIGNAL = "08_see_the_signal_at_initialisation"
_JACOBIAN = "09_monitor_the_jacobian"

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
        _SIGNAL,
    ),
    Claim(
        "C14",
        "Section 4.2, Fig. 7",
        "tanh at initialisation: back-propagated gradients shrink towards the input under standard "
        "weights, and hold under normalized ones.",
        "sd of dC/ds, layer 1/layer 5: (a) standard at most .2; (b) normalized .8 to 1.25 "
        "(P: .5 to 2).",
        _SIGNAL,
    ),
    Claim(
        "C15",
        "Section 4.2, Fig. 8, Eq. (14)",
        "tanh at initialisation: weight gradients are about equal in every layer, under both.",
        "Hidden layers, largest/smallest sd at most 1.25 under both (P: 2).",
        _SIGNAL,
    ),
    Claim(
        "C16",
        "Section 4.2.2",
        "The mean singular value of the Jacobians is about .5 with standard and .8 with "
        "normalized weights.",
        "Average over layers in .45 to .55 and in .75 to .85.",
        _JACOBIAN,
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
        _JACOBIAN,
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
