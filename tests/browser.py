"""One Chromium, one server of the built book, and what is seen of each page: for test_browser."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import threading
from pathlib import Path

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import sync_playwright

BOOK = Path(os.environ.get("BOOK_HTML") or Path(__file__).parents[1] / "_build" / "html").resolve()
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync""".split()
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# The time that a busy machine may take, not the time that it does take.
PATIENCE = 60_000

EQUATIONS_SPEAK = """() => {
  const math = [...document.querySelectorAll(".math")];
  return math.every((m) => m.querySelector("mjx-container[data-semantic-speech-none]"));
}"""
EQUATIONS = """() => [...document.querySelectorAll(".math")].map((m) => {
  const drawn = [...m.querySelectorAll("mjx-container")];
  return {
    source: m.textContent.trim().slice(0, 80),
    drawn: drawn.length,
    failed: m.querySelectorAll('[data-mml-node="merror"], [data-mjx-error], mjx-merror').length,
    // The name that a screen reader is given is this text and the word "math".
    speech: drawn.map((d) => {
      const text = d.getAttribute("data-semantic-speech-none") || "";
      return d.querySelector("mjx-speech")?.ariaLabel.includes(text) ? text.trim() : "";
    }),
  };
})"""
# One can scroll to what lies right of the box, never to what lies left of it.
CUT_OFF = """() => [...document.querySelectorAll('mjx-container[display="true"]')]
  .filter((m) => m.scrollLeft === 0 && m.querySelector("svg")
    .getBoundingClientRect().left < m.getBoundingClientRect().left - 1)
  .map((m) => m.getAttribute("data-semantic-speech-none"))"""
PICTURES = """() =>
  [...document.querySelectorAll('img, svg[role="img"], .figure svg, .cell_output svg')]
  .filter((p) => !p.closest('[aria-hidden="true"], mjx-container, button'))
  .map((p) => ({
    source: p.outerHTML.slice(0, 120),
    computed: Boolean(p.closest(".figure, .cell_output")),
    role: p.tagName === "IMG" ? "img" : p.getAttribute("role"),
    name: (p.getAttribute("alt") || p.getAttribute("aria-label") || "").trim(),
  }))"""
COLOURS_AT_REST = """() => document.getAnimations().every((a) => a.playState !== "running")"""
SKIP_ALL = """() => [...document.querySelectorAll(".prediction button")]
  .filter((b) => b.textContent === "Skip").forEach((b) => b.click())"""
# How many there are; an error on the console says why one never comes.
MOUNT_ALL = """async () => {
  const places = [...document.querySelectorAll(".course-widget")];
  for (const place of places) {
    place.scrollIntoView();
    for (let tries = 0; tries < 1000 && !("mounted" in place.dataset); tries++) {
      await new Promise((f) => setTimeout(f, 20));
    }
  }
  scrollTo(0, 0);
  return places.filter((place) => "mounted" in place.dataset).length;
}"""
OVERFLOWING = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll("main *")]
    .filter((e) => e.getBoundingClientRect().right > width + 1)
    .map((e) => `${e.tagName}.${e.className} ${Math.round(e.getBoundingClientRect().right)}px`)
    .slice(0, 5).concat(`the page is ${document.documentElement.scrollWidth} px wide`);
}"""


def pages():
    """Return the address of every page of the built book, relative to its root.

    The lecture's slides are no page of it: they show one slide at a time (tests/test_slides.py).
    """
    found = (path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*.html"))
    left_out = ("_static/", "_sources/", "book/lecture.html")
    return sorted(page for page in found if not page.startswith(left_out))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served():
    """Serve the built book on this machine, on a free port; yield its address."""
    handler = functools.partial(_Quiet, directory=str(BOOK))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def chromium():
    """Start the system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, address, context=None, **options):
    """Open an address; yield the page, whose `seen` says what went wrong.

    A page has a context (cache, memory) of its own unless one is given.

    `page.seen` has the lists `outside` (requests to another host), `failed` (requests) and
    `console` (errors and warnings).
    """
    own = None
    if context is None:
        own = context = browser.new_context(**{"viewport": DESK, **options})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.seen = {"outside": [], "failed": [], "console": []}
    page.on("request", lambda r: _is_outside(r.url, address) and page.seen["outside"].append(r.url))
    page.on(
        "requestfailed",
        lambda r: _left_behind(r) or page.seen["failed"].append(f"{r.url} {r.failure}"),
    )
    page.on(
        "response",
        lambda r: r.status >= 400 and page.seen["failed"].append(f"{r.url} {r.status}"),
    )
    page.on(
        "console",
        lambda m: m.type in ("error", "warning") and page.seen["console"].append(m.text),
    )
    page.on("pageerror", lambda error: page.seen["console"].append(str(error)))
    page.goto(address)
    try:
        yield page
    finally:
        page.close()
        if own:
            own.close()


