"""Every kind of submission gets its mark or a cause in words, and none touches another's."""

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
import test_assignment_ps2 as ps2_answers

from course_lib import __main__ as command
from course_lib.classroom import course, grade, sandbox, sources
from course_lib.classroom.references import ps2

SOURCE = sources.read(sources.find("ps2"))
LIMITS = sandbox.Limits(seconds=25, total=300)
WRITTEN = "Anna sums where she should average; Ben's step from layer two down is wrong."


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


def solved(stub, instead=(), without=()):
    """Return the release with solutions and a written answer in it, but for some cells."""
    notebook = copy.deepcopy(stub)
    answers = {
        cell.id: "\n".join(line for line in cell.source.split("\n") if "SOLUTION" not in line)
        for cell in sources.drawn(SOURCE).cells
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code"
    }
    answers |= {"ps2-wrong-gradients": WRITTEN} | dict(instead)
    for cell in notebook.cells:
        if cell.id in answers and cell.id not in without:
            cell.source = answers[cell.id]
    return notebook


def changed(stub, cell, good, bad):
    notebook = solved(stub)
    (own,) = (one for one in notebook.cells if one.id == cell)
    assert good in own.source
    own.source = own.source.replace(good, bad)
    return notebook


def hard_coded(made):
    """The answer to the visible test, stored."""
    net = ps2.example(sources.draw(SOURCE, made.secret).setting)
    stored = ps2.output_delta(net.logits, net.labels).tolist()
    return {
        "ps2-output-delta": f"def output_delta(logits, labels):\n    return torch.tensor({stored})",
        **ps2_answers.FALL,
    }


def another_tool(notebook):
    """Return a notebook as a tool writes it that knows neither nbgrader nor ids of cells."""
    made = copy.deepcopy(notebook)
    made.nbformat_minor, made.metadata = 4, {"colab": {"name": "ps2"}}
    for cell in made.cells:
        cell.metadata = {"id": "x7f"}
        del cell["id"]
    return made


