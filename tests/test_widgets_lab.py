"""The widgets in a live JupyterLab: operated through the browser, read and set from Python.

One session serves all tests. It needs JupyterLab and Chromium, and reaches nothing but 127.0.0.1.
"""

import contextlib
import functools
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("anywidget")
for _needed in ("jupyterlab", "ipykernel", "nbformat", "playwright"):
    if not importlib.util.find_spec(_needed):
        pytest.skip(f"browser checks left out: no {_needed} here", allow_module_level=True)

import browser  # noqa: E402  (tests/browser.py)
import nbformat  # noqa: E402

from course_lib import widgets  # noqa: E402

if not browser.CHROMIUM:
    pytest.skip("browser checks left out: no Chromium on this machine", allow_module_level=True)

ROOT = Path(__file__).parents[1]
# How each widget starts; what is done to it by keyboard (label, key, trait that changes), by
# pointer (label, share of the control's width, trait) and from Python (trait, value).
PLAN = {
    "signal": {
        "start": {"depth": 3, "width": 20},
        "keyboard": ("Depth", "ArrowRight", "depth"),
        "pointer": ("Seed", 0.7, "seed"),
        "python": ("activation", "softsign"),
    },
    "film": {
        "start": {"depth": 2},
        "keyboard": ("Depth", "ArrowRight", "depth"),
        "pointer": ("Update", 0.6, "update"),
        "python": ("activation", "softsign"),
    },
    "surface": {
        "start": {"step": 20, "rate_quadratic": 10.0},
        "keyboard": ("Cost", "ArrowDown", "cost"),
        "pointer": ("Start, w\u2082", 0.4, "w2"),
        "python": ("targets", "learnable"),
    },
    "jacobian": {
        "start": {"width": 20, "depth": 3},
        "keyboard": ("Depth", "ArrowRight", "depth"),
        "pointer": ("Seed", 0.7, "seed"),
        "python": ("activation", "sigmoid"),
    },
    "playground": {
        "start": {
            f"{racer}_{key}": v for racer in "ab" for key, v in (("depth", 2), ("width", 20))
        },
        "keyboard": ("Activation of A", "ArrowDown", "a_activation"),
        "pointer": ("Seed of both", 0.3, "seed"),
        "python": ("b_scheme", "standard"),
    },
}
NAMES = [name for name in PLAN if name in widgets.ALL]
SET = {name: PLAN[name]["python"] for name in NAMES}
every_widget = pytest.mark.parametrize("name", NAMES)


def test_every_widget_has_its_part_here():
    assert list(PLAN) == NAMES, "each widget stands among widgets.ALL"
    assert set(widgets.ALL) == set(PLAN)


# ---------------------------------------------------------------- a laboratory


@contextlib.contextmanager
def laboratory(folder):
    """Start JupyterLab on a free port, all that it writes in `folder`; yield a notebook's address.

    News and updates are switched off: it would ask another host for them.
    """
    settings = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        # It would take cells that are out of sight out of the page, and the test looks at all.
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, values in settings.items():
        file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = os.environ | {name: str(folder / path) for name, path in own.items()}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    token = secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={token}"),
        *(f"--ServerApp.root_dir={folder / 'notebooks'}", "--LabApp.extension_manager=readonly"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
    ]
    with open(folder / "log", "w") as log:
        lab = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            deadline = time.monotonic() + browser.PATIENCE / 1000
            while not (found := list((folder / "runtime").glob("jpserver-*.json"))):
                if lab.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "log").read_text())
                time.sleep(0.1)
            server = json.loads(found[0].read_text())
            yield f"{server['url']}lab/tree/widgets.ipynb?token={token}"
        finally:
            lab.terminate()
            lab.wait()


def notebook():
    """Return a notebook that shows every widget, and has an empty cell at its end."""
    makes = [
        f"{name} = widgets.{widgets.ALL[name].__name__}(**{PLAN[name]['start']!r})\n{name}"
        for name in NAMES
    ]
    sources = ["import json\nfrom course_lib import widgets", *makes, ""]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


@functools.lru_cache
def computed(name, state, updates):
    """What course_lib computes for a state, given as JSON, of the playground after some updates."""
    widget = widgets.ALL[name](**json.loads(state))
    if name != "playground":
        return widget.measure()
    found = widget.measure(updates)
    return {racer: own | {"error": own["error"][-1]} for racer, own in found.items()}


def agrees(name, state, readings):
    """Whether the readings are what course_lib computes for the state."""
    if not readings:
        return False
    expected = computed(name, json.dumps(state), readings.get("update", 0))
    if name == "playground":  # it also reads a clock
        keys = "error", "saturation", "gradient"
        expected, readings = (
            {racer: {key: found[racer][key] for key in keys} for racer in "ab"}
            for found in (expected, readings)
        )
    return alike(readings, expected)


