"""The cost surface: its numbers against the library's, and every way to operate it in a page."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("anywidget")
if not importlib.util.find_spec("playwright"):
    pytest.skip("browser checks left out: playwright is not installed", allow_module_level=True)

import browser  # noqa: E402  (tests/browser.py)

from course_lib import surfaces, widgets  # noqa: E402

if not browser.CHROMIUM:
    pytest.skip("browser checks left out: no Chromium on this machine", allow_module_level=True)

# Fewer steps than the widget's own 100, and both balls on their way.
START = {"steps": 30, "step": 20, "rate_quadratic": 10.0}
QUIET = {"outside": [], "failed": [], "console": []}


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def numerics(chromium):
    with browser.numerics(chromium, "core", "surfaces") as page:
        page.evaluate("() => { window.surfaces = makeSurfaces(core); }")
        yield page


@pytest.fixture(scope="module")
def start():
    """The widget at START; its page is made once, for the still picture takes its time."""
    text = widgets.CostSurface(**START).page()
    return SimpleNamespace(name="surface", page=lambda: text)


@pytest.fixture
def page(chromium, start, tmp_path):
    with browser.widget_page(chromium, start, tmp_path) as opened:
        yield opened
        assert opened.seen == QUIET


def control(page, label):
    return page.get_by_label(label, exact=True)


def click(page, label, share):
    """Click on a slider, a share of its width from its left end."""
    box = control(page, label).bounding_box()
    control(page, label).click(position={"x": share * box["width"], "y": box["height"] / 2})


def state(page):
    return {key: browser.trait(page, key) for key in widgets.CostSurface.keys_of_state()}


def examples(seed, targets):
    draw = surfaces.draw(seed=seed)
    learnable = (draw.inputs[:, 0] > 0).long()
    return draw._replace(labels=learnable) if targets == "learnable" else draw


def agrees(page):
    """The page shows what Python computes for the state that the page is in."""
    browser.at_rest(page)
    found, expected = browser.readings(page), widgets.CostSurface(**state(page)).measure()
    assert found.keys() == expected.keys()
    for cost, numbers in expected.items():
        assert found[cost].keys() == numbers.keys()
        for key, value in numbers.items():
            # both in float64, but sums in another order
            wanted = value if isinstance(value, str | None) else pytest.approx(value, rel=1e-9)
            assert found[cost][key] == wanted, (cost, key)
    return found


# ---------------------------------------------------------------- the numbers


@pytest.mark.parametrize("targets", ["random", "learnable"])
@pytest.mark.parametrize("seed", [0, 1, 99])
def test_the_draw_is_that_of_python(numerics, seed, targets):
    found = numerics.evaluate(
        "([seed, targets]) => Object.values(surfaces.draw(seed, targets)).map((v) => [...v])",
        [seed, targets],
    )
    draw = examples(seed, targets)
    assert np.allclose(found[0], draw.inputs[:, 0], rtol=0, atol=1e-14)
    assert found[1] == draw.labels.tolist()


@pytest.mark.parametrize("cost", surfaces.COSTS)
@pytest.mark.parametrize("targets", ["random", "learnable"])
def test_a_surface_is_that_of_python(numerics, cost, targets):
    found = numerics.evaluate(
        "([cost, targets]) => { const s = surfaces.surface(surfaces.draw(5, targets), cost, 40);"
        " return [[...s.value], [...s.length], [...s.flat], s.low, s.high, s.longest, s.share]; }",
        [cost, targets],
    )
    value, length = surfaces.surface(examples(5, targets), cost, 40)
    assert np.allclose(found[0], value.ravel(), rtol=1e-12)
    assert np.allclose(found[1], length.ravel(), rtol=1e-9, atol=1e-15)
    flat = surfaces.flat(length)
    assert np.array_equal(found[2], flat.ravel())
    assert np.allclose(found[3:], [value.min(), value.max(), length.max(), flat.mean()], rtol=1e-12)


@pytest.mark.parametrize("cost", surfaces.COSTS)
def test_cost_and_gradient_far_out_lose_no_digits(numerics, cost):
    """A logit of 300: 1 - p would be 0 if it were computed as that."""
    places = np.array([[300.0, -300.0, 40.0], [300.0, 300.0, -9.0]])
    found = numerics.evaluate(
        "([cost, a, b]) => a.map((w, k) => surfaces.at(surfaces.draw(2), cost, w, b[k]))",
        [cost, *places.tolist()],
    )
    value, gradient = surfaces.at(surfaces.draw(seed=2), *places, cost)
    assert np.allclose(found, np.column_stack([value, gradient]), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("cost", surfaces.COSTS)
def test_the_descent_is_that_of_python(numerics, cost):
    """At a rate of 1; at 30 the ball jumps about, and the last digit would soon decide."""
    found = numerics.evaluate(
        "(cost) => { const w = surfaces.descend(surfaces.draw(0), cost, 6, -4.5, 1, 300);"
        " return [w.w1, w.w2, w.cost, w.length]; }",
        cost,
    )
    draw = surfaces.draw()
    way, height = surfaces.descend(draw, [6], [-4.5], cost, 1, 300)
    assert np.allclose(np.transpose(found[:2]), way[:, 0], rtol=1e-9, atol=1e-12)
    assert np.allclose(found[2], height[:, 0], rtol=1e-12)
    length = np.hypot(*surfaces.at(draw, *way[:, 0].T, cost)[1].T)
    assert np.allclose(found[3], length, rtol=1e-6, atol=1e-12)


STATES = [
    ({}, {"cross_entropy": "rolled", "quadratic": "plateau"}),
    ({"step": 30}, {"cross_entropy": "rolled", "quadratic": "stuck"}),
    ({"step": 1000}, {"cross_entropy": "rolled", "quadratic": "stuck"}),  # no more than `steps`
    ({"steps": 100, "step": 100}, {"cross_entropy": "rolled", "quadratic": "crossed"}),
    ({"step": 0, "w1": -1.0, "w2": -2.5}, {"cross_entropy": "moving", "quadratic": "moving"}),
    ({"step": 3, "w2": 0.2}, {"cross_entropy": "rolled", "quadratic": "rolled"}),
    ({"targets": "learnable", "seed": 7, "w2": -6.0}, {"quadratic": "crossed"}),
    ({"cost": "quadratic", "seed": 99, "w1": -7.5, "step": 11}, {}),
    ({"cost": "cross_entropy", "rate_cross_entropy": 30.0, "step": 6}, {}),
]


def put(page, asked):
    """Set START and what is asked, as Python would."""
    page.evaluate(
        """(state) => { const { model } = document.querySelector(".course-widget");
          for (const [key, value] of Object.entries(state)) model.set(key, value); }""",
        widgets.CostSurface(**START | asked).state,
    )
    browser.at_rest(page)


def test_the_page_shows_what_python_computes(page):
    for asked, outcome in STATES:
        put(page, asked)
        found = agrees(page)
        assert {cost: found[cost]["outcome"] for cost in outcome} == outcome
    assert found["cross_entropy"]["rises"] > 0
    assert "the rate is too large" in page.locator(".what").inner_text()


def test_the_lesson_and_the_widget_speak_of_the_same_surface():
    found = widgets.CostSurface().measure()
    stored = [found[cost]["flat_share"] for cost in surfaces.COSTS]
    draw, expected = surfaces.draw(seed=0), []
    for cost in surfaces.COSTS:
        expected.append(surfaces.flat(surfaces.surface(draw, cost, 100)[1]).mean())
    assert stored == expected


# ---------------------------------------------------------------- the controls

KEYBOARD = [
    ("Cost", ["ArrowDown"], "cost", "cross_entropy"),
    ("Targets", ["ArrowDown"], "targets", "learnable"),
    ("Seed", ["ArrowRight"], "seed", 1),
    ("Start, w\u2081", ["ArrowLeft", "ArrowLeft"], "w1", 5.8),
    ("Start, w\u2082", ["Home"], "w2", -8),
    ("Rate, cross-entropy", ["ArrowLeft"], "rate_cross_entropy", 1),
    ("Rate, quadratic cost", ["End"], "rate_quadratic", 30),
    ("After step", ["ArrowLeft"], "step", 19),
]


POINTER = {
    "Seed": 0.9,
    "Start, w\u2081": 0.2,
    "Start, w\u2082": 0.1,
    "Rate, cross-entropy": 0.05,
    "Rate, quadratic cost": 0.05,
    "After step": 0.3,
}


def changes_everything(page, act, what):
    before, picture, text = agrees(page), browser.pixels(page), page.locator(".what").inner_text()
    act()
    assert agrees(page) != before, what
    assert browser.pixels(page) != picture, what
    assert page.locator(".what").inner_text() != text, what


def test_every_control_by_keyboard(page):
    for label, keys, key, value in KEYBOARD:
        control(page, label).focus()
        changes_everything(page, lambda keys=keys: [page.keyboard.press(k) for k in keys], label)
        assert browser.trait(page, key) == pytest.approx(value)
        page.get_by_role("button", name="As at the start").click()


def test_every_slider_by_pointer(page):
    for label, share in POINTER.items():
        changes_everything(page, lambda own=(label, share): click(page, *own), label)


def test_steps_and_their_slider_go_together(page):
    control(page, "Steps").press("Home")
    found = agrees(page)
    assert (browser.trait(page, "steps"), found["quadratic"]["step"]) == (10, 10)
    assert control(page, "After step").get_attribute("max") == "10"
    control(page, "Steps").press("End")
    assert browser.trait(page, "steps") == 1000
    assert agrees(page)["quadratic"]["step"] == 20


def test_a_rate_waits_for_its_cost(page):
    control(page, "Cost").select_option("quadratic")
    browser.at_rest(page)
    assert control(page, "Rate, cross-entropy").is_disabled()
    assert list(agrees(page)) == ["quadratic"]
    assert page.locator("canvas:visible").count() == 2


# ---------------------------------------------------------------- turning


def seen_from(page):
    browser.at_rest(page)
    return browser.trait(page, "azimuth"), browser.trait(page, "elevation")


def test_arrow_keys_turn_the_surface(page):
    surface, before = page.get_by_role("application").first, agrees(page)
    surface.focus()
    for keys, angles in (
        (["ArrowRight"], (-60, 28)),
        (["ArrowLeft", "ArrowLeft"], (-50, 28)),
        (["ArrowUp"], (-50, 33)),
        (12 * ["ArrowUp"], (-50, 90)),
        (["ArrowDown"], (-50, 85)),
        (30 * ["ArrowRight"], (160, 85)),  # beyond -180 it goes on at 180
    ):
        picture = surface.screenshot()
        for name in keys:
            page.keyboard.press(name)
        assert seen_from(page) == angles
        assert surface.screenshot() != picture
        said = f"azimuth {angles[0]}\u00b0, elevation {angles[1]}\u00b0".replace("-", "\u2212")
        assert said in surface.get_attribute("aria-label")
    assert agrees(page) == before, "a view changes no number"


def test_dragging_turns_both_surfaces(page):
    both = page.get_by_role("application").all()
    pictures = [surface.screenshot() for surface in both]
    both[1].scroll_into_view_if_needed()
    box = both[1].bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=7)
    page.mouse.up()
    assert seen_from(page) == (-85, 48)
    assert all(s.screenshot() != p for s, p in zip(both, pictures, strict=True))
    page.mouse.move(x, y)
    assert seen_from(page) == (-85, 48), "the button is up"


def test_a_finger_turns_it(chromium, tmp_path):
    phone = {"viewport": browser.PHONE, "has_touch": True, "is_mobile": True}
    with browser.widget_page(chromium, widgets.CostSurface(), tmp_path, **phone) as page:
        surface = page.get_by_role("application").first
        surface.scroll_into_view_if_needed()
        box, session = surface.bounding_box(), page.context.new_cdp_session(page)
        places = [(box["x"] + 100 + 10 * k, box["y"] + 120) for k in range(7)]
        for kind, points in (
            ("touchStart", places[:1]),
            *(("touchMove", [place]) for place in places[1:]),
            ("touchEnd", []),
        ):
            touches = [{"x": x, "y": y} for x, y in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        azimuth, elevation = seen_from(page)
        assert -90 < azimuth < -65 and elevation == 28
        page.locator("canvas.placeable").first.tap(position={"x": 60, "y": 60})
        assert (browser.trait(page, "w1"), browser.trait(page, "w2")) != (6, 6)


@pytest.mark.parametrize(("label", "key"), [("Turn", "azimuth"), ("Tilt", "elevation")])
def test_sliders_turn_it(page, label, key):
    surface = page.get_by_role("application").first
    pictures = [surface.screenshot()]
    control(page, label).press("ArrowRight")
    browser.at_rest(page)
    assert browser.trait(page, key) == {"azimuth": -54, "elevation": 29}[key]
    pictures.append(surface.screenshot())
    click(page, label, 0.8)
    browser.at_rest(page)
    pictures.append(surface.screenshot())
    assert len(set(pictures)) == 3


# ---------------------------------------------------------------- the ball


@pytest.mark.parametrize("which", [0, 1])
def test_a_click_on_a_map_starts_the_ball_there(page, which):
    before, picture = agrees(page), browser.pixels(page)
    place = page.locator("canvas.placeable").nth(which)
    plan = page.evaluate(
        "(c) => { const b = c.getBoundingClientRect(); return [b.width, b.height]; }",
        place.element_handle(),
    )
    side = min(plan[0] - 102, plan[1] - 44)  # the square, right of 40 and below 6 pixels
    place.click(position={"x": 40 + 0.25 * side, "y": 6 + 0.125 * side})
    assert agrees(page) != before
    assert browser.trait(page, "w1") == pytest.approx(-4, abs=0.101)
    assert browser.trait(page, "w2") == pytest.approx(6, abs=0.101)
    assert browser.pixels(page) != picture
    place.click(position={"x": 2, "y": 6 + 0.5 * side})
    assert browser.trait(page, "w1") == -8, "beside the square is its edge"


def test_drop_pause_go_on(page):
    control(page, "Pace").press("Home")
    for _ in range(2):  # 10 steps a second: slow enough for the pause to come in time
        control(page, "Pace").press("ArrowRight")
    assert browser.trait(page, "pace") == 10
    page.get_by_role("button", name="Drop the ball").click()
    page.get_by_role("button", name="Pause").press("Enter")
    step = browser.trait(page, "step")
    assert step < 30
    page.wait_for_timeout(300)
    assert browser.trait(page, "step") == step, "it stands still"
    control(page, "Pace").press("End")
    page.get_by_role("button", name="Go on").click()
    page.wait_for_function(
        "() => document.querySelector('.course-widget').model.get('step') === 30"
    )
    page.get_by_role("button", name="Go on").wait_for()
    assert agrees(page)["quadratic"]["outcome"] == "stuck"


def test_without_motion_the_way_is_there_at_once(chromium, tmp_path):
    calm = {"reduced_motion": "reduce"}
    widget = widgets.CostSurface(**START | {"step": 0})
    with browser.widget_page(chromium, widget, tmp_path, **calm) as page:
        page.get_by_role("button", name="Go on").click()
        assert browser.trait(page, "step") == 3, "a tenth of the steps"
        page.get_by_role("button", name="Drop the ball").click()
        assert browser.trait(page, "step") == 30
        agrees(page)


# Looks at a copy of a canvas: reading twice from a canvas makes the browser warn.
LOOK = """(c, [way, wanted]) => {
  const copy = new OffscreenCanvas(c.width, c.height).getContext("2d");
  copy.drawImage(c, 0, 0);
  const { data } = copy.getImageData(0, 0, c.width, c.height), ratio = c.width / c.clientWidth;
  const pixel = (k) => [...data.slice(4 * k, 4 * k + 3)];
  if (way === "place") {
    const [x, y] = wanted.map((v) => Math.floor(ratio * v));
    return pixel(y * c.width + x);
  }
  const pixels = Array.from({ length: c.width * c.height }, (_, k) => k);
  if (way === "count") return pixels.filter((k) => String(pixel(k)) === String(wanted)).length;
  const beside = pixels.filter((k) => k % c.width < ratio * wanted);
  return Math.max(...beside.map((k) => Math.max(...pixel(k))));
}"""
RED = [179, 18, 63]  # the middle of the ball


def test_the_map_shows_cost_and_ball_in_their_places(page):
    put(page, {"step": 0, "w1": -4.0, "w2": 2.0})
    canvas = page.locator("canvas.placeable").first
    box = canvas.bounding_box()
    side = min(box["width"] - 102, box["height"] - 44)

    def colour(w1, w2):
        place = 40 + side * (w1 + 8) / 16, 6 + side * (8 - w2) / 16
        return canvas.evaluate(LOOK, ["place", place])

    assert colour(-4, 2) == RED
    # Without hatching: the cross-entropy is flat along w2 = 0 alone. Higher is lighter.
    draw, places = surfaces.draw(), [(6.5, 2.1), (6.5, 4.3), (-6.5, 6.5), (7.5, -7.5)]
    light = [sum(colour(*place)) for place in places]
    height = surfaces.at(draw, *np.transpose(places), "cross_entropy")[0]
    assert np.array_equal(np.argsort(light), np.argsort(height))


@pytest.mark.parametrize(("w1", "w2"), [(6.0, 3.0), (-7.0, 1.0), (2.0, -7.5)])
def test_from_right_above_the_surface_is_the_map(page, w1, w2):
    put(page, {"step": 0, "w1": w1, "w2": w2, "azimuth": -90, "elevation": 90})
    for canvas in page.locator("canvas.turnable").all():
        box = canvas.bounding_box()
        # Pixels for 8 units of a weight.
        scale = min(box["width"] / 3.65, (box["height"] - 14) / 3.3)
        place = box["width"] / 2 + scale * w1 / 8, box["height"] / 2 - scale * w2 / 8
        assert canvas.evaluate(LOOK, ["place", place]) == RED


def test_what_is_behind_is_hidden(page):
    """The ball lies in the valley, behind a terrace; from the other side it is in sight."""
    seen = []
    for w2 in (-7.0, 7.0):  # nearer to the eye, and on the far side
        put(page, {"step": 0, "w1": 1.5, "w2": w2, "azimuth": -90, "elevation": 5})
        seen.append(page.locator("canvas.turnable").nth(1).evaluate(LOOK, ["count", RED]))
    assert seen[0] > 10 and seen[1] == 0


# ---------------------------------------------------------------- the words


def test_the_description_holds_the_numbers(page):
    text, found = page.locator(".what").inner_text(), browser.readings(page)
    for cost, name in (("cross_entropy", "Cross-entropy"), ("quadratic", "Quadratic cost")):
        numbers = found[cost]
        assert f"{name}, flat on {100 * numbers['flat_share']:.3g} % of the square" in text
        assert f"at a cost of {numbers['cost']:.3g} after {numbers['start_cost']:.3g}" in text
    assert "the ball came to the bottom at step 4 and met no plateau" in text
    assert "is on a plateau: the gradient was below 5 % of the longest in 20 of 20 steps" in text


def test_a_change_is_announced_with_its_consequence(page):
    control(page, "After step").press("End")
    status = page.get_by_role("status")
    status.filter(has_text="After step: 30.").wait_for()
    assert "Quadratic cost: the ball sticks on a plateau" in status.inner_text()


def test_the_table_holds_the_numbers(page):
    page.get_by_text("The numbers as a table").press("Enter")
    page.locator(".numbers tbody tr").first.wait_for()
    rows = page.locator(".numbers tbody tr").all_inner_texts()
    cells = {name: values for name, *values in (row.split("\t") for row in rows)}
    assert cells["steps on a plateau"] == ["0", "20"]
    assert cells["at the bottom from step"] == ["4", "not yet"]
    found = browser.readings(page)
    assert [float(v) for v in cells["cost after step 20"]] == pytest.approx(
        [found[cost]["cost"] for cost in surfaces.COSTS], rel=6e-3
    )


# ---------------------------------------------------------------- looks


def test_dark_mode_draws_again(page):
    surface, lightest = page.locator("canvas.turnable").first, []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        browser.at_rest(page)
        # Beside the surface there are only the numbers of its upright axis.
        lightest.append(surface.evaluate(LOOK, ["lightest, left of", 36]))
    assert lightest[0] < 120 and lightest[1] > 200


def test_the_still_picture_says_its_numbers():
    widget = widgets.CostSurface(**START)
    found, (_, name) = widget.measure(), widget.still()
    for cost in surfaces.COSTS:
        assert f"flat on {found[cost]['flat_share']:.1%} of the square" in name
        assert f"at a cost of {found[cost]['cost']:.3g}" in name
