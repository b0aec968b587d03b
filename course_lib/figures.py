"""The figure and the table of each experiment, from what `reproduce.run` returns.

A figure comes with its sentence, computed from the same arrays; a table is a list of rows, dicts
with the same keys. T are recorded updates, R runs, L hidden layers. Runs that diverged are left
out of both.
"""

from typing import NamedTuple

import numpy as np

from course_lib import (
    criteria,
    criteria_layers,
    plots,
    results,
    surfaces,
    untrained,
    verdicts,
    verdicts_layers,
)
from course_lib.datasets import TITLES
from course_lib.experiments import Curve
from course_lib.verdicts_errors import PAPER


class Shown(NamedTuple):
    """What an experiment ends with: a figure, a sentence that says what it shows, table rows."""

    figure: object
    alt: str
    rows: list


def show(name, history):
    """Return the `Shown` of an experiment's history.

    Parameters
    ----------
    name : str, of `experiments.EXPERIMENTS`
    history : training.History, as `reproduce.run` gives it, or a shipped result

    Raises
    ------
    ValueError
        If every run diverged.
    """
    if results.runs(history) and not curves(history):
        raise ValueError(f"every run of {name} diverged: there is nothing to draw")
    draw, table = SHOWN[name]
    figure, alt = draw(history)
    _arrange(figure)
    return Shown(figure, alt, table(history))


def _arrange(figure):
    """Put a legend that speaks for all panels below them, and keep long updates apart."""
    legends = [axes for axes in figure.axes if axes.get_legend()]
    if len(legends) == 1 and len(figure.axes) > 1:
        (axes,) = legends
        handles, labels = axes.get_legend_handles_labels()
        axes.get_legend().remove()
        columns = min(5 if max(map(len, labels)) < 10 else 3, len(labels))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    for axes in figure.axes:
        if axes.get_xlabel() == "update" and axes.get_xscale() == "linear":
            axes.locator_params(axis="x", nbins=5)
            axes.xaxis.set_major_formatter(lambda update, _: f"{update:,.0f}")


def curves(history):
    """Return the runs of each curve that did not diverge: dict, `Curve` to list of numbers."""
    found = {}
    for number, run in enumerate(results.runs(history)):
        if history["diverged"][number] < 0:
            found.setdefault(Curve.of(run), []).append(number)
    return found


def _rate(history, numbers):
    return results.runs(history)[numbers[0]]["learning_rate"]


def _list(values, digits=2):
    return ", ".join(f"{value:.{digits}f}" for value in values)


def _panels(count, height=3.0, **options):
    fig, axes = plots.figure(1, count, height=height, squeeze=False, **options)
    return fig, axes[0]


# ---------------------------------------------------------------- Figure 2
def story(history):
    """Draw a sigmoid network's activations: mean and spread per layer, and the top one's means."""
    update, mean = history["update"], history["activation_mean"]
    numbers = [n for found in curves(history).values() for n in found]
    fig, (left, right) = _panels(2)
    first = numbers[0]
    plots.layer_lines(left, update, mean[:, first])
    if "activation_std" in history:
        for layer, spread in enumerate(history["activation_std"][:, first].T):
            centre = mean[:, first, layer]
            colour = plots.layer_style(layer)["color"]
            left.fill_between(update, centre - spread, centre + spread, color=colour, alpha=0.12)
    left.set(xlabel="update", ylabel="mean and spread of activations", ylim=(0, 1), title="Layers")
    left.legend(ncols=2)
    for place, number in enumerate(numbers):
        style = plots.run_style(place, "sigmoid") | {"label": _run_label(history, number)}
        right.plot(update[1:], mean[1:, number, -1], **style)
    right.set(xlabel="update", xscale="log", yscale="log", title="Top hidden layer")
    right.legend()
    top = mean[:, numbers, -1]
    alt = (
        f"Left: mean activation of each hidden layer, first run; after {update[-1]} updates "
        f"{_list(mean[-1, first])} from layer 1 up. Right: mean of the top hidden layer in "
        f"{len(numbers)} runs; at its lowest {_list(top.min(0), 4)}, at the end "
        f"{_list(top[-1], 4)}."
    )
    return fig, alt


