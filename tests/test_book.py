"""The book was built without a warning, and what decides when its lessons run again is right."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tools import book

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("book", "lessons", "lessons/assignments")
PAGES = [p for folder in FOLDERS for p in sorted((ROOT / folder).glob("*.md"))]


def test_book_was_built_without_a_warning():
    """`make test` builds it first and hands on the exit status."""
    if "BOOK_STATUS" not in os.environ:
        pytest.skip("`make test` builds the book; here only the tests run")
    log = (ROOT / "_build" / "book.log").read_text()
    problems = [line for line in log.splitlines() if "WARNING:" in line or "Error" in line]
    assert os.environ["BOOK_STATUS"] == "0", "\n".join(problems) or log[-5000:]
    assert (ROOT / "_build" / "html" / "index.html").exists()


def files_of_toc():
    """Return every page in the table of contents, such as "book/intro"."""
    text = (ROOT / "_toc.yml").read_text()
    return re.findall(r"^[\s-]*(?:root|file): *(\S+)$", text, flags=re.M)


def test_every_page_is_in_the_table_of_contents_once():
    files = files_of_toc()
    assert len(files) == len(set(files))
    assert {p.relative_to(ROOT).with_suffix("").as_posix() for p in PAGES} == set(files)


def test_chapters_have_no_numbers():
    """Numbered chapters would turn "Eq. (3)" into "Eq. (1.3)"."""
    assert "numbered" not in (ROOT / "_toc.yml").read_text()


def test_names_of_lessons_are_read_from_the_table_of_contents(tmp_path):
    toc = {"root": "book/intro", "parts": [{"chapters": [{"file": "lessons/07_b"}]}]}
    toc["parts"].append({"chapters": [{"file": "lessons/assignments/ps1_a"}]})
    toc["parts"].append({"chapters": [{"file": "book/x", "sections": [{"file": "lessons/01_a"}]}]})
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))
    assert book.lessons(tmp_path) == ["07_b", "01_a"]


# ---- with the assignments or without


def test_assignments_can_be_left_out(tmp_path, monkeypatch):
    kept = [{"file": "lessons/07_b"}, {"file": "book/x"}]
    chapters = [kept[:1], [{"file": "lessons/assignments/ps1_a"}], kept[1:]]
    toc = {"root": "book/intro", "parts": [{"caption": "C", "chapters": c} for c in chapters]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))
    (tmp_path / "_build").mkdir()
    assert book.table_of_contents(tmp_path) == tmp_path / "_toc.yml"
    monkeypatch.setenv("SELF_STUDY", "0")
    shorter = yaml.safe_load(book.table_of_contents(tmp_path).read_text())
    assert [part["chapters"] for part in shorter["parts"]] == [kept[:1], kept[1:]]
    assert shorter["root"] == "book/intro"


def test_leaving_the_assignments_out_writes_all_pages_again(course, monkeypatch):
    """Or their pages would stay among those of the last build."""
    monkeypatch.setenv("SELF_STUDY", "0")
    assert kept(course) == (True, False)


def test_no_page_leads_to_an_assignment():
    """It would be a dead link in a book without them."""
    for page in PAGES:
        if page.parent.name != "assignments":
            assert "assignments/ps" not in page.read_text(), page.name


# ---- when the lessons run again


@pytest.fixture
def course(tmp_path):
    """A folder with the parts that the hashes look at, and a build that ended well."""
    for name, text in {
        "course_lib/init.py": "x = 1\n",
        "course_lib/shipped/race.npz": "data",
        "course_lib/widgets/race.js": "js",
        "constraints.txt": "torch==2.13.0\n",
        "benchmarks/results/shapeset.json": "{}",
        "book/extensions/hard_to_train.py": "",
        "book/references.bib": "",
        "_config.yml": "",
        "_toc.yml": "",
        "tools/book.py": "",
        "_build/.jupyter_cache/global.db": "outputs",
        "_build/.doctrees/environment.pickle": "pages",
        "_build/html/index.html": "html",
        "_build/jupyter_execute/lessons/00.ipynb": "{}",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    now = book.keys(tmp_path)
    (tmp_path / "_build" / "outputs.key").write_text(now["outputs"])
    (tmp_path / "_build" / "pages.key").write_text(now["pages"])
    return tmp_path


def kept(course):
    """Start a build; return whether it keeps the lessons' outputs and the pages."""
    book.prepare(course / "_build", book.keys(course))
    outputs = (course / "_build" / ".jupyter_cache").exists()
    pages = [(course / "_build" / n).exists() for n in (".doctrees", "html", "jupyter_execute")]
    assert len(set(pages)) == 1
    return outputs, pages[0]


