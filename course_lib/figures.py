"""The figure and the table of each experiment, from what `reproduce.run` returns.

A figure comes with its sentence, computed from the same arrays; a table is a list of rows, dicts
with the same keys. T are recorded updates, R runs, L hidden layers. Runs that diverged are left
out of both.
"""

from typing import NamedTuple

import numpy as np

from course_lib import criteria, criteria_layers, plots, results, untrained, verdicts
from course_lib.experiments import Curve

# Glorot & Bengio (2010), Table 1: test error in per cent, five hidden layers.
PAPER = {
    ("softsign", "standard"): {"shapeset": 16.27, "mnist": 1.64, "cifar10": 55.78},
    ("softsign", "normalized"): {"shapeset": 16.06, "mnist": 1.72, "cifar10": 53.8},
    ("tanh", "standard"): {"shapeset": 27.15, "mnist": 1.76, "cifar10": 55.9},
    ("tanh", "normalized"): {"shapeset": 15.60, "mnist": 1.64, "cifar10": 52.92},
    ("sigmoid", "standard"): {"shapeset": 82.61, "mnist": 2.21, "cifar10": 57.28},
}
TITLES = {
    "shapeset": "Shapeset-3x2",
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "cifar10_reencoded": "CIFAR-10, re-encoded",
}
SATURATED_STD = 0.5  # the ledger's sign that a tanh layer has saturated; 0.7 if normalized


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
    """Draw each layer's 98th percentile (markers) and standard deviation (lines), first seed."""
    found, update = curves(history), history["update"]
    fig, panels = _panels(len(found), sharey=True)
    said = []
    for axes, (curve, numbers) in zip(panels, found.items(), strict=True):
        spread = history["activation_std"][:, numbers[0]]
        high = history["activation_percentiles"][:, numbers[0], :, 0]
        for layer in range(spread.shape[1]):
            style = plots.layer_style(layer)
            axes.plot(update, spread[:, layer], color=style["color"], label=style["label"])
            axes.plot(update, high[:, layer], style["marker"], color=style["color"], markersize=2.5)
        axes.set(xlabel="update", title=curve.label, ylim=(0, 1.05))
        said.append(
            f"{curve.label}: from layer 1 up the standard deviations end at {_list(spread[-1])}, "
            f"the 98th percentiles at {_list(high[-1])}."
        )
    panels[0].set_ylabel("98th percentile (markers), std (lines)")
    panels[0].legend()
    return fig, f"Activations of each layer over {update[-1]} updates. {' '.join(said)}"


def saturation_table(history):
    """Tabulate each layer at the end: percentile, spread, and when it saturated."""
    update, rows = history["update"], []
    for curve, numbers in curves(history).items():
        spread = history["activation_std"][:, numbers]  # (T, R, L)
        limit = 0.7 if curve.scheme == "normalized" else SATURATED_STD
        for layer in range(curve.depth):
            times = [_first(update, spread[:, r, layer] >= limit) for r in range(len(numbers))]
            high = history["activation_percentiles"][-1, numbers, layer, 0]
            share = history["activation_saturated"][-1, numbers, layer]
            rows.append(
                {
                    "curve": curve.label,
                    "rate": _rate(history, numbers),
                    "layer": layer + 1,
                    "seeds": len(numbers),
                    "98th percentile": f"{high.mean():.3f}",
                    "std": f"{spread[-1, :, layer].mean():.3f}",
                    "saturated (%)": f"{100 * share.mean():.1f}",
                    f"std reaches {SATURATED_STD} (0.7 if N) at update": ", ".join(
                        map(_whole, times)
                    ),
                }
            )
    return rows


def _first(update, yes):
    return update[np.argmax(yes)] if yes.any() else np.nan