def _run_label(history, number):
    run = results.runs(history)[number]
    return f"rate {run['learning_rate']:g}, seed {run['seed']}"


def landmarks(history):
    """Tabulate, per run, when the top layer falls, when the cost leaves its plateau, the end."""
    update, top = history["update"], history["activation_mean"][:, :, -1]
    marks, left = criteria.escape(update, top), criteria.leaves_plateau(update, history["cost"])
    return [
        {
            "rate": _rate(history, [number]),
            "seed": results.runs(history)[number]["seed"],
            "top layer below 0.1 from update": _whole(marks.fall[number]),
            "cost leaves the plateau at update": _whole(left[number]),
            "top layer's lowest mean": f"{top[:, number].min():.4f}",
            "at the end": f"{top[-1, number]:.4f}",
            "validation error (%)": f"{100 * history['validation_error'][-1, number]:.2f}",
        }
        for found in curves(history).values()
        for number in found
    ]


def _whole(update):
    return f"{update:.0f}" if np.isfinite(update) else "never"


def rates(history):
    """Draw the validation error at the end against the learning rate."""
    numbers = [n for found in curves(history).values() for n in found]
    rate = [_rate(history, [number]) for number in numbers]
    error = 100 * history["validation_error"][-1, numbers]
    fig, (axes,) = _panels(1)
    axes.plot(rate, error, marker="o", color=plots.COLOURS["sigmoid"])
    axes.set(xscale="log", xlabel="learning rate", ylabel="validation error (%)")
    said = ", ".join(f"{e:.1f} % at {r:g}" for r, e in zip(rate, error, strict=True))
    return fig, f"Validation error at the end of training: {said}."


# ---------------------------------------------------------------- Figures 3, 4 and 10
def saturation(history):
    """Draw each layer's 98th percentile (markers) and standard deviation (lines), tanh on top."""
    update, said = history["update"], []
    fig, panels, found = _stacked(history)
    for axes, (curve, numbers) in zip(panels, found.items(), strict=True):
        std = history["activation_std"][:, numbers, : curve.depth]
        high = history["activation_percentiles"][..., 0][:, numbers, : curve.depth]
        plots.saturation(axes, update, std, high)
        axes.set_title(f"{curve.label}, rate {_rate(history, numbers):g}")
        times = criteria_layers.reaches(update, std, criteria_layers.level(curve.scheme))
        said.append(
            f"{curve.label}, {len(numbers)} seeds, layer 1 up: standard deviations end at "
            f"{_list(std[-1].mean(0))}, 98th percentiles at {_list(high[-1].mean(0))}; the former "
            f"reach {criteria_layers.level(curve.scheme)} at update "
            f"{verdicts_layers.layer_times(times, update[-1])}."
        )
    fig.supylabel("98th percentile (markers), std (lines)", fontsize=9.5)
    panels[-1].set_xlabel("epochs of 20,000 updates")
    return fig, f"Activations of each layer over {update[-1]:,} updates. {' '.join(said)}"


def _stacked(history, height=2.3):
    """Return a figure with a panel a curve, one above the other, and the panels and the curves."""
    found = curves(history)
    shape = {"sharex": True, "sharey": True, "squeeze": False}
    fig, panels = plots.figure(len(found), height=0.7 + height * len(found), **shape)
    return fig, panels[:, 0], found


def saturation_table(history):
    """Tabulate each layer at the end: percentile, spread, saturated share, and when it saturated.

    As C08 to C10 and C19 ask for: the time that the std takes to its level, and to half its rise.
    """
    update, rows = history["update"], []
    for curve, numbers in curves(history).items():
        std = history["activation_std"][:, numbers, : curve.depth]  # (T, R, L)
        level = criteria_layers.level(curve.scheme)
        times = criteria_layers.reaches(update, std, level), criteria_layers.half_rise(update, std)
        for layer in range(curve.depth):
            high = history["activation_percentiles"][-1, numbers, layer, 0]
            share = history["activation_saturated"][-1, numbers, layer]
            reached, half = (
                verdicts_layers.layer_times(each[:, [layer]], last)
                for each, last in zip(times, (update[-1], np.inf), strict=True)
            )
            rows.append(
                {
                    "curve": curve.label,
                    "rate": _rate(history, numbers),
                    "layer": layer + 1,
                    "seeds": len(numbers),
                    "98th percentile": f"{high.mean():.3f}",
                    "std": f"{std[-1, :, layer].mean():.3f}",
                    "saturated (%)": f"{100 * share.mean():.1f}",
                    "std reaches 0.5 (N: 0.7) at update": reached,
                    "half of its rise at update": half,
                }
            )
    return rows


