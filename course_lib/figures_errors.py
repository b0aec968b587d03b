"""Figures 11 and 12 and Table 1: errors of networks, on the way and at the end, drawn.

Drawings return a figure with its sentence, tables a list of rows, as in `figures_layers`; both take
several histories where curves of one figure were measured apart. T are recorded updates, R runs.
"""

from typing import NamedTuple

import numpy as np

from course_lib import experiments, plots, results
from course_lib.datasets import TITLES
from course_lib.experiments import Curve
from course_lib.verdicts import interval
from course_lib.verdicts_errors import FIVE, PAPER

# ---------------------------------------------------------------- Figures 11 and 12, Table 1
# In the order of Figure 11, worst to best.
RACE = [(kind["activation"], kind["scheme"]) for kind in FIVE]


class Racer(NamedTuple):
    """One curve of Figure 11 or 12: its name there, what it is, and its runs in a history."""

    name: str
    curve: Curve
    history: object
    numbers: list

    @property
    def run(self):
        """The first of its runs, as `results.runs` has it."""
        return results.runs(self.history)[self.numbers[0]]

    @property
    def final(self):
        """The error of each run at the end, on as many test examples as were used: (R,)."""
        error = self.history["test_error" if "test_error" in self.history else "error"]
        return (error if error.ndim == 1 else error[-1])[self.numbers]

    @property
    def way(self):
        """The examples seen (T,) and the test errors (T, R), from 1,000 examples on."""
        prefix = "way_" if "way_error" in self.history else ""
        seen = self.history[prefix + "update"] * self.run["batch_size"]
        late = seen >= (1_000 if seen[-1] > 20_000 else 1)
        return seen[late], self.history[prefix + "error"][late][:, self.numbers]

    @property
    def look(self):
        """Colour and line."""
        line = plots.LINES[self.curve.scheme] if self.curve.depth != 4 else "-."
        return plots.COLOURS[self.curve.activation], ":" if self.curve.pretraining else line

    @property
    def paper(self):
        """The paper's final error of the same network in per cent, None where it has none."""
        curve = self.curve
        if curve.depth != 5 or curve.pretraining or curve.cost != "cross_entropy":
            return None
        numbers = PAPER.get((curve.activation, curve.scheme), {})
        return numbers.get(curve.data.removesuffix("_reencoded"))


def racers(*histories):
    """Return the `Racer` of every curve, by data set, in Figure 11's order: worst to best."""
    found = [(c, h, n) for h in histories for c, n in experiments.curves(h).items()]
    kinds = [curve for curve, *_ in found]
    return [Racer(_name(c, kinds), c, h, n) for c, h, n in sorted(found, key=_place)]


def _place(entry):
    curve = entry[0]
    kind = curve.activation, curve.scheme
    place = RACE.index(kind) if kind in RACE else len(RACE)
    return list(TITLES).index(curve.data), curve.pretraining > 0, curve.cost, place, -curve.depth


def _name(curve, kinds):
    """Write a curve as the legend of Figure 11 does, and tell it from the others there are."""
    activation = curve.activation.capitalize()
    name = activation + (" N" if curve.scheme == "normalized" else "")
    if curve.pretraining:
        several = len({kind.activation for kind in kinds if kind.pretraining}) > 1
        name = f"Pre-training, {activation}" if several else "Pre-training"
    like = {k.depth for k in kinds if k.activation == curve.activation and not k.pretraining}
    if curve.depth != 5 or (len(like) > 1 and not curve.pretraining):
        name += f" depth {curve.depth}"
    return name if curve.cost == "cross_entropy" else f"{name}, {curve.cost}"


def _by_data(found):
    sets = {}
    for racer in found:
        sets.setdefault(racer.curve.data, []).append(racer)
    return sets


def errors(*histories):
    """Draw the test error against the examples seen, both logarithmic, one panel a data set."""
    sets, said = _by_data(racers(*histories)), []
    fig, panels = plots.row(len(sets), height=3.6)
    for axes, (data, shown) in zip(panels, sets.items(), strict=True):
        seen, _ = shown[0].way
        drawn, ends = [], []
        for racer in shown:
            own, error = racer.way
            if not np.array_equal(own, seen):
                error = np.array([np.interp(seen, own, run) for run in error.T]).T
            drawn.append((racer.name, error, *racer.look))
            last = 100 * error[-1]
            ends.append(f"{racer.name} {last.mean():.1f} % ({last.min():.1f} to {last.max():.1f})")
        said.append(
            f"{TITLES[data]}, width {shown[0].run['width']}, {len(shown[0].numbers)} seeds, after "
            f"{seen[-1]:,} examples: {', '.join(ends)}."
        )
        plots.error_curves(axes, seen, drawn)
        axes.set_title(TITLES[data])
    panels[0].set_ylabel("test error (%)")
    return fig, f"Test error against examples seen, mean and range over seeds. {' '.join(said)}"


def error_table(*histories):
    """Tabulate the final test error of each curve, with its 95 % interval over seeds."""
    rows = []
    for racer in racers(*histories):
        error = 100 * racer.final
        low, high = interval(error)
        rows.append(
            {
                "data": TITLES[racer.curve.data],
                "curve": racer.curve.label,
                "width": racer.run["width"],
                "updates": racer.run["updates"],
                "rate": racer.run["learning_rate"],
                "seeds": len(error),
                "test error (%)": f"{error.mean():.2f}",
                "95 % interval": f"{low:.2f} to {high:.2f}" if np.isfinite(low) else "",
                "in the paper": f"{racer.paper:.2f}" if racer.paper else "",
            }
        )
    return rows


