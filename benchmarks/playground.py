"""How fast the playground trains in headless Chromium, and how soon normalized weights are ahead.

The race is the widget's own: two networks with five hidden layers of 100 tanh units, standard
weights against normalized ones, mini-batches of 10, each in a worker; both look at 1,000 held-out
pictures on the way. It is watched in the page that `Playground.page` writes.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SEEDS = (0, 1, 2)
UPDATES = 10_000  # of `widgets.playground.STOPS`: what a minute may take
WITHIN = 60  # seconds
AHEAD = 5  # points, and more than three standard errors over the pictures
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu")
# What each look saw: seconds since the start, updates, lead of B in points and its standard error.
WATCH = """() => {
  const { model } = document.querySelector(".course-widget");
  window.seen = [];
  model.on("change:readings", () => {
    const { update, seconds, lead, running } = model.get("readings");
    window.seen.push([seconds, update, lead.points, lead.error, running]);
  });
}"""
ALONE = """(updates) => {
  const core = makeCore(), shapes = makeShapeset();
  const net = core.network([1024, 100, 100, 100, 100, 100, 9], "tanh", "normalized", 0);
  const trace = core.blankTrace(net, 10), x = new Float64Array(10240);
  const stream = shapes.stream(10, 0);
  let drawing = 0;
  const start = performance.now();
  for (let k = 0; k < updates; k++) {
    const before = performance.now(), { images, labels } = stream.batch(k);
    x.set(images);
    drawing += performance.now() - before;
    core.step(net, x, labels, 0.01, trace);
  }
  const all = performance.now() - start;
  return [(1000 * updates) / all, (100 * drawing) / all];
}"""

# Microseconds of the first layer's product, best of many: in blocks, the same in float32 arrays (in
# a page of its own, since mixed arrays are slow), and row by row.
PRODUCT = """([kind, rowByRow]) => {
  const core = makeCore(), [count, n, m] = [10, 1024, 100];
  const Numbers = globalThis[kind], random = (size) => Numbers.from({ length: size }, Math.random);
  const x = random(count * n), weight = random(n * m), out = new Numbers(count * m);
  const plain = () => {
    out.fill(0);
    for (let b = 0; b < count; b++) {
      for (let i = 0; i < n; i++) {
        const own = x[b * n + i];
        for (let j = 0; j < m; j++) out[b * m + j] += own * weight[i * m + j];
      }
    }
  };
  const once = rowByRow ? plain : () => core.multiply(x, weight, count, n, m, out);
  let best = Infinity;
  for (let k = 0; k < 100; k++) {
    const start = performance.now();
    for (let r = 0; r < 10; r++) once();
    best = Math.min(best, (performance.now() - start) / 10);
  }
  return 1000 * best;
}"""
PRODUCTS = {
    "in blocks, float64": ("Float64Array", False),
    "in blocks, float32": ("Float32Array", False),
    "row by row, float64": ("Float64Array", True),
}


def missing():
    """Return why this machine cannot run the benchmark, or None."""
    for package in ("playwright", "anywidget"):
        if not importlib.util.find_spec(package):
            return f"{package} is not installed"
    return None if CHROMIUM else "no Chromium on this machine"


def origin():
    """What else the numbers depend on, for their provenance."""
    version = subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True)
    return {"cores": os.cpu_count(), "chromium": version.stdout.strip()}


def run(seeds=SEEDS, updates=UPDATES):
    """Updates a second of both networks at once and of one alone; the races of some seeds."""
    from playwright.sync_api import sync_playwright

    results = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            rate, share = _evaluate(browser, ALONE, updates // 2)
            results["updates/s, one network alone"] = rate
            results["% of that time spent on drawing the pictures"] = share
            for how, arguments in PRODUCTS.items():
                label = f"µs, the first layer's product {how}"
                results[label] = _evaluate(browser, PRODUCT, arguments)
            for seed in seeds:
                results |= {
                    f"seed {seed}: {what}": v for what, v in _race(browser, seed, updates).items()
                }
        finally:
            browser.close()
    return results


def _evaluate(browser, function, argument):
    """Evaluate a function of the widgets' numbers in a page of its own."""
    from course_lib.widgets import base

    page = browser.new_page()
    names = ("core.js", "shapeset.js")
    page.add_script_tag(content="\n".join((base.FOLDER / name).read_text() for name in names))
    value = page.evaluate(function, argument)
    page.close()
    return value


def _race(browser, seed, updates):
    """Run a race as far as a minute allows; say how fast it was and when B was ahead."""
    from course_lib import widgets

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "playground.html"
        file.write_text(widgets.Playground(seed=seed, updates=updates).page(), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(file.as_uri())
        page.locator("[data-mounted]").wait_for()
        page.evaluate(WATCH)
        page.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_function(
            f"() => seen.some(([s, , , , running]) => s >= {WITHIN} || !running)",
            timeout=10_000 * WITHIN,
        )
        seen = page.evaluate("seen")
        page.close()
    return story(seen)


def story(seen):
    """Return the numbers of a race from its looks: (seconds, update, points, error, running)."""
    seconds, update, points, _, _ = seen[-1]
    found = {
        "updates/s, each of two networks": update / seconds,
        "updates": update,
        "seconds": seconds,
        "normalized ahead at the end, points": points,
    }
    for (s, k, first, error, _), (_, _, second, _, _) in zip(seen, seen[1:], strict=False):
        if min(first, second) >= AHEAD and first > 3 * error:
            return found | {
                f"normalized ahead by {AHEAD} points after updates": k,
                f"normalized ahead by {AHEAD} points after seconds": s,
            }
    return found


if __name__ == "__main__":
    for label, value in run().items():
        print(f"{label:<60} {value:>10.4g}")