def histograms(history):
    """Draw the histograms of each layer's activations at the end, tanh above softsign."""
    fig, panels, found = _stacked(history)
    said, edges = [], history["bins_activation_edges"]
    for axes, (curve, numbers) in zip(panels, found.items(), strict=True):
        shares = history["bins_activation_histogram"][-1, numbers, : curve.depth]
        plots.layer_histograms(axes, edges, shares)
        axes.set_title(f"{curve.label}, rate {_rate(history, numbers):g}")
        modes = criteria_layers.modes(edges, shares.mean(0))
        ends = 100 * criteria_layers.beyond(edges, shares).mean(0)
        said.append(
            f"{curve.label}, {len(numbers)} seeds, layer 1 up: the fullest bin of the absolute "
            f"value is around {_list(modes)}; {_list(ends, 0)} % lie beyond 0.9."
        )
    panels[0].legend()
    fig.supylabel("share of activations (%)", fontsize=9.5)
    panels[-1].set_xlabel("activation")
    return fig, f"Histograms of activations at the end of training. {' '.join(said)}"


def _centres(history):
    edges = history["bins_activation_edges"]
    return (edges[1:] + edges[:-1]) / 2


def _shares(history, numbers):
    return history["bins_activation_histogram"][-1, numbers].mean(0)


def histogram_table(history):
    """Tabulate how much of each layer's activations lie at the ends, the knees and the middle."""
    centre, rows = _centres(history), []
    regions = {
        "|z| >= .9 (%)": abs(centre) > 0.9,
        ".5 <= |z| < .9 (%)": (abs(centre) > 0.5) & (abs(centre) < 0.9),
        "|z| < .1 (%)": abs(centre) < 0.1,
    }
    for curve, numbers in curves(history).items():
        for layer, share in enumerate(_shares(history, numbers)):
            rows.append(
                {"curve": curve.label, "rate": _rate(history, numbers), "layer": layer + 1}
                | {"seeds": len(numbers), "mode": f"{centre[share.argmax()]:.2f}"}
                | {name: f"{100 * share[inside].sum():.1f}" for name, inside in regions.items()}
            )
    return rows


# ---------------------------------------------------------------- Figure 9
def gradients(history):
    """Draw the standard deviation of each hidden layer's weight gradients, standard on top."""
    found = dict(sorted(curves(history).items(), key=lambda item: item[0].scheme != "standard"))
    shape = {"height": 1 + 2 * len(found), "sharex": True, "sharey": True, "squeeze": False}
    fig, panels = plots.figure(len(found), **shape)
    panels, update = panels[:, 0], history["update"]
    values = [
        history["weight_gradient_std"][:, numbers, : curve.depth]
        for curve, numbers in found.items()
    ]
    plots.layers_from_start(panels, update, values)
    said = []
    for axes, (curve, numbers), own in zip(panels, found.items(), values, strict=True):
        axes.set(title=f"{curve.label}, rate {_rate(history, numbers):g}", ylabel="std of dC/dW")
        first, last = (criteria.largest_to_smallest(own[place]) for place in (0, -1))
        layers = ", ".join(f"{value:.1e}" for value in own[-1].mean(0))
        said.append(
            f"{curve.label}, {len(numbers)} seeds: the largest layer's over the smallest's is "
            f"{first.mean():.2f} before training and {last.mean():.2f} after {update[-1]:,} "
            f"updates, when layers 1 up have {layers}."
        )
    panels[-1].set_xlabel("update")
    return fig, f"Standard deviation of each hidden layer's weight gradients. {' '.join(said)}"


