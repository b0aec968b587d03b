"""The playground: its training against the library's, and its controls in a page."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget")
if not importlib.util.find_spec("playwright"):
    pytest.skip("browser checks left out: playwright is not installed", allow_module_level=True)

import browser  # noqa: E402  (tests/browser.py)

from course_lib import backprop, models, shapeset, widgets  # noqa: E402

if not browser.CHROMIUM:
    pytest.skip("browser checks left out: no Chromium on this machine", allow_module_level=True)

# Small networks for what is to be quick.
SMALL = {f"{racer}_{key}": value for racer in "ab" for key, value in (("depth", 2), ("width", 20))}
CLOSE = {"rtol": 1e-7, "atol": 1e-15}  # float64 both; sums in another order


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def core(chromium):
    with browser.numerics(chromium, "core") as page:
        yield page


@pytest.fixture(scope="module")
def small():
    """A small widget whose page is made once."""
    text = widgets.Playground(**SMALL).page()
    return SimpleNamespace(name="playground", page=lambda: text)


@pytest.fixture
def page(chromium, small, tmp_path):
    with browser.widget_page(chromium, small, tmp_path) as opened:
        yield opened
        assert opened.seen == {"outside": [], "failed": [], "console": []}


def control(page, label):
    return page.get_by_label(label, exact=True)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def wait(page, test):
    """Wait until a test of the readings `r` holds; return them."""
    source = "() => { const r = document.querySelector('.course-widget').model.get('readings');"
    page.wait_for_function(f"{source} return {test}; }}")
    browser.at_rest(page)
    return browser.readings(page)


def agrees(found, widget, updates):
    """Say whether the readings are those of Python's training."""
    expected = widget.measure(updates)
    for racer in "ab":
        own, theirs = found[racer], expected[racer]
        assert own["error"] == theirs["error"][-1]
        if updates and updates % 100 == 0:
            assert own["cost"] == pytest.approx(theirs["cost"][-1], rel=1e-7)
        assert np.allclose(own["saturation"], theirs["saturation"], **CLOSE)
        assert np.allclose(own["gradient"], theirs["gradient"], **CLOSE)
    return True


# ---------------------------------------------------------------- the training step

STEPS = """({sizes, activation, scheme, seed, rate, x, labels, steps}) => {
  const net = core.network(sizes, activation, scheme, seed);
  const trace = core.blankTrace(net, labels.length), input = Float64Array.from(x);
  const deltas = core.backward(net, core.forward(net, input, labels.length), labels);
  const costs = [];
  for (let k = 0; k < steps; k++) costs.push(core.step(net, input, labels, rate, trace));
  const plain = (arrays) => arrays.map((values) => Array.from(values));
  return { costs, weights: plain(net.weights), biases: plain(net.biases), deltas: plain(deltas) };
}"""
# Batches and layers that fit the blocks of the fast products, and some that do not.
CASES = [
    ("tanh", [12, 8, 8, 9], 10),
    ("sigmoid", [7, 5, 3, 4], 7),
    ("softsign", [6, 1, 5, 3], 5),
    ("relu", [9, 11, 2], 13),
    ("linear", [3, 4, 2], 3),
    ("tanh", [4, 2], 1),
]


