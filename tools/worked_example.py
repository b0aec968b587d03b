"""The worked example of the instructors' guide: ``python -m tools.worked_example``.

An invented class of eight hands in assignment 2. The commands of the guide are run on it, an answer
is marked by hand in nbgrader's formgrader, and what was said and seen is written to
``book/worked_example``: a text for each command and a picture for each page. It takes four minutes
and needs Chromium.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "book" / "worked_example"
# In the order in which the guide shows them: the text's name, the command, its exit status.
COMMANDS = [
    ("init", "hard-to-train assign init spring-class --secret secret.txt", 0),
    ("release", "hard-to-train assign release ps2", 0),
    ("collect", 'hard-to-train assign collect ps2 moodle.zip --due "2026-05-08 23:59"', 1),
    ("collect-again", "hard-to-train assign collect ps2 moodle.zip", 0),
    ("check", "hard-to-train assign check ps2", 1),
    ("grade", "hard-to-train assign grade ps2 --workers 2", 1),
    ("report", "hard-to-train assign report ps2", 0),
    ("feedback", "hard-to-train assign feedback ps2", 0),
    ("export", "hard-to-train assign export ps2 --for moodle", 1),
]
SECRET = "a class that was invented for the guide\n"
ROSTER = """id,first_name,last_name,email,moodle,also
osei,Amara,Osei,osei@example.org,,
lima,Bruno,Lima,lima@example.org,,
chen,Wei,Chen,chen@example.org,,
kaya,Dilek,Kaya,kaya@example.org,,
novak,Emil,Novak,novak@example.org,,
haddad,Farah,Haddad,haddad@example.org,,
petrov,Goran,Petrov,petrov@example.org,,
sato,Hana,Sato,sato@example.org,,{}
"""
# Moodle knows her by another name; the guide says to enter it, and to collect once more.
OTHER_NAME = "Hana Ito"
GOOD = (
    "Anna sums over the 16 examples of her batch where she should average: one whole factor, the "
    "same in all layers, must come from what all layers share. It is still the right direction, "
    "so with a rate 16 times smaller the cost falls as it should. Ben's first wrong delta is the "
    "one below layer two, since each delta is made from the one above it and the two upper "
    "gradients are right. There I would look for a transpose that is missing. His upper layers "
    "learn on top of lower layers that move wrongly, so his cost falls and stops higher."
)
SHORT = (
    "Anna forgot to divide by the batch size, which is 16. Ben has a wrong derivative somewhere. "
    "The cost falls because the step still goes roughly downhill."
)
# Points and a comment for the written answers, by student: what the guide's instructor gives.
BY_HAND = {
    "osei": (4, ""),
    "chen": (4, ""),
    "kaya": (3.5, ""),
    "lima": (2, "Which step of Ben's is the first wrong one? His upper gradients are right."),
    "sato": (3, ""),
}
UNDONE = {"ps2-numerical", "ps2-wrong-gradients"}  # what one of them has left as it was
LISTED = "async () => (await fetch('/formgrader/api/submitted_notebooks/ps2/ps2')).json()"
WIDTH = 1000  # of the pages in the pictures
STARTS = 90  # seconds that a server, a page or a kernel may take


# ---- the class


def submissions(release):
    """Return what the class hands in: name of the file in Moodle's zip to (bytes, date)."""
    from course_lib.classroom import sources

    source = sources.read(sources.find("ps2"))
    solved = {
        cell.id: "\n".join(line for line in cell.source.split("\n") if "SOLUTION" not in line)
        for cell in sources.drawn(source).cells
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code"
    }

    def book(answer, *changes, without=()):
        made, answers = json.loads(json.dumps(release)), {**solved, "ps2-wrong-gradients": answer}
        for cell in made["cells"]:
            if cell["id"] in answers and cell["id"] not in without:
                cell["source"] = answers[cell["id"]]
        for name, old, new in changes:
            (cell,) = (cell for cell in made["cells"] if cell["id"] == name)
            if old not in cell["source"]:
                raise ValueError(f"{name} does not hold {old!r} any more: change {__file__}")
            cell["source"] = cell["source"].replace(old, new)
        return json.dumps(made, indent=1).encode()

    transposed = ("ps2-weight-gradients", "z.T @ delta", "delta.T @ z")
    library = "from course_lib import backprop\n\n\ndef "
    endless = ("ps2-evaluations", "sizes = ", "while True:\n    pass\nsizes = ")
    late = ("ps2-weight-gradients", "/ len(z), delta.mean(0)", ", delta.sum(0)")
    return {
        "Amara Osei": ("ps2.ipynb", book(GOOD), 5),
        "Bruno Lima": ("ps2.ipynb", book(SHORT, transposed), 6),
        "Wei Chen": ("my solution.ipynb", book(GOOD, ("ps2-backward", "def ", library)), 6),
        "Dilek Kaya": ("ps2.ipynb", book(GOOD, late), 9),
        "Emil Novak": ("ps2.ipynb", book("", endless, without=UNDONE), 8),
        "Farah Haddad": ("ps2.pdf", b"%PDF-1.7 a print of the notebook", 7),
        OTHER_NAME: ("ps2.ipynb", book(GOOD, without={"ps2-fall"}), 4),
    }