def _left_behind(request):
    """Whether the browser gave a request up because it went on to another page.

    A missing file answers 404, or ERR_FILE_NOT_FOUND in a folder; a refused host ERR_CONNECTION_*.
    """
    return "ERR_ABORTED" in (request.failure or "")


def _is_outside(url, address):
    return not url.startswith(("data:", "blob:", "/".join(address.split("/", 3)[:3]) + "/"))


def wait_for_equations(page):
    """Wait until every equation of the page is drawn and has its speech; False if some never is."""
    try:
        page.wait_for_function(EQUATIONS_SPEAK, timeout=PATIENCE / 2)
    except Exception:  # which equation it is, the facts will say
        return False
    return True


def axe(page, rules=None):
    """Return axe-core's serious and critical findings, as lines."""
    page.evaluate("() => !window.axe") and page.evaluate(AXE_SCRIPT)
    # preload: axe would fetch style sheets again, from an address that it gets wrong
    options = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = page.evaluate(f"() => axe.run(document, {json.dumps(options)})")["violations"]
    return [
        f"{violation['id']}: {node['html'][:160]} {node['target']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def visit(context, address):
    """Open one page, look at it in light and dark and on a phone, and return what was found."""
    with opened(None, address, context) as page:
        wait_for_equations(page)
        facts = {
            "equations": page.evaluate(EQUATIONS),
            "pictures": page.evaluate(PICTURES),
            "title": page.title(),
        }
        page.evaluate(SKIP_ALL)
        facts["widgets"] = page.evaluate(MOUNT_ALL)
        facts["axe, light"] = axe(page)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
        page.wait_for_timeout(100)
        page.wait_for_function(COLOURS_AT_REST)
        facts["axe, dark"] = axe(page, ["color-contrast", "link-in-text-block"])
        page.set_viewport_size(PHONE)
        page.wait_for_timeout(300)  # course.js looks again 150 ms after the last resize
        facts["overflowing"] = page.evaluate(OVERFLOWING)
        facts["cut off"] = page.evaluate(CUT_OFF)
        facts["axe, phone"] = axe(page, ["scrollable-region-focusable"])
        return {**facts, **page.seen}


# ---------------------------------------------------------------- widgets

WIDGETS = Path(__file__).parents[1] / "course_lib" / "widgets"


@contextlib.contextmanager
def numerics(browser, *names):
    """Load functions such as makeCore of the widgets' files (``core``, ``shapeset``) in a page.

    Yields the page, in which `core` is what makeCore returned.
    """
    text = "\n".join((WIDGETS / f"{name}.js").read_text(encoding="utf-8") for name in names)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_script_tag(content=f"{text}\nconst core = makeCore();")
    yield page
    page.close()


@contextlib.contextmanager
def widget_page(browser, widget, folder, link="", **options):
    """Open the page that `widget.page()` makes, from the folder, with no network; yield the page.

    Parameters
    ----------
    widget : one of course_lib.widgets;  folder : path to write to
    link : str, of a permalink: "#signal:depth=3"
    """
    file = Path(folder) / f"{widget.name}.html"
    file.write_text(widget.page(), encoding="utf-8")
    context = browser.new_context(**{"viewport": DESK, "offline": True, **options})
    try:
        with opened(None, file.as_uri() + link, context) as page:
            if options.get("java_script_enabled", True):
                page.locator("[data-mounted]").wait_for()
            yield page
    finally:
        context.close()


def readings(page):
    """Return the numbers that the page's first widget shows."""
    return page.evaluate("() => document.querySelector('.course-widget').model.get('readings')")


def trait(page, key):
    """Return one entry of the state of the page's first widget."""
    return page.evaluate("(k) => document.querySelector('.course-widget').model.get(k)", key)


def at_rest(page):
    """Wait until a widget has drawn what was asked of it: two frames, unless a worker is busy."""
    frames = "() => new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))"
    page.evaluate(frames)
    page.wait_for_function("""() => !document.querySelector('[aria-busy="true"]')""")
    page.evaluate(frames)


def pixels(page):
    """Return what a widget's figures look like."""
    return page.locator(".panels").screenshot()
