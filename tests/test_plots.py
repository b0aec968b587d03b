"""Figures: accessible names, ids, ink, colours, and nothing of the reader's style changed."""

import re
import sys
import types
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from course_lib import activations, init, plots

ALT = "The activations shrink from 0.62 at layer 1 to 0.08 at layer 8"
NEAR_BLACK = "#121212"


@pytest.fixture(autouse=True)
def close_all():
    yield
    plt.close("all")


def example(columns=1):
    fig, axes = plots.figure(columns=columns)
    first = axes if columns == 1 else axes[0]
    x = np.arange(5)
    first.plot(x, x**2, label="squares", color=plots.COLOURS["tanh"])
    first.set(xlabel="update", ylabel="cost", title="A title")
    first.legend(title="what")
    return fig, first


def ids(svg):
    return re.findall(r' id="([^"]+)"', svg)


def references(svg):
    return re.findall(r'(?:href="#|url\(#)([^")]+)', svg)


# ---- svg -------------------------------------------------------------------------------------


def test_svg_is_one_image_with_the_sentence_as_its_name():
    fig, _ = example()
    alt = 'Where "n" < 3 & the rate is 0.1, curves cross'
    svg = plots.svg(fig, alt)
    root = ET.fromstring(svg)  # well formed, quotes and brackets escaped
    assert root.tag.endswith("svg") and svg.count("<svg") == 1
    assert root.get("role") == "img" and root.get("aria-label") == alt
    assert root.get("viewBox").startswith("0 0 ")
    assert "<style" not in svg and "<metadata" not in svg and "<?xml" not in svg
    assert "<text" not in svg  # letters are outlines: the same on every machine


@pytest.mark.parametrize("alt", ["", "Figure 2", "A figure of the activations, layer by layer"])
def test_alt_without_numbers_is_refused(alt):
    fig, _ = example()
    with pytest.raises(ValueError, match="alt must be a sentence that gives the figure's numbers"):
        plots.svg(fig, alt)
    with pytest.raises(ValueError, match="alt must be a sentence"):
        plots.show(fig, alt=alt)


def test_ids_of_two_figures_differ_and_every_reference_is_met():
    first = plots.svg(example()[0], ALT)
    second = plots.svg(example(columns=2)[0], ALT)
    third = plots.svg(example()[0], ALT + ", again")
    found = [ids(svg) for svg in (first, second, third)]
    assert all(found) and all(len(set(one)) == len(one) for one in found)
    assert len(set(sum(found, []))) == sum(map(len, found))
    for svg, own in zip((first, second, third), found, strict=True):
        assert set(references(svg)) == set(own)


def test_the_same_figure_gives_the_same_svg():
    assert plots.svg(example()[0], ALT) == plots.svg(example()[0], ALT)
    fig, _ = example()
    assert plots.svg(fig, ALT) == plots.svg(fig, ALT)


BLACK = re.compile(r"#000000|#000\b|\bblack\b|#123456", re.IGNORECASE)


def test_ink_follows_the_page_also_in_what_was_drawn_late():
    """Titles, legends and notes are made after the style is put back: they turn to ink too."""
    fig, axes = example(columns=2)
    plain = plots.svg(fig, ALT)
    axes.text(1, 1, "noted")
    axes.annotate("here", (2, 4))
    fig.suptitle("Above all")
    svg = plots.svg(fig, ALT)
    for found in (plain, svg):
        assert "currentColor" in found and not BLACK.search(found)
    assert text_without_ink(plain) == text_without_ink(svg) == []
    assert len(glyph_groups(plain)) > 10  # tick labels and titles: the check has seen text
    for text in ("noted", "here", "Above all"):
        assert f"<!-- {text} -->" in svg and f"<!-- {text} -->" not in plain


def glyph_groups(svg):
    """The groups that draw one string each: they refer to outlines of letters."""
    root = ET.fromstring(svg)
    return [
        g
        for g in root.iter()
        if g.tag.endswith("}g")
        and any(c.tag.endswith("}use") and "style" not in c.attrib for c in g)
        and "clip-path" not in g.attrib
    ]


def text_without_ink(svg):
    """A group without a fill would be black, matplotlib's way to write the default."""
    return [g.attrib for g in glyph_groups(svg) if "currentColor" not in g.get("style", "")]


def test_colours_that_were_chosen_stay():
    fig, axes = example()
    axes.text(1, 1, "red", color="#c03a6b")
    svg = plots.svg(fig, ALT)
    assert "#c03a6b" in svg and plots.COLOURS["tanh"] in svg