def histograms(history):
    """Draw the histograms of each layer's activations at the end, mean over seeds."""
    found = curves(history)
    centre = _centres(history)
    fig, panels = _panels(len(found), sharey=True)
    said = []
    for axes, (curve, numbers) in zip(panels, found.items(), strict=True):
        share = _shares(history, numbers)  # (L, bins)
        plots.layer_lines(axes, centre, 100 * share.T, markers=len(centre))
        axes.set(xlabel="activation", title=curve.label)
        modes = centre[share.argmax(1)]
        said.append(f"{curve.label}: the most frequent value of layers 1 up is {_list(modes)}.")
    panels[0].set_ylabel("share of activations (%)")
    panels[0].legend()
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
def errors(history):
    """Draw the test error against the examples seen, both logarithmic, one panel a data set."""
    found = curves(history)
    sets = list(dict.fromkeys(curve.data for curve in found))
    fig, panels = _panels(len(sets), height=3.4)
    update, error = (history[_on_the_way(history) + name] for name in ("update", "error"))
    seen = update[1:] * results.runs(history)[0]["batch_size"]
    said = []
    for axes, data in zip(panels, sets, strict=True):
        for curve, numbers in found.items():
            if curve.data != data:
                continue
            values = 100 * error[1:, numbers]
            line = plots.LINES[curve.scheme] if curve.depth != 4 else "-."
            label = f"{curve.label} ({len(numbers)} seeds)"
            plots.run_band(axes, seen, values, label, plots.COLOURS[curve.activation], line)
            said.append(f"{curve.label} {values[-1].mean():.1f} % on {TITLES[data]}")
        axes.set(xscale="log", yscale="log", xlabel="examples seen", title=TITLES[data])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    panels[0].set_ylabel("test error (%)")
    panels[0].legend(fontsize=7)
    return fig, f"Test error against examples seen; after {seen[-1]} examples {', '.join(said)}."


def _on_the_way(history):
    """Return the prefix of what was recorded on the test set along an error curve."""
    return "way_" if "way_error" in history else ""


def error_table(history):
    """Tabulate the final test error of each curve, with its 95 % interval over seeds."""
    rows = []
    for curve, numbers in curves(history).items():
        error = 100 * _final_error(history)[numbers]
        low, high = verdicts.interval(error)
        paper = _paper(curve)
        rows.append(
            {
                "data": TITLES[curve.data],
                "curve": curve.label,
                "rate": _rate(history, numbers),
                "seeds": len(error),
                "test error (%)": f"{error.mean():.2f}",
                "95 % interval": f"{low:.2f} to {high:.2f}" if np.isfinite(low) else "",
                "in the paper": f"{paper:.2f}" if paper else "",
            }
        )
    return rows


def _final_error(history):
    """Return the error of each run at the end, on as many test examples as were used: (R,)."""
    if "test_error" not in history:
        return history["error"][-1]
    error = history["test_error"]
    return error if error.ndim == 1 else error[-1]


def _paper(curve):
    numbers = PAPER.get((curve.activation, curve.scheme), {})
    return numbers.get(curve.data.removesuffix("_reencoded")) if curve.depth == 5 else None


def final_errors(history):
    """Draw Table 1: our final errors with intervals over seeds beside the paper's numbers."""
    found = curves(history)
    sets = list(dict.fromkeys(curve.data for curve in found))
    fig, panels = _panels(len(sets), height=3.2)
    said = []
    for axes, data in zip(panels, sets, strict=True):
        shown = [curve for curve in found if curve.data == data]
        for place, curve in enumerate(shown):
            error = 100 * _final_error(history)[found[curve]]
            low, high = verdicts.interval(error)
            colour = plots.COLOURS[curve.activation]
            axes.plot([low, high], [place, place], color=colour)
            axes.plot(error.mean(), place, "o", color=colour, label="here" if not place else None)
            if paper := _paper(curve):
                label = "paper" if not place else None
                axes.plot(paper, place, "D", color=plots.INK, fillstyle="none", label=label)
            said.append(f"{curve.label} on {TITLES[data]} {error.mean():.1f} %")
        axes.set_yticks(range(len(shown)), [curve.label for curve in shown], fontsize=7)
        axes.set(xlabel="test error (%)", title=TITLES[data])
    panels[0].legend()
    return fig, f"Final test errors beside the paper's: {', '.join(said)}."


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
    "depths": (errors, error_table),
    "race_depth8": (errors, error_table),
    "sigmoid_rates": (rates, landmarks),
    "sigmoid_depth4_frozen": (story, landmarks),
    "sigmoid_depth5": (story, landmarks),
    "sigmoid_elsewhere": (story, landmarks),
    "jacobian_training": (jacobians, jacobian_table),
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
