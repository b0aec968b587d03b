"""What every widget promises: arguments, a place in a page, a link to its state, access for all."""

import html
import importlib.util
import json
import re

import pytest
import traitlets

pytest.importorskip("anywidget")

from course_lib import plots, widgets  # noqa: E402

NAMES = list(widgets.ALL)
every_widget = pytest.mark.parametrize("name", NAMES)
LIMIT = 300_000  # bytes of its own that a widget may load


@pytest.fixture(scope="module")
def made():
    """One widget of each kind, with its place in a page."""
    found = {name: widget() for name, widget in widgets.ALL.items()}
    return {name: (widget, widget.mount()) for name, widget in found.items()}


def test_there_are_widgets_and_each_has_its_name():
    assert NAMES == [widget.name for widget in widgets.ALL.values()]
    assert {type.__name__ for type in widgets.ALL.values()} <= set(widgets.__all__)


@every_widget
def test_an_unknown_argument_is_named(name):
    with pytest.raises(TypeError, match=r"has no colour; choose among \w+, \w+"):
        widgets.ALL[name](colour="red")


@every_widget
def test_a_value_that_is_not_allowed_is_refused(made, name):
    widget, _ = made[name]
    for key, trait in widget.traits(sync=True).items():
        if key in widget.state and isinstance(trait, traitlets.Enum):
            with pytest.raises(traitlets.TraitError, match=key):
                setattr(widget, key, "no such value")
        elif key in widget.state and getattr(trait, "max", None) is not None:
            with pytest.raises(traitlets.TraitError, match=key):
                setattr(widget, key, trait.max + 1)


@every_widget
def test_its_place_holds_its_state_and_a_still_picture(made, name):
    widget, place = made[name]
    state = json.loads(html.unescape(re.search(r'data-state="([^"]*)"', place)[1]))
    assert state == widget.state
    assert f'data-widget="{name}"' in place
    assert not any(key.startswith("_") for key in state)
    label = re.search(r'<svg role="img" aria-label="([^"]*)"', place)[1]
    assert len(label.split()) > 8
    assert re.search(r"\d", label)


@every_widget
def test_the_still_picture_follows_the_state(made, name):
    widget, place = made[name]
    key, trait = next(
        (key, trait)
        for key, trait in widget.traits(sync=True).items()
        if key in widget.state and isinstance(trait, traitlets.Enum)
    )
    other = next(value for value in trait.values if value != getattr(widget, key))
    assert widgets.ALL[name](**{key: other}).mount() != place


@every_widget
def test_it_loads_little_and_nothing_from_elsewhere(made, name):
    script = widgets.base.registration(widgets.ALL[name])
    assert len(script.encode()) < LIMIT
    addresses = set(re.findall(r"https?://[^\"'`\s\\]+", script))
    assert addresses <= {"http://www.w3.org/2000/svg"}


@every_widget
def test_jupyter_gets_the_same_text_and_the_still_picture(made, name):
    widget, place = made[name]
    assert widget._esm == widgets.ALL[name].source()
    data, _ = widget._repr_mimebundle_()
    assert data["text/html"] == place
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id


def test_a_script_cannot_end_the_page_that_holds_it():
    assert "</script" not in widgets.base.in_script("'</script>' + \"</SCRIPT>\"".lower())


# ---------------------------------------------------------------- in a browser

_BROWSER = importlib.util.find_spec("playwright") and importlib.util.find_spec(
    "axe_playwright_python"
)
if _BROWSER:
    import browser  # tests/browser.py

in_a_browser = pytest.mark.skipif(
    not (_BROWSER and browser.CHROMIUM),
    reason="browser checks left out: no Chromium or no playwright on this machine",
)


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


SET = """(wanted) => {
  const place = document.querySelector(".course-widget");
  for (const [key, value] of Object.entries(wanted)) place.model.set(key, value);
}"""
CONTROLS = """() => [...document.querySelectorAll(".stage *")]
  .filter((e) => e.matches("select, input, button, canvas[tabindex]"))
  .filter((e) => e.checkVisibility())
  .map((e) => ({ name: e.labels?.[0]?.textContent || e.ariaLabel || e.textContent,
                 height: e.getBoundingClientRect().height }))"""