def gradient_table(history):
    """Tabulate how unequal the layers' gradients are, when dC/ds turns, and how large steps are."""
    update, rows = history["update"], []
    for curve, numbers in curves(history).items():
        for number in numbers:
            weight = history["weight_gradient_std"][:, number, : curve.depth]
            back = history["back_propagated_std"][:, number, : curve.depth]
            rate = _rate(history, [number])
            row = {"curve": curve.label, "rate": rate}
            row["seed"] = results.runs(history)[number]["seed"]
            for when, place in (("at first", 0), ("at the end", -1)):
                ratio = weight[place].max() / weight[place].min()
                row[f"dC/dW, largest/smallest {when}"] = f"{ratio:.3g}"
                row[f"dC/ds, layer 1/top {when}"] = f"{back[place, 0] / back[place, -1]:.3g}"
            (turned,) = criteria_layers.reversal(update, back[:, None])
            row["dC/ds of layer 1 reaches the top's at update"] = _whole(turned)
            step, size = (
                history[f"batch_{name}"][-1, number, : curve.depth]
                for name in ("weight_gradient_std", "weight_std")
            )
            share = ", ".join(f"{1000 * value:.2g}" for value in rate * step / size)
            row["an update's share of the weights at the end (per mille), layer 1 up"] = share
            rows.append(row)
    return rows


# ---------------------------------------------------------------- Figures 11 and 12, Table 1
# In the paper's order of its Figure 11, worst to best; and in that of its Table 1.
RACE = (
    ("sigmoid", "standard"),
    ("tanh", "standard"),
    ("softsign", "standard"),
    ("softsign", "normalized"),
    ("tanh", "normalized"),
)
TABLE = (*RACE[2:4], RACE[1], RACE[4], RACE[0])


class Racer(NamedTuple):
    """One curve of Figure 11 or 12: its name there, what it is, and its runs in a history."""

    name: str
    curve: Curve
    history: object
    numbers: list

    @property
    def final(self):
        """The error of each run at the end, on as many test examples as were used: (R,)."""
        return _final_error(self.history)[self.numbers]

    @property
    def run(self):
        """The first of its runs, as `results.runs` has it."""
        return results.runs(self.history)[self.numbers[0]]


def racers(*histories):
    """Return the `Racer` of every curve, by data set, in Figure 11's order: worst to best."""
    found = [(c, h, n) for h in histories for c, n in curves(h).items()]
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


def errors(*histories):
    """Draw the test error against the examples seen, both logarithmic, one panel a data set."""
    found = racers(*histories)
    sets = list(dict.fromkeys(racer.curve.data for racer in found))
    fig, panels = _panels(len(sets), height=3.6)
    said = []
    for axes, data in zip(panels, sets, strict=True):
        shown = [racer for racer in found if racer.curve.data == data]
        seen, _ = _way(shown[0])
        drawn, ends = [], []
        for racer in shown:
            own, error = _way(racer)
            if not np.array_equal(own, seen):
                error = np.array([np.interp(seen, own, run) for run in error.T]).T
            drawn.append((racer.name, error, plots.COLOURS[racer.curve.activation], _line(racer)))
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


def _way(racer):
    """Return the examples seen (T,) and the errors (T, R) of a curve, from 1,000 examples on."""
    prefix = _on_the_way(racer.history)
    seen = racer.history[prefix + "update"] * racer.run["batch_size"]
    late = seen >= (1_000 if seen[-1] > 20_000 else 1)
    return seen[late], racer.history[prefix + "error"][late][:, racer.numbers]


def _line(racer):
    if racer.curve.pretraining:
        return ":"
    return plots.LINES[racer.curve.scheme] if racer.curve.depth != 4 else "-."


def _on_the_way(history):
    """Return the prefix of what was recorded on the test set along an error curve."""
    return "way_" if "way_error" in history else ""


def error_table(*histories):
    """Tabulate the final test error of each curve, with its 95 % interval over seeds."""
    rows = []
    for racer in racers(*histories):
        error, paper = 100 * racer.final, _paper(racer.curve)
        low, high = verdicts.interval(error)
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
                "in the paper": f"{paper:.2f}" if paper else "",
            }
        )
    return rows


