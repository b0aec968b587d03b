"""Figures 5 to 8: networks that have not been trained, and cost surfaces, drawn.

Drawings return a figure with its sentence, tables a list of rows, as in `figures_layers`.
"""

import numpy as np

from course_lib import plots, surfaces, untrained, verdicts
from course_lib.datasets import TITLES
from course_lib.verdicts import listed

# ---------------------------------------------------------------- Figure 5
COST_TITLES = {"cross_entropy": "Cross-entropy (nats)", "quadratic": "Quadratic cost"}


def cost_surfaces(history):
    """Draw both costs over two weights, first draw, flat patches light."""
    fig, panels = plots.row(2, height=3.4, subplot_kw={"projection": "3d"})
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


# ---------------------------------------------------------------- Figures 6 to 8, Jacobians
QUANTITIES = {
    "activation_std": "std of z",
    "back_propagated_std": "std of dC/ds",
    "weight_gradient_std": "std of dC/dW",
}


def signal(history):
    """Draw the spread of tanh activations and gradients per layer, mean over networks."""
    fig, panels = plots.row(3, height=2.8)
    said = []
    for axes, (name, title) in zip(panels, QUANTITIES.items(), strict=True):
        said += _spread(axes, history, name, title)
    panels[0].legend()
    return fig, f"Tanh networks before training: {'; '.join(said)}."


def _spread(axes, history, name, title):
    """Draw a quantity of tanh networks, layer by layer; return what is seen of each scheme."""
    layers, said = history["layer"], []
    for scheme, values in _tanh(history, name):
        mean = values[:, : len(layers)].mean(0)
        line = plots.LINES[scheme]
        axes.plot(layers, mean, line, color=plots.COLOURS["tanh"], label=scheme)
        said.append(f"{title} {scheme} {mean[0]:.2g} in layer 1, {mean[-1]:.2g} in the top one")
    axes.set(xlabel="layer", title=title, ylim=(0, None), xticks=layers)
    return said


def signal_table(history):
    """Tabulate these spreads, mean over networks: a row an activation, scheme and layer."""
    return _table(history, *QUANTITIES)


def elsewhere(history):
    """Draw the spread of activations per layer on each data set, as `signal` does."""
    sets = history["data"].tolist()
    fig, panels = plots.row(len(sets), height=2.8, sharey=True)
    said = []
    for axes, name in zip(panels, sets, strict=True):
        said += _spread(axes, untrained.one_set(history, name), "activation_std", TITLES[name])
    panels[0].set_ylabel("std of activations")
    panels[0].legend()
    return fig, f"Tanh networks before training, std of activations: {'; '.join(said)}."


def elsewhere_table(history):
    """Tabulate each data set as `signal_table` does."""
    return [
        {"data": TITLES[name]} | row
        for name in history["data"].tolist()
        for row in signal_table(untrained.one_set(history, name))
    ]


def spectra(history):
    """Draw the mean singular value of each layer's Jacobian before training, tanh networks."""
    fig, (axes,) = plots.row(1)
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
        said.append(f"{scheme} {listed(values.mean(0), 3)}")
    axes.set(xlabel="layer", ylabel="mean singular value", xticks=history["layer"], ylim=(0, 1))
    axes.legend()
    return fig, f"Mean singular value of tanh layers' Jacobians, layer 1 up: {'; '.join(said)}."


def spectra_table(history):
    """Tabulate what C16 and C28 compare, as `signal_table` does."""
    return _table(history, "all_mean", "all_rms", "all_geometric_mean", "variance_ratio")


def _tanh(history, name):
    tanh = history["activation"].tolist().index("tanh")
    schemes = history["scheme"].tolist()
    return [(scheme, history[name][tanh, place]) for place, scheme in enumerate(schemes)]


def _table(history, *names):
    return [
        {"activation": str(activation), "scheme": str(scheme), "layer": int(layer)}
        | {"networks": len(history["network"])}
        | {name: f"{history[name][a, s, :, place].mean():.4g}" for name in names}
        for a, activation in enumerate(history["activation"])
        for s, scheme in enumerate(history["scheme"])
        for place, layer in enumerate(history["layer"])
    ]