def other_values(widget):
    """Return a state that differs from the widget's own in every entry."""
    found = {}
    for key, trait in widget.traits(sync=True).items():
        if key not in widget.state:
            continue
        if isinstance(trait, traitlets.Enum):
            found[key] = next(v for v in reversed(trait.values) if v != getattr(widget, key))
        elif isinstance(trait, traitlets.Bool):
            found[key] = not getattr(widget, key)
        else:
            found[key] = trait.max if trait.max != getattr(widget, key) else trait.min
    return found


# Every control that is in use, in the order of the page, with what it is.
FIELDS = """() => [...document.querySelectorAll(".controls :is(select, input, button)")]
  .filter((e) => !e.disabled && e.checkVisibility())
  .map((e, i) => { e.dataset.tried = i; return [i, e.type, e.labels?.[0]?.textContent || ""]; })"""
STATE = """() => { const model = document.querySelector(".course-widget").model;
  return JSON.stringify(Object.keys(model.first).map((key) => model.get(key))); }"""
# What shows only once something moves: the pace, and when it ends.
ASIDE = {"Speed", "Pace", "Updates"}
# A rate counts once the ball is on its way.
UNDER_WAY = {"surface": {"step": 10}}


def by_keyboard(page, field, kind):
    field.focus()
    if kind == "select-one":
        page.keyboard.press("ArrowUp" if field.evaluate("(e) => e.selectedIndex") else "ArrowDown")
    elif kind == "range":
        page.keyboard.press("Home" if field.evaluate("(e) => e.value === e.max") else "End")
    else:
        page.keyboard.press("Space" if kind == "checkbox" else "Enter")


def by_pointer(page, field, kind):
    if kind == "range":
        field.scroll_into_view_if_needed()
        box = field.bounding_box()
        high = field.evaluate("(e) => (e.value - e.min) / (e.max - e.min) > 0.5")
        field.click(position={"x": box["width"] * (0.04 if high else 0.96), "y": box["height"] / 2})
        return
    field.click()
    if kind == "select-one":  # the open list is the system's own
        field.select_option(index=0 if field.evaluate("(e) => e.selectedIndex > 0") else 1)


@in_a_browser
@every_widget
@pytest.mark.parametrize("way", [by_keyboard, by_pointer])
def test_every_control_does_something(chromium, tmp_path, made, name, way):
    """Each in turn, from the state that the one before left; what a number means is tested
    with its widget."""

    def seen():
        browser.at_rest(page)
        return browser.readings(page), page.locator(".what").inner_text(), browser.pixels(page)

    with browser.widget_page(chromium, made[name][0], tmp_path) as page:
        page.evaluate(SET, UNDER_WAY.get(name, {}))
        fields = page.evaluate(FIELDS)
        assert len(fields) >= 6
        for number, kind, label in fields:
            field = page.locator(f'[data-tried="{number}"]')
            if field.is_disabled():
                continue
            words = field.inner_text() if kind == "button" else ""
            state, before = page.evaluate(STATE), seen()
            way(page, field, kind)
            after = seen()
            if kind == "button":
                renamed = field.inner_text() != words
                said = page.locator(".status").inner_text()
                assert renamed or said or after != before, words
            else:
                assert page.evaluate(STATE) != state, label
                assert label in ASIDE or (after[0] != before[0] or after[2] != before[2]), label
        assert page.seen == {"outside": [], "failed": [], "console": []}


# What a widget goes on to compute once the first picture is there: a list, empty until then.
LATER = {"jacobian": "largests"}


def settled(page, name):
    """Return the readings once nothing is left to compute."""
    browser.at_rest(page)
    if name in LATER:
        read = "document.querySelector('.course-widget').model.get('readings')"
        page.wait_for_function(f"() => {read}.{LATER[name]}.length > 0")
    return browser.readings(page)