def _final_error(history):
    if "test_error" not in history:
        return history["error"][-1]
    error = history["test_error"]
    return error if error.ndim == 1 else error[-1]


def _paper(curve):
    if curve.depth != 5 or curve.pretraining or curve.cost != "cross_entropy":
        return None
    numbers = PAPER.get((curve.activation, curve.scheme), {})
    return numbers.get(curve.data.removesuffix("_reencoded"))


def paper_table(*histories):
    """Return Table 1 as HTML: ours beside the paper's, cell by cell, with the scale of ours.

    Each of our cells has the mean over seeds, its 95 % interval and the rate that validation chose.
    """
    found = [racer for racer in racers(*histories) if _paper(racer.curve)]
    sets = list(dict.fromkeys(racer.curve.data for racer in found))
    cells = {(r.curve.activation, r.curve.scheme, r.curve.data): r for r in found}
    scales = []
    for data in sets:
        first = next(racer for racer in found if racer.curve.data == data)
        scales.append(
            f"{TITLES[data]} width {first.run['width']}, {first.run['updates']:,} updates, "
            f"{len(first.numbers)} seeds"
        )
    head = "".join(f'<th scope="col">{TITLES[d]}</th><th scope="col">paper</th>' for d in sets)
    body = ""
    for activation, scheme in TABLE:
        row = [_cells(cells.get((activation, scheme, data))) for data in sets]
        name = _name(Curve(activation, scheme), [])
        body += f'<tr><th scope="row">{name}</th>{"".join(row)}</tr>'
    return (
        '<table class="table error-table"><caption>Test error in %, five hidden layers: mean over '
        f"seeds, 95 % interval, chosen rate. Here: {'; '.join(scales)}. Paper: width 1000."
        f"</caption><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cells(racer):
    if racer is None:
        return "<td></td><td></td>"
    error = 100 * racer.final
    low, high = verdicts.interval(error)
    return (
        f"<td><strong>{error.mean():.2f}</strong><br>{low:.2f} to {high:.2f}<br>"
        f"rate {racer.run['learning_rate']:g}</td><td>{_paper(racer.curve):.2f}</td>"
    )


def final_errors(*histories):
    """Draw Table 1: our final errors with intervals over seeds beside the paper's numbers."""
    found = racers(*histories)
    sets = list(dict.fromkeys(racer.curve.data for racer in found))
    names = list(dict.fromkeys(racer.name for racer in found))
    fig, panels = _panels(len(sets), height=3.2, sharey=True)
    said = []
    for racer in found:
        axes, place = panels[sets.index(racer.curve.data)], names.index(racer.name)
        error, colour = 100 * racer.final, plots.COLOURS[racer.curve.activation]
        axes.plot(verdicts.interval(error), [place, place], color=colour)
        axes.plot(error.mean(), place, "o", color=colour, label="here, mean and 95 % interval")
        said.append(f"{racer.name} on {TITLES[racer.curve.data]} {error.mean():.1f} %")
        if paper := _paper(racer.curve):
            axes.plot(paper, place, "D", color=plots.INK, fillstyle="none", label="paper")
            said[-1] += f" (paper {paper:.1f})"
    for axes, data in zip(panels, sets, strict=True):
        axes.set(xlabel="test error (%)", title=TITLES[data].replace(", ", ",\n"))
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    handles = dict(zip(*panels[0].get_legend_handles_labels()[::-1], strict=True))
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False)
    return fig, f"Final test errors beside the paper's: {', '.join(said)}."


def by_depth(*histories):
    """Draw the validation error at the end against the depth: mean and range over seeds."""
    fig, (axes,) = _panels(1)
    lines = {}
    for racer in racers(*histories):
        lines.setdefault((racer.curve.activation, racer.curve.scheme), {})[racer.curve.depth] = (
            100 * racer.history["validation_error"][-1, racer.numbers]
        )
    said = []
    for (activation, scheme), errors_at in lines.items():
        depths = sorted(errors_at)
        name = _name(Curve(activation, scheme), [])
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


