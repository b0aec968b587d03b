"""The signal explorer: its numbers against the library's, and its controls in a page."""

import importlib.util

import numpy as np
import pytest

pytest.importorskip("anywidget")
if not importlib.util.find_spec("playwright"):
    pytest.skip("browser checks left out: playwright is not installed", allow_module_level=True)

import browser  # noqa: E402  (tests/browser.py)

from course_lib import activations, theory, widgets  # noqa: E402

if not browser.CHROMIUM:
    pytest.skip("browser checks left out: no Chromium on this machine", allow_module_level=True)

START = {"depth": 4, "width": 20}


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def core(chromium):
    with browser.numerics(chromium, "core") as page:
        yield page


@pytest.fixture
def page(chromium, tmp_path):
    with browser.widget_page(chromium, widgets.SignalExplorer(**START), tmp_path) as opened:
        yield opened
        assert opened.seen == {"outside": [], "failed": [], "console": []}


def shown(page, keys=("activation", "gradient", "weight_gradient")):
    browser.at_rest(page)
    return {key: browser.readings(page)[key] for key in keys}


def control(page, label):
    return page.get_by_label(label, exact=True)


# ---------------------------------------------------------------- the numbers


@pytest.mark.parametrize("name", activations.NAMES)
def test_an_activation_is_the_one_in_python(core, name):
    s = np.linspace(-4, 4, 101)
    page = core.evaluate(
        "([name, s]) => { const a = core.activations[name]; const z = s.map(a.f);"
        " return [z, z.map(a.slope), z.map(a.saturated), a.steepest]; }",
        [name, s.tolist()],
    )
    import torch

    f = activations.get(name)
    z = f.function(torch.from_numpy(s))
    assert np.allclose(page[0], z, atol=1e-14)
    assert np.allclose(page[1], f.slope(z), atol=1e-14)
    assert page[2] == f.saturated(z).tolist()
    assert page[3] == f.steepest


def test_random_numbers_are_those_of_torch(core):
    import torch

    for seed in (0, 7, 2**32 - 1):
        uniform, normal = core.evaluate(
            "(seed) => { const g = new core.MersenneTwister(seed);"
            " return [Array.from({length: 1000}, () => g.uniform()),"
            "         Array.from(core.normals(new core.MersenneTwister(seed), 37))]; }",
            seed,
        )
        of_torch = torch.Generator().manual_seed(seed)
        assert uniform == torch.rand(1000, generator=of_torch, dtype=torch.float64).tolist()
        of_torch.manual_seed(seed)
        expected = torch.randn(37, generator=of_torch, dtype=torch.float64)
        assert np.allclose(normal, expected, rtol=0, atol=1e-13)


def test_a_gaussian_mean_is_that_of_theory(core):
    found = core.evaluate("() => [0.01, 1, 9].map((v) => core.gaussianMean(Math.tanh, v + 0) + "
                          "core.gaussianMean((s) => Math.tanh(s) ** 2, v))")  # fmt: skip
    expected = theory.gaussian_mean(lambda s: s.tanh().square(), [0.01, 1, 9])
    assert np.allclose(found, expected, rtol=1e-12)


