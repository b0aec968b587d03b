"""Jacobian spectrum: the singular values of a product of layers, beside the law for wide ones."""

import numpy as np
import torch
import traitlets
from matplotlib.ticker import LogLocator, NullFormatter

from course_lib import activations, jacobian, models, plots, theory
from course_lib.widgets import base

INPUT_SEED = 10_000  # added to the network's, so that input and weights differ
INPUTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
RESOLVED = 1e-13  # of the largest singular value: what is smaller is rounding
TENTH = 0.1
WIDTHS = (20, 50, 100, 200)
DEEPEST = 20


class JacobianSpectrum(base.Widget):
    """The singular values of dz^d/dz^0, a product of d layers' Jacobians, Eq. (17), and their law.

    Parameters
    ----------
    activation : str, of `activations.NAMES`
    scheme : "standard", "normalized" or "gain": weights of variance gain^2/fan_in
    gain : float, 0.1 to 3, used by the scheme "gain" alone
    depth : int, 1 to 20 layers;  width : 20, 50, 100 or 200 units in each, and inputs
    input_variance : 0.01, 0.03, 0.1, 0.3, 1, 3 or 10, of the one input, which is Gaussian
    seed : int, 0 to 99, of the network;  axis : "linear" or "log", of the singular values
    law : "expected", from ``|x|^2`` alone, or "measured", from this network's own pre-activations
    """

    name = "jacobian"
    parts = ("core", "spectra", "stage")
    activation = traitlets.Enum(activations.NAMES, "tanh").tag(sync=True)
    scheme = traitlets.Enum(("standard", "normalized", "gain"), "normalized").tag(sync=True)
    gain = traitlets.Float(1.0, min=0.1, max=3.0).tag(sync=True)
    depth = traitlets.Int(5, min=1, max=DEEPEST).tag(sync=True)
    width = traitlets.Enum(WIDTHS, 100).tag(sync=True)
    input_variance = traitlets.Enum(INPUTS, 0.3).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=99).tag(sync=True)
    axis = traitlets.Enum(("linear", "log"), "log").tag(sync=True)
    law = traitlets.Enum(("expected", "measured"), "expected").tag(sync=True)

    def measure(self):
        """Compute with course_lib what the page computes with JavaScript: its `readings`.

        Returns
        -------
        dict
            Of the singular values `mean`, `rms`, `largest`, `smallest`, `condition` number, share
            `below_tenth`, share of `zeros`; the first four but `smallest`, and the shares, with
            ``law_`` in front. `smallest` is None where rounding hides it, `condition` also where
            there are zeros. `means` and `largests` (d,), with their laws', of 1 .. d layers;
            `pre_activation` (d,): mean squares that the law is for.
        """
        return self._compute()[0]

    def _compute(self):
        """Return the readings, the singular values and their law."""
        model, trace = self._network()
        n, d = self.width, self.depth
        found = [torch.linalg.svdvals(jacobian.product(model, trace, 0, k)[0]) for k in range(d)]
        s = found[-1].numpy()
        active = min(int((jacobian.slopes(model, trace, i) > 0).sum()) for i in range(d))
        zeros = 1 - active / n
        smallest = 0.0 if zeros else float(s[-1]) if s[-1] > RESOLVED * s[0] else None
        variances, t = np.full(d, self._variance()), self._sizes(trace)
        laws = [
            theory.product_law(n, variances[:k], self.activation, t[:k]) for k in range(1, d + 1)
        ]
        readings = {
            "mean": float(s.mean()),
            "rms": float(np.sqrt((s**2).mean())),
            "largest": float(s[0]),
            "smallest": smallest,
            "condition": float(s[0]) / smallest if smallest else None,
            "below_tenth": float((s < TENTH).mean()),
            "zeros": zeros,
            "law_mean": laws[-1].mean,
            "law_rms": laws[-1].rms,
            "law_largest": laws[-1].edge,
            "law_below_tenth": float(laws[-1].cumulative(TENTH)),
            "law_zeros": laws[-1].zeros,
            "means": [float(own.mean()) for own in found],
            "largests": [float(own[0]) for own in found],
            "law_means": [law.mean for law in laws],
            "law_largests": [law.edge for law in laws],
            "pre_activation": t.tolist(),
        }
        return readings, s, laws[-1]

    def _variance(self):
        if self.scheme == "gain":
            return self.gain**2 / self.width
        return theory.weight_variance(self.scheme, self.width, self.width)

    def _network(self):
        n, drawn = self.width, "standard" if self.scheme == "gain" else self.scheme
        sizes = [*(self.depth + 1) * [n], 1]  # the last layer stands for the outputs
        model = models.MLP(
            sizes, self.activation, scheme=drawn, seed=self.seed, dtype=torch.float64
        )
        scale = (self._variance() / theory.weight_variance(drawn, n, n)) ** 0.5
        for weight in model.weights[:-1]:
            weight.mul_(scale)
        generator = torch.Generator().manual_seed(INPUT_SEED + self.seed)
        x = torch.randn(1, n, generator=generator, dtype=torch.float64)
        return model, model(x * self.input_variance**0.5)

    def _sizes(self, trace):
        """Return the variances of s^0 .. s^{d-1} that the law's slopes are for, (d,)."""
        if self.law == "measured":
            return np.array([float(s.square().mean()) for s in trace.pre_activations[:-1]])
        sizes = [*(self.depth + 1) * [self.width], 1]
        variances = [*self.depth * [self._variance()], 1.0]
        square = [float(trace.activations[0].square().mean())]
        signal = theory.propagate(sizes, variances, self.activation, square)
        return signal.pre_activation[:-1, 0]

    def still(self):
        found, s, law = self._compute()
        s = s[: round(self.width * (1 - found["zeros"]))]
        bins = round(2 * self.width**0.5)
        colour, high = plots.COLOURS[self.activation], 1.05 * max(s[0], law.edge)
        up = np.sin(np.linspace(0.01, np.pi / 2, 100))  # the law's curve ends in a root
        fig, (left, right) = plots.row(2, height=2.9)
        if self.axis == "log":
            low = 10 ** np.floor(np.log10(max(np.quantile(s, 0.02), 1e-10 * high)))
            edges = np.geomspace(low, high, bins + 1)
            x = low * (law.edge / low) ** up
            per, curve = np.log10(edges[1] / edges[0]), law.density(x) * x * np.log(10)
            left.set(xscale="log", ylabel="share (%) per factor of 10")
        else:
            edges = np.linspace(0, high, bins + 1)
            x = law.edge * up**2
            per, curve = edges[1], law.density(x)
            left.set(ylabel="share (%) per unit")
        heights = 100 * np.histogram(s, edges)[0] / self.width / per
        left.stairs(heights, edges, fill=True, color=colour, alpha=0.4, label="measured")
        left.plot(x, 100 * curve, color=plots.INK, label="law")
        left.set(xlabel="singular value")
        left.set_title("1 layer" if self.depth == 1 else f"Product of {self.depth} layers")
        left.set_ylim(0, 1.15 * heights.max())
        layers = np.arange(1, self.depth + 1)
        for key, marker, line in (("largest", "^", "--"), ("mean", "o", "-")):
            right.plot(layers, found[f"law_{key}s"], line, color=plots.INK, label=f"{key}, law")
            right.plot(layers, found[f"{key}s"], marker, color=colour, label=f"{key}, measured")
        right.set(yscale="log", title="As layers are added", xlabel="layers in the product")
        right.xaxis.get_major_locator().set_params(integer=True)
        wide = right.get_ylim()[1] > 100 * right.get_ylim()[0]
        right.yaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
        right.yaxis.set_major_formatter("{x:g}")
        right.yaxis.set_minor_formatter(NullFormatter())
        for axes in (left, right):
            axes.legend(fontsize=7)
        return fig, self._sentence(found)

    def _sentence(self, found):
        free = self.scheme == "gain"
        scheme = f"weights of gain {self.gain:g}" if free else f"{self.scheme} weights"
        name = activations.get(self.activation).label
        layers = (
            f"1 {name} layer" if self.depth == 1 else f"a product of {self.depth} {name} layers"
        )
        zeros = f" {found['zeros']:.0%} are exactly 0." if found["zeros"] else ""
        return (
            f"Singular values of {layers} of {self.width} units, {scheme}: mean"
            f" {found['mean']:.3g} (law {found['law_mean']:.3g}), largest {found['largest']:.3g}"
            f" (law {found['law_largest']:.3g}); {found['below_tenth']:.0%} are below a tenth (law"
            f" {found['law_below_tenth']:.0%}).{zeros} A second panel shows mean and largest of"
            f" products of up to {self.depth}."
        )