@pytest.mark.parametrize(("activation", "sizes", "batch"), CASES)
def test_a_step_is_that_of_python(core, activation, sizes, batch):
    """Mean over the batch, biases included: models.MLP, backprop.gradients, W - rate gradient."""
    rng = np.random.default_rng(5)
    x, labels = rng.uniform(-1, 1, (batch, sizes[0])), rng.integers(0, sizes[-1], batch)
    case = {"sizes": sizes, "activation": activation, "scheme": "normalized", "seed": 3}
    numbers = {"rate": 0.3, "x": x.ravel().tolist(), "labels": labels.tolist(), "steps": 3}
    found = core.evaluate(STEPS, case | numbers)
    model = models.MLP(sizes, activation, scheme="normalized", seed=3, dtype=torch.float64)
    images, classes = torch.from_numpy(x), torch.from_numpy(labels)
    for step, cost in enumerate(found["costs"]):
        gradients = backprop.gradients(model, model(images), classes)
        assert cost == pytest.approx(float(gradients.cost[0]), rel=1e-12)
        if step == 0:
            for own, delta in zip(found["deltas"], gradients.pre_activations, strict=True):
                assert np.allclose(own, delta.flatten(), rtol=1e-11, atol=1e-15)
        for weight, gradient in zip(
            model.weights + model.biases, gradients.weights + gradients.biases, strict=True
        ):
            weight -= 0.3 * gradient
    for own, weight in zip(
        found["weights"] + found["biases"], model.weights + model.biases, strict=True
    ):
        assert np.allclose(own, weight.flatten(), rtol=1e-11, atol=1e-14)


def test_a_cost_beyond_what_a_softmax_can_hold(core):
    """A certainty of exp(-2000) is 0 in float64, its logarithm is not."""
    found = core.evaluate(
        """() => {
          const net = core.network([2, 2], "linear", "normalized", 0);
          net.weights[0].set([1000, -1000, 0, 0]);
          return core.step(net, Float64Array.of(1, 0), [1], 0.1, core.blankTrace(net, 1));
        }"""
    )
    assert found == pytest.approx(2000)


# ---------------------------------------------------------------- the race


def test_the_page_trains_as_python_does_and_normalized_is_ahead(chromium, tmp_path):
    """Depth 5, width 100, tanh: after 1,000 updates the same errors, and B ahead beyond chance."""
    widget = widgets.Playground(updates=1_000)
    with browser.widget_page(chromium, widget, tmp_path) as page:
        button(page, "Run").click()
        found = wait(page, "r.update === 1000")
        expected = widget.measure(1_000, every=100)
        page.locator("summary").click()
        page.locator(".numbers tbody tr").nth(10).wait_for()
        rows = page.locator(".numbers tbody tr").all_inner_texts()
        title = page.locator(".chart-title").first.inner_text()
    shown = [[float(cell) for cell in row.split("\t")[1:3]] for row in rows]
    python = 100 * np.array([expected["a"]["error"], expected["b"]["error"]]).T
    assert np.allclose(shown, python, atol=1e-9)
    assert agrees(found, widget, 1_000)
    points, error = found["lead"]["points"], found["lead"]["error"]
    assert points == pytest.approx(python[-1, 0] - python[-1, 1])
    assert points > 3 * error
    assert title == f"Error on held-out pictures: B is ahead by {points:.2g} points"


def test_it_stops_by_itself_and_says_so(page):
    control(page, "Updates").press("Home")
    button(page, "Run").click()
    found = wait(page, "r.update === 100 && !r.running")
    page.get_by_role("status").filter(has_text="The race is over. After 100 updates").wait_for()
    assert "The race is over: 100 of 100 updates." in page.locator(".counter").inner_text()
    assert found["workers"]
    assert agrees(found, widgets.Playground(**SMALL), 100)
    button(page, "Run").click()  # once more, from the beginning
    browser.at_rest(page)
    again = wait(page, "r.update === 100 && !r.running")
    assert again["a"] == found["a"]


def test_without_workers_it_trains_in_the_page(chromium, tmp_path):
    widget = widgets.Playground(**SMALL, updates=100)
    with browser.widget_page(chromium, widget, tmp_path) as page:
        page.add_init_script("delete window.Worker")
        page.reload()
        page.locator("[data-mounted]").wait_for()
        button(page, "Run").click()
        found = wait(page, "r.update === 100 && !r.running")
    assert not found["workers"]
    assert agrees(found, widget, 100)


