"""A grading that is stopped goes on, and whatever was handed in is read, or said to be none.

How the whole zoo of submissions is marked is in test_classroom_cycle.py.
"""

import contextlib
import copy
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import nbformat
import pytest
from zoo import SOURCE, WRITTEN, changed, hand_in, solved

from course_lib.classroom import course, grade, mend


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A course with ps2 released, and nothing handed in."""
    folder = tmp_path_factory.mktemp("classes")
    (folder / "words.txt").write_text("a class of these tests")
    made = course.init(folder / "autumn", folder / "words.txt")
    course.release(made, "ps2")
    return made


@pytest.fixture(scope="module")
def stub(released):
    return nbformat.read(released.folder / "release" / "ps2" / "ps2.ipynb", as_version=4)


# ---- a run that does not come to its end


def journal(made):
    return sorted(path.stem for path in made.folder.glob("graded/ps2/*.json"))


def wait_for(made, count, process):
    until = time.monotonic() + 120
    while len(journal(made)) < count:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)


def living(place):
    """Return the processes that were started with a place for temporary files."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"={place}".encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_run_that_was_stopped_or_killed_goes_on_with_the_same_marks(released, stub, tmp_path):
    made = course.load(shutil.copytree(released.folder, tmp_path / "c"))
    expected = {"ann": 16, "ben": 12, "dea": 0, "eli": 15}
    wrong = changed(stub, "ps2-step-back", "weight.T", "weight")
    for student, notebook in {
        "ann": solved(stub),
        "ben": wrong,
        "dea": stub,
        "eli": solved(stub, {"ps2-evaluations": "evaluations = 1"}),
    }.items():
        hand_in(made, student, notebook)
    given = [sys.executable, "-m", "course_lib", "assign", "grade", "ps2", "--workers", "1"]
    given += ["--course", str(made.folder)]
    place = tempfile.mkdtemp(prefix="t")  # short: a kernel's sockets lie in it
    started = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started["env"] = os.environ | {"TMPDIR": place}

    stopped = subprocess.Popen(given, **started)
    wait_for(made, 1, stopped)
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130 and "the same command goes on" in said
    first = {name: path_time(made, name) for name in journal(made)}
    assert "ann" in first and len(first) < 3

    killed = subprocess.Popen(given, **started)
    wait_for(made, len(first) + 1, killed)
    while len(living(place)) < 3:  # the next one has begun, too
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    until = time.monotonic() + 20
    while living(place) and time.monotonic() < until:
        time.sleep(0.2)
    assert living(place) == [], "what it had started has ended with it"
    shutil.rmtree(place)
    assert len(journal(made)) < 4

    outcomes = grade.grade(made, "ps2", workers=2, progress=False)
    assert {path_time(made, name) for name in first} == set(first.values()), "not graded again"
    marks = {o.student: sum(m for m in o.marks.values() if m is not None) for o in outcomes}
    assert marks == expected
    assert not all(outcome.fresh for outcome in outcomes)


def path_time(made, name):
    return (made.folder / "graded" / "ps2" / f"{name}.json").stat().st_mtime_ns


# ---- reading, without a kernel


def mended(notebook, stub, tmp_path):
    (tmp_path / "ps2.ipynb").write_text(json.dumps(notebook))
    return mend.choose(tmp_path, "ps2", stub)


def test_what_was_not_touched_comes_back_as_it_was(stub, tmp_path):
    found = mended(stub, stub, tmp_path)
    assert found.lines == [] and found.changed == 0
    assert [c.source for c in found.notebook.cells] == [c.source for c in stub.cells]
    assert mended(solved(stub), stub, tmp_path).changed == 8


def test_deleted_cells_come_back_in_their_places(stub, tmp_path):
    notebook = solved(stub)
    notebook.cells = [c for c in notebook.cells if c.cell_type == "code" and "-test" not in c.id]
    helper = nbformat.v4.new_code_cell("def helper():\n    pass", id="helper")
    notebook.cells = [notebook.cells[2], helper, *notebook.cells[3:]]
    found = mended(notebook, stub, tmp_path)
    ids = [c.id for c in found.notebook.cells]
    assert set(c.id for c in stub.cells if c.metadata.get("nbgrader")) <= set(ids)
    order = [c.id for c in stub.cells if c.id in ids]
    assert [one for one in ids if one in order] == order
    assert "put back: ps2-setting, ps2-start, ps2-output-delta-test" in found.lines[0]


