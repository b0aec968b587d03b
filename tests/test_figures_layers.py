"""Layers in training, drawn and tabulated from planted records."""

import dataclasses

import numpy as np

from course_lib import figures, figures_layers
from course_lib.experiments import Curve
from course_lib.training import History


def test_histograms_are_read_by_region():
    edges = np.linspace(-1, 1, 21)
    share = np.full((1, 1, 2, 20), np.nan)  # joined with deeper networks, it lacks a layer
    share[0, 0, 0] = 0
    share[0, 0, 0, [0, 9, 10, 16]] = 0.1, 0.2, 0.3, 0.4  # -.95, -.05, .05, .65
    run = dataclasses.asdict(Curve("tanh", depth=1)) | {"learning_rate": 0.1, "seed": 0}
    arrays = {"bins_activation_histogram": share, "bins_activation_edges": edges}
    history = History(arrays | {"diverged": np.array([-1])}, {}, {"runs": [run]})
    (row,) = figures_layers.histogram_table(history)
    assert row["mode"] == "0.65"
    regions = [row[k] for k in ("|z| >= .9 (%)", ".5 <= |z| < .9 (%)", "|z| < .1 (%)")]
    assert regions == ["10.0", "40.0", "50.0"]


def test_gradients_are_drawn_and_tabulated_layer_by_layer():
    """Two curves, two seeds, four layers beside the output's, three records."""
    runs = [
        dataclasses.asdict(Curve("tanh", scheme, depth=4)) | {"learning_rate": 0.1, "seed": seed}
        for seed in (0, 1)
        for scheme in ("normalized", "standard")  # as `results.join` orders them
    ]
    weight = np.ones((3, 4, 5))
    weight[..., 4] = 100  # the output layer's is no part of it
    weight[-1, 1, 0], weight[-1, 3, 2] = 4, 0.5  # of the standard runs
    back = np.ones((3, 4, 5))
    back[0, :, 0], back[1, 0, 0] = 0.1, 0.5
    arrays = {"update": np.array([0, 10, 1_000]), "diverged": np.full(4, -1)}
    arrays |= {"weight_gradient_std": weight, "back_propagated_std": back}
    arrays |= {"batch_weight_gradient_std": 0.03 * weight, "batch_weight_std": np.ones((3, 4, 5))}
    history = History(arrays, {}, {"runs": runs})
    shown = figures.show("fig09", history)
    top, below = shown.figure.axes
    assert top.get_title().startswith("tanh, depth 4") and "N" in below.get_title()
    assert [line.get_ydata()[-1] for line in top.get_lines()[:4]] == [2.5, 1, 0.75, 1]
    assert "tanh, depth 4, 2 seeds" in shown.alt and "1.00 before training and 3.00" in shown.alt
    normalized, _, standard, _ = shown.rows
    assert (standard["curve"], standard["seed"]) == ("tanh, depth 4", 0)
    assert standard["dC/dW, largest/smallest at the end"] == "4"
    assert standard["dC/ds, layer 1/top at first"] == "0.1"
    assert standard["dC/ds of layer 1 reaches the top's at update"] == "10"
    assert normalized["dC/ds of layer 1 reaches the top's at update"] == "1000"
    (share,) = (value for name, value in standard.items() if "share" in name)
    assert share == "12, 3, 3, 3"
