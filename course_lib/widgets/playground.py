"""Playground: two networks learn Shapeset-3x2 in the page, side by side on the same pictures."""

import json

import torch
import traitlets

from course_lib import init, instruments, models, plots, shapeset, training
from course_lib.widgets import base

RACERS = ("a", "b")
BATCH = 10
HELD_OUT, HELD_OUT_SEED = 1_000, 1  # pictures that the error is measured on
WATCHED = 300  # of them are looked at layer by layer, as many as in the paper
ACTIVATIONS = ("sigmoid", "tanh", "softsign", "relu")
WIDTHS = (20, 50, 100, 200)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
STOPS = (100, 1_000, 3_000, 10_000, 20_000, 50_000, 100_000, 200_000)
KEYS = ("depth", "width", "activation", "scheme", "rate")  # of one network
# The races that one click sets up and starts: network A, network B.
RACES = {
    name: [dict(zip(KEYS, network, strict=True)) for network in pair]
    for name, pair in {
        "Standard against normalized": (
            (5, 100, "tanh", "standard", 0.01),
            (5, 100, "tanh", "normalized", 0.01),
        ),
        "Sigmoid against softsign": (
            (5, 100, "sigmoid", "normalized", 0.1),
            (5, 100, "softsign", "normalized", 0.1),
        ),
        "One layer against five": (
            (1, 100, "tanh", "normalized", 0.03),
            (5, 100, "tanh", "normalized", 0.03),
        ),
        "Small rate against large": (
            (5, 100, "softsign", "standard", 0.01),
            (5, 100, "softsign", "standard", 0.1),
        ),
    }.items()
}
STILL = 1_000  # updates that the still picture is drawn after


class Playground(base.Widget):
    """Two networks, A and B, that train in the page on the same pictures of Shapeset-3x2.

    Parameters
    ----------
    a_depth, b_depth : int, 1 to 8 hidden layers;  a_width, b_width : 20, 50, 100 or 200 units
    a_activation, b_activation : "sigmoid", "tanh", "softsign" or "relu"
    a_scheme, b_scheme : "standard" or "normalized";  a_rate, b_rate : learning rate, 0.003 to 1
    seed : int, 0 to 99, of both networks and of the pictures they learn from
    updates : where the race stops by itself, 100 to 200,000

    Notes
    -----
    Each is ``models.MLP(..., seed=seed)``, trained as by `training.train` on
    ``shapeset.Stream(10, seed)`` with the cross-entropy, in float64.
    """

    name = "playground"
    parts = ("core", "shapeset", "stage")
    a_depth = traitlets.Int(5, min=1, max=8).tag(sync=True)
    a_width = traitlets.Enum(WIDTHS, 100).tag(sync=True)
    a_activation = traitlets.Enum(ACTIVATIONS, "tanh").tag(sync=True)
    a_scheme = traitlets.Enum(init.SCHEMES, "standard").tag(sync=True)
    a_rate = traitlets.Enum(RATES, 0.01).tag(sync=True)
    b_depth = traitlets.Int(5, min=1, max=8).tag(sync=True)
    b_width = traitlets.Enum(WIDTHS, 100).tag(sync=True)
    b_activation = traitlets.Enum(ACTIVATIONS, "tanh").tag(sync=True)
    b_scheme = traitlets.Enum(init.SCHEMES, "normalized").tag(sync=True)
    b_rate = traitlets.Enum(RATES, 0.01).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=99).tag(sync=True)
    updates = traitlets.Enum(STOPS, 20_000).tag(sync=True)

    @classmethod
    def race(cls, name, **state):
        """Return the widget with the two networks of one of `RACES`."""
        if name not in RACES:
            raise ValueError(f"no race {name!r}; choose one of {', '.join(RACES)}")
        pair = zip(RACERS, RACES[name], strict=True)
        chosen = {f"{r}_{key}": value for r, own in pair for key, value in own.items()}
        return cls(**chosen | state)

    @classmethod
    def data(cls):
        return f"const RACES = {json.dumps(RACES)};"

    def measure(self, updates, every=None, dtype=torch.float64):
        """Train with course_lib as the page trains with JavaScript, and look at the same pictures.

        Parameters
        ----------
        updates : int, how many;  every : int, look after each so many, else at the end alone

        Returns
        -------
        dict of "a" and "b" to dict
            `update` and `error` (T,) on the held-out pictures; `cost` (C,) of each 100
            mini-batches; at the end `saturation` and `gradient` (d,), the standard deviation of
            dC/ds^i, of each hidden layer.
        """
        return {
            racer: self._train(racer, updates, every or max(updates, 1), dtype) for racer in RACERS
        }

    def _spec(self, racer):
        return {key: getattr(self, f"{racer}_{key}") for key in KEYS}

    def _train(self, racer, updates, every, dtype):
        spec = self._spec(racer)
        images, labels = shapeset.sample(HELD_OUT, HELD_OUT_SEED)
        sizes = [images.shape[1], *spec["depth"] * [spec["width"]], len(shapeset.CLASSES)]
        model = models.MLP(sizes, spec["activation"], 1, spec["scheme"], self.seed, dtype=dtype)
        error = instruments.Monitor(images, labels, instruments.every(every), ["error"])
        stream = shapeset.Stream(BATCH, self.seed)
        history = training.train(
            model, stream, updates, spec["rate"], monitors=[error], progress=False
        )
        quantities = ("activation_saturated", "back_propagated_std")
        saturated, std = instruments.measure(
            model, images[:WATCHED], labels[:WATCHED], quantities
        ).values()
        return {
            "update": history["update"].tolist(),
            "error": history["error"][:, 0].tolist(),
            "cost": history["train_cost"][:, 0].tolist(),
            "saturation": saturated[0].tolist(),
            "gradient": std[0, :-1].tolist(),
        }

    def still(self):
        found = self.measure(STILL, every=100, dtype=torch.float32)
        fig, axes = plots.row(2, height=3.0)
        said = []
        for racer, marker in zip(RACERS, "os", strict=True):
            spec, own = self._spec(racer), found[racer]
            error = [100 * share for share in own["error"]]
            colour = plots.COLOURS[spec["activation"]]
            line = {"color": colour, "linestyle": plots.LINES[spec["scheme"]]}
            look = {"marker": marker, "markevery": [-1], "label": racer.upper(), **line}
            axes[0].plot(own["update"], error, **look)
            layer = range(1, spec["depth"] + 1)
            axes[1].plot(layer, own["gradient"], **look | {"markevery": 1})
            said.append(
                f"{racer.upper()}, {spec['depth']} layers of {spec['width']} {spec['activation']}"
                f" units with {spec['scheme']} weights at a rate of {spec['rate']:g}, errs on"
                f" {error[-1]:.1f} %"
            )
        axes[0].set(title="Error on held-out pictures", xlabel="updates of 10 pictures")
        axes[0].set(ylabel="error (%)")
        axes[1].set(title="Size of gradients dC/ds", xlabel="hidden layer", yscale="log")
        for ax in axes:
            ax.legend()
        return (
            fig,
            f"After {STILL:,} updates {said[0]} of {HELD_OUT:,} held-out pictures; {said[1]}.",
        )
