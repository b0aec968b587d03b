"""Drawing: every function takes arrays and an Axes; none trains or loads.

Colours tell activations apart, line styles tell schemes apart, markers tell layers apart, so that
no reading depends on colour alone. Every colour has a contrast of at least 3 to 1 on white and on
near-black.
"""

import contextlib
import hashlib
import html
import io
import pathlib
import re

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter

STYLE = pathlib.Path(__file__).with_name("style.mplstyle")
INK = "#123456"  # stands for the page's text colour until `svg` replaces it
NAME = 8  # points: the names beside the ends of lines
EPOCH = 20_000  # updates: the unit of the paper's x-axes in Figures 2, 3, 9 and 10

COLOURS = {
    "sigmoid": "#c8521c",
    "tanh": "#2374b8",
    "softsign": "#158a63",
    "relu": "#a560b8",
    "linear": "#7d7d7d",
}
LINES = {"standard": "--", "normalized": "-"}
# Depth runs from cool to warm; the markers say the same without colour.
LAYERS = ("#2374b8", "#14879c", "#3f8f3f", "#96801a", "#c8521c", "#c03a6b", "#8d5bc0", "#7d7d7d")
MARKERS = "os^Dv<>p"


def figure(rows=1, columns=1, height=3.0, **options):
    """Return a styled figure, 7.2 inches wide, and its Axes: arguments as `plt.subplots`."""
    with matplotlib.rc_context(), plt.ioff():
        plt.style.use(STYLE)
        plt.rcParams["figure.max_open_warning"] = 0  # outside a notebook they stay open
        fig, axes = plt.subplots(rows, columns, figsize=(7.2, height), **options)
    if _in_notebook():
        plt.close(fig)  # ours to show, not the notebook's
    return fig, axes


def row(count, height=3.0, **options):
    """Return a styled figure of `count` panels side by side, and the list of their Axes."""
    fig, axes = figure(1, count, height, squeeze=False, **options)
    return fig, list(axes[0])


def svg(fig, alt):
    """Return a figure as one inline ``<svg role="img">`` whose accessible name is `alt`.

    The ink follows the page's text colour; ids are unique to the figure.

    Raises
    ------
    ValueError
        If `alt` is not a sentence with at least one number in it.
    """
    if len(alt.split()) < 5 or not re.search(r"\d", alt):
        raise ValueError(f"alt must be a sentence that gives the figure's numbers, not {alt!r}")
    with matplotlib.rc_context():
        plt.style.use(STYLE)
        _finish(fig)
        file = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        fig.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would style the page
    text = re.sub(r' d="[^"]+"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), text)
    text = text.replace(INK, "currentColor")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    mark = "f" + hashlib.sha256((text + alt).encode()).hexdigest()[:8]
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{mark}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(href="#|url\(#)([^")]+)', rf"\1{mark}-\2", text)
    width, height = (float(v) for v in re.search(r'viewBox="0 0 (\S+) (\S+)"', text).groups())
    head = (
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {width:g} {height:g}" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'style="width: 100%; max-width: {width * 4 / 3:.0f}px; stroke-linejoin: round">'
    )
    return head + text[text.index(">") + 1 :].strip()


def _finish(fig):
    """Give text, titles and legends the course's look, however they were made."""
    for text in fig.findobj(Text):
        if matplotlib.colors.to_hex(text.get_color()) == "#000000":
            text.set_color(INK)  # made after `figure` had put the reader's own style back
    for axes in fig.axes:
        if title := axes.get_title():
            axes.set_title("", loc="center")
            axes.set_title(title, loc="left", color=INK)
        if legend := axes.get_legend():
            legend.set_frame_on(False)


def show(fig, *, alt):
    """Show a figure in a notebook or the book as inline SVG; elsewhere, in a window.

    Parameters
    ----------
    fig : matplotlib figure
    alt : str
        A sentence that says what the figure shows, with numbers computed from what it plots.
    """
    picture = f'<div class="figure course-figure">{svg(fig, alt)}</div>'
    if _in_notebook():
        from IPython import display

        display.display(display.HTML(picture))
        return
    plt.show()
    plt.close(fig)


