"""Cost surface: two costs of a small network over its two weights, and a ball that rolls down."""

import functools

import numpy as np
import traitlets

from course_lib import plots, surfaces
from course_lib.widgets import base

NAMES = {"cross_entropy": "Cross-entropy", "quadratic": "Quadratic cost"}
CELLS = 100  # a side, as in lesson 5
ARRIVED = 0.05  # of the range: a cost less than that above the lowest has come to the bottom
RISE = 1e-6  # of the range: less is rounding
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
REACH = surfaces.REACH


class CostSurface(base.Widget):
    """The cost of a 1-1-1 tanh network over its two weights, with gradient descent on it.

    Parameters
    ----------
    cost : "both", "cross_entropy" or "quadratic"
    targets : "random" as in Figure 5 of the paper, or "learnable": 1 where the input is positive
    seed : int, 0 to 99, of `surfaces.draw`
    w1, w2 : float, -8 to 8, where the descent starts
    rate_cross_entropy, rate_quadratic : 0.1, 0.3, 1, 3, 10 or 30;  steps : 10 to 1000
    step : int, up to where the way is shown;  pace : steps a second, when it plays
    azimuth, elevation : int, degrees, from where the surface is seen
    """

    name = "surface"
    parts = ("core", "surfaces", "relief", "stage")
    cost = traitlets.Enum(("both", *surfaces.COSTS), "both").tag(sync=True)
    targets = traitlets.Enum(("random", "learnable"), "random").tag(sync=True)
    seed = traitlets.Int(0, min=0, max=99).tag(sync=True)
    azimuth = traitlets.Int(-55, min=-180, max=180).tag(sync=True)
    elevation = traitlets.Int(28, min=5, max=90).tag(sync=True)
    w1 = traitlets.Float(6.0, min=-REACH, max=REACH).tag(sync=True)
    w2 = traitlets.Float(6.0, min=-REACH, max=REACH).tag(sync=True)
    rate_cross_entropy = traitlets.Enum(RATES, 3.0).tag(sync=True)
    rate_quadratic = traitlets.Enum(RATES, 3.0).tag(sync=True)
    steps = traitlets.Enum((10, 30, 100, 300, 1000), 100).tag(sync=True)
    step = traitlets.Int(0, min=0, max=1000).tag(sync=True)
    pace = traitlets.Enum((1, 3, 10, 30, 100), 10).tag(sync=True)

    def measure(self):
        """Compute with course_lib what the page computes with JavaScript: its `readings`.

        Returns
        -------
        dict, cost to dict
            `flat_share` of the square, `low` and `high` of the cost, `longest` gradient; after
            `step`: `w1`, `w2`, `cost`, length of the `gradient`; `start_cost`; steps taken on a
            `plateau` before the bottom, step at which it `arrived` there or None, steps in which
            the cost `rises`, and the `outcome` in a word.
        """
        return {cost: self._descent(cost)[0] for cost in self._costs()}

    def _costs(self):
        return surfaces.COSTS if self.cost == "both" else (self.cost,)

    def _descent(self, cost):
        """Return the story, the weights (step + 1, 2), and cost and gradient (cells, cells)."""
        step = min(self.step, self.steps)
        draw, value, length = _surface(self.seed, self.targets, cost)
        rate = getattr(self, f"rate_{cost}")
        way, height = (
            a[:, 0] for a in surfaces.descend(draw, [self.w1], [self.w2], cost, rate, step)
        )
        gradient = np.hypot(*surfaces.at(draw, *way.T, cost)[1].T)
        short = gradient < surfaces.PLATEAU * length.max()
        spread = value.max() - value.min()
        down = np.flatnonzero(height < value.min() + ARRIVED * spread)
        arrived = int(down[0]) if len(down) else None
        plateau = int(short[: step if arrived is None else arrived].sum())
        if arrived is not None:
            outcome = "crossed" if plateau else "rolled"
        elif short[-1]:
            outcome = "stuck" if step == self.steps else "plateau"
        else:
            outcome = "moving"
        story = {
            "flat_share": float(surfaces.flat(length).mean()),
            "low": float(value.min()),
            "high": float(value.max()),
            "longest": float(length.max()),
            "step": step,
            "w1": float(way[-1, 0]),
            "w2": float(way[-1, 1]),
            "cost": float(height[-1]),
            "gradient": float(gradient[-1]),
            "start_cost": float(height[0]),
            "plateau": plateau,
            "arrived": arrived,
            "rises": int((np.diff(height) > RISE * spread).sum()),
            "outcome": outcome,
        }
        return story, way, value, length

    def still(self):
        costs, weight = self._costs(), surfaces.centres(CELLS)
        fig = plots.figure(1, 1, height=6.0 if len(costs) == 2 else 3.2)[0]
        fig.clear()
        grid = fig.add_gridspec(*((2, 2) if len(costs) == 2 else (1, 2)))
        said = []
        for column, cost in enumerate(costs):
            story, way, value, length = self._descent(cost)
            flat = surfaces.flat(length)
            places = (grid[0, column], grid[1, column]) if len(costs) == 2 else (grid[0], grid[1])
            solid = fig.add_subplot(places[0], projection="3d")
            plots.cost_surface(solid, weight, value, flat).set_title(NAMES[cost])
            solid.view_init(elev=self.elevation, azim=self.azimuth)
            plane = fig.add_subplot(places[1])
            plots.flat_map(plane, weight, length, flat)
            plane.plot(*way.T, color="#fefefe", linewidth=2.5)
            plane.plot(*way.T, color="#b3123f", linewidth=1.2)
            plane.plot(*way[-1], "o", color="#fefefe", markeredgecolor="#111111")
            plane.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH))
            said.append(
                f"The {NAMES[cost].lower()} goes from {story['low']:.3g} to {story['high']:.3g}"
                f" and is flat on {story['flat_share']:.1%} of the square; after {story['step']}"
                f" steps from ({self.w1:g}, {self.w2:g}) the ball is at ({story['w1']:.2f},"
                f" {story['w2']:.2f}), at a cost of {story['cost']:.3g}."
            )
        return fig, "Surfaces over the weights w1 and w2, and maps of the gradient. " + " ".join(
            said
        )


@functools.lru_cache(maxsize=8)
def _surface(seed, targets, cost):
    """Return a draw with its targets, and cost and length of the gradient (cells, cells)."""
    draw = surfaces.draw(seed=seed)
    if targets == "learnable":
        draw = draw._replace(labels=(draw.inputs[:, 0] > 0).long())
    return draw, *surfaces.surface(draw, cost, CELLS)