def test_a_worker_that_does_not_start_is_replaced(chromium, tmp_path):
    """A page's policy may forbid workers only when one is started."""
    widget = widgets.Playground(**SMALL, updates=100)
    with browser.widget_page(chromium, widget, tmp_path) as page:
        page.add_init_script(
            "const Own = window.Worker; window.Worker = class extends Own {"
            " constructor() { super('data:text/javascript,throw 1'); } }"
        )
        page.reload()
        page.locator("[data-mounted]").wait_for()
        assert not browser.readings(page)["workers"]
        assert agrees(browser.readings(page), widget, 0)


def test_it_pauses_and_goes_on_by_keyboard(page):
    button(page, "Run").press("Enter")
    wait(page, "r.update >= 100")
    button(page, "Pause").press("Space")
    found = wait(page, "!r.running")
    page.get_by_role("status").filter(has_text="Paused. After").wait_for()
    picture = browser.pixels(page)
    page.wait_for_timeout(300)
    assert browser.readings(page) == found
    assert browser.pixels(page) == picture
    button(page, "Run").press("Enter")
    wait(page, f"r.update > {found['update']}")
    button(page, "Start again").press("Enter")
    assert wait(page, "r.update === 0")["running"] is False


def test_one_update(page):
    picture = browser.pixels(page)
    button(page, "One update").click()
    found = wait(page, "r.update === 1")
    assert agrees(found, widgets.Playground(**SMALL), 1)
    assert browser.pixels(page) != picture
    button(page, "One update").press("Enter")
    assert wait(page, "r.update === 2")["a"]["gradient"] != found["a"]["gradient"]


def test_with_reduced_motion_it_changes_once_a_second(chromium, small, tmp_path):
    with browser.widget_page(chromium, small, tmp_path, reduced_motion="reduce") as page:
        page.evaluate(
            """() => { const { model } = document.querySelector(".course-widget");
              window.seen = [];
              model.on("change:readings", () => window.seen.push(performance.now())); }"""
        )
        button(page, "Run").click()
        page.wait_for_function("() => seen.length === 3")
        gaps = np.diff(page.evaluate("seen"))
        button(page, "Pause").click()
        wait(page, "!r.running")
    assert (gaps > 900).all()  # drawn in the next frame, which may be a late one


HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_it_waits_while_nobody_can_see_it(page):
    button(page, "Run").click()
    wait(page, "r.update >= 100")
    counter = page.locator(".counter")
    page.evaluate(HIDE, True)
    page.wait_for_timeout(400)  # a stretch that has begun is finished
    text = counter.inner_text()
    assert "Waiting until it is seen" in text
    page.wait_for_timeout(400)
    assert counter.inner_text() == text
    page.evaluate(HIDE, False)
    before = browser.readings(page)["update"]
    wait(page, f"r.update > {before}")
    page.evaluate("() => { document.body.style.paddingTop = '9000px'; scrollTo(0, 0); }")
    counter.filter(has_text="Waiting until it is seen").wait_for()
    page.evaluate("() => document.querySelector('.counter').scrollIntoView()")
    counter.filter(has_text="Training").wait_for()


# ---------------------------------------------------------------- the controls

KEYBOARD = [
    ("Depth of A", "ArrowRight", "a_depth", 3),
    ("Width of B", "ArrowRight", "b_width", 50),
    ("Activation of B", "ArrowDown", "b_activation", "softsign"),
    ("First weights of A", "ArrowDown", "a_scheme", "normalized"),
    ("Seed of both", "End", "seed", 99),
]


@pytest.mark.parametrize(("label", "press", "key", "value"), KEYBOARD)
def test_a_control_by_keyboard(page, label, press, key, value):
    before, picture = browser.readings(page), browser.pixels(page)
    control(page, label).press(press)
    browser.at_rest(page)
    after = browser.readings(page)
    assert browser.trait(page, key) == value
    assert after != before
    assert browser.pixels(page) != picture
    assert agrees(after, widgets.Playground(**SMALL | {key: value}), 0)
    said = page.get_by_role("status").filter(has_text=f"{label}: ")
    said.filter(has_text="The race starts again.").wait_for()