def zoo(made, stub):
    """Return student to (name of the file, notebook or bytes, points, words of the lines)."""
    evaluations = "sizes = setting['sizes']\nevaluations = 2 * sum((n + 1) * m for n, m in "
    evaluations += "zip(sizes, sizes[1:]))\n"

    def with_(code, before=""):
        return solved(stub, {"ps2-evaluations": before + evaluations + code})

    without_tests = solved(stub)
    without_tests.cells = [c for c in without_tests.cells if not c.id.endswith("-test")]
    twice = solved(stub)
    twice.cells += [copy.deepcopy(cell) for cell in twice.cells[2:14]]
    for number, cell in enumerate(twice.cells):
        if number >= len(stub.cells):
            cell.id = f"copy-{number}"
    twice.cells[4].metadata["nbgrader"] = {"grade_id": "ps2-output-delta", "points": "many"}
    loose = solved(stub)
    for cell in loose.cells:
        if cell.id.endswith("-test"):
            cell.source, cell.metadata["nbgrader"]["points"] = "1", 100
    library = changed(stub, "ps2-weight-gradients", "def ", "from course_lib import backprop\ndef ")
    pries = (
        "import os, pathlib\n"
        f"places = {[str(made.folder), str(made.sources)]!r}\n"
        "print([p.name for place in places for p in pathlib.Path(place).rglob('*')],\n"
        "      [text for text in _ih if 'HIDDEN TESTS' in text and 'places' not in text])\n"
        "open(places[0] + '/gradebook.db').read()"
    )
    return {
        "perfect": ("ps2.ipynb", solved(stub), 16, []),
        "blank": ("ps2.ipynb", stub, 0, []),
        "otherwise": ("ps2.ipynb", solved(stub, ps2_answers.NUMPY), 16, []),
        "hard-coded": ("ps2.ipynb", solved(stub, hard_coded(made)), 13, []),
        "transposed": (
            "ps2.ipynb", changed(stub, "ps2-weight-gradients", "z.T @ delta", "delta.T @ z"), 14, []
        ),
        "equal-sizes-only": (
            "ps2.ipynb", changed(stub, "ps2-step-back", "weight.T", "weight"), 12,
            ["cell 30 stops with RuntimeError"],
        ),
        "loop": (
            "ps2.ipynb", solved(stub, {"ps2-evaluations": "while True:\n    pass"}), 15,
            ["ps2-evaluations was stopped after 25 seconds"],
        ),
        "hog": (
            "ps2.ipynb", with_("", "held = [bytes(200 << 20) for _ in range(9999)]\n"), 15,
            ["ps2-evaluations ran out of memory"],
        ),
        "exits": (
            "ps2.ipynb", with_("", "import os\nos._exit(0)\n"), 15,
            ["ps2-evaluations ended its kernel"],
        ),
        "import": (
            "ps2.ipynb", changed(stub, "ps2-output-delta", "def ", "import tensorflaw\ndef "), 12,
            ["ps2-output-delta stops with ModuleNotFoundError: No module named 'tensorflaw'"],
        ),
        "no-tests": (
            "ps2.ipynb", without_tests, 16, ["missing, and put back: ps2-output-delta-test, "]
        ),
        "twice": ("ps2.ipynb", twice, 16, ["there more than once: ps2-start, ps2-output-delta, "]),
        "loose": ("ps2.ipynb", loose, 16, ["changed, and restored: ps2-output-delta-test, "]),
        "renamed": (
            "Kopie von ps2 (1).ipynb", solved(stub), 16,
            ["handed in as Kopie von ps2 (1).ipynb, recognised by its cells"],
        ),
        "other-tool": ("ps2.ipynb", another_tool(solved(stub)), 16, ["marks were lost, and found"]),
        "prints": (
            "ps2.ipynb", with_("for _ in range(20_000): print('megabytes ' * 100)"), 16,
            ["ps2-evaluations wrote more than is kept"],
        ),
        "pries": (
            "ps2.ipynb", with_(pries), 16,
            ["flagged: ps2-evaluations looks around: HIDDEN TESTS, _ih"],
        ),
        "library": (
            "ps2.ipynb", library, 16, ["flagged: ps2-weight-gradients uses backprop"]
        ),
        "empty": ("ps2.ipynb", b"", None, ["ps2.ipynb is an empty file"]),
        "pdf": ("ps2.ipynb", b"%PDF-1.7\n\xff\xfe", None, ["ps2.ipynb is not a notebook"]),
        "other": (
            "ps2.ipynb", nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]), None,
            ["holds no cell of ps2: is it another assignment's?"],
        ),
        "nothing": (None, None, None, ["nothing was handed in"]),
    }  # fmt: skip


def hand_in(made, student, name, content):
    folder = made.folder / "submitted" / student / "ps2"
    folder.mkdir(parents=True)
    if name:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def graded(released, stub, tmp_path_factory):
    """The whole zoo, graded at once by two workers: the course, what is expected, what came."""
    made = course.load(shutil.copytree(released.folder, tmp_path_factory.mktemp("zoo") / "c"))
    animals = zoo(made, stub)
    for student, (name, content, _, _) in animals.items():
        hand_in(made, student, name, content)
    stamp = made.folder / "submitted" / "perfect" / "ps2" / "timestamp.txt"
    stamp.write_text("2026-11-20 12:00:00 UTC")
    outcomes = grade.grade(made, "ps2", workers=2, limits=LIMITS, progress=False)
    return made, animals, {outcome.student: outcome for outcome in outcomes}


ANIMALS = (
    "perfect blank otherwise hard-coded transposed equal-sizes-only loop hog exits import no-tests "
    "twice loose renamed other-tool prints pries library empty pdf other nothing"
).split()


@pytest.mark.parametrize("student", ANIMALS)
def test_each_gets_its_mark_or_a_cause(graded, student):
    _, animals, outcomes = graded
    *_, points, words = animals[student]
    outcome = outcomes[student]
    said = "\n".join(outcome.lines)
    if points is None:
        assert outcome.state == "failed" and outcome.marks == {}
    else:
        assert outcome.state == "graded", said
        found = sum(mark for mark in outcome.marks.values() if mark is not None)
        assert found == points, (outcome.marks, said)
        assert list(outcome.marks) == list(SOURCE.points)
        written = outcome.marks["ps2-wrong-gradients"]
        assert written == (0 if student == "blank" else None)
    for word in words:
        assert word in said
    if student in ("perfect", "otherwise", "blank"):
        assert outcome.lines == []