def alike(found, expected):
    """Whether nested dicts and lists are equal; numbers, up to the order of their sums."""
    if isinstance(expected, dict):
        keys = found.keys() == expected.keys()
        return keys and all(alike(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(alike, found, expected))
    if isinstance(expected, int | float) and found is not None:
        return found == pytest.approx(expected, rel=1e-6, abs=1e-12)
    return found == expected


class Lab:
    """A notebook in a browser: its widgets, and its last cell to run Python in."""

    def __init__(self, page):
        self.page, self.ran = page, 0

    def run_all(self):
        self.page.locator(".jp-Notebook .jp-CodeCell").nth(len(NAMES) + 1).wait_for()
        self.page.get_by_text("| Idle").wait_for()  # what is sent to a kernel that starts is lost
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def python(self, code):
        """Run code in the last cell; return what it prints as JSON."""
        self.ran += 1
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").last
        cell.locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(f"{code}\nprint('ran', {self.ran})")
        self.page.keyboard.press("Control+Enter")
        output = cell.locator(".jp-OutputArea-output").filter(has_text=f"ran {self.ran}")
        output.wait_for()
        return json.loads(output.inner_text().splitlines()[0] or "null")

    def report(self, settled):
        """Return state and readings of all widgets as Python has them, once `settled(report)`.

        What the page sends goes through the kernel, and a worker may be at it: Python is asked
        until nothing is missing, or until the tests shall say what is.
        """
        pairs = ", ".join(f"'{name}': [{name}.state, {name}.readings]" for name in NAMES)
        deadline = time.monotonic() + browser.PATIENCE / 2000
        while True:
            found = self.python(f"print(json.dumps({{{pairs}}}))")
            if settled(found) and all(agrees(name, *found[name]) for name in NAMES):
                return found
            if time.monotonic() > deadline:
                return found
            time.sleep(0.2)

    def widget(self, name):
        return self.page.locator(f".jp-CodeCell >> nth={1 + NAMES.index(name)}").locator(".stage")

    def words(self, name):
        return self.widget(name).locator(".what").inner_text()


def operate(lab, name, way):
    label, how, _ = PLAN[name][way]
    control = lab.widget(name).get_by_label(label, exact=True)
    control.scroll_into_view_if_needed()
    if way == "keyboard":
        control.focus()
        lab.page.keyboard.press(how)
    else:
        box = control.bounding_box()
        control.click(position={"x": how * box["width"], "y": box["height"] / 2})


# Of a surface's canvas, beside the surface: the numbers of the axis.
LIGHTEST = """(c) => c.getContext("2d").getImageData(0, 0, 0.09 * c.width, c.height).data
  .reduce((most, v, i) => (i % 4 === 3 ? most : Math.max(most, v)), 0)"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """What was found, step by step, in one session; the tests look at it."""
    folder, found = tmp_path_factory.mktemp("lab"), {"words": []}
    (folder / "notebooks").mkdir()
    nbformat.write(notebook(), folder / "notebooks" / "widgets.ipynb")

    def step(what, settled):
        found[what] = lab.report(settled)
        found["words"].append({name: lab.words(name) for name in NAMES})

    with laboratory(folder) as address, browser.chromium() as chromium:
        with browser.opened(chromium, address) as page:
            sockets = []
            page.on("websocket", lambda socket: sockets.append(socket.url))
            lab = Lab(page)
            lab.run_all()
            for name in NAMES:
                lab.widget(name).wait_for()
            step("start", lambda report: True)
            canvas = lab.widget("surface").locator("canvas").first
            found["beside the surface"] = canvas.evaluate(LIGHTEST)
            before = found["start"]
            for way in ("keyboard", "pointer"):
                for name in NAMES:
                    operate(lab, name, way)
                changed = [(name, PLAN[name][way][2]) for name in NAMES]
                step(way, lambda r, c=changed: all(r[n][0][k] != before[n][0][k] for n, k in c))
            lines = [f"{name}.{key} = {value!r}" for name, (key, value) in SET.items()]
            lab.python("\n".join([*lines, "print('null')"]))
            step("python", lambda r: all(r[n][0][k] == v for n, (k, v) in SET.items()))
            found |= {"outside": page.seen["outside"], "sockets": sockets}
    return found


# ---------------------------------------------------------------- what was found


@every_widget
def test_it_starts_in_the_state_that_python_asked_for(session, name):
    state, readings = session["start"][name]
    assert state == widgets.ALL[name](**PLAN[name]["start"]).state
    assert agrees(name, state, readings), readings


@every_widget
@pytest.mark.parametrize("way", ["keyboard", "pointer"])
def test_python_reads_what_the_reader_did(session, way, name):
    """One trait has changed, and the readings are those of the new state."""
    steps = ["start", "keyboard", "pointer"]
    now = steps.index(way)
    (old, _), (state, readings) = session[steps[now - 1]][name], session[way][name]
    assert {key for key in state if state[key] != old[key]} == {PLAN[name][way][2]}
    assert agrees(name, state, readings), readings
    assert session["words"][now][name] != session["words"][now - 1][name]


@every_widget
def test_the_page_follows_python(session, name):
    state, readings = session["python"][name]
    key, value = SET[name]
    assert state == session["pointer"][name][0] | {key: value}
    assert agrees(name, state, readings), readings
    assert readings != session["pointer"][name][1]
    assert session["words"][3][name] != session["words"][2][name]


def test_a_canvas_is_drawn_in_the_colours_of_the_page(session):
    assert session["beside the surface"] < 120, "dark numbers: JupyterLab is light at its start"


def test_nothing_is_asked_of_another_host(session):
    assert session["outside"] == []
    assert session["sockets"], "the kernel is reached through one"
    assert all(url.startswith("ws://127.0.0.1:") for url in session["sockets"])
