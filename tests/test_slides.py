"""The lecture's slides: what their source pulls in, and the deck in a browser.

The browser checks take the deck of the built book (``BOOK_HTML`` names another one); see
``tests/test_browser.py`` for what they need.
"""

import importlib.util
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("anywidget")

from course_lib import claims, plots  # noqa: E402
from tools import book, slides  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
SOURCE = (ROOT / slides.SOURCE).read_text(encoding="utf-8")
SLIDES = slides.read(SOURCE)
SLIDE = "# A title\nA text.\n\n{notes} 50 min\nA note.\n"
SENTENCE = "Mean of 3 seeds. Layers 1 to 3 reach 0.50, 0.57 and 0.01 after 12500 updates."


def pieces(kind):
    """Return what the source pulls in of one kind, as (slide, reference)."""
    found = (
        (n, re.findall(rf"^\{{{kind}\}} *(.*)$", s["body"], re.M)) for n, s in enumerate(SLIDES)
    )
    return [(n, reference) for n, references in found for reference in references]


@pytest.fixture(scope="module")
def ledger():
    return claims.ledger()


@pytest.fixture
def deck(monkeypatch, ledger):
    """A deck whose lesson 03 has run and has drawn one figure; the sources are the real ones."""
    fig, axes = plots.figure()
    axes.plot([1, 2])
    html = f'<div class="figure course-figure">{plots.svg(fig, SENTENCE)}</div>'
    output = SimpleNamespace(data={"text/html": html}, get=lambda key, other: {"text/html": html})
    ran = SimpleNamespace(cells=[{"outputs": [output]}, {}])
    monkeypatch.setattr(slides, "executed", lambda root, name: ran if name[:2] == "03" else None)
    monkeypatch.setattr(claims, "ledger", lambda: ledger)  # made once: it takes seconds
    return slides.Deck(ROOT)


def made(deck, body, notes="A note."):
    """Return the HTML of one slide with this text."""
    return deck.slide(7, {"title": "A title", "body": body, "minutes": 2.0, "notes": notes})


# ---------------------------------------------------------------- the lecture


def test_the_lecture_takes_50_minutes():
    assert SOURCE.startswith("50 minutes\n") and sum(s["minutes"] for s in SLIDES) == 50
    assert 22 <= len(SLIDES) <= 28 and all(1 <= s["minutes"] <= 3 for s in SLIDES)


def test_a_vote_is_asked_on_one_slide_and_answered_on_the_next():
    asked, answered = ([n for n, _ in pieces(kind)] for kind in ("vote", "answer"))
    assert 3 <= len(asked) <= 4 and answered == [n + 1 for n in asked]


def test_no_measured_number_is_typed():
    """Per cents, decimals, thousands and update counts come from lessons and ledger."""
    typed = re.sub(r"\{\{.*?\}\}|\$.*?\$|^\{\w+\}.*$|^---$", "", SOURCE, flags=re.M)
    allowed = {"0.1", "0.5", "0.75", "0.8"}  # lines that criteria draw, and the paper's own numbers
    found = re.findall(r"\d+\.\d+|\d+,\d{3}|\d+\s*%", typed)
    assert set(found) <= allowed, set(found) - allowed


def test_there_are_live_figures_and_what_did_not_reproduce():
    assert 1 <= len(pieces("widget")) <= 2
    assert sum(reference.count("not reproduced") for _, reference in pieces("claims")) >= 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# A title\n", "begins with a line such as '50 minutes', not '# A title'"),
        ("50 minutes\n# A title\nNo notes.\n", "slide 1 needs '# its title' first"),
        (f"50 minutes\n{SLIDE}---\nNo title\n", "slide 2 needs .* it begins 'No title'"),
        (f"45 minutes\n{SLIDE}", "the notes plan 50 minutes, the lecture has 45"),
    ],
)
def test_a_source_of_the_wrong_form_is_refused(text, message):
    with pytest.raises(slides.SlideError, match=message):
        slides.read(text)


# ---------------------------------------------------------------- what is pulled in