def _in_notebook():
    with contextlib.suppress(ImportError):
        from IPython import get_ipython

        return get_ipython() is not None
    return False


def run_band(axes, x, values, label, colour, line="-"):
    """Draw the mean over runs as a line and their range as a band: x (T,), values (T, R)."""
    axes.fill_between(x, values.min(1), values.max(1), color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, values.mean(1), color=colour, linestyle=line, label=label)
    return axes


def race(axes, update, error, activation, chance=5 / 6):
    """Draw the error curves of several schemes, mean and range over runs, in per cent.

    Parameters
    ----------
    update : (T,);  error : dict, scheme to (T, R) shares;  activation : str, for the colour
    chance : float
        The error of knowing nothing, drawn as a dotted line; Shapeset's by default.
    """
    for scheme, values in error.items():
        label = f"{scheme} ({values.shape[1]} seeds)"
        run_band(axes, update, 100 * values, label, COLOURS[activation], LINES[scheme])
    axes.axhline(
        100 * chance, color=INK, linewidth=1, linestyle=":", label="always the same answer"
    )
    axes.set(xlabel="updates of 10 pictures", ylabel="test error (%)")
    axes.legend(loc="lower left")
    return axes


def error_curves(axes, seen, curves):
    """Draw test errors against the examples seen, both logarithmic, as in Figures 11 and 12.

    Each curve is the mean over runs in a band of their range, with its name at its right end.

    Parameters
    ----------
    seen : (T,) above 0
    curves : list of (name, error (T, R) in shares, colour, line style)
    """
    for name, error, colour, line in curves:
        run_band(axes, seen, 100 * error, name, colour, line)
    low, high = (100 * f([f(error) for _, error, *_ in curves]) for f in (np.min, np.max))
    axes.set(xscale="log", yscale="log", xlabel="examples seen")
    axes.margins(x=0)
    axes.set_ylim(max(low, 0.01) / 1.08, 1.08 * high)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 4, 6, 8), (1, 2, 5), (1,)):
        ticks = [s * 10.0**k for k in range(-2, 3) for s in steps]
        ticks = [tick for tick in ticks if low / 1.08 <= tick <= 1.08 * high]
        if len(ticks) <= 7:
            break
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.set_minor_formatter(NullFormatter())
    if seen[-1] < 30 * seen[0]:  # too short for powers of ten alone
        ticks = [s * 10**k for k in range(9) for s in (1, 2, 5) if seen[0] <= s * 10**k <= seen[-1]]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    name_ends(axes, [(name, 100 * error[-1].mean(), colour) for name, error, colour, _ in curves])
    return axes


def name_ends(axes, ends):
    """Write names beside the right ends of lines, moved only as far as keeps them apart.

    Parameters
    ----------
    ends : list of (name, value at the end, colour); the limits of `axes` are final
    """
    values = [[axes.get_xlim()[1], value] for _, value, _ in ends]
    places = (axes.transScale + axes.transLimits).transform(values)[:, 1]
    points = axes.get_window_extent().height * 72 / axes.figure.dpi
    heights = _apart(places, 1.3 * NAME / points)
    for (name, _, colour), place, height in zip(ends, places, heights, strict=True):
        axes.annotate(
            name,
            xy=(1, place),
            xytext=(1.05, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "relpos": (0, 0.5)},
            color=colour,
            fontsize=NAME,
            va="center",
            annotation_clip=False,
        )


def _apart(places, gap):
    """Move places (L,) as little as it takes to lie `gap` apart and in [0, 1]; order stays."""
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    sunk = places[order] - steps
    up = np.maximum.accumulate(sunk)
    down = np.minimum.accumulate(sunk[::-1])[::-1]
    moved = np.empty(len(places))
    # Both keep the gap, so their mean does.
    moved[order] = np.clip((up + down) / 2, 0, max(1 - gap * (len(places) - 1), 0)) + steps
    return moved