def test_nobody_is_missing(graded):
    _, animals, outcomes = graded
    assert sorted(animals) == sorted(ANIMALS) == sorted(outcomes)


def test_marks_are_in_the_gradebook_and_what_was_run_lies_beside(graded):
    from nbgrader.api import Gradebook

    made, animals, outcomes = graded
    with Gradebook(f"sqlite:///{made.gradebook}") as gradebook:
        for student, (*_, points, _) in animals.items():
            submission = gradebook.find_submission("ps2", student)
            assert submission.score == (points or 0)
            assert submission.needs_manual_grade == (student != "blank")
            ran = made.folder / "autograded" / student / "ps2" / "ps2.ipynb"
            assert ran.exists() == (points is not None)
        when = gradebook.find_submission("ps2", "perfect").timestamp
        assert (when.day, when.hour) == (20, 12)
    ran = nbformat.read(made.folder / "autograded/otherwise/ps2/ps2.ipynb", as_version=4)
    (test,) = (cell for cell in ran.cells if cell.id == "ps2-slope-test")
    assert "HIDDEN TESTS" in test.source and "is right on this example" in test.outputs[0].text
    answer = nbformat.read(made.folder / "autograded/other-tool/ps2/ps2.ipynb", as_version=4)
    assert WRITTEN in [cell.source for cell in answer.cells]
    size = (made.folder / "autograded" / "prints" / "ps2" / "ps2.ipynb").stat().st_size
    assert size < 500_000


def test_who_looks_around_finds_nothing(graded):
    made, *_ = graded
    with sandbox.Sandbox([]) as room:
        if room.isolation != "full":
            pytest.skip("this system lets no process be enclosed")
    ran = nbformat.read(made.folder / "autograded" / "pries" / "ps2" / "ps2.ipynb", as_version=4)
    (cell,) = (cell for cell in ran.cells if cell.id == "ps2-evaluations")
    assert cell.outputs[0].text == "[] []\n"
    assert cell.outputs[1].ename == "FileNotFoundError"


def test_a_second_run_grades_what_is_new_and_keeps_marks_given_by_hand(graded, stub, capsys):
    from nbgrader.api import Gradebook

    made, animals, outcomes = graded
    with Gradebook(f"sqlite:///{made.gradebook}") as gradebook:
        for cell, points in (("ps2-wrong-gradients", 3.5), ("ps2-slope-test", 0.5)):
            mark = gradebook.find_grade(cell, "ps2", "ps2", "loose")
            mark.manual_score, mark.needs_manual_grade = points, False
        gradebook.db.commit()
    notebook = solved(stub, {"ps2-evaluations": "evaluations = 1"})
    (made.folder / "submitted" / "loose" / "ps2" / "ps2.ipynb").write_text(
        nbformat.writes(notebook)
    )
    again = grade.grade(made, "ps2", workers=2, limits=LIMITS, progress=False)
    fresh = {outcome.student for outcome in again if outcome.fresh}
    assert fresh == {"loose"} | {name for name in animals if animals[name][2] is None}
    for outcome in again:
        if outcome.student != "loose":
            assert outcome.marks == outcomes[outcome.student].marks
    with Gradebook(f"sqlite:///{made.gradebook}") as gradebook:
        assert gradebook.find_submission("ps2", "loose").score == 15 - 1 + 0.5 + 3.5

    given = ["assign", "grade", "ps2", "--course", str(made.folder)]
    assert command.main([*given, "--seconds", "25", "--total", "300"]) == 1
    said = capsys.readouterr()
    assert "ps2: 18 graded, 4 not" in said.out and "to grade, 2 at a time" in said.err
    assert "perfect: 16 of 16 points; 4 wait for you (as before)" in said.out
    assert "blank: 0 of 20 points (as before)" in said.out
    assert "pdf: not graded: ps2.ipynb is not a notebook" in said.out


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
        hand_in(made, student, "ps2.ipynb", notebook)
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
    return grade.choose(tmp_path, "ps2", stub)


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
    with pytest.raises(grade.Unusable, match="is not a notebook"):
        grade.choose(tmp_path, "ps2", stub)


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
    with pytest.raises(grade.Unusable, match="the folder is empty"):
        grade.choose(folder, "ps2", stub)


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
