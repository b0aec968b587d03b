"""The ledger: 31 claims of the paper, each with a criterion fixed beforehand, and its verdict.

`statements` has the claims in words, `criteria` and its like the criteria as functions, `verdicts`
and its like what the shipped results say.
"""

import html
from dataclasses import replace

from course_lib import (
    results,
    verdicts,
    verdicts_before,
    verdicts_elsewhere,
    verdicts_errors,
    verdicts_layers,
)
from course_lib.statements import CLAIMS

# How verdicts are made: a function, and the names of the shipped results that it takes. Without
# the first result there is no verdict.
SOURCES = (
    (verdicts_layers.layer_verdicts, ("fig11", "fig11-100")),
    (verdicts_layers.gradient_verdicts, ("fig09", "fig11", "fig11-100")),
    (verdicts_layers.pretrained_saturation_verdicts, ("pretrained-300", "pretrained")),
    (verdicts_errors.cost_verdicts, ("costs", "fig11-100")),
    (verdicts_errors.race_verdicts, ("fig11", "fig11-100", "pretrained-300", "pretrained")),
    (verdicts_errors.other_sets_verdicts, ("fig12", "fig11-100")),
    (verdicts_errors.depth_verdicts, ("depths", "fig11-100")),
    (verdicts.sigmoid_verdicts, ("fig02", "sigmoid_depth5", "sigmoid_depth4_frozen")),
    (verdicts_before.signal_verdicts, ("signal_at_initialisation",)),
    (verdicts_before.jacobian_verdicts, ("jacobian_at_initialisation",)),
    (verdicts_before.surface_verdicts, ("cost_surfaces",)),
    (
        verdicts_elsewhere.elsewhere_verdicts,
        ("signal_at_initialisation", "fig02", "signal_elsewhere", "sigmoid_elsewhere"),
    ),
)


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
        loaded = [(load or _shipped)(name) for name in names]
        if loaded[0] is not None:
            there = tuple(name for name, one in zip(names, loaded, strict=True) if one is not None)
            judged = judge(*loaded)
            found |= {claim: replace(verdict, source=there) for claim, verdict in judged.items()}
    return [(claim, found.get(claim.id, verdicts.Verdict())) for claim in CLAIMS]


def _shipped(name):
    return results.load(name) if name in results.names() else None


# ---------------------------------------------------------------- showing the ledger
FOLDED = 220  # characters from which the numbers behind a verdict are folded


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
    if len(verdict.parts) > 1 and claim.id != "C31":
        parts = (f"({name}) in {sum(yes)}" for name, yes in verdict.parts.items())
        found += f"<br>Holds {', '.join(parts)} of {verdict.seeds} seeds."
    if claim.why and verdict.verdict in ("partly", "not reproduced"):
        found += f"<br><em>Why?</em> {html.escape(claim.why)}"
    if verdict.evidence:
        found += _numbers(claim, verdict)
    if claim.lesson:
        found += f'<br><a href="{lessons}/{claim.lesson}.html">Lesson {claim.lesson[:2]}</a>'
    return (
        f'<tr role="row" id="{claim.id.lower()}">'
        f'<th role="rowheader" scope="row"><span class="claim-id">{claim.id}</span> '
        f'<span class="claim-where">{html.escape(claim.where)}</span>'
        f'<span class="claim-statement">{html.escape(claim.statement)}</span></th>'
        f'<td role="cell">{html.escape(claim.criterion)}</td><td role="cell">{found}</td></tr>'
    )


def _numbers(claim, verdict):
    """Return what was measured, folded where it is long, and the results that it comes from."""
    said = f"{html.escape(verdict.evidence.rstrip('.'))}."
    if claim.paper:
        said += f" In the paper: {html.escape(claim.paper)}."
    if verdict.source:
        said += f" From {', '.join(f'<code>{name}</code>' for name in verdict.source)}."
    if len(verdict.evidence) < FOLDED:
        return f"<br>{said}"
    return f'<details class="numbers"><summary>The numbers of {claim.id}</summary>{said}</details>'