def layer_lines(axes, x, values, markers=8):
    """Draw one line a layer, layer 1 first: x (T,), values (T, L); markers spread along each."""
    for layer, column in enumerate(values.T):
        style = layer_style(layer)
        axes.plot(x, column, markevery=(layer / 10 / markers, 1 / markers), **style)
    return axes


def saturation(axes, update, std, high):
    """Draw how layers saturate, as in Figures 3 and 10: x in the paper's epochs of 20,000 updates.

    Lines are standard deviations, mean over runs in a band of their range, with the layer's name
    at the right end; markers are 98th percentiles, with a bar for their range.

    Parameters
    ----------
    update : (T,) from 0 on;  std, high : (T, R, L)
    """
    epochs = np.asarray(update) / EPOCH
    layers = [layer_style(layer) for layer in range(std.shape[2])]
    for layer, style in enumerate(layers):
        run_band(axes, epochs, std[:, :, layer], style["label"], style["color"])
        places = (np.arange(15) + (layer + 0.5) / len(layers)) / 15 * epochs[-1]
        at = np.unique(np.searchsorted(epochs, places).clip(0, len(epochs) - 1))
        mean = high[at, :, layer].mean(1)
        reach = mean - high[at, :, layer].min(1), high[at, :, layer].max(1) - mean
        look = {"fmt": style["marker"], "color": style["color"]}
        axes.errorbar(epochs[at], mean, reach, markersize=4, elinewidth=0.8, **look)
    axes.set(xlim=(0, epochs[-1]), ylim=(0, 1.05))
    ends = [(s["label"], std[-1, :, k].mean(), s["color"]) for k, s in enumerate(layers)]
    name_ends(axes, ends)
    return axes


def layer_histograms(axes, edges, shares):
    """Draw a histogram of each layer's activations, as in Figure 4: shares (R, L, bins), in %.

    Lines are means over runs in a band of their range, one point a bin; edges (bins + 1,).
    """
    centre, shares = (edges[1:] + edges[:-1]) / 2, 100 * np.asarray(shares)
    for layer, own in enumerate(np.moveaxis(shares, 1, 0)):
        look = layer_style(layer)
        axes.fill_between(
            centre, own.min(0), own.max(0), color=look["color"], alpha=0.2, linewidth=0
        )
        axes.plot(centre, own.mean(0), markersize=3.5, **look)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None), xticks=np.linspace(-1, 1, 11))
    return axes


def layers_from_start(panels, update, values):
    """Draw a positive quantity of each layer from update 0 on; both axes are logarithmic.

    Lines are means over runs, bands their range; each line's end says which layer it is. A dotted
    line stands after one and after five of the paper's epochs.

    Parameters
    ----------
    panels : sequence of Axes, as from ``figure(2, sharex=True, sharey=True)``
    update : (T,), from 0 on;  values : sequence of (T, R, L), one a panel; NaN is left out
    """
    for axes, own in zip(panels, values, strict=True):
        for layer in range(own.shape[2]):
            low, high = own[:, :, layer].min(1), own[:, :, layer].max(1)
            colour = layer_style(layer)["color"]
            axes.fill_between(update, low, high, color=colour, alpha=0.2, linewidth=0)
        layer_lines(axes, update, own.mean(1))
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)  # linear from 0 to 1
        axes.set(yscale="log", xlim=(update[0], update[-1]))
        axes.set_xticks([0, *(10**k for k in range(len(str(int(update[-1])))))])
        for epochs, name in ((1, "1 epoch"), (5, "5")):
            if epochs * EPOCH <= update[-1]:
                axes.axvline(epochs * EPOCH, color=INK, linewidth=1, linestyle=":")
                if axes is panels[0]:
                    place = (epochs * EPOCH, 1.01), axes.get_xaxis_transform()
                    axes.text(*place[0], name, transform=place[1], ha="center", fontsize=8)
    for axes, own in zip(panels, values, strict=True):  # now that the limits are known
        ends = [(layer_style(k), value) for k, value in enumerate(own[-1].mean(0)) if value > 0]
        name_ends(axes, [(style["label"], value, style["color"]) for style, value in ends])
    return panels


