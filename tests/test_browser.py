"""The built book in a browser.

Alone: ``make book``, then ``.venv/bin/pytest tests/test_browser.py`` (``-k axe`` for part of it).
It needs Chromium (Debian: ``apt install chromium``) and opens every page of ``_build/html``, or of
the folder named in ``BOOK_HTML``, from a server of its own on 127.0.0.1.
"""

import functools
import importlib.util
import re
import shutil

import pytest

_LACKING = next(
    (
        reason
        for lacks, reason in (
            (
                not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                "browser checks left out: no Chromium on this machine",
            ),
            (
                not all(map(importlib.util.find_spec, ("playwright", "axe_playwright_python"))),
                "browser checks left out: playwright or axe-playwright-python is not installed",
            ),
        )
        if lacks
    ),
    None,
)
if _LACKING:
    pytest.skip(_LACKING, allow_module_level=True)

import browser  # noqa: E402  (tests/browser.py, which needs the two packages)

PAGES = browser.pages()
if not PAGES:
    pytest.skip(f"no book in {browser.BOOK}: run make book first", allow_module_level=True)

LESSONS = [page for page in PAGES if page.startswith("lessons/")]
EQUATIONS = "book/equations.html"


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address():
    with browser.served() as started:
        yield started


@pytest.fixture(scope="module")
def visit(chromium, address):
    """Look at a page once, whatever the number of tests that ask about it."""
    context = chromium.new_context(viewport=browser.DESK, color_scheme="light")
    yield functools.cache(lambda page: browser.visit(context, f"{address}/{page}"))
    context.close()


every_page = pytest.mark.parametrize("page", PAGES)


def test_the_book_has_its_pages():
    assert {"book/intro.html", EQUATIONS, "search.html", "genindex.html"} <= set(PAGES)
    assert LESSONS


@every_page
def test_nothing_comes_from_another_host(visit, page):
    assert visit(page)["outside"] == []


@every_page
def test_every_request_succeeds(visit, page):
    assert visit(page)["failed"] == []


@every_page
def test_the_console_stays_empty(visit, page):
    assert visit(page)["console"] == []


@every_page
def test_the_page_has_a_title(visit, page):
    assert visit(page)["title"].strip()


@every_page
def test_every_equation_is_drawn_and_speaks(visit, page):
    bad = [
        equation
        for equation in visit(page)["equations"]
        if not equation["drawn"] or equation["failed"] or not all(equation["speech"])
    ]
    assert bad == []


@every_page
def test_every_picture_has_a_name(visit, page):
    pictures = visit(page)["pictures"]
    assert [p["source"] for p in pictures if p["role"] != "img" or not p["name"]] == []
    # What a cell draws is described by a sentence, not by a word.
    assert [p["source"] for p in pictures if p["computed"] and len(p["name"].split()) < 6] == []


@every_page
def test_a_phone_need_not_scroll_sideways(visit, page):
    assert visit(page)["overflowing"] == []


@every_page
def test_a_wide_equation_can_be_read_to_its_left_end_on_a_phone(visit, page):
    assert visit(page)["cut off"] == []


@every_page
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing_serious(visit, page, look):
    assert visit(page)[f"axe, {look}"] == []


def test_widgets_stand_where_they_belong(visit):
    """Each was mounted when its page was looked at."""
    assert sum(visit(page)["widgets"] for page in PAGES) >= 10
    for number in ("03", "04", "05", "06", "07", "08", "09", "10", "11"):
        (page,) = (page for page in LESSONS if f"/{number}_" in page)
        assert visit(page)["widgets"] == 1, page


def test_lessons_hold_figures_and_equations(visit):
    """The checks above would pass on an empty page."""
    assert any(p["computed"] for page in LESSONS for p in visit(page)["pictures"])
    assert all(visit(page)["equations"] for page in [*LESSONS, EQUATIONS])


def test_equations_are_numbered_1_to_17():
    text = (browser.BOOK / EQUATIONS).read_text(encoding="utf-8")
    numbers = re.findall(r'class="eqno">\((\d+)\)', text)
    assert numbers == [str(n) for n in range(1, 18)]


@every_page
def test_a_reference_shows_the_number_of_its_equation(page):
    text = (browser.BOOK / page).read_text(encoding="utf-8")
    links = re.findall(r'href="[^"]*#equation-eq-(\d+)">\(?(\w+)\)?<', text)
    assert [link for link in links if link[0] != link[1]] == []


def test_speech_says_what_the_equation_says(visit):
    spoken = [text for equation in visit(EQUATIONS)["equations"] for text in equation["speech"]]
    normalized = [text for text in spoken if "the square root of 6" in text]
    assert any("fraction with numerator" in text and "n sub j" in text for text in normalized)


@pytest.mark.parametrize("page", ["book/intro.html", *LESSONS[:1], *LESSONS[6:7]])
def test_a_page_opens_from_its_folder(chromium, page):
    with browser.opened(chromium, (browser.BOOK / page).as_uri()) as opened:
        assert browser.wait_for_equations(opened)
        opened.evaluate(browser.SKIP_ALL)
        opened.evaluate(browser.MOUNT_ALL)
        assert opened.seen == {"outside": [], "failed": [], "console": []}