def write_zip(path, release):
    """Write the class's submissions as Moodle lets one download them, in folders."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (student, (name, data, day)) in enumerate(submissions(release).items()):
            folder = f"{student}_{40100 + number}_assignsubmission_file_"
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", (2026, 5, day, 18, 30, 0)), data)


# ---- the commands


def environment(home):
    """Return the variables that the commands are run with: the same everywhere."""
    here = str(Path(sys.executable).parent)
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    return {
        **os.environ,
        "HOME": str(home),
        "PATH": os.pathsep.join([here, os.environ.get("PATH", "")]),
        "PYTHONPATH": str(ROOT),
        "TZ": "UTC",
        "OMP_NUM_THREADS": "1",
        **{name: str(home / ".jupyter-of-the-example") for name in places},
    }


def prepare(home, name):
    """Do what the guide does by hand before a command: write the secret, the roster, the zip."""
    course = home / "spring-class"
    if name == "init":
        (home / "secret.txt").write_text(SECRET)
    if name == "release":
        (course / "roster.csv").write_text(ROSTER.format(""))
    if name == "collect":
        release = json.loads((course / "release" / "ps2" / "ps2.ipynb").read_text())
        write_zip(course / "moodle.zip", release)
    if name == "collect-again":
        (course / "roster.csv").write_text(ROSTER.format(OTHER_NAME))


def run(home, name):
    """Run one of `COMMANDS` as the guide does, and return what it says, its own line first."""
    line, status = next((line, status) for key, line, status in COMMANDS if key == name)
    prepare(home, name)
    program, *words = shlex.split(line)
    found = subprocess.run(
        [sys.executable, "-m", "course_lib", *words],
        cwd=home if name == "init" else home / "spring-class",
        env=environment(home),
        capture_output=True,
        text=True,
    )
    if found.returncode != status or "Traceback" in found.stderr or program != "hard-to-train":
        raise RuntimeError(f"{line}: status {found.returncode}, not {status}\n{found.stderr}")
    # The bar rewrites its line, and its times differ; what is said before it is kept.
    said = [part for part in found.stderr.split("\n") if re.match(r"[a-z]", part)]
    text = "\n".join([f"$ {line}", *said, found.stdout.rstrip()])
    return text.replace(str(home), "~") + "\n"


# ---- what one sees


def solved_in_part(release):
    """Return the release as a student has it after a first try at part 1, with what it says."""
    import nbclient
    import nbformat

    notebook = nbformat.reads(json.dumps(release), as_version=4)
    first_try = "    p = torch.softmax(logits, 1)\n    return torch.nn.functional.one_hot("
    first_try += "labels, logits.shape[1]) - p"
    for cell in notebook.cells:
        if cell.id == "ps2-output-delta":
            cell.source = re.sub(r"    # YOUR CODE HERE\n.*", first_try, cell.source)
    some = [cell for cell in notebook.cells if cell.cell_type == "code"][:4]
    try_out = nbformat.v4.new_notebook(cells=some)
    nbclient.NotebookClient(try_out, kernel_name="python3", allow_errors=True).execute()
    return nbformat.writes(notebook)


@contextlib.contextmanager
def jupyterlab(home, folder):
    """Start JupyterLab in a folder, as the guide says; yield its addresses, the first to log in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = os.urandom(16).hex()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}"]
    log = (home / "jupyterlab.log").open("w")
    process = subprocess.Popen(
        [*command, "--ServerApp.root_dir=."],
        cwd=folder,
        env=environment(home),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        for _ in range(STARTS * 5):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        address = f"http://127.0.0.1:{port}"
        yield f"{address}/lab?token={token}", address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        log.close()


class Camera:
    """Takes pictures of pages, small ones: WebP, 1.25 pixels for each of the page's."""

    def __init__(self, browser, target):
        self.context = browser.new_context(
            viewport={"width": WIDTH, "height": 600}, device_scale_factor=1.25, timezone_id="UTC"
        )
        self.context.set_default_timeout(STARTS * 1000)
        self.page, self.target = self.context.new_page(), target
        # Formulas of the formgrader would come from another host; none is in these pictures.
        self.context.route(lambda url: "//127.0.0.1:" not in url and url.startswith("http"),
                           lambda route: route.abort())  # fmt: skip

    def take(self, name, height=600):
        """Write a picture of what the page shows now."""
        import io

        from PIL import Image

        self.page.set_viewport_size({"width": WIDTH, "height": height})
        self.page.wait_for_timeout(700)
        picture = Image.open(io.BytesIO(self.page.screenshot()))
        picture.convert("RGB").save(self.target / f"{name}.webp", quality=70, method=6)


def see_student(camera, home):
    """A student's notebook in JupyterLab: a first try, and what the test says of it."""
    release = json.loads((home / "spring-class" / "release" / "ps2" / "ps2.ipynb").read_text())
    own = home / "a-student"
    own.mkdir()
    (own / "ps2.ipynb").write_text(solved_in_part(release))
    with jupyterlab(home, own) as (entry, address):
        page = camera.page
        page.goto(entry)
        page.goto(f"{address}/lab/tree/ps2.ipynb")
        page.locator(".jp-NotebookPanel .myst").first.wait_for()
        page.locator('.jp-SideBar [data-id="filebrowser"]').click()  # makes room for it
        said = page.locator(".jp-OutputArea-output", has_text="Not yet").first
        for _ in range(40):  # cells that are out of sight are not there
            if said.is_visible():
                break
            page.mouse.move(450, 400)
            page.mouse.wheel(0, 200)
            page.wait_for_timeout(500)
        page.wait_for_timeout(3000)  # until the text around it is set
        mine = page.locator(".jp-CodeCell", has_text="torch.softmax(logits, 1)").first
        mine.evaluate("cell => cell.scrollIntoView({block: 'start'})")
        camera.take("student", 620)


def mark_by_hand(camera, home):
    """Give the points of `BY_HAND` in the formgrader, as an instructor does; a picture of one."""
    with jupyterlab(home, home / "spring-class") as (entry, address):
        page = camera.page
        page.goto(entry)
        page.goto(f"{address}/formgrader/gradebook/ps2/ps2")
        rows = page.locator("tbody tr", has_text="Submission #")
        rows.first.wait_for()
        page.get_by_text("Show All Names").click()
        camera.take("to-mark", 600)
        shown = page.evaluate(LISTED)
        for one in shown:
            if one["student"] not in BY_HAND:
                continue  # an answer that was left as it was: 0 points, given by machine
            points, comment = BY_HAND[one["student"]]
            page.goto(f"{address}/formgrader/submissions/{one['id']}/")
            box = page.locator("input#ps2-wrong-gradients")
            box.wait_for()
            page.wait_for_load_state("networkidle")
            for place, text in ((box, f"{points:g}"), (page.locator("textarea"), comment)):
                if text:
                    mine = place.and_(page.locator('[id^="ps2-wrong-gradients"]'))
                    mine.fill(text)
                    mine.blur()  # which saves it
                    page.wait_for_timeout(1000)
            if comment:
                box.scroll_into_view_if_needed()
                page.mouse.wheel(0, 260)
                camera.take("formgrader", 560)
        given = {one["student"]: one["written_score"] for one in page.evaluate(LISTED)}
        wanted = {student: points for student, (points, _) in BY_HAND.items()}
        if given != {"novak": 0, **wanted}:
            raise RuntimeError(f"the formgrader has kept other points: {given}")


def see_results(camera, home):
    """A page of feedback, at its beginning and at part 3, and the report of the class."""
    course = home / "spring-class"
    page = camera.page
    page.goto((course / "feedback" / "lima" / "ps2" / "ps2.html").as_uri())
    camera.take("feedback", 600)
    part = page.get_by_role("heading", name="Part 3: the gradients of one layer")
    part.evaluate("heading => heading.scrollIntoView({block: 'start'})")
    camera.take("feedback-part", 560)
    page.goto((course / "reports" / "ps2.html").as_uri())
    camera.take("report", 900)


def main(target=PAGES):
    """Run everything in a temporary folder, and write what was said and seen to `target`."""
    sys.path.insert(0, str(ROOT / "tests"))
    import browser as chromium

    target.mkdir(parents=True, exist_ok=True)
    seen = {"release": see_student, "grade": mark_by_hand, "export": see_results}
    with tempfile.TemporaryDirectory() as folder, chromium.chromium() as browser:
        home = Path(folder)
        camera = Camera(browser, target)
        for name, line, _ in COMMANDS:
            print(line, flush=True)
            (target / f"{name}.txt").write_text(run(home, name), encoding="utf-8")
            if name in seen:
                seen[name](camera, home)
        for name in ("roster.csv", "exported/moodle.csv"):
            shutil.copy(home / "spring-class" / name, target / Path(name).name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