def test_the_readers_style_is_untouched():
    before, interactive = dict(matplotlib.rcParams), plt.isinteractive()
    with matplotlib.rc_context({"axes.facecolor": "pink", "font.size": 20}):
        fig, _ = example()
        svg = plots.svg(fig, ALT)
        assert matplotlib.rcParams["font.size"] == 20
    assert dict(matplotlib.rcParams) == before and plt.isinteractive() == interactive
    assert "pink" not in svg and "#ffc0cb" not in svg


# ---- show ------------------------------------------------------------------------------------


def test_show_in_a_notebook(monkeypatch):
    shown = []
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = object
    ipython.display = types.SimpleNamespace(display=shown.append, HTML=lambda text: text)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    fig, _ = example()
    assert plt.get_fignums() == []  # else the notebook would draw it a second time
    plots.show(fig, alt=ALT)
    assert len(shown) == 1 and plots.svg(fig, ALT) in shown[0]
    assert re.fullmatch(r'<div class="[\w -]+"><svg role="img" .*</svg></div>', shown[0], re.DOTALL)


def test_show_elsewhere_opens_a_window(monkeypatch):
    shown = []
    monkeypatch.setitem(sys.modules, "IPython", None)  # not installed
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    fig, _ = example()
    plots.show(fig, alt=ALT)
    assert shown == [[fig.number]] and plt.get_fignums() == []


# ---- colours, lines, markers -----------------------------------------------------------------


def luminance(colour):
    """Relative luminance, WCAG 2.2."""
    channels = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_on_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("colour", sorted({*plots.COLOURS.values(), *plots.LAYERS}))
@pytest.mark.parametrize("paper", ["#ffffff", NEAR_BLACK])
def test_every_colour_can_be_seen_on_light_and_on_dark(colour, paper):
    assert contrast(colour, paper) >= 3


def test_every_activation_and_scheme_has_its_own_look():
    assert plots.COLOURS.keys() == set(activations.NAMES)
    assert plots.LINES.keys() == set(init.SCHEMES)
    for looks in (plots.COLOURS, plots.LINES):
        assert len(set(looks.values())) == len(looks)


def test_layers_differ_without_colour():
    styles = [plots.layer_style(layer) for layer in range(8)]
    assert len({style["marker"] for style in styles}) == len({s["color"] for s in styles}) == 8
    assert [style["label"] for style in styles[:2]] == ["layer 1", "layer 2"]
    assert plots.layer_style(11)["label"] == "layer 12"


# ---- drawing ---------------------------------------------------------------------------------


def test_run_band_draws_the_mean_and_the_range():
    _, axes = plots.figure()
    x = np.array([0, 10, 20])
    values = np.array([[1.0, 3.0], [2.0, 2.0], [0.0, 6.0]])
    assert plots.run_band(axes, x, values, "tanh", "#2374b8", "--") is axes
    (line,) = axes.get_lines()
    assert line.get_ydata().tolist() == [2, 2, 3] and line.get_linestyle() == "--"
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert {(0, 1), (0, 3), (20, 0), (20, 6)} <= corners


def test_layer_lines_draw_what_they_are_given():
    _, axes = plots.figure()
    values = np.arange(12.0).reshape(4, 3)
    assert plots.layer_lines(axes, np.arange(4), values) is axes
    for layer, line in enumerate(axes.get_lines()):
        assert line.get_ydata().tolist() == values[:, layer].tolist()
        assert line.get_label() == f"layer {layer + 1}"


def test_layers_from_start_show_update_0_bands_and_the_papers_epoch():
    _, panels = plots.figure(2, sharex=True, sharey=True)
    update = np.array([0, 1, 10, 1_000, 30_000])
    mean = np.array([1e-3, 2e-3, 4e-3, 3e-3, 1e-2])
    first = mean[:, None, None] * np.array([[1.0, 2.0], [3.0, 2.0]])  # two runs of two layers
    second = 10 * first * np.array([1, np.nan])
    assert plots.layers_from_start(panels, update, [first, second]) is panels
    top, below = panels
    for layer, line in enumerate(top.get_lines()[:2]):
        assert np.allclose(line.get_ydata(), 2 * mean) and line.get_xdata()[0] == 0
        assert line.get_label() == f"layer {layer + 1}"
    corners = top.collections[0].get_paths()[0].vertices.tolist()
    assert [0, 1e-3] in corners and [0, 3e-3] in corners and [30_000, 3e-2] in corners
    assert (top.get_xscale(), top.get_yscale(), top.get_xlim()) == ("symlog", "log", (0, 30_000))
    assert top.get_ylim() == below.get_ylim()
    assert top.get_xticks().tolist() == [0, 1, 10, 100, 1_000, 10_000]
    for axes, lines in ((top, 2), (below, 2)):
        marks = [line.get_xdata()[0] for line in axes.get_lines()[lines:]]
        assert marks == [20_000]  # and no mark after five epochs: training ended before
    said = [[text.get_text() for text in axes.texts] for axes in panels]
    assert said == [["1 epoch", "layer 1", "layer 2"], ["layer 1"]]  # a layer of NaN has no name