# ---------------------------------------------------------------- Jacobians in training
def jacobians(history):
    """Draw the mean singular value of each layer's Jacobian during training, mean over seeds."""

    found, update = curves(history), history["jacobian_update"]
    fig, panels = _panels(len(found), sharey=True)
    said = []
    for axes, (curve, numbers) in zip(panels, found.items(), strict=True):
        values = history["jacobian_mean"][:, numbers, : curve.depth].mean(1)
        plots.layer_lines(axes, update[1:], values[1:])
        axes.set(xscale="log", xlabel="update", title=curve.label)
        said.append(
            f"{curve.label}: from layer 1 up {_list(values[0])} at first, {_list(values[-1])} "
            f"after {update[-1]} updates."
        )
    panels[0].set_ylabel("mean singular value")
    panels[0].legend()
    return fig, f"Mean singular value of each layer's Jacobian. {' '.join(said)}"


def jacobian_table(history):
    """Tabulate the mean singular values and errors at the end, mean over seeds."""
    rows = []
    for curve, numbers in curves(history).items():
        values = history["jacobian_mean"][:, numbers].mean(1)
        for layer in range(curve.depth):
            rows.append(
                {
                    "curve": curve.label,
                    "layer": layer + 1,
                    "seeds": len(numbers),
                    "mean singular value at first": f"{values[0, layer]:.3f}",
                    "at the end": f"{values[-1, layer]:.3f}",
                    "error at the end (%)": f"{100 * history['error'][-1, numbers].mean():.1f}",
                }
            )
    return rows


# ---------------------------------------------------------------- Figure 5
COST_TITLES = {"cross_entropy": "Cross-entropy (nats)", "quadratic": "Quadratic cost"}


def cost_surfaces(history):
    """Draw both costs over two weights, first draw, flat patches light."""
    fig, panels = _panels(2, height=3.4, subplot_kw={"projection": "3d"})
    said = []
    for place, (axes, cost) in enumerate(zip(panels, history["cost"].tolist(), strict=True)):
        value, length = history["value"][place], history["length"][place]
        plots.cost_surface(axes, history["weight"], value, surfaces.flat(length))
        axes.set_title(COST_TITLES[cost])
        said.append(
            f"{COST_TITLES[cost]}: from {value.min():.2f} to {value.max():.2f}, flat on "
            f"{100 * surfaces.flat(length).mean():.0f} % of the area."
        )
    return fig, f"The cost of a 1-1-1 network over its two weights from -8 to 8. {' '.join(said)}"


def plateau_table(history):
    """Tabulate the share of each cost surface that is flat, over draws and by level."""
    at, rows = {level: place for place, level in enumerate(history["level"])}, []
    main = at[surfaces.PLATEAU]
    for s, sizes in enumerate(history["sizes"].tolist()):
        for c, cost in enumerate(history["cost"].tolist()):
            share = 100 * history["share"][s, c]  # (draws, levels)
            low, high = verdicts.interval(share[:, main])
            coarse = 100 * history["share_coarse"][s, c, :, main]
            rows.append(
                {"network": sizes, "cost": cost, "draws": len(share)}
                | {
                    f"flat at {level:.0%} (%)": f"{share[:, k].mean():.1f}"
                    for level, k in at.items()
                }
                | {"95 % interval at 5%": f"{low:.1f} to {high:.1f}" if np.isfinite(low) else ""}
                | {"on half as many cells": f"{coarse.mean():.1f}"}
            )
    return rows


# ---------------------------------------------------------------- before training
def signal(history):
    """Draw the spread of tanh activations and gradients per layer, mean over networks."""
    quantities = {
        "activation_std": "std of z",
        "back_propagated_std": "std of dC/ds",
        "weight_gradient_std": "std of dC/dW",
    }
    fig, panels = _panels(3, height=2.8)
    said = []
    for axes, (name, title) in zip(panels, quantities.items(), strict=True):
        for scheme, values in _tanh(history, name):
            layers = history["layer"]
            mean = values[:, : len(layers)].mean(0)
            line = plots.LINES[scheme]
            axes.plot(layers, mean, line, color=plots.COLOURS["tanh"], label=scheme)
            said.append(f"{title} {scheme} {mean[0]:.2g} in layer 1, {mean[-1]:.2g} in the top one")
        axes.set(xlabel="layer", title=title, ylim=(0, None), xticks=layers)
    panels[0].legend()
    return fig, f"Tanh networks before training: {'; '.join(said)}."