STATES = [
    {},
    {"activation": "sigmoid", "scheme": "normalized", "seed": 3},
    {"activation": "softsign", "inputs": "noise", "depth": 12, "seed": 99},
    {"activation": "relu", "scheme": "gain", "gain": 1.4, "depth": 50, "width": 20},
    {"activation": "linear", "scheme": "normalized", "depth": 1, "width": 200},
    {"activation": "tanh", "scheme": "gain", "gain": 3.0, "depth": 20},
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_the_page_measures_what_python_measures(chromium, tmp_path, state):
    widget = widgets.SignalExplorer(**START | state)
    with browser.widget_page(chromium, widget, tmp_path) as page:
        found, expected = browser.readings(page), widget.measure()
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            assert len(values) == widget.depth + ("gradient" in key), key
            # float64 both, but sums in another order: a deep network enlarges the difference
            assert np.allclose(found[key], values, rtol=1e-7, atol=1e-300), key


def test_the_theory_lies_on_what_is_measured():
    """The curve has to mean something: one network of 200 units scatters by less than 25 %."""
    found = widgets.SignalExplorer(width=200, depth=5).measure()
    for key in ("activation", "gradient", "weight_gradient"):
        assert np.allclose(found[key], found[f"{key}_theory"], rtol=0.25), key


# ---------------------------------------------------------------- the controls

KEYBOARD = [
    ("Activation", ["ArrowDown"], "activation", "softsign"),
    ("Weights", ["ArrowDown"], "scheme", "normalized"),
    ("Depth", ["ArrowRight", "ArrowRight"], "depth", 6),
    ("Width", ["ArrowRight"], "width", 50),
    ("Inputs", ["ArrowDown"], "inputs", "noise"),
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
    expected = widgets.SignalExplorer(**START | {key: value}).measure()
    assert all(np.allclose(after[k], expected[k], rtol=1e-7) for k in after)


def test_the_gain_waits_for_its_scheme(page):
    gain = control(page, "Gain")
    assert gain.is_disabled()
    control(page, "Weights").select_option("gain")
    browser.at_rest(page)
    before = shown(page)
    gain.focus()
    page.keyboard.press("ArrowRight")
    assert browser.trait(page, "gain") == pytest.approx(1.05)
    assert shown(page) != before


@pytest.mark.parametrize(
    ("label", "key"), [("Depth", "depth"), ("Width", "width"), ("Seed", "seed")]
)
def test_a_slider_by_pointer(page, label, key):
    before, picture, box = shown(page), browser.pixels(page), control(page, label).bounding_box()
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2)
    browser.at_rest(page)
    assert browser.trait(page, key) > {**START, "seed": 0}[key]
    assert shown(page) != before
    assert browser.pixels(page) != picture


@pytest.mark.parametrize(
    ("label", "key", "last"),
    [("Activation", "activation", "linear"), ("Weights", "scheme", "gain")]
    + [("Inputs", "inputs", "noise")],
)
def test_a_choice_by_pointer(page, label, key, last):
    """A click opens the list, which is the system's own; what is chosen there arrives as here."""
    before, picture = shown(page), browser.pixels(page)
    control(page, label).click()
    control(page, label).select_option(last)
    assert browser.trait(page, key) == last
    assert shown(page) != before
    assert browser.pixels(page) != picture


def test_the_gain_by_pointer(chromium, tmp_path):
    widget = widgets.SignalExplorer(**START, scheme="gain")
    with browser.widget_page(chromium, widget, tmp_path) as page:
        before, picture, box = (
            shown(page),
            browser.pixels(page),
            control(page, "Gain").bounding_box(),
        )
        page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2)
        after, gain = shown(page), browser.trait(page, "gain")
        assert gain > 2.5
        assert after != before
        assert browser.pixels(page) != picture
        expected = widgets.SignalExplorer(**START, scheme="gain", gain=gain).measure()
        assert all(np.allclose(after[k], expected[k], rtol=1e-7) for k in after)


def test_a_button_by_pointer_and_by_keyboard(page):
    button = page.get_by_role("button", name="Draw another network")
    before = shown(page)
    button.click()
    middle = shown(page)
    button.press("Enter")
    assert (browser.trait(page, "seed"), before != middle != shown(page)) == (2, True)


# ---------------------------------------------------------------- the words


def test_the_description_holds_the_numbers(page):
    text = page.locator(".what").inner_text()
    numbers = browser.readings(page)
    assert "4 hidden layers of 20 tanh units with standard weights" in text
    for value in (numbers["activation"][0], numbers["activation"][3], numbers["gradient"][0]):
        assert f"{value:.3g}" in text


def test_a_change_is_announced_with_its_consequence(page):
    old = browser.readings(page)["activation"][-1]
    control(page, "Weights").select_option("normalized")
    status = page.get_by_role("status")
    status.filter(has_text="Weights: normalized.").wait_for()
    new = browser.readings(page)["activation"][-1]
    assert f"{new:.3g}, before {old:.3g}" in status.inner_text()


def test_the_table_holds_every_number(page):
    page.get_by_text("The numbers as a table").press("Enter")
    rows = page.locator(".numbers tbody tr")
    rows.nth(4).wait_for()
    assert rows.count() == 5
    cells = rows.nth(4).locator("td").all_inner_texts()
    numbers = browser.readings(page)
    assert float(cells[0]) == pytest.approx(numbers["activation"][3], rel=6e-3)
    assert float(cells[3]) == pytest.approx(numbers["gradient"][4], rel=6e-3)


def test_every_chart_says_its_numbers(page):
    labels = page.locator(".chart svg[role=img]").evaluate_all("(a) => a.map((e) => e.ariaLabel)")
    assert len(labels) == 5
    assert all(any(c.isdigit() for c in label) for label in labels)