def layer_style(layer):
    """Return colour, marker and label of a layer counted from 0, as keywords for ``plot``."""
    return {
        "color": LAYERS[layer % len(LAYERS)],
        "marker": MARKERS[layer % len(MARKERS)],
        "label": f"layer {layer + 1}",
    }


def run_style(run, activation):
    """Return colour, line and label of a run counted from 0, as keywords for ``plot``."""
    lines = ("-", "--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)))
    return {
        "color": COLOURS[activation],
        "linestyle": lines[run % len(lines)],
        "linewidth": 1.4,
        "label": f"seed {run}",
    }


def images(axes, rows, size=32):
    """Draw a grid of square grey images in [-1, 1] on one Axes: rows (r, c, size*size)."""
    r, c = rows.shape[:2]
    gap = 2
    canvas = np.full((r * (size + gap) - gap, c * (size + gap) - gap), np.nan)
    for i, j in np.ndindex(r, c):
        top, left = i * (size + gap), j * (size + gap)
        canvas[top : top + size, left : left + size] = rows[i, j].reshape(size, size)
    axes.imshow(canvas, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    return axes


def confusion(axes, shares, names, short=None):
    """Draw which answers each class gets, in per cent: shares (K, K), a row for each true class."""
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=0.7, aspect="auto")
    for (i, j), share in np.ndenumerate(np.asarray(shares)):
        colour = "#fefefe" if share < 0.35 else "#111111"  # on the cell, not on the page
        axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(names)), short or names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer", title="Answers to each class (%)")
    axes.grid(False)
    return axes


def cost_surface(axes, weight, value, flat, patches=28):
    """Draw a cost over two weights on 3-D Axes; patches where it is flat are light, others dark.

    Parameters
    ----------
    weight : (N,);  value, flat : (N, N), [i, j] at w1 = weight[i] and w2 = weight[j]
    patches : int, how many to draw a side, at most
    """
    step = -(-len(weight) // patches)
    take = slice(step // 2, None, step)
    first, second = np.meshgrid(weight[take], weight[take], indexing="ij")
    light, dark = (matplotlib.colors.to_rgb(colour) for colour in ("#f6c374", "#3f8fd2"))
    colours = np.where(np.asarray(flat)[take, take, None], light, dark)
    lines = {"rstride": 1, "cstride": 1, "linewidth": 0.3, "edgecolor": "#202020"}
    axes.plot_surface(first, second, value[take, take], facecolors=colours, shade=False, **lines)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((0, 0, 0, 0))
    axes.set(xlabel="$w_1$", ylabel="$w_2$", xticks=_ticks(weight), yticks=_ticks(weight))
    axes.view_init(elev=28, azim=-55)
    axes.set_box_aspect(None, zoom=0.95)
    return axes


def flat_map(axes, weight, length, flat):
    """Draw the length of a cost's gradient over two weights; where `flat` is true it is hatched.

    Parameters
    ----------
    weight : (N,) centres of the cells;  length, flat : (N, N), as for `cost_surface`

    Returns
    -------
    the image, for a colour bar: log10 of the length over the longest, from -3 to 0
    """
    reach = weight[-1] + (weight[1] - weight[0]) / 2
    with np.errstate(divide="ignore"):
        share = np.log10(length / length.max())
    look = {"cmap": "cividis", "vmin": -3, "vmax": 0, "interpolation": "nearest"}
    extent = (-reach, reach, -reach, reach)
    image = axes.imshow(share.T, origin="lower", extent=extent, **look)
    own = {"levels": [0.5, 1.5], "colors": "none", "hatches": ["////"]}
    hatch = axes.contourf(weight, weight, np.asarray(flat, dtype=float).T, **own)
    hatch.set(edgecolor="#fefefe", linewidth=0)
    axes.set(xlabel="$w_1$", ylabel="$w_2$", xticks=_ticks(weight), yticks=_ticks(weight))
    axes.grid(False)
    return image


def _ticks(weight):
    reach = np.ceil(weight[-1])
    return np.array([-1, -0.5, 0, 0.5, 1]) * reach