def test_search_finds_a_word(chromium, address):
    with browser.opened(chromium, f"{address}/book/intro.html") as page:
        page.keyboard.press("Control+k")
        page.keyboard.type("Jacobian")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?q=Jacobian*")
        page.locator("#search-results li a[href*='equations']").first.wait_for()  # one by one
        assert page.seen == {"outside": [], "failed": [], "console": []}


def test_the_skip_link_leads_to_the_text(chromium, address):
    with browser.opened(chromium, f"{address}/book/intro.html") as page:
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert "skip" in focused.inner_text().lower()
        assert focused.is_visible()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("() => Boolean(document.activeElement.closest('main'))")


# ---------------------------------------------------------------- predictions


@pytest.fixture
def lesson(chromium, address):
    """A lesson with a prediction that has a right answer; its parts by name."""
    for page in LESSONS:
        text = (browser.BOOK / page).read_text(encoding="utf-8")
        if re.search(r'class="[^"]*\bprediction\b[^"]*\banswer-', text):
            with browser.opened(chromium, f"{address}/{page}") as opened:
                yield opened
            return
    pytest.fail("no lesson has a prediction")


def _box(page):
    return page.locator('.prediction[class*="answer-"]').first


def _folded(page):
    """Return what follows the first prediction with an answer, folded or not."""
    return page.locator('.prediction[class*="answer-"] ~ .fold').first


def _is_open(page):
    return _folded(page).get_attribute("hidden") is None


def test_a_prediction_by_keyboard(lesson):
    box = _box(lesson)
    assert not _is_open(lesson)
    assert box.get_by_role("group").first.get_attribute("aria-label") != ""
    box.get_by_role("radio").first.focus()
    lesson.keyboard.press("ArrowDown")
    lesson.keyboard.press("Tab")
    lesson.keyboard.press("Enter")
    status = box.get_by_role("status")
    status.filter(has_text="You predicted b.").wait_for()
    assert status.get_attribute("aria-live") == "polite"
    assert _is_open(lesson)
    # The focus is still in the box, on the way back.
    assert lesson.locator(":focus").inner_text() == "Predict again"

    lesson.reload()
    assert "You predicted b." in _box(lesson).get_by_role("status").inner_text()
    assert _is_open(lesson)
    _box(lesson).get_by_role("button", name="Predict again").press("Enter")
    assert not _is_open(lesson)
    assert lesson.evaluate("() => document.activeElement.type") == "radio"
    lesson.reload()
    assert not _is_open(lesson)


def test_a_prediction_by_pointer(lesson):
    box = _box(lesson)
    box.get_by_role("button", name="Check").click()
    assert "Choose" in box.get_by_role("status").inner_text()
    assert not _is_open(lesson)
    answer = re.search(r"answer-([a-h])", box.get_attribute("class")).group(1)
    box.locator(".option").nth("abcdefgh".index(answer)).click()
    box.get_by_role("button", name="Check").click()
    box.get_by_role("status").filter(
        has_text=f"You predicted {answer}. That is what happens"
    ).wait_for()
    assert _is_open(lesson)


def test_a_prediction_can_be_skipped(lesson):
    _box(lesson).get_by_role("button", name="Skip").click()
    _box(lesson).get_by_role("status").filter(has_text="You skipped.").wait_for()
    assert _is_open(lesson)


def test_a_folded_part_ends_with_its_section(lesson):
    folds = lesson.locator(".fold")
    assert folds.count() >= 1
    assert folds.locator("h2").count() == 0
    assert lesson.locator("h2").count() > folds.count()


def test_a_folded_part_is_open_in_print(lesson):
    text = _folded(lesson).locator("p").first
    assert not text.is_visible(timeout=0) or not _is_open(lesson)
    lesson.emulate_media(media="print")
    style = _folded(lesson).evaluate(
        "(e) => [getComputedStyle(e).display, getComputedStyle(e).contentVisibility]"
    )
    assert style == ["block", "visible"]


def test_a_folded_part_opens_when_the_browser_finds_a_word_in_it(lesson):
    assert _folded(lesson).get_attribute("hidden") == "until-found"
    assert _folded(lesson).evaluate("(e) => getComputedStyle(e).contentVisibility") == "hidden"
    _folded(lesson).dispatch_event("beforematch")
    assert _is_open(lesson)


def test_a_folded_part_opens_for_a_link_into_it(lesson):
    _folded(lesson).locator("p").first.evaluate("(e) => { e.id = 'a-target-in-the-fold'; }")
    lesson.evaluate("() => { location.hash = 'a-target-in-the-fold'; }")
    lesson.wait_for_function(
        "() => !document.getElementById('a-target-in-the-fold').closest('.fold[hidden]')"
    )


def test_without_scripts_nothing_is_folded(chromium, lesson):
    with browser.opened(chromium, lesson.url, java_script_enabled=False) as page:
        box = page.locator(".admonition.prediction").first
        assert box.locator("li").count() >= 2
        assert box.locator("xpath=following-sibling::*").first.is_visible()
        assert page.locator(".fold").count() == 0
