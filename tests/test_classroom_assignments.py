"""Assignments 1 and 3 to 6, released to a class and graded: perfect, blank, and with one mistake.

Students hand in their notebook and nothing else, made from the release; tests of every mistake, in
one process, are in test_assignment_psN.py. The whole zoo of submissions of assignment 2 is in
test_classroom_cycle.py.
"""

import contextlib
import functools
import io

import assignment
import leaks
import nbformat
import pytest
import test_assignment_ps1
import test_assignment_ps3
import test_assignment_ps4
import test_assignment_ps5
import test_assignment_ps6
import zoo

from course_lib import __main__ as command
from course_lib.classroom import course, export, sources

# Assignment to its tests, one of the plausible mistakes there, made early, and number of a part to
# the points that it should cost. All else is handed in as solved.
MISTAKES = {
    # 1 of part 1: single shapes get the wrong name; part 2 counts with the right ones.
    "ps1": (test_assignment_ps1, "no single shapes", {1: 1}),
    # The 2 for the way up; the way down, and what is drawn, do not need it.
    "ps3": (test_assignment_ps3, "fan-out on the way up", {1: 2}),
    # 1 of part 3: gradients of the mean cost; the patients are told apart and cured all the same.
    "ps4": (test_assignment_ps4, "the mean cost", {3: 1}),
    # 1 of part 1: tanh's slope, whatever the activation; parts 5 and 6 are about tanh.
    "ps5": (test_assignment_ps5, "always the slope of tanh", {1: 1}),
    # 1 of part 1: a narrow grid, which is searched, raced and reported as it should be.
    "ps6": (test_assignment_ps6, "a narrow grid", {1: 1}),
}
WRITTEN = {"ps1": {7: 4}, "ps3": {6: 4}, "ps4": {7: 3}, "ps5": {7: 4}, "ps6": {1: 3, 6: 4}}


def assign(*words):
    """Run a command of `hard-to-train assign`; return its exit status and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        status = command.main(["assign", *map(str, words)])
    return status, said.getvalue()


def with_a_mistake(stub, source):
    """Return a release, solved but for the mistake."""
    tests, mistake, _ = MISTAKES[source.name]
    cell, good, bad, _ = tests.MISTAKES[mistake]
    answer = (assignment.solutions(source) | getattr(tests, "ALONE", {}))[cell]
    assert good in answer
    return zoo.solved(stub, {cell: answer.replace(good, bad)}, source=source)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Release an assignment to a class of three and grade it: course, stub, status, words."""

    @functools.cache
    def run(name):
        place = tmp_path_factory.mktemp(name)
        (place / "secret.txt").write_text(f"three students of {name}")
        assert assign("init", place / "c", "--secret", place / "secret.txt")[0] == 0
        made = course.load(place / "c")
        (made.folder / "roster.csv").write_text("id\nperfect\nblank\nwrong\n")
        assert assign("release", name, "--course", made.folder)[0] == 0
        stub = nbformat.read(made.folder / "release" / name / f"{name}.ipynb", as_version=4)
        source = made.read(name)
        notebooks = {
            "perfect": zoo.solved(stub, source=source),
            "blank": stub,
            "wrong": with_a_mistake(stub, source),
        }
        for student, notebook in notebooks.items():
            zoo.hand_in(made, student, notebook, name)
        return made, stub, *assign("grade", name, "--workers", 2, "--course", made.folder)

    return run


@pytest.mark.parametrize("name", MISTAKES)
def test_each_earns_what_its_parts_are_worth(name, graded):
    made, stub, status, said = graded(name)
    points = zoo.stated(stub)
    machine = {part: of - WRITTEN[name].get(part, 0) for part, of in points.items()}
    assert sum(points.values()) == 20
    tests, mistake, costs = MISTAKES[name]
    failing = {test: made.read(name).points[test] for test in tests.MISTAKES[mistake][3]}
    assert zoo.by_part(stub, failing) == costs, "its tests say what it costs, too"
    lost, found = {"perfect": {}, "blank": machine, "wrong": costs}, {}
    for mark in export.marks(made, name):
        student = mark.student.id
        scores = {cell: grade.score for cell, grade in mark.grades.items()}
        found[student] = zoo.by_part(stub, scores)
        expected = {part: of - lost[student].get(part, 0) for part, of in machine.items()}
        assert found[student] == expected, (student, said)
        waits = [grade.waiting for grade in mark.grades.values()]
        assert sum(waits) == (0 if student == "blank" else len(WRITTEN[name]))
        assert mark.state == ("graded" if student == "blank" else "waiting")
    assert list(found) == ["perfect", "blank", "wrong"] and status == 0
    assert f"{name}: 3 graded" in said and "flagged" not in said
    total, by_hand = sum(machine.values()), sum(WRITTEN[name].values())
    assert f"perfect: {total} of {total} points; {by_hand} wait for you\n" in said
    assert "blank: 0 of 20 points\n" in said
    short = total - sum(costs.values())
    assert f"wrong: {short} of {total} points; {by_hand} wait for you\n" in said


@pytest.mark.parametrize("name", MISTAKES)
def test_the_release_that_was_written_shows_no_answer(name, graded):
    made, *_ = graded(name)
    assert leaks.traces(made.folder / "release" / name, made.read(name), made.secret) == []


def test_files_of_an_assignment_are_with_whoever_hands_in_the_notebook_alone(graded):
    """The patients of assignment 4 are the class's own, and no student sends them back."""
    made, *_ = graded("ps4")
    released = sorted(path.name for path in (made.folder / "release" / "ps4").iterdir())
    assert released == [f"patient_{name}.npz" for name in "abcdef"] + ["ps4.ipynb"]
    for student in ("perfect", "wrong"):
        there = sorted(p.name for p in (made.folder / "submitted" / student / "ps4").iterdir())
        assert there == ["ps4.ipynb"]
    own, published = (sources.draw(made.read("ps4"), s).setting for s in (made.secret, ""))
    assert own["ward"] != published["ward"], "or they would be made without any file"