@pytest.mark.parametrize(
    ("label", "key"),
    [("Depth of B", "b_depth"), ("Width of A", "a_width"), ("Rate of A", "a_rate")],
)
def test_a_slider_by_pointer(page, label, key):
    before, picture = browser.trait(page, key), browser.pixels(page)
    box = control(page, label).bounding_box()
    control(page, label).click(position={"x": 0.95 * box["width"], "y": box["height"] / 2})
    browser.at_rest(page)
    assert browser.trait(page, key) > before
    assert browser.pixels(page) != picture


def test_the_learning_rate_and_the_seed_count(page):
    """At a rate of 1 rounding would grow to a percent within 60 updates; 0.03 is far from that."""
    control(page, "Rate of B").press("ArrowRight")
    control(page, "Seed of both").press("ArrowRight")
    control(page, "Updates").press("Home")
    button(page, "Run").click()
    found = wait(page, "r.update === 100 && !r.running")
    assert agrees(found, widgets.Playground(**SMALL, b_rate=0.03, seed=1), 100)
    assert found["a"]["error"] != found["b"]["error"]


def test_a_race_in_one_click(page):
    """By pointer and by keyboard; the networks are set and train at once."""
    button(page, "Sigmoid against softsign").click()
    wait(page, "r.running && r.update >= 100 && r.b.gradient.length === 5")
    names = [browser.trait(page, f"{racer}_activation") for racer in "ab"]
    assert names == ["sigmoid", "softsign"]
    button(page, "One layer against five").press("Enter")
    wait(page, "r.running && r.update >= 100 && r.a.gradient.length === 1")
    assert "A: tanh, normalized, 1 layer of 100, rate 0.03" in page.inner_text(".panels")
    assert browser.axe(page) == []  # while it runs


# ---------------------------------------------------------------- the words


def test_words_and_numbers_agree(page):
    found, text = browser.readings(page), page.locator(".what").inner_text()
    assert text.startswith("After 0 updates ")
    for racer in "ab":
        assert f"{100 * found[racer]['error']:.3g} %" in text
    ratio = found["b"]["gradient"][0] / found["b"]["gradient"][-1]
    assert f"gradients in the first are {ratio:.2g} times" in text
    chart = page.get_by_role("img", name="Standard deviation of dC/ds").get_attribute("aria-label")
    for value in found["a"]["gradient"]:
        assert f"{value:.3g}" in chart


def test_right_and_wrong_are_said_in_words(page):
    """Of the first eight held-out pictures, beside the name of what they show."""
    images, labels = shapeset.sample(1_000, seed=1)
    cards = page.locator(".answers li").all_inner_texts()
    assert len(cards) == 8
    for racer, scheme in enumerate(("standard", "normalized")):
        model = models.MLP([1024, 20, 20, 9], "tanh", scheme=scheme, dtype=torch.float64)
        share, answer = model(images[:8].double()).logits[0].softmax(-1).max(-1)
        for i, card in enumerate(cards):
            truth, *said = card.split("\n")
            assert truth == shapeset.CLASSES[labels[i]]
            wrong = f"\u2717 {shapeset.CLASSES[answer[i]]}"
            verdict = "\u2713 right" if answer[i] == labels[i] else wrong
            assert said[racer] == f"{'AB'[racer]} {verdict}, {100 * share[i]:.2g} %"


def test_a_rate_that_is_too_large_is_said_to_be(chromium, tmp_path):
    lost = {"a_depth": 5, "a_width": 200, "a_activation": "relu", "a_scheme": "normalized"}
    widget = widgets.Playground(**SMALL | lost, a_rate=1.0, updates=100)
    assert np.isnan(widget.measure(100)["a"]["cost"][-1])
    with browser.widget_page(chromium, widget, tmp_path) as page:
        button(page, "Run").click()
        wait(page, "r.update === 100")
        assert "A diverged" in page.locator(".what").inner_text()
        assert "B diverged" not in page.locator(".what").inner_text()
        assert page.seen == {"outside": [], "failed": [], "console": []}