def test_a_figure_comes_with_its_sentence(deck):
    html = made(deck, "{figure} 03: Mean of\n")
    assert f'aria-label="{SENTENCE}"' in html and 'data-minutes="2"' in html


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ("{figure} 03: No such", r"no figures of lesson 03 .*begins 'No such'(.|\n)*- Mean of 3"),
        ("{figure} 03:", "no figures of lesson 03"),
        ("{figure} 04: Mean of", "04_compare_activations has not run as it stands .*make book"),
        ("{figure} 99: Mean of", "there is no lesson '99'"),
        (
            "{vote} 03: no such",
            r"no predictions of lesson 03 .*- which layer leaves 0.5 first",
        ),
        ("{answer}", "needs a {vote} on a slide before"),
        ("{equation} 06: 17", r"lesson 06 has no equation with the tag \(17\)"),
        ("{claims} C15 partly", "C15 is 'reproduced' in the ledger, not 'partly'"),
        ("{claims} C99 partly", "no claim 'C99'"),
        ("{widget} race", "no widget 'race'; choose among signal"),
        ("{widget} signal, deep: 3", "the widget signal cannot begin with ' deep: 3'.*has no deep"),
        ("{widget} signal, depth: x", "the widget signal cannot begin with"),
        ("{picture} 03", "no piece 'picture'; there are figure"),
        ("{{figure: of #}}", "stands after the figure"),
        ("{{03 Mean of: falls to #}}", "no number at 'falls to #' in 'Mean of 3 seeds"),
        ("{{C13: sd9/sd1 is #}}", "no number at"),
        ("{{ledger: perhaps}}", "no claim is 'perhaps'"),
        (r"$\nonsense x$", "cannot be written as MathML"),
    ],
)
def test_what_is_missing_stops_the_build_and_is_named(deck, piece, message):
    with pytest.raises(slides.SlideError, match="(?s)slide 7, 'A title': .*" + message):
        made(deck, piece + "\n")


def test_numbers_come_from_figures_and_from_the_ledger(deck):
    body = "{figure} 03: Mean\n\nIt is {{figure: reach #, # and #}} after {{03 Mean: after #}}.\n"
    html = made(deck, body, notes="{{C13: standard, #}}, {{ledger: all}}")
    _, verdict = deck.ledger["C13"]
    said = re.search(r"standard, ([\d.]+)", verdict.evidence)[1]
    assert "It is 0.50, 0.57 and 0.01 after 12,500." in html and f"<p>{said}, 31</p>" in html


def test_dots_in_a_pattern_stand_for_any_words():
    assert slides.pick("a 1 (0 to 2), b 3.5 of 6", "a ... b #") == "3.5"
    assert slides.pick("at 1.3e-05 and 16000, 27250 s", "and #, #") == "16,000, 27,250"
    assert slides.pick("at 1.3e-05 and -0.8", "at # and #") == "1.3e-05 and -0.8"


def test_a_vote_shows_its_options_and_its_answer_later(deck):
    asked = made(deck, "{vote} 03: which layer leaves 0.5 first\n")
    answer = made(deck, "{answer}\n")
    assert asked.count("<li>") == 4 and "answer" not in asked
    assert "<strong>c.</strong> Layer 4, next to the output: towards 0" in answer


def test_all_that_needs_no_run_is_there(deck):
    """Votes, equations, cards, claims and widgets: a change of a lesson shows here at once."""
    for kind in ("vote", "equation", "card", "claims", "widget"):
        for _, reference in pieces(kind):
            assert made(deck, f"{{{kind}}} {reference}\n")


def test_equations_have_fractions_spaces_and_no_tag():
    html = slides.mathml(
        r"n \operatorname{Var}\!\left[\frac{a}{b}\right] = \big[x\big], \dots", True
    )
    assert html.count("<mfrac>") == 1 and "…" in html and "<mspace" in html and "\n" not in html


# ---------------------------------------------------------------- the file


def test_without_a_book_it_says_what_to_do(tmp_path, capsys):
    assert book._slides(tmp_path) == 1
    assert "No slides: no book yet. Run 'make book'" in capsys.readouterr().out


def test_a_book_without_its_slides_has_problems(tmp_path, monkeypatch, capsys):
    """`make book` ends with their status, and its own comes first."""
    monkeypatch.setattr(book, "_run", lambda *_: 0)
    assert book.build(tmp_path) == 1
    assert "No slides: no book yet" in capsys.readouterr().out
    monkeypatch.setattr(slides, "write", lambda root: None)
    assert book.build(tmp_path) == 0
    monkeypatch.setattr(book, "_run", lambda *_: 2)
    assert book.build(tmp_path) == 2