@in_a_browser
@every_widget
def test_a_link_restores_the_state(chromium, tmp_path, made, name):
    widget, _ = made[name]
    wanted = other_values(widget)
    with browser.widget_page(chromium, widget, tmp_path) as page:
        page.evaluate(SET, wanted)
        numbers = settled(page, name)
        page.get_by_role("button", name="Copy a link to this state").press("Enter")
        link = page.get_by_label("The link to this state").input_value()
    assert f"#{name}:" in link
    with browser.widget_page(chromium, widget, tmp_path, "#" + link.split("#")[1]) as page:
        now = settled(page, name)
        for key, value in wanted.items():
            assert browser.trait(page, key) == value, key
        stable = {k: v for k, v in now.items() if k not in RUNNING}
        assert stable == {k: v for k, v in numbers.items() if k not in RUNNING}
        assert page.seen == {"outside": [], "failed": [], "console": []}


# What a training in the page counts; it starts anew with the page.
RUNNING = {"updates_per_second"}


@in_a_browser
@every_widget
def test_a_link_that_makes_no_sense_does_no_harm(chromium, tmp_path, made, name):
    widget, _ = made[name]
    link = f"#{name}:seed=-7.5&activation=<b>&depth=1e9&cost=7&nonsense=1"
    with browser.widget_page(chromium, widget, tmp_path, link) as page:
        browser.at_rest(page)
        assert page.locator(".what").inner_text().strip()
        for key, trait in widget.traits(sync=True).items():
            if key not in widget.state:
                continue
            value = browser.trait(page, key)
            if isinstance(trait, traitlets.Enum):
                assert value in trait.values, key
            elif getattr(trait, "max", None) is not None:
                assert trait.min <= value <= trait.max, key
        assert page.seen == {"outside": [], "failed": [], "console": []}


@in_a_browser
@every_widget
def test_controls_have_names_and_are_large_enough(chromium, tmp_path, made, name):
    with browser.widget_page(chromium, made[name][0], tmp_path, viewport=browser.PHONE) as page:
        controls = page.evaluate(CONTROLS)
        assert len(controls) >= 5
        assert [c for c in controls if not c["name"].strip()] == []
        assert [c for c in controls if c["height"] < 18] == []
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


@in_a_browser
@every_widget
def test_axe_finds_nothing_serious_in_any_state(chromium, tmp_path, made, name):
    widget, _ = made[name]
    with browser.widget_page(chromium, widget, tmp_path, color_scheme="light") as page:
        page.get_by_text("The numbers as a table").click()
        assert browser.axe(page) == []
        for key, trait in widget.traits(sync=True).items():
            for value in trait.values if isinstance(trait, traitlets.Enum) else ():
                if key in widget.state:
                    page.evaluate(SET, {key: value})
                    browser.at_rest(page)
                    assert browser.axe(page) == [], (key, value)
        page.evaluate(SET, other_values(widget))
        browser.at_rest(page)
        assert browser.axe(page) == []
        page.emulate_media(color_scheme="dark")
        assert browser.axe(page) == []
        page.set_viewport_size(browser.PHONE)
        page.wait_for_timeout(200)
        assert browser.axe(page) == []


@in_a_browser
@every_widget
def test_dark_and_light_look_different(chromium, tmp_path, made, name):
    with browser.widget_page(chromium, made[name][0], tmp_path, color_scheme="light") as page:
        light = browser.pixels(page)
        page.emulate_media(color_scheme="dark")
        browser.at_rest(page)
        assert browser.pixels(page) != light


@in_a_browser
@every_widget
def test_without_scripts_the_still_picture_stands(chromium, tmp_path, made, name):
    widget, _ = made[name]
    with browser.widget_page(chromium, widget, tmp_path, java_script_enabled=False) as page:
        picture = page.get_by_role("img")
        assert picture.count() == 1
        assert picture.is_visible()
        assert picture.bounding_box()["width"] > 300
        assert page.get_by_text("A still picture.").is_visible()


@in_a_browser
@every_widget
def test_it_starts_again_as_it_was(chromium, tmp_path, made, name):
    widget, _ = made[name]
    with browser.widget_page(chromium, widget, tmp_path) as page:
        page.evaluate(SET, other_values(widget))
        browser.at_rest(page)
        page.get_by_role("button", name="As at the start").press("Enter")
        for key, value in widget.state.items():
            assert browser.trait(page, key) == value, key


def test_colours_are_those_of_the_figures():
    look = json.loads(widgets.base._look().removeprefix("const LOOK = ").removesuffix(";"))
    assert look["colours"] == plots.COLOURS
    assert look["layers"] == list(plots.LAYERS)
