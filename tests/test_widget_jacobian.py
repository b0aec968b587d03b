"""The Jacobian spectrum: its numbers against the library's, and its controls in a page."""

import importlib.util
import re

import numpy as np
import pytest

pytest.importorskip("anywidget")
if not importlib.util.find_spec("playwright"):
    pytest.skip("browser checks left out: playwright is not installed", allow_module_level=True)

import browser  # noqa: E402  (tests/browser.py)
import torch  # noqa: E402

from course_lib import spectra, theory, widgets  # noqa: E402

if not browser.CHROMIUM:
    pytest.skip("browser checks left out: no Chromium on this machine", allow_module_level=True)

START = {"depth": 3, "width": 20}
COMPLETE = """() =>
  document.querySelector('.course-widget').model.get('readings').means?.length > 0"""


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def numerics(chromium):
    with browser.numerics(chromium, "core", "spectra") as page:
        page.evaluate("() => { window.spectra = makeSpectra(core); }")
        yield page


@pytest.fixture
def page(chromium, tmp_path):
    with browser.widget_page(chromium, widgets.JacobianSpectrum(**START), tmp_path) as opened:
        yield opened
        assert opened.seen == {"outside": [], "failed": [], "console": []}


def shown(page):
    """Return the readings once the products of fewer layers are in them."""
    browser.at_rest(page)
    page.wait_for_function(COMPLETE)
    return browser.readings(page)


def control(page, label):
    return page.get_by_label(label, exact=True)


def agree(found, expected):
    """Assert that readings are those of `measure`: float64 both, sums in another order."""
    assert found.keys() == expected.keys()
    for key in found.keys() - {"smallest", "condition"}:
        assert np.allclose(found[key], expected[key], rtol=1e-8, atol=1e-14), key
    # Either finds small singular values to some 1e-15 of the largest.
    small = [reading["smallest"] for reading in (found, expected)]
    assert (small[0] is None) == (small[1] is None)
    if small[0] is not None:
        assert small[0] == pytest.approx(small[1], abs=1e-14 * found["largest"])
    if expected["condition"] is None:
        assert found["condition"] is None
    else:
        assert 1 / found["condition"] == pytest.approx(1 / expected["condition"], abs=1e-14)


# ---------------------------------------------------------------- the numbers


def matrices():
    rng = np.random.default_rng(5)
    square = rng.normal(size=(30, 30))
    thin = square * (rng.random(30) < 0.5)  # columns of zeros, as behind a ReLU
    graded = square * np.geomspace(1, 1e-12, 30)
    return {
        "random": square,
        "with zeros": thin,
        "graded": graded,
        "tiny": 1e-30 * square,
        "orthogonal": np.linalg.qr(square)[0],
        "diagonal": np.diag(np.arange(30.0)),
        "zero": np.zeros((30, 30)),
        "large": rng.normal(size=(200, 200)),
        "one number": np.array([[-3.0]]),
    }


@pytest.mark.parametrize("kind", matrices())
def test_singular_values_are_those_of_lapack(numerics, kind):
    matrix = matrices()[kind]
    found = numerics.evaluate(
        "([m, n]) => Array.from(spectra.singularValues(Float64Array.from(m), n))",
        [matrix.ravel().tolist(), len(matrix)],
    )
    expected = torch.linalg.svdvals(torch.from_numpy(matrix)).numpy()
    assert found == pytest.approx(expected, rel=0, abs=1e-14 * len(matrix) * expected[0] + 1e-300)


LAWS = [
    ("tanh", 1.0, [0.3, 0.2, 0.15]),
    ("tanh", 9.0, [9.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0]),
    ("linear", 1.0, [1.0] * 20),
    ("linear", 2.0, [1.0]),
    ("sigmoid", 16.0, [4.0, 5.0]),
    ("softsign", 1.5, [10.0, 0.5, 0.3, 0.2]),
    ("relu", 2.0, [1.0]),
    ("relu", 2.0, [1.0, 1.0, 1.0, 1.0, 1.0]),
]