def test_a_deck_that_cannot_be_made_leaves_none_of_before(tmp_path):
    """A page of older lessons would pass for the slides of these."""
    old = tmp_path / slides.TARGET
    source = "50 minutes\n" + SLIDE.replace("A text.", "{figure} 03: M")
    for path, text in ((old, "old"), (tmp_path / slides.SOURCE, source)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.raises(slides.SlideError, match="no lesson '03'"):
        slides.write(tmp_path)
    assert not old.exists()


# ---------------------------------------------------------------- the deck in a browser

CHROMIUM = any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
PACKAGES = all(map(importlib.util.find_spec, ("playwright", "axe_playwright_python")))
HTML = Path(os.environ.get("BOOK_HTML") or ROOT / "_build" / "html").resolve()
FILE = HTML / "book" / "lecture.html"
shown = pytest.mark.skipif(
    not (CHROMIUM and PACKAGES and FILE.exists()),
    reason="browser checks left out: no Chromium"
    if not (CHROMIUM and PACKAGES)
    else f"no slides in {FILE}: run make book first",
)
SCREENS = [{"width": 1280, "height": 720}, {"width": 1920, "height": 1080}]
CURRENT = "() => Number(document.querySelector('.slide.current').id)"
# What of the slide shown lies outside of it; a live figure scrolls within its own place.
OVERFLOWING = """() => {
  const face = document.querySelector(".slide.current .face"), box = face.getBoundingClientRect();
  const bar = document.querySelector(".bar").getBoundingClientRect();
  const out = [...face.querySelectorAll(":scope *")].filter((e) => {
    if (e.closest(".live, svg") && !e.matches(".live")) return false;
    const own = e.getBoundingClientRect();
    return own.right > box.right + 1 || own.bottom > Math.min(box.bottom, bar.top) + 1
      || own.top < box.top - 1 || own.left < box.left - 1;
  });
  return out.map((e) => `${face.parentElement.id} ${e.tagName}.${e.className}`);
}"""
# The size of every text of the slide shown, in units of a screen of 1280 x 720.
SMALL = """() => [...document.querySelectorAll(".slide.current .face *")]
  .filter((e) => !e.closest(".live, svg, math") && [...e.childNodes]
    .some((n) => n.nodeType === 3 && n.data.trim()))
  .filter((e) => parseFloat(getComputedStyle(e).fontSize) * 720 / innerHeight < 24 - 0.01)
  .map((e) => e.outerHTML.slice(0, 90))"""
PAGE_COUNT = re.compile(rb"/Type\s*/Page(?!s)")


@pytest.fixture(scope="module")
def browser():
    import browser

    return browser


@pytest.fixture(scope="module")
def chromium(browser):
    with browser.chromium() as started:
        yield started


@pytest.fixture
def lecture(browser, chromium):
    """Open the deck from its folder, without a network; the rest are options of the context."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def opened(link="", **options):
            context = chromium.new_context(**{"viewport": SCREENS[0], "offline": True, **options})
            stack.callback(context.close)
            return stack.enter_context(browser.opened(None, FILE.as_uri() + link, context))

        yield opened


def walk(page):
    """Go through all slides by the arrow key; yield the number of each."""
    yield page.evaluate(CURRENT)
    for _ in SLIDES[1:]:
        page.keyboard.press("ArrowRight")
        yield page.evaluate(CURRENT)


@shown
@pytest.mark.parametrize("screen", SCREENS, ids=("720", "1080"))
def test_no_slide_overflows_and_none_has_small_text(lecture, screen):
    page = lecture(viewport=screen)
    for number in walk(page):
        assert page.evaluate(OVERFLOWING) + page.evaluate(SMALL) == [], number
    assert page.seen == {"outside": [], "failed": [], "console": []}


@shown
def test_the_file_asks_for_nothing(lecture):
    """One file: no request but the one for it, and no address of another host in it."""
    page = lecture()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    for _ in walk(page):
        page.wait_for_timeout(50)
    page.locator(".live [data-mounted]").first.wait_for(state="attached")
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [FILE.as_uri()]
    links = re.findall(r'(?:src|href)="(?!#|data:)([^"]+)"', FILE.read_text(encoding="utf-8"))
    assert all((FILE.parent / link).resolve().exists() for link in links) and len(links) < 10


@shown
def test_every_key_moves(lecture):
    page, last = lecture(), len(SLIDES)
    assert list(walk(page)) == list(range(1, last + 1))
    steps = {"ArrowRight": last, "ArrowLeft": last - 1, "Home": 1, "ArrowUp": 1, " ": 2}
    steps |= {"PageDown": 3, "ArrowDown": 4, "PageUp": 3, "Shift+ ": 2, "End": last}
    for key, number in steps.items():
        page.keyboard.press(key)
        assert page.evaluate(CURRENT) == number, key
    assert (
        page.url.endswith(f"#{last}") and page.locator("#number").inner_text() == f"{last} / {last}"
    )
    page.keyboard.press("l")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.slide.current').id === '2'")
    assert page.locator("#list").get_attribute("open") is None
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement")


@shown
def test_a_link_opens_its_slide(lecture):
    page = lecture("#9")
    assert page.evaluate(CURRENT) == 9
    assert page.title() == f"9. {SLIDES[8]['title']}: {SLIDES[0]['title']}"


@shown
def test_a_link_to_the_state_of_a_figure_opens_its_slide(lecture):
    place, reference = pieces("widget")[0]
    assert reference.startswith("signal")
    page = lecture("#signal:depth=20&scheme=normalized")
    page.locator(".current [data-mounted]").wait_for()
    depth = "() => document.querySelector('.current .course-widget').model.get('depth') === 20"
    page.wait_for_function(depth)
    assert page.evaluate(CURRENT) == place + 1


@shown
def test_notes_and_clock_show_what_was_planned(lecture):
    page = lecture()
    page.clock.install()
    page.reload()
    clock, notes = page.locator("#clock"), page.locator(".current .notes")
    assert not clock.is_visible() and not notes.is_visible()
    page.keyboard.press("n")
    assert notes.is_visible() and clock.inner_text() == "0:00 spent, planned 0:00 to 1:30: stopped"
    page.keyboard.press("ArrowRight")  # this starts the clock
    page.clock.run_for(100_500)
    assert re.match("1:(39|40) spent, planned 1:30 to 3:30: on time", clock.inner_text())
    page.clock.run_for(150_000)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    assert clock.inner_text() == "4:10 spent, planned 1:30 to 3:30: 0:40 late"
    page.keyboard.press("End")
    assert clock.inner_text() == "4:10 spent, planned 49:00 to 50:00: 44:50 early"
    page.keyboard.press("c")
    page.clock.run_for(60_000)
    assert clock.inner_text() == "4:10 spent, planned 49:00 to 50:00: stopped"
    assert page.evaluate(OVERFLOWING) == []


@shown
def test_a_second_window_follows(lecture):
    page = lecture()
    with page.expect_popup() as popup:
        page.keyboard.press("w")
    other = popup.value
    other.wait_for_function("() => document.documentElement.classList.contains('js')")
    page.keyboard.press("End")
    other.wait_for_function(f"() => document.querySelector('.current').id === '{len(SLIDES)}'")
    other.keyboard.press("Home")
    page.wait_for_function("() => document.querySelector('.current').id === '1'")


@shown
def test_a_live_figure_takes_the_keys_and_gives_them_back(lecture):
    page = lecture(f"#{pieces('widget')[0][0] + 1}")
    page.locator(".current [data-mounted]").wait_for()
    slide = page.evaluate(CURRENT)
    depth = page.locator(".current input[type=range]").nth(1)
    before = depth.input_value()
    depth.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(CURRENT) == slide and depth.input_value() != before
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(CURRENT) == slide + 1
    page.keyboard.press("ArrowLeft")
    depth.focus()
    page.keyboard.press("PageDown")  # what a clicker sends
    assert page.evaluate(CURRENT) == slide + 1


@shown
def test_every_figure_has_its_sentence(lecture):
    page = lecture()
    names = page.evaluate(
        """() => [...document.querySelectorAll(".face > .figure svg")].map((s) =>
        s.getAttribute("role") === "img" && s.getAttribute("aria-label"))"""
    )
    assert len(names) == len(pieces("figure")) >= 9
    assert all(name and re.search(r"\d", name) and len(name.split()) >= 5 for name in names)


@shown
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_with_notes_and_list_open(lecture, browser, scheme):
    """One slide of each kind; the column of a phone has them all."""
    page = lecture(color_scheme=scheme)
    page.keyboard.press("n")
    for kind in ("vote", "figure", "equation", "claims", "widget", "card"):
        page.goto(f"{FILE.as_uri()}#{pieces(kind)[0][0] + 1}")
        if kind == "widget":
            page.locator(".current [data-mounted]").wait_for()
        page.keyboard.press("l")
        assert browser.axe(page) == [], kind


@shown
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_reads_a_column(lecture, browser, scheme):
    page = lecture(viewport=browser.PHONE, color_scheme=scheme)
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.locator(".face:visible").count() == len(SLIDES)
    page.evaluate(browser.MOUNT_ALL)
    assert page.evaluate("() => document.documentElement.scrollWidth") == browser.PHONE["width"]
    assert browser.axe(page) == []


@shown
@pytest.mark.parametrize("width", [390, 1280])
def test_without_a_script_it_is_one_long_page(lecture, width):
    page = lecture(java_script_enabled=False, viewport={"width": width, "height": 720})
    assert page.locator(".face:visible").count() == len(SLIDES)
    assert page.locator(".live svg[role=img]:visible").count() == len(pieces("widget"))
    assert page.locator("math:visible").count() >= 10
    assert page.locator("button:visible").count() == 0  # none that would do nothing
    page.locator(".notes summary").nth(2).click()
    assert page.locator(".notes div:visible").count() == 1
    page.locator("#list summary").click()
    page.locator("#list a").nth(8).click()
    top = page.locator("h2").nth(7).bounding_box()["y"]
    assert 0 <= top < 720


@shown
@pytest.mark.parametrize("mode", ["slides", "notes", "no script"])
def test_print_has_a_page_for_each_slide(lecture, mode):
    page = lecture(java_script_enabled=mode != "no script")
    if mode == "notes":
        page.keyboard.press("n")
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(PAGE_COUNT.findall(pdf)) == len(SLIDES)