def test_nothing_changed_keeps_everything(course):
    assert kept(course) == (True, True)


@pytest.mark.parametrize(
    "name",
    ["course_lib/init.py", "course_lib/shipped/race.npz", "course_lib/widgets/race.js",
     "constraints.txt", "benchmarks/results/shapeset.json"],
)  # fmt: skip
def test_a_change_under_the_lessons_runs_them_again(course, name):
    (course / name).write_text("changed")
    assert kept(course) == (False, False)


@pytest.mark.parametrize(
    "name", ["_config.yml", "_toc.yml", "book/extensions/hard_to_train.py", "book/references.bib"]
)
def test_a_change_around_the_pages_writes_them_again(course, name):
    (course / name).write_text("changed")
    assert kept(course) == (True, False)


def test_added_moved_and_removed_files_count(course):
    first = book.keys(course)["outputs"]
    (course / "course_lib" / "new.py").write_text("")
    second = book.keys(course)["outputs"]
    (course / "course_lib" / "new.py").rename(course / "course_lib" / "newer.py")
    third = book.keys(course)["outputs"]
    (course / "course_lib" / "newer.py").unlink()
    assert len({first, second, third}) == 3
    assert book.keys(course)["outputs"] == first


def test_what_python_and_editors_leave_behind_does_not_count(course):
    before = book.keys(course)
    for name in ("__pycache__/init.cpython-311.pyc", ".init.py.swp", "init.py~", ".cache/x"):
        path = course / "course_lib" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    os.utime(course / "course_lib" / "init.py", (0, 0))
    assert book.keys(course) == before


def build(course, succeeded, meanwhile=lambda: None):
    """Go through the motions of a build that ends well or not."""
    before = book.keys(course)
    book.prepare(course / "_build", before)
    for name in (".jupyter_cache", ".doctrees", "html", "jupyter_execute"):
        (course / "_build" / name).mkdir(exist_ok=True)
    meanwhile()
    book.conclude(course / "_build", before, book.keys(course), succeeded)


def test_a_good_build_is_kept(course):
    (course / "constraints.txt").write_text("torch==2.14.0\n")
    build(course, succeeded=True)
    assert kept(course) == (True, True)


def test_a_failed_build_reads_every_page_again(course):
    """Sphinx would skip the pages it has read, and the second try would pass."""
    build(course, succeeded=False)
    assert kept(course) == (True, False)


def test_a_build_stopped_half_way_keeps_the_outputs_of_its_own_library(course):
    (course / "course_lib" / "init.py").write_text("x = 2\n")
    book.prepare(course / "_build", book.keys(course))
    (course / "_build" / ".jupyter_cache").mkdir()
    assert kept(course) == (True, False)
    (course / "course_lib" / "init.py").write_text("x = 1\n")
    assert kept(course) == (False, False)


def test_an_edit_during_the_build_runs_the_lessons_again(course):
    """Even if it is taken back: some lesson may have seen it."""
    edited = course / "course_lib" / "init.py"
    build(course, succeeded=True, meanwhile=lambda: edited.write_text("x = 2\n"))
    edited.write_text("x = 1\n")
    assert kept(course) == (False, False)


def test_the_first_build_needs_nothing(tmp_path):
    (tmp_path / "course_lib").mkdir()
    for name in ("constraints.txt", *book.PAGES_FROM):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert book.prepare(tmp_path / "_build", book.keys(tmp_path)) == ["outputs", "pages"]


# ---- the programme that builds


def test_run_shows_warnings_and_keeps_the_log(tmp_path, capsys):
    script = (
        "import sys; print('reading sources'); print('a.md: Executed notebook in 3.0 seconds');"
        "print('a.md: WARNING: no', file=sys.stderr); sys.exit(1)"
    )
    log = tmp_path / "log"
    assert book._run([sys.executable, "-c", script], tmp_path, log) == 1
    shown = capsys.readouterr().out
    assert "WARNING: no" in shown and "Executed notebook in 3.0" in shown
    assert "reading sources" not in shown and "reading sources" in log.read_text()


def test_ctrl_c_ends_the_build(tmp_path):
    """The process that builds ends too, and there is no traceback."""
    slow = "import time; print('a Executed notebook in 1 s', flush=True); time.sleep(60)"
    script = f"""
import pathlib, signal, sys
from tools import book
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs with "&"
folder = pathlib.Path({str(tmp_path)!r})
print("status", book._run([sys.executable, "-c", {slow!r}], folder, folder / "log"))
"""
    command = [sys.executable, "-c", script]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert "Executed" in process.stdout.readline()
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert out.splitlines() == ["status None"] and time.monotonic() - start < 20
    assert err == ""
