"""The training film: its numbers against the shipped ones, and its controls in a page."""

import importlib.util

import numpy as np
import pytest

pytest.importorskip("anywidget")
if not importlib.util.find_spec("playwright"):
    pytest.skip("browser checks left out: playwright is not installed", allow_module_level=True)

import browser  # noqa: E402  (tests/browser.py)

from course_lib import films, results, widgets  # noqa: E402

if not browser.CHROMIUM:
    pytest.skip("browser checks left out: no Chromium on this machine", allow_module_level=True)

START = {"activation": "tanh", "update": 20_000}


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def opened(chromium, tmp_path_factory):
    """One page for all: each test puts it back to its first state."""
    folder = tmp_path_factory.mktemp("film")
    with browser.widget_page(chromium, widgets.TrainingFilm(**START), folder) as page:
        yield page
        assert page.seen == {"outside": [], "failed": [], "console": []}


@pytest.fixture
def page(opened):
    opened.get_by_role("button", name="As at the start").click()
    browser.at_rest(opened)
    check(shown(opened))
    return opened


def shown(page):
    browser.at_rest(page)
    return browser.readings(page)


def put(page, state):
    """Set a state as Python would, and return the readings."""
    page.evaluate(
        "(state) => { const { model } = document.querySelector('.course-widget');"
        " for (const [key, value] of Object.entries(state)) model.set(key, value); }",
        state,
    )
    return shown(page)


def check(found, **state):
    """What the page shows is what Python reads, to the last digits of a power of ten."""
    expected = widgets.TrainingFilm(**START | state).measure()
    assert found.keys() == expected.keys() and found["update"] == expected["update"]
    for scheme in found.keys() - {"update"}:
        assert found[scheme].keys() == expected[scheme].keys()
        for key, value in expected[scheme].items():
            assert np.allclose(found[scheme][key], value, rtol=1e-12, atol=0), key


def control(page, label):
    return page.get_by_label(label, exact=True)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


# ---------------------------------------------------------------- the numbers


def test_every_frame_of_every_film_is_the_shipped_one(chromium):
    """The page's own numbers, summed over each film: exact but for the order of the sums."""
    text = widgets.TrainingFilm.source().replace("export default { render };", "")
    keys = ["mean", "std", "percentiles", "saturated", "gradient", "weight_gradient"]
    keys += ["histogram", "error", "cost"]
    page = chromium.new_page()
    page.add_script_tag(content=text)
    found = page.evaluate(
        """async (keys) => {
          opened = await unpack();
          const weigh = (all) => all.flat(Infinity).reduce((sum, v, i) => sum + v * (1 + i), 0);
          return FILMS.films.map(([activation, depth, scheme, seed]) => {
            const film = filmOf({ activation, depth, seed }, scheme);
            return [film.rate, ...keys.map((key) => weigh(film.frames.map((frame) => frame[key])))];
          });
        }""",
        keys,
    )
    page.close()
    runs = results.runs(films.shipped())
    assert len(found) == len(runs) == 90
    for sums, run in zip(found, runs, strict=True):
        film = films.load(run["activation"], run["depth"], run["scheme"], run["seed"])
        flat = [np.ravel(getattr(film, key)) for key in keys]
        expected = [film.rate, *(float(v @ np.arange(1, 1 + v.size)) for v in flat)]
        assert np.allclose(sums, expected, rtol=1e-9), run