def test_names_of_layers_do_not_lie_on_one_another():
    _, axes = plots.figure()
    values = np.array([[1.0, 1.0, 1.0, 5.0], [2.0, 2.01, 1.99, 50.0]])[:, None]
    plots.layers_from_start([axes], np.array([0, 100_000]), [values])
    assert [text.get_text() for text in axes.texts[:2]] == ["1 epoch", "5"]
    axes.figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts[2:]]  # without their arrows
    heights = [(box.y0 + box.y1) / 2 for box in boxes]
    assert np.argsort(heights).tolist() == [2, 0, 1, 3]
    in_order = sorted(boxes, key=lambda box: box.y0)
    assert all(a.y1 <= b.y0 + 1 for a, b in zip(in_order, in_order[1:], strict=False))


def test_names_move_only_where_they_must():
    places = np.array([0.5, 0.1, 0.52, 0.9])
    moved = plots._apart(places, 0.1)
    assert moved == pytest.approx([0.46, 0.1, 0.56, 0.9])
    assert plots._apart(np.array([0.3]), 0.1).tolist() == [0.3]
    # Where they would leave the panel they are moved back into it, still apart.
    assert plots._apart(np.array([0.97, 0.99, 0.5]), 0.1) == pytest.approx([0.9, 1, 0.5])
    assert plots._apart(np.array([0.01, 0.0]), 0.1) == pytest.approx([0.1, 0])


def test_saturation_draws_stds_as_lines_and_percentiles_as_markers():
    _, axes = plots.figure()
    update = np.arange(0, 40_001, 400)
    std = np.stack([np.full((101, 2), 0.3), np.full((101, 2), 0.6)], 2)
    std[:, 1] += 0.1
    high = std + 0.2
    assert plots.saturation(axes, update, std, high) is axes
    lines = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([0.35, 0.65])
    assert lines[0].get_xdata()[-1] == 2 and axes.get_xlim() == (0, 2), "epochs of 20,000 updates"
    marks = [line for line in axes.lines if line.get_marker() in plots.MARKERS]
    assert [line.get_marker() for line in marks] == ["o", "s"]
    assert marks[0].get_ydata() == pytest.approx([0.55] * 15)
    assert not set(marks[0].get_xdata()) & set(marks[1].get_xdata()), "side by side"
    assert [text.get_text() for text in axes.texts] == ["layer 1", "layer 2"]
    paths = [c.get_paths() for c in axes.collections]  # a band and the bars of each layer
    assert paths[0][0].vertices[:, 1].min() == pytest.approx(0.3)
    ends = paths[1][0].vertices[:, 1]
    assert (ends.min(), ends.max()) == pytest.approx((0.5, 0.6))


def test_saturation_of_a_short_recording():
    """Fewer records than markers: each once."""
    _, axes = plots.figure()
    values = np.full((3, 1, 2), 0.5)
    plots.saturation(axes, np.array([0, 10, 20]), values, values)
    assert max(len(line.get_xdata()) for line in axes.lines) == 3