@pytest.mark.parametrize(("activation", "sigma_square", "t"), LAWS, ids=str)
def test_the_law_is_that_of_python(numerics, activation, sigma_square, t):
    variances = np.full(len(t), sigma_square)
    law = theory.product_law(1, variances, activation, t)
    # A layer of ReLUs has a gap up to 0.1716 of its largest value.
    near = [0.16, 0.17, 0.171, 0.1716, 0.172, 0.18]
    x = [1e-6, 1e-3, 0.01, 0.1, *near, 0.3, 0.5, 0.8, 0.95, 0.999, 0.9999, 1.1]
    x = law.edge * np.array(x)
    found = numerics.evaluate(
        """([activation, sigmaSquare, t, x]) => {
          const layers = t.map((variance) => spectra.slopeSquares(activation, variance));
          const law = new spectra.Law(sigmaSquare, layers);
          const { density, share } = law.at(x);
          return [Array.from(density), Array.from(share), law.means, law.edges, law.rms, law.zeros];
        }""",
        [activation, variances.tolist(), t, x.tolist()],
    )
    assert found[0] == pytest.approx(law.density(x), rel=1e-6, abs=1e-8)
    assert found[1] == pytest.approx(law.cumulative(x), abs=1e-10)
    shorter = [
        theory.product_law(1, variances[:k], activation, t[:k]) for k in range(1, len(t) + 1)
    ]
    assert found[2] == pytest.approx([own.mean for own in shorter], rel=1e-10)
    assert found[3] == pytest.approx([own.edge for own in shorter], rel=1e-10)
    assert found[4:] == pytest.approx([law.rms, law.zeros], rel=1e-10, abs=1e-14)


def test_the_law_of_linear_layers_is_that_of_fuss_and_catalan(numerics):
    """Straight from the closed form, which neither of the two programs knows."""
    found = numerics.evaluate(
        """() => { const layer = spectra.slopeSquares("linear", 1);
          const law = new spectra.Law([1, 1, 1, 1], [layer, layer, layer, layer]);
          return [law.mean, law.edge, Array.from(law.at([0.1, 1, 2]).density)]; }"""
    )
    known = spectra.ProductLaw(4)
    assert found[:2] == pytest.approx([known.mean, known.edge], rel=1e-9)
    assert found[2] == pytest.approx(known.density([0.1, 1.0, 2.0]), rel=1e-6)


STATES = [
    {"seed": 99, "axis": "linear"},
    {"activation": "linear", "scheme": "standard", "depth": 1, "width": 200},
    {"activation": "sigmoid", "scheme": "gain", "gain": 3.0, "depth": 6, "input_variance": 10.0},
    {"activation": "softsign", "depth": 10, "width": 50, "law": "measured", "seed": 7},
    {"activation": "relu", "scheme": "gain", "gain": 1.4, "depth": 5, "width": 100},
    {"activation": "tanh", "depth": 12, "width": 50, "law": "measured", "input_variance": 0.01},
    {"activation": "tanh", "scheme": "gain", "gain": 0.1, "depth": 2},
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_the_page_measures_what_python_measures(chromium, tmp_path, state):
    widget = widgets.JacobianSpectrum(**START | state)
    with browser.widget_page(chromium, widget, tmp_path) as page:
        agree(shown(page), widget.measure())


def test_the_law_lies_on_what_is_measured():
    """200 units, given the network's own pre-activations: the mean of 5 layers within 5 %."""
    for activation in ("tanh", "softsign", "relu", "linear"):
        state = {"activation": activation, "width": 200, "depth": 5, "law": "measured"}
        found = widgets.JacobianSpectrum(**state).measure()
        if activation == "relu":  # half of the units, give or take sqrt(200)/2 = 7 in each layer
            assert found["mean"] == pytest.approx(found["law_mean"], rel=0.25)
            continue
        assert np.allclose(found["means"], found["law_means"], rtol=0.05), activation
        assert found["below_tenth"] == pytest.approx(found["law_below_tenth"], abs=0.05)


def test_what_rounding_hides_is_not_told(chromium, tmp_path):
    widget = widgets.JacobianSpectrum(depth=15, width=50)
    with browser.widget_page(chromium, widget, tmp_path) as page:
        assert shown(page)["smallest"] is None and widget.measure()["smallest"] is None
        assert "where rounding hides it" in page.locator(".what").inner_text()


# ---------------------------------------------------------------- the controls

KEYBOARD = [
    ("Activation", ["ArrowDown"], "activation", "softsign"),
    ("Weights", ["ArrowUp"], "scheme", "standard"),
    ("Depth", ["ArrowRight", "ArrowRight"], "depth", 5),
    ("Width", ["ArrowRight"], "width", 50),
    ("Input", ["ArrowRight"], "input_variance", 1.0),
    ("Law from", ["ArrowDown"], "law", "measured"),
    ("Seed", ["End"], "seed", 99),
]


@pytest.mark.parametrize(("label", "keys", "key", "value"), KEYBOARD)
def test_a_control_by_keyboard(page, label, keys, key, value):
    before, picture = shown(page), browser.pixels(page)
    control(page, label).focus()
    for name in keys:
        page.keyboard.press(name)
    after = shown(page)
    assert browser.trait(page, key) == value
    assert after != before
    assert browser.pixels(page) != picture
    agree(after, widgets.JacobianSpectrum(**START | {key: value}).measure())


def test_the_axis_changes_the_picture_alone(page):
    before, picture = shown(page), browser.pixels(page)
    control(page, "Axis").focus()
    page.keyboard.press("ArrowUp")
    assert shown(page) == before and browser.trait(page, "axis") == "linear"
    assert browser.pixels(page) != picture


def test_the_gain_waits_for_its_scheme(page):
    gain = control(page, "Gain")
    assert gain.is_disabled()
    control(page, "Weights").select_option("gain")
    before = shown(page)
    gain.focus()
    page.keyboard.press("ArrowRight")
    after = shown(page)
    assert browser.trait(page, "gain") == pytest.approx(1.05) and after != before
    agree(after, widgets.JacobianSpectrum(**START, scheme="gain", gain=1.05).measure())


@pytest.mark.parametrize("label", ["Depth", "Width", "Input", "Seed"])
def test_a_slider_by_pointer(page, label):
    key = {"Input": "input_variance"}.get(label, label.lower())
    before, picture, old = shown(page), browser.pixels(page), browser.trait(page, key)
    box = control(page, label).bounding_box()
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2)
    after = shown(page)
    assert browser.trait(page, key) > old
    assert after != before
    assert browser.pixels(page) != picture