def elsewhere(history):
    """Draw the spread of activations per layer on each data set, as `signal` does."""
    sets = history["data"].tolist()
    fig, panels = _panels(len(sets), height=2.8, sharey=True)
    said = []
    for axes, name in zip(panels, sets, strict=True):
        for scheme, values in _tanh(untrained.one_set(history, name), "activation_std"):
            mean = values.mean(0)
            line = plots.LINES[scheme]
            axes.plot(history["layer"], mean, line, color=plots.COLOURS["tanh"], label=scheme)
            said.append(f"{TITLES[name]} {scheme} {mean[0]:.2g} in layer 1, {mean[-1]:.2g} on top")
        axes.set(xlabel="layer", title=TITLES[name], ylim=(0, None), xticks=history["layer"])
    panels[0].set_ylabel("std of activations")
    panels[0].legend()
    return fig, f"Tanh networks before training, std of activations: {'; '.join(said)}."


def elsewhere_table(history):
    """Tabulate each data set as `signal_at_initialisation` is tabulated."""
    table = _networks("activation_std", "back_propagated_std", "weight_gradient_std")
    return [
        {"data": TITLES[name]} | row
        for name in history["data"].tolist()
        for row in table(untrained.one_set(history, name))
    ]


def spectra(history):
    """Draw the mean singular value of each layer's Jacobian before training, tanh networks."""
    fig, (axes,) = _panels(1)
    said = []
    for scheme, values in _tanh(history, "all_mean"):
        plots.run_band(
            axes,
            history["layer"],
            values.T,
            f"{scheme} ({len(values)} networks)",
            plots.COLOURS["tanh"],
            plots.LINES[scheme],
        )
        said.append(f"{scheme} {_list(values.mean(0), 3)}")
    axes.set(xlabel="layer", ylabel="mean singular value", xticks=history["layer"], ylim=(0, 1))
    axes.legend()
    return fig, f"Mean singular value of tanh layers' Jacobians, layer 1 up: {'; '.join(said)}."


def _tanh(history, name):
    tanh = history["activation"].tolist().index("tanh")
    schemes = history["scheme"].tolist()
    return [(scheme, history[name][tanh, place]) for place, scheme in enumerate(schemes)]


def _networks(*names):
    """Return a table of these quantities: a row an activation, scheme and layer."""

    def table(history):
        return [
            {"activation": str(activation), "scheme": str(scheme), "layer": int(layer)}
            | {"networks": len(history["network"])}
            | {name: f"{history[name][a, s, :, place].mean():.4g}" for name in names}
            for a, activation in enumerate(history["activation"])
            for s, scheme in enumerate(history["scheme"])
            for place, layer in enumerate(history["layer"])
        ]

    return table


SHOWN = {
    "fig02": (story, landmarks),
    "fig03": (saturation, saturation_table),
    "fig04": (histograms, histogram_table),
    "fig09": (gradients, gradient_table),
    "fig10": (saturation, saturation_table),
    "fig11": (errors, error_table),
    "fig12": (errors, error_table),
    "table1": (final_errors, error_table),
    "costs": (errors, error_table),
    "pretrained": (errors, error_table),
    "depths": (by_depth, error_table),
    "race_depth8": (errors, error_table),
    "sigmoid_rates": (rates, landmarks),
    "sigmoid_depth4_frozen": (story, landmarks),
    "sigmoid_depth5": (story, landmarks),
    "sigmoid_elsewhere": (story, landmarks),
    "jacobian_training": (jacobians, jacobian_table),
    "cost_surfaces": (cost_surfaces, plateau_table),
    "signal_at_initialisation": (
        signal,
        _networks("activation_std", "back_propagated_std", "weight_gradient_std"),
    ),
    "signal_elsewhere": (elsewhere, elsewhere_table),
    "jacobian_at_initialisation": (
        spectra,
        _networks("all_mean", "all_rms", "all_geometric_mean", "variance_ratio"),
    ),
}