def test_histograms_of_layers_are_in_per_cent_over_bin_centres():
    _, axes = plots.figure()
    edges = np.linspace(-1, 1, 5)
    shares = np.array([[[0.1, 0.4, 0.4, 0.1], [1, 0, 0, 0]], [[0.3, 0.2, 0.2, 0.3], [1, 0, 0, 0]]])
    assert plots.layer_histograms(axes, edges, shares) is axes
    first, second = axes.lines
    np.testing.assert_allclose(first.get_xdata(), [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(first.get_ydata(), [20, 30, 30, 20])
    np.testing.assert_allclose(second.get_ydata(), [100, 0, 0, 0])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((10, 40))
    assert axes.get_xlim() == (-1, 1)


def test_images_lie_in_a_grid():
    _, axes = plots.figure()
    rows = np.stack([np.full((3, 16), -1.0), np.full((3, 16), 1.0)])
    rows[1, 2, 1] = 0.5  # second row, third column: pixel (0, 1)
    assert plots.images(axes, rows, size=4) is axes
    (image,) = axes.get_images()
    canvas = np.ma.filled(image.get_array().astype(float), np.nan)
    assert canvas.shape == (10, 16)
    assert (canvas[:4, :4] == -1).all() and canvas[6, 13] == 0.5 and canvas[6, 12] == 1
    assert np.isnan(canvas[4:6]).all() and image.get_clim() == (-1, 1)


WEIGHT = np.array([-6.0, -2.0, 2.0, 6.0])
FLAT = np.eye(4, dtype=bool)


def test_a_cost_surface_shows_where_it_is_flat_and_each_weight_on_its_own_axis():
    fig, axes = plots.figure(subplot_kw={"projection": "3d"})
    value = np.arange(16.0).reshape(4, 4)  # rises fast in the first weight, slowly in the second
    assert plots.cost_surface(axes, WEIGHT, value, FLAT) is axes
    (patches,) = axes.collections
    assert len(patches.get_facecolor()) == 9 and axes.get_xlabel() == "$w_1$"
    colours = [tuple(colour) for colour in patches.get_facecolor()]
    assert sorted(map(colours.count, set(colours))) == [3, 6], "the diagonal's corners are flat"
    assert axes.get_zlim()[0] < 0.5 and axes.get_zlim()[1] > 14.5
    plots.cost_surface(axes, np.linspace(-6, 6, 70), np.zeros((70, 70)), np.zeros((70, 70)), 10)
    assert len(axes.collections[1].get_facecolor()) <= 81


def test_a_flat_map_has_the_first_weight_to_the_right_and_hatches_what_is_flat():
    _, axes = plots.figure()
    length = np.ones((4, 4))
    length[3, 0] = 100.0  # w1 = 6, w2 = -6: at the bottom right
    image = plots.flat_map(axes, WEIGHT, length, FLAT)
    shown = np.asarray(image.get_array())
    assert shown[0, 3] == 0 and shown[3, 0] == -2 and image.origin == "lower"
    assert tuple(image.get_extent()) == (-8, 8, -8, 8)
    assert axes.get_xlabel() == "$w_1$"
    (hatched,) = axes.collections
    assert hatched.hatches == ["////"] and len(hatched.get_paths()[0].vertices)


# ---- error curves ----------------------------------------------------------------------------


def curves(*ends):
    """Named curves that fall from .8 to their end, two runs a hundredth apart."""
    down = np.linspace(0, 1, 5)[:, None]
    return [
        (f"curve {k}", 0.8 + (end - 0.8) * down + [[-0.005, 0.005]], plots.COLOURS["tanh"], "-")
        for k, end in enumerate(ends)
    ]


def test_error_curves_are_logarithmic_per_cents_named_at_their_ends():
    _, axes = plots.figure()
    plots.error_curves(axes, np.array([10, 30, 100, 300, 1_000]), curves(0.7, 0.4))
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlim() == pytest.approx((10, 1_000))
    np.testing.assert_allclose([line.get_ydata()[-1] for line in axes.lines], [70, 40])
    assert [text.get_text() for text in axes.texts] == ["curve 0", "curve 1"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["40", "50", "60", "70", "80"]
    low, high = axes.get_ylim()
    assert low < 39.5 and high > 80.5


@pytest.mark.parametrize(
    "ends", [(0.4, 0.4, 0.4, 0.4), (0.7, 0.401, 0.4), (0.8, 0.8, 0.799, 0.3), (0.02, 0.5)]
)
def test_names_keep_apart_in_the_order_of_the_curves_and_inside(ends):
    _, axes = plots.figure()
    plots.error_curves(axes, np.array([1, 2, 3, 4, 5]), curves(*ends))
    by_name = {text.get_text(): text.xyann[1] for text in axes.texts}
    order = sorted(range(len(ends)), key=lambda k: ends[k])
    assert [f"curve {k}" for k in order] == sorted(by_name, key=by_name.get)
    heights = sorted(by_name.values())
    assert np.diff(heights).min() > 0.058 and 0 <= heights[0] and heights[-1] <= 1
    # A name that no other one crowds stands at the height of its curve.
    if len(ends) == 2:
        for text in axes.texts:
            assert text.xyann[1] == pytest.approx(text.xy[1])


def test_a_name_has_the_colour_of_its_line_and_points_to_its_end():
    _, axes = plots.figure()
    axes.set(xlim=(1, 5), ylim=(0, 10))
    plots.name_ends(axes, [("upper", 7.5, "#c8521c"), ("lower", 2.5, "#2374b8")])
    upper, lower = axes.texts
    assert (upper.xy, lower.xy) == ((1, 0.75), (1, 0.25))
    assert (upper.get_color(), lower.get_color()) == ("#c8521c", "#2374b8")