def test_a_button_by_pointer_and_by_keyboard(page):
    button = page.get_by_role("button", name="Draw another")
    before = shown(page)
    button.click()
    middle = shown(page)
    button.press("Enter")
    assert before != middle != shown(page)
    assert browser.trait(page, "seed") == 2


def test_deep_products_come_in_pieces(chromium, tmp_path):
    """The products of fewer layers are decomposed between frames, and in the end all are there."""
    widget = widgets.JacobianSpectrum(depth=8, width=200)
    with browser.widget_page(chromium, widget, tmp_path) as page:
        found = shown(page)
        assert len(found["means"]) == len(found["largests"]) == 8
        assert found["means"][-1] == found["mean"]


# ---------------------------------------------------------------- the words


def test_the_description_holds_the_numbers(page):
    numbers, text = shown(page), page.locator(".what").inner_text()
    assert "Jacobians of 3 tanh layers of 20 units, normalized weights" in text
    for key in ("mean", "law_mean", "rms", "law_rms", "largest", "law_largest"):
        assert f"{numbers[key]:.3g}".rstrip("0").rstrip(".") in text, key
    mantissa, power = f"{numbers['smallest']:.2e}".split("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    assert f"{mantissa}×10{raised}" in text
    for key in ("below_tenth", "law_below_tenth"):
        assert f"{100 * numbers[key]:.3g} %" in text


def test_zeros_are_told_apart(page):
    control(page, "Activation").select_option("relu")
    numbers = shown(page)
    assert 0.3 < numbers["zeros"] < 0.9 and numbers["law_zeros"] == pytest.approx(0.5)
    share = f"{100 * numbers['zeros']:.3g} %"
    assert f"{share} of the singular values are exactly 0" in page.locator(".what").inner_text()
    assert f"{share} are 0" in page.locator(".chart-title").first.inner_text()


def test_a_change_is_announced_with_its_consequence(page):
    old = shown(page)["mean"]
    control(page, "Weights").select_option("standard")
    status = page.get_by_role("status")
    status.filter(has_text="Weights: standard.").wait_for()
    assert f"Mean {shown(page)['mean']:.3g}, before {old:.3g}" in status.inner_text()


def test_the_table_holds_every_number(page):
    numbers = shown(page)
    page.get_by_text("The numbers as a table").press("Enter")
    rows = page.locator(".numbers tbody tr")
    rows.nth(2).wait_for()
    assert rows.count() == 3
    keys = ("means", "law_means", "largests", "law_largests", "pre_activation")
    for row in range(3):
        cells = [float(text) for text in rows.nth(row).locator("td").all_inner_texts()]
        assert cells == pytest.approx([numbers[key][row] for key in keys], rel=6e-3)


def test_every_chart_says_its_numbers(page):
    numbers = shown(page)
    labels = page.locator(".chart svg[role=img]").evaluate_all("(a) => a.map((e) => e.ariaLabel)")
    assert len(labels) == 2
    assert f"{numbers['largest']:.3g}" in labels[0] and f"{numbers['means'][0]:.3g}" in labels[1]


# ---------------------------------------------------------------- the page


def test_the_still_picture_says_its_numbers():
    widget = widgets.JacobianSpectrum(**START)
    numbers = widget.measure()
    assert f"mean {numbers['mean']:.3g} (law {numbers['law_mean']:.3g})" in widget.still()[1]


@pytest.mark.parametrize("state", [{"activation": "relu", "axis": "linear"}, {"depth": 1}], ids=str)
def test_a_still_picture_of_each_kind(state):
    fig, name = widgets.JacobianSpectrum(**START | state).still()
    assert len(fig.axes) == 2 and len(re.findall(r"\d", name)) > 10
