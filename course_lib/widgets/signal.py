"""Signal explorer: a random network, drawn and pushed through in the page, beside the theory."""

import torch
import traitlets

from course_lib import activations, backprop, models, plots, shapeset, theory
from course_lib.widgets import base

EXAMPLES = 50
CLASSES = len(shapeset.CLASSES)
PICTURES_SEED = 2010  # the pictures are the same for every network
NOISE_SEED = 10_000  # added to the network's, so that noise and weights differ
WIDTHS = (20, 50, 100, 200)


class SignalExplorer(base.Widget):
    """Histograms and standard deviations per layer, forward and backward, with the theory on top.

    Parameters
    ----------
    activation : str, of `activations.NAMES`
    scheme : "standard", "normalized" or "gain": weights of variance gain^2/fan_in
    gain : float, 0.1 to 3, used by the scheme "gain" alone
    depth : int, 1 to 50 hidden layers;  width : 20, 50, 100 or 200 units in each
    inputs : "pictures" of Shapeset-3x2, or "noise" from N(0, 1), as many numbers as units
    seed : int, 0 to 99, of the network

    Notes
    -----
    The network is ``models.MLP(sizes, activation, scheme=scheme, seed=seed)``. The theory is
    `theory.propagate`: Glorot & Bengio (2010), Eqs. (5) to (7), beyond the linear regime.
    """

    name = "signal"
    parts = ("core", "shapeset", "stage")
    activation = traitlets.Enum(activations.NAMES, "tanh").tag(sync=True)
    scheme = traitlets.Enum(("standard", "normalized", "gain"), "standard").tag(sync=True)
    gain = traitlets.Float(1.0, min=0.1, max=3.0).tag(sync=True)
    depth = traitlets.Int(5, min=1, max=50).tag(sync=True)
    width = traitlets.Enum(WIDTHS, 100).tag(sync=True)
    inputs = traitlets.Enum(("pictures", "noise"), "pictures").tag(sync=True)
    seed = traitlets.Int(0, min=0, max=99).tag(sync=True)

    def measure(self):
        """Compute with course_lib what the page computes with JavaScript.

        Returns
        -------
        dict of lists
            `activation` (d,): standard deviation of z^1 .. z^d over units and examples;
            `gradient`, `weight_gradient` (d+1,): root mean square of dC/ds^i and dC/dw^i of one
            example, i = 0 .. d; the same with `_theory`. `saturated` (d,): share of activations.
        """
        x, labels = self._examples()
        sizes = [x.shape[1], *self.depth * [self.width], CLASSES]
        drawn = "standard" if self.scheme == "gain" else self.scheme
        model = models.MLP(sizes, self.activation, scheme=drawn, seed=self.seed, dtype=x.dtype)
        variances = theory.variances(drawn, sizes)
        if self.scheme == "gain":
            wanted = self.gain**2 / torch.tensor(sizes[:-1], dtype=x.dtype)
            for weight, own, variance in zip(model.weights, wanted, variances, strict=True):
                weight.mul_(torch.sqrt(own / variance))
            variances = wanted.numpy()
        trace = model(x)
        cost = backprop.cost_named("cross_entropy")
        deltas = backprop.deltas(model, trace, labels, cost)
        square = [d.square().mean(-1)[0] for d in deltas]  # (B,) each
        below = [z.square().mean(-1).reshape(-1) for z in trace.activations]
        expected = theory.propagate(
            sizes, variances, self.activation, below[0].numpy(), square[-1].numpy()
        )
        f = activations.get(self.activation)
        hidden = trace.activations[1:]
        return {
            "activation": [float(z.std(correction=0)) for z in hidden],
            "gradient": [float(s.mean().sqrt()) for s in square],
            "weight_gradient": [
                float((q * s).mean().sqrt()) for q, s in zip(below, square, strict=True)
            ],
            "saturated": [float(f.saturated(z).double().mean()) for z in hidden],
            "activation_theory": (expected.activation_variance() ** 0.5).tolist(),
            "gradient_theory": (expected.gradient.mean(1) ** 0.5).tolist(),
            "weight_gradient_theory": (expected.weight_gradient.mean(1) ** 0.5).tolist(),
        }

    def _examples(self):
        if self.inputs == "pictures":
            images, labels = shapeset.sample(EXAMPLES, PICTURES_SEED)
            return images.double(), labels
        generator = torch.Generator().manual_seed(NOISE_SEED + self.seed)
        x = torch.randn(EXAMPLES, self.width, generator=generator, dtype=torch.float64)
        return x, torch.arange(EXAMPLES) % CLASSES

    def still(self):
        found = self.measure()
        fig, axes = plots.row(2, height=2.8)
        for ax, key, first in zip(axes, ("activation", "gradient"), (1, 0), strict=True):
            layer = range(first, first + len(found[key]))
            colour = plots.COLOURS[self.activation]
            ax.plot(layer, found[key + "_theory"], color=colour, label="theory")
            ax.plot(layer, found[key], "o", color=colour, label="measured")
            ax.set(xlabel="layer", yscale="log")
            ax.legend()
        axes[0].set_title("Standard deviation of activations")
        axes[1].set_title("Size of gradients dC/ds")
        free = self.scheme == "gain"
        scheme = f"weights of gain {self.gain:g}" if free else f"{self.scheme} weights"
        keys = "activation", "gradient"
        ends = [f"{found[key][0]:.3g} to {found[key][-1]:.3g}" for key in keys]
        return fig, (
            f"{self.depth} hidden layers of {self.width} {self.activation} units, {scheme}: the"
            f" standard deviation of activations goes from {ends[0]} between the first and the"
            f" last layer, the size of the gradients from {ends[1]}. The theory's curve lies on"
            " the measured points."
        )
