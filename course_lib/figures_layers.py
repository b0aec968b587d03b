"""Figures 2, 3, 4, 9 and 10: what happens in the layers of networks during training, drawn.

A drawing takes a history and returns the figure with its sentence, computed from the same arrays; a
table is a list of rows, dicts with the same keys. T are recorded updates, R runs, L hidden layers.
Runs that diverged are left out of both.
"""

import numpy as np

from course_lib import criteria, criteria_layers, experiments, plots, results, verdicts_layers
from course_lib.criteria_before import largest_to_smallest
from course_lib.verdicts import listed


# ---------------------------------------------------------------- Figure 2
def story(history):
    """Draw a sigmoid network's activations: mean and spread per layer, and the top one's means."""
    update, mean = history["update"], history["activation_mean"]
    numbers = [n for found in experiments.curves(history).values() for n in found]
    fig, (left, right) = plots.row(2)
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
        f"{listed(mean[-1, first])} from layer 1 up. Right: mean of the top hidden layer in "
        f"{len(numbers)} runs; at its lowest {listed(top.min(0), 4)}, at the end "
        f"{listed(top[-1], 4)}."
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
        for found in experiments.curves(history).values()
        for number in found
    ]


def _whole(update):
    return f"{update:.0f}" if np.isfinite(update) else "never"


# ---------------------------------------------------------------- Figures 3, 4 and 10
def saturation(history):
    """Draw each layer's 98th percentile (markers) and standard deviation (lines), tanh on top."""
    update, said = history["update"], []
    fig, panels, found = _stacked(history)
    for axes, (curve, numbers) in zip(panels, found.items(), strict=True):
        std = history["activation_std"][:, numbers, : curve.depth]
        high = history["activation_percentiles"][..., 0][:, numbers, : curve.depth]
        plots.saturation(axes, update, std, high)
        axes.set_title(_title(history, curve, numbers))
        times = criteria_layers.reaches(update, std, criteria_layers.level(curve.scheme))
        said.append(
            f"{curve.label}, {len(numbers)} seeds, layer 1 up: standard deviations end at "
            f"{listed(std[-1].mean(0))}, 98th percentiles at {listed(high[-1].mean(0))}; the "
            f"former reach {criteria_layers.level(curve.scheme)} at update "
            f"{verdicts_layers.layer_times(times, update[-1])}."
        )
    fig.supylabel("98th percentile (markers), std (lines)", fontsize=9.5)
    panels[-1].set_xlabel("epochs of 20,000 updates")
    return fig, f"Activations of each layer over {update[-1]:,} updates. {' '.join(said)}"


def _stacked(history, height=2.3):
    """Return a figure with a panel a curve, one above the other, and the panels and the curves."""
    found = experiments.curves(history)
    shape = {"sharex": True, "sharey": True, "squeeze": False}
    fig, panels = plots.figure(len(found), height=0.7 + height * len(found), **shape)
    return fig, panels[:, 0], found


def saturation_table(history):
    """Tabulate each layer at the end: percentile, spread, saturated share, and when it saturated.

    As C08 to C10 and C19 ask for: the time that the std takes to its level, and to half its rise.
    """
    update, rows = history["update"], []
    for curve, numbers in experiments.curves(history).items():
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
        axes.set_title(_title(history, curve, numbers))
        modes = criteria_layers.modes(edges, shares.mean(0))
        ends = 100 * criteria_layers.beyond(edges, shares).mean(0)
        said.append(
            f"{curve.label}, {len(numbers)} seeds, layer 1 up: the fullest bin of the absolute "
            f"value is around {listed(modes)}; {listed(ends, 0)} % lie beyond 0.9."
        )
    panels[0].legend()
    fig.supylabel("share of activations (%)", fontsize=9.5)
    panels[-1].set_xlabel("activation")
    return fig, f"Histograms of activations at the end of training. {' '.join(said)}"


def histogram_table(history):
    """Tabulate how much of each layer's activations lie at the ends, the knees and the middle."""
    edges, rows = history["bins_activation_edges"], []
    centre = (edges[1:] + edges[:-1]) / 2
    regions = {
        "|z| >= .9 (%)": abs(centre) > 0.9,
        ".5 <= |z| < .9 (%)": (abs(centre) > 0.5) & (abs(centre) < 0.9),
        "|z| < .1 (%)": abs(centre) < 0.1,
    }
    for curve, numbers in experiments.curves(history).items():
        shares = history["bins_activation_histogram"][-1, numbers, : curve.depth].mean(0)
        for layer, share in enumerate(shares):
            rows.append(
                {"curve": curve.label, "rate": _rate(history, numbers), "layer": layer + 1}
                | {"seeds": len(numbers), "mode": f"{centre[share.argmax()]:.2f}"}
                | {name: f"{100 * share[inside].sum():.1f}" for name, inside in regions.items()}
            )
    return rows


# ---------------------------------------------------------------- Figure 9
def gradients(history):
    """Draw the standard deviation of each hidden layer's weight gradients, standard on top."""
    found = dict(
        sorted(experiments.curves(history).items(), key=lambda item: item[0].scheme != "standard")
    )
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
        axes.set(title=_title(history, curve, numbers), ylabel="std of dC/dW")
        first, last = (largest_to_smallest(own[place]) for place in (0, -1))
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
    for curve, numbers in experiments.curves(history).items():
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


# ---------------------------------------------------------------- Jacobians in training
def jacobians(history):
    """Draw the mean singular value of each layer's Jacobian during training, mean over seeds."""
    found, update = experiments.curves(history), history["jacobian_update"]
    fig, panels = plots.row(len(found), sharey=True)
    said = []
    for axes, (curve, numbers) in zip(panels, found.items(), strict=True):
        values = history["jacobian_mean"][:, numbers, : curve.depth].mean(1)
        plots.layer_lines(axes, update[1:], values[1:])
        axes.set(xscale="log", xlabel="update", title=curve.label)
        said.append(
            f"{curve.label}: from layer 1 up {listed(values[0])} at first, {listed(values[-1])} "
            f"after {update[-1]} updates."
        )
    panels[0].set_ylabel("mean singular value")
    panels[0].legend()
    return fig, f"Mean singular value of each layer's Jacobian. {' '.join(said)}"


def jacobian_table(history):
    """Tabulate the mean singular values and errors at the end, mean over seeds."""
    rows = []
    for curve, numbers in experiments.curves(history).items():
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


def _title(history, curve, numbers):
    return f"{curve.label}, rate {_rate(history, numbers):g}"


def _rate(history, numbers):
    return results.runs(history)[numbers[0]]["learning_rate"]