def paper_table(*histories):
    """Return Table 1 as HTML: ours above the paper's, cell by cell, the scale of ours in its row.

    Each of our cells has the mean over seeds, its 95 % interval and the rate that validation chose.
    """
    rows = []
    for data, found in _by_data([r for r in racers(*histories) if r.paper]).items():
        rows.append(f'<tr><th scope="rowgroup" colspan="{1 + len(PAPER)}">{TITLES[data]}</th></tr>')
        for width in sorted({racer.run["width"] for racer in found}):
            own = {_kind(racer): racer for racer in found if racer.run["width"] == width}
            first = next(iter(own.values()))
            updates, seeds = first.run["updates"], len(first.numbers)
            scale = f"width {width}, {updates:,} updates, {seeds} seeds"
            rows.append(_row(scale, [_cell(own.get(kind)) for kind in PAPER]))
        paper = {_kind(racer): f"{racer.paper:.2f}" for racer in found}
        rows.append(_row("the paper, width 1000", [paper.get(kind, "") for kind in PAPER]))
    names = (_name(Curve(*kind), []) for kind in PAPER)
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        '<div class="pst-scrollable-table-container"><table class="table error-table">'
        "<caption>Test error in %, five hidden layers. Ours: mean over seeds, 95 % interval over "
        f"seeds, and the chosen rate.</caption><thead><tr><th></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _kind(racer):
    return racer.curve.activation, racer.curve.scheme


def _row(head, cells):
    return f'<tr><th scope="row">{head}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _cell(racer):
    if racer is None:
        return ""
    error = 100 * racer.final
    low, high = interval(error)
    return (
        f"<strong>{error.mean():.2f}</strong><br>{low:.2f} to {high:.2f}<br>"
        f"rate {racer.run['learning_rate']:g}"
    )


def final_errors(*histories):
    """Draw Table 1: our final errors with intervals over seeds beside the paper's numbers."""
    found = racers(*histories)
    sets = list(_by_data(found))
    names = list(dict.fromkeys(racer.name for racer in found))
    fig, panels = plots.row(len(sets), height=3.2, sharey=True)
    said = []
    for racer in found:
        axes, place = panels[sets.index(racer.curve.data)], names.index(racer.name)
        error, (colour, _) = 100 * racer.final, racer.look
        axes.plot(interval(error), [place, place], color=colour)
        axes.plot(error.mean(), place, "o", color=colour, label="here, mean and 95 % interval")
        said.append(f"{racer.name} on {TITLES[racer.curve.data]} {error.mean():.1f} %")
        if racer.paper:
            axes.plot(racer.paper, place, "D", color=plots.INK, fillstyle="none", label="paper")
            said[-1] += f" (paper {racer.paper:.1f})"
    for axes, data in zip(panels, sets, strict=True):
        axes.set(xlabel="test error (%)", title=TITLES[data].replace(", ", ",\n"))
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    handles = dict(zip(*panels[0].get_legend_handles_labels()[::-1], strict=True))
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False)
    return fig, f"Final test errors beside the paper's: {', '.join(said)}."


def by_depth(*histories):
    """Draw the validation error at the end against the depth: mean and range over seeds.

    Networks of which there is one depth only are left out.
    """
    fig, (axes,) = plots.row(1)
    lines = {}
    for racer in racers(*histories):
        lines.setdefault((racer.curve.activation, racer.curve.scheme), {})[racer.curve.depth] = (
            100 * racer.history["validation_error"][-1, racer.numbers]
        )
    said = []
    for (activation, scheme), errors_at in lines.items():
        if len(errors_at) == 1:
            continue
        depths, name = sorted(errors_at), _name(Curve(activation, scheme), [])
        values = [errors_at[depth] for depth in depths]
        mean = [error.mean() for error in values]
        reach = np.array([[m - v.min(), v.max() - m] for m, v in zip(mean, values, strict=True)])
        axes.errorbar(
            depths, mean, reach.T, color=plots.COLOURS[activation], linestyle=plots.LINES[scheme],
            marker="o", capsize=3, label=name,
        )  # fmt: skip
        each = ", ".join(f"{m:.1f} % at depth {d}" for d, m in zip(depths, mean, strict=True))
        said.append(f"{name} {each}")
    axes.set(xlabel="hidden layers", ylabel="validation error (%)", xticks=range(1, 6))
    axes.legend()
    return fig, f"Validation error at the end of training by depth: {'; '.join(said)}."


def by_rate(history):
    """Draw the validation error at the end against the learning rate."""
    numbers = [n for found in experiments.curves(history).values() for n in found]
    rate = [results.runs(history)[number]["learning_rate"] for number in numbers]
    error = 100 * history["validation_error"][-1, numbers]
    fig, (axes,) = plots.row(1)
    axes.plot(rate, error, marker="o", color=plots.COLOURS["sigmoid"])
    axes.set(xscale="log", xlabel="learning rate", ylabel="validation error (%)")
    said = ", ".join(f"{e:.1f} % at {r:g}" for r, e in zip(rate, error, strict=True))
    return fig, f"Validation error at the end of training: {said}."