STATES = [
    {"activation": "sigmoid", "depth": 4, "update": 1_000, "seed": 2},
    {"activation": "softsign", "depth": 1, "scheme": "normalized", "update": 0},
    {"activation": "sigmoid", "depth": 5, "scheme": "normalized", "update": 100_000},
    {"depth": 3, "compare": True, "update": 7, "seed": 1},
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_the_page_reads_what_python_reads(page, state):
    check(put(page, state), **state)


def test_python_refuses_an_update_that_is_no_frame():
    with pytest.raises(Exception, match="update"):
        widgets.TrainingFilm(update=4_000)
    assert widgets.TrainingFilm(update=5_000).measure()["update"] == 5_000


# ---------------------------------------------------------------- the controls

KEYBOARD = [
    ("Activation", ["ArrowDown"], {"activation": "softsign"}),
    ("Depth", ["ArrowLeft", "ArrowLeft"], {"depth": 3}),
    ("Weights", ["ArrowDown"], {"scheme": "normalized"}),
    ("Seed", ["End"], {"seed": 2}),
    ("Update", ["End"], {"update": 100_000}),
    ("Update", ["ArrowLeft"], {"update": 10_000}),
    ("The other weights beside it", ["Space"], {"compare": True}),
]


@pytest.mark.parametrize(("label", "keys", "state"), KEYBOARD)
def test_a_control_by_keyboard(page, label, keys, state):
    before, picture = shown(page), browser.pixels(page)
    control(page, label).focus()
    for name in keys:
        page.keyboard.press(name)
    after = shown(page)
    assert {key: browser.trait(page, key) for key in state} == state
    assert after != before
    assert browser.pixels(page) != picture
    check(after, **state)


@pytest.mark.parametrize(
    ("label", "keys", "key", "value"),
    [
        ("Over the training", ["ArrowDown"], "quantity", "std"),
        ("Logarithmic heights", ["Space"], "logarithmic", True),
    ],
)
def test_a_way_to_look_by_keyboard(page, label, keys, key, value):
    """It changes the picture, not the numbers of the frame."""
    before, picture = shown(page), browser.pixels(page)
    control(page, label).focus()
    for name in keys:
        page.keyboard.press(name)
    assert shown(page) == before
    assert browser.trait(page, key) == value
    assert browser.pixels(page) != picture


@pytest.mark.parametrize(("label", "share", "key"), [
    ("Depth", 0.05, "depth"), ("Seed", 0.95, "seed"), ("Update", 0.95, "update"),
])  # fmt: skip
def test_a_slider_by_pointer(page, label, share, key):
    before, picture, slider = shown(page), browser.pixels(page), control(page, label)
    old, box = browser.trait(page, key), slider.bounding_box()
    slider.click(position={"x": share * box["width"], "y": box["height"] / 2})
    assert shown(page) != before
    assert (browser.trait(page, key) > old) == (share > 0.5)
    assert browser.pixels(page) != picture


def test_switches_and_choices_by_pointer(page):
    picture = browser.pixels(page)
    for label in ("The other weights beside it", "Logarithmic heights"):
        control(page, label).click()
        browser.at_rest(page)
        assert browser.pixels(page) != picture
        picture = browser.pixels(page)
    assert page.locator(".film-layers text").filter(has_text="0.01").count() >= 5, "heights"
    control(page, "Over the training").select_option("gradient")
    control(page, "Activation").select_option("sigmoid")
    found = shown(page)
    assert browser.pixels(page) != picture
    assert (
        found == widgets.TrainingFilm(activation="sigmoid", update=20_000, compare=True).measure()
    )


def test_steps_by_pointer_and_by_keyboard(page):
    button(page, "Forward").click()
    assert shown(page)["update"] == 30_000
    for press in ("Enter", "Space"):
        button(page, "Back").press(press)
    assert shown(page)["update"] == 10_000
    put(page, {"update": 0})
    button(page, "Back").click()
    assert shown(page)["update"] == 0


def test_it_plays_pauses_and_stops_at_the_end(page):
    put(page, {"update": 50_000, "speed": "fast"})
    button(page, "Play").press("Enter")
    page.wait_for_function(
        "() => document.querySelector('.course-widget').model.get('update') > 60_000"
    )
    button(page, "Pause").click()
    stopped = shown(page)["update"]
    page.wait_for_timeout(500)
    assert shown(page)["update"] == stopped and button(page, "Play").is_visible()
    put(page, {"update": 90_000})
    button(page, "Play").click()
    page.get_by_role("status").filter(has_text="Update: 100,000. Saturated:").wait_for()
    assert button(page, "Play").is_visible()
    page.evaluate(
        """() => {
          const { model } = document.querySelector(".course-widget");
          window.updates = [];
          model.on("change:update", () => window.updates.push(model.get("update")));
        }"""
    )
    button(page, "Play").click()
    page.wait_for_function("() => window.updates.length > 0")
    assert page.evaluate("window.updates[0]") == 0, "it starts again"


def test_the_speed_is_that_of_playing(page):
    control(page, "Speed").select_option("slow")
    put(page, {"update": 0})
    button(page, "Play").click()
    page.wait_for_timeout(700)
    assert shown(page)["update"] == 0
    page.wait_for_function(
        "() => document.querySelector('.course-widget').model.get('update') === 1"
    )
    button(page, "Pause").click()


def test_it_goes_slowly_where_little_motion_is_wanted(chromium, tmp_path):
    widget = widgets.TrainingFilm(**START, speed="fast")
    with browser.widget_page(chromium, widget, tmp_path, reduced_motion="reduce") as page:
        button(page, "Play").click()
        page.wait_for_timeout(1_500)
        assert shown(page)["update"] == 20_000, "else seven frames would have passed"
        page.wait_for_timeout(1_000)
        assert shown(page)["update"] == 30_000


# ---------------------------------------------------------------- the words


def test_the_description_holds_the_numbers(page):
    state = {"activation": "sigmoid", "depth": 4, "update": 1_000}
    now = put(page, state)["standard"]
    text = page.locator(".what").inner_text()
    assert text.startswith("At update 1,000, with standard weights (rate 1, chosen on validation")
    saturated = f"{100 * now['saturated'][3]:.3g} %"
    assert (
        f"the last of 4 hidden layers has {saturated} of its activations saturated, near 0" in text
    )
    assert f"The test error is {100 * now['error']:.3g} %" in text
    assert f"the cost {now['cost']:.3g} nats" in text
    assert f"dC/ds is {now['gradient'][0] / now['gradient'][3]:.2g} times" in text
    put(page, {"activation": "softsign", "scheme": "normalized", "compare": True})
    text = page.locator(".what").inner_text()
    assert "that of depth 5, as none was searched for" in text
    assert "With standard weights" in text


def test_a_change_is_announced_with_its_consequence(page):
    old = shown(page)["standard"]
    control(page, "Update").press("ArrowRight")
    status = page.get_by_role("status")
    status.filter(has_text="Update: 30,000.").wait_for()
    new = shown(page)["standard"]
    said = f"test error {100 * new['error']:.3g} %, before {100 * old['error']:.3g} %"
    assert said in status.inner_text()


def test_the_table_holds_every_number(page):
    summary = page.get_by_text("The numbers as a table")
    summary.press("Enter")
    rows = page.locator(".numbers tbody tr")
    rows.nth(4).wait_for()
    assert rows.count() == 5
    cells = rows.nth(1).locator("td").all_inner_texts()
    now = shown(page)["standard"]
    values = [now["mean"][1], now["std"][1], *now["percentiles"][1]]
    found = [float(cell.replace("\u2212", "-")) for cell in (*cells[:5], *cells[6:])]
    assert np.allclose(found, [*values, now["gradient"][1], now["weight_gradient"][1]], rtol=6e-3)
    summary.press("Enter")


def test_every_chart_says_its_numbers(page):
    put(page, {"compare": True, "depth": 3})
    charts = page.locator(".chart svg[role=img]:visible")
    labels = charts.evaluate_all("(a) => a.map((e) => e.ariaLabel)")
    assert len(labels) == 3 + 3 + 2 + 1
    assert all(any(c.isdigit() for c in label) for label in labels)


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
@pytest.mark.parametrize(
    "state",
    [
        {"activation": "sigmoid", "depth": 1, "logarithmic": True},
        {"activation": "softsign", "compare": True, "quantity": "gradient"},
    ],
    ids=("one layer", "side by side"),
)
def test_axe_finds_nothing(page, look, state):
    pytest.importorskip("axe_playwright_python")
    put(page, state)
    try:
        page.emulate_media(color_scheme="dark" if look == "dark" else "light")
        page.set_viewport_size(browser.PHONE if look == "phone" else browser.DESK)
        page.wait_for_timeout(100)
        assert browser.axe(page) == []
        assert page.evaluate(browser.OVERFLOWING) == []
    finally:
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(browser.DESK)
