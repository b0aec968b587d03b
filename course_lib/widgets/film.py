"""Training film: scrub and play through recorded trainings, layer by layer."""

import base64
import functools
import json
import zlib

import numpy as np
import traitlets

from course_lib import films, plots, results
from course_lib.widgets import base

QUANTITIES = {
    "saturated": "saturated activations (%)",
    "std": "standard deviation",
    "gradient": "std of dC/ds",
    "weight_gradient": "std of dC/dW",
}
SCHEMES = ("standard", "normalized")
# What a frame shows of a layer, in the order in which the page unpacks it.
_LAYERED = (
    "activation_mean",
    "activation_std",
    "activation_percentiles",
    "activation_saturated",
    *films.LOGARITHMS,
    films.LARGEST,
)


class TrainingFilm(base.Widget):
    """Recorded trainings on Shapeset-3x2, frame by frame: what every layer does, and the error.

    Parameters
    ----------
    activation : "sigmoid", "tanh" or "softsign";  depth : int, 1 to 5 hidden layers of 100 units
    scheme : "standard" or "normalized";  seed : 0, 1 or 2
    update : int, one of `films.frames`
    quantity : "saturated", "std", "gradient" or "weight_gradient", drawn over the whole training
    compare : bool, show the other scheme beside it;  logarithmic : bool, heights of histograms
    speed : "slow", "normal" or "fast", of playing

    Notes
    -----
    `films.load` returns the same numbers, `films.Film` says what each of them is.
    """

    name = "film"
    parts = ("stage",)
    activation = traitlets.Enum(("sigmoid", "tanh", "softsign"), "tanh").tag(sync=True)
    depth = traitlets.Int(5, min=1, max=5).tag(sync=True)
    scheme = traitlets.Enum(SCHEMES, "standard").tag(sync=True)
    seed = traitlets.Int(0, min=0, max=2).tag(sync=True)
    update = traitlets.Enum(films.frames(), 0).tag(sync=True)
    quantity = traitlets.Enum(tuple(QUANTITIES), "saturated").tag(sync=True)
    compare = traitlets.Bool(False).tag(sync=True)
    logarithmic = traitlets.Bool(False).tag(sync=True)
    speed = traitlets.Enum(("slow", "normal", "fast"), "normal").tag(sync=True)

    @classmethod
    def data(cls):
        return _data()

    def film(self, scheme=None):
        """Return the `films.Film` that is shown, or the one with another scheme."""
        return films.load(self.activation, self.depth, scheme or self.scheme, self.seed)

    def measure(self):
        """Return the numbers of this state as the page shows them, from the shipped film.

        Returns
        -------
        dict
            `update`, and for each scheme that is shown a dict: `mean`, `std`, `saturated`,
            `gradient`, `weight_gradient` (L,), `percentiles` (L, 3), `histogram` (L, bins),
            `error`, `cost` and `rate`.
        """
        shown = {"update": self.update}
        for scheme in self._schemes():
            film = self.film(scheme)
            now = film.update.tolist().index(self.update)
            arrays = ("mean", "std", "percentiles", "saturated", "gradient", "weight_gradient")
            shown[scheme] = {name: getattr(film, name)[now].tolist() for name in arrays}
            shown[scheme] |= {
                "histogram": film.histogram[now].tolist(),
                "error": float(film.error[now]),
                "cost": float(film.cost[now]),
                "rate": film.rate,
            }
        return shown

    def _schemes(self):
        other = SCHEMES[self.scheme == SCHEMES[0]]
        return (self.scheme, other) if self.compare else (self.scheme,)

    def still(self):
        schemes = self._schemes()
        shape = {"height": 0.6 + 2.6 * len(schemes), "squeeze": False}
        fig, panels = plots.figure(len(schemes), 2, **shape)
        said = []
        for (left, right), scheme in zip(panels, schemes, strict=True):
            film = self.film(scheme)
            now = film.update.tolist().index(self.update)
            plots.layer_histograms(left, film.edges, film.histogram[[now]])
            ends = film.edges[0], 1
            left.set(xlim=ends, xticks=np.linspace(*ends, 5), ylabel="share of activations (%)")
            left.set(xlabel="activation", title=f"{scheme} weights, update {self.update:,}")
            values = getattr(film, self.quantity) * (100 if self.quantity == "saturated" else 1)
            plots.layer_lines(right, film.update, values)
            right.set_xscale("symlog", linthresh=1, linscale=0.5)
            right.set(xlabel="update", title=QUANTITIES[self.quantity])
            right.axvline(self.update, color=plots.INK, linewidth=1, linestyle=":")
            said.append(
                f"with {scheme} weights, after {_in_words(film, now)}; after {_in_words(film, -1)}"
            )
        if "gradient" in self.quantity:
            for right in panels[:, 1]:
                right.set_yscale("log")
        limits = [right.get_ylim() for right in panels[:, 1]]
        for right in panels[:, 1]:
            right.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        handles, labels = panels[0, 1].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=self.depth, frameon=False)
        layers = "1 hidden layer" if self.depth == 1 else f"{self.depth} hidden layers"
        return fig, f"{layers} of 100 {self.activation} units, seed {self.seed}: {'; '.join(said)}."


def _in_words(film, now):
    shares = ", ".join(f"{100 * share:.0f}" for share in film.saturated[now])
    return (
        f"{film.update[now]:,} updates {shares} % of the activations are saturated, from layer 1"
        f" up, and the test error is {100 * film.error[now]:.0f} %"
    )


@functools.cache
def _data():
    """Return all films as a JavaScript constant: numbers deflated, as base64."""
    stored = films.shipped()
    kept = [
        [run["activation"], run["depth"], run["scheme"], run["seed"], run["learning_rate"]]
        for run in results.runs(stored)
    ]
    found = {
        "frames": films.frames(),
        "edges": stored["activation_edges"].tolist(),
        "roots": films.ROOTS,
        "films": [[*one, films.rate_from(*one[:3])] for one in kept],
        "packed": base64.b64encode(zlib.compress(_packed(stored), 9)).decode(),
    }
    return f"const FILMS = {json.dumps(found, separators=(',', ':'))};"


def _packed(stored):
    """Return the numbers of the films as bytes.

    Three tables: histograms (N, T, bins), the numbers of `_LAYERED` (N, T, 9), and error and cost
    (R, T, 2), where N counts the layers of all films. Of each table all low bytes, then all high
    bytes, of differences in time, written as 2 n if n is not negative and else -2 n - 1: nearly all
    of them are small.
    """
    depth = np.array([run["depth"] for run in results.runs(stored)])
    there = np.arange(depth.max()) < depth[:, None]
    layered = [stored[name][there] for name in _LAYERED]  # (N, T) or (N, 3, T)
    columns = np.concatenate([own.reshape(len(own), -1, own.shape[-1]) for own in layered], 1)
    bins = stored["activation_histogram"][there]
    ends = np.stack([stored["way_error"], stored["way_cost"]], 1)
    found = b""
    for table in (bins, columns, ends):
        step = np.diff(np.swapaxes(table.astype(np.int64), 1, 2), axis=1, prepend=0)
        code = np.where(step >= 0, 2 * step, -2 * step - 1)
        found += (code & 255).astype(np.uint8).tobytes() + (code >> 8).astype(np.uint8).tobytes()
    return found