def test_a_deleted_solution_is_not_overwritten_by_a_stub(stub, tmp_path):
    notebook = solved(stub)
    (cell,) = (c for c in notebook.cells if c.id == "ps2-step-back")
    cell.metadata, cell.id = {}, "mine"
    found = mended(notebook, stub, tmp_path)
    assert "nbgrader's marks were lost, and found again: ps2-step-back" in found.lines
    notebook.cells = [c for c in notebook.cells if c is not cell]
    found = mended(notebook, stub, tmp_path)
    assert found.lines == ["ps2-step-back is missing"]


def test_of_two_answers_the_one_that_was_written_counts(stub, tmp_path):
    notebook = solved(stub)
    notebook.cells.append(copy.deepcopy(stub.cells[38]))
    notebook.cells[-1].id = "again"
    found = mended(notebook, stub, tmp_path)
    (answer,) = (c for c in found.notebook.cells if c.id == "ps2-wrong-gradients")
    assert answer.source == WRITTEN


def test_changed_kinds_and_odd_metadata_are_mended(stub, tmp_path):
    notebook = solved(stub)
    for cell in notebook.cells:
        if cell.id == "ps2-wrong-gradients":
            cell.cell_type = "raw"
        if cell.id == "ps2-slope-test":
            cell.cell_type, cell.source = "markdown", list("text\n")
        cell.metadata["nbgrader"] = cell.metadata.get("nbgrader", {}) | {"schema_version": 1}
        cell["more"] = {"of": "this"}
    notebook["metadata"] = "none"
    found = mended(notebook, stub, tmp_path)
    kinds = {c.id: c.cell_type for c in found.notebook.cells}
    assert kinds["ps2-wrong-gradients"] == "markdown" and kinds["ps2-slope-test"] == "code"
    assert found.lines == ["changed, and restored: ps2-slope-test"]


@pytest.mark.parametrize(
    "text", ["[1, 2]", "{}", '{"cells": 3}', "[" * 100_000, '{"cells": [1]}', "null", "\xff"]
)
def test_whatever_is_no_notebook_says_so(stub, tmp_path, text):
    (tmp_path / "ps2.ipynb").write_bytes(text.encode("latin-1"))
    with pytest.raises(mend.Unusable, match="is not a notebook"):
        mend.choose(tmp_path, "ps2", stub)


def test_of_several_notebooks_the_one_with_most_work_is_taken(stub, tmp_path):
    (tmp_path / "mine.ipynb").write_text(nbformat.writes(solved(stub)))
    (tmp_path / "notes.txt").write_text("x")
    found = mended(stub, stub, tmp_path)
    assert found.changed == 8
    assert found.lines == [
        "handed in as mine.ipynb, recognised by its cells",
        "not used: notes.txt, ps2.ipynb",
    ]


def test_links_and_hidden_files_are_not_read(stub, tmp_path):
    (tmp_path / "away.ipynb").write_text(nbformat.writes(solved(stub)))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "ps2.ipynb").symlink_to(tmp_path / "away.ipynb")
    (folder / ".ps2.ipynb").write_text("x")
    with pytest.raises(mend.Unusable, match="the folder is empty"):
        mend.choose(folder, "ps2", stub)


def test_nothing_to_grade_is_said(released):
    with pytest.raises(ValueError, match="there are no submissions of ps2"):
        grade.grade(released, "ps2")
    unknown = released._replace(folder=released.folder.parent)
    with pytest.raises(ValueError, match="is not released"):
        grade.grade(unknown, "ps2")


def test_flags_are_of_code_and_not_of_prose(stub):
    def found(code):
        return grade.flags(SOURCE, solved(stub, {"ps2-evaluations": code}))

    assert found("# the gradebook") == [] and found("for k in [1]: pass") == []
    assert found("open('../gradebook.db')") == ["flagged: ps2-evaluations looks around: gradebook"]
    assert "import requests" in found("import requests")[0]
