"""Solves an assignment in this process, cell by cell, as its tests need it: quick, no kernel.

A module ``tests/test_assignment_psN.py`` reads its ``SOURCE``, writes down ``OTHERWISE`` (every
answer once more in another way, as it may come from a student), ``ALONE`` (answers that call no
function of an earlier part, where the solution does) and ``MISTAKES``, and calls one ``check_...``
function in each test; parametrize `check_all_points` over `CLASSES` and `check_mistake` over the
names of ``MISTAKES``. A row of that table is ``name: (cell, good, bad, {test: words})``: `good` is
replaced by `bad` in the cell's answer, or all of it where `good` is None; these tests fail and no
other, and each says the words. A wrong answer that a test lets pass does not belong there: mend the
test. What an assignment has for itself (files, folders) is prepared before the call, in a fixture.
"""

import contextlib
import io
import linecache
import re
import symtable

from course_lib import checks
from course_lib.classroom import sources

SECRET = "a class of the tests"
CLASSES = ("", SECRET, "another class")  # the published numbers, and two classes


# ---- submissions


def submission(source, answers=None, secret=SECRET):
    """Return the notebook of a class, its solution cells replaced by `answers`, grade id to code.

    A cell of which nothing is said keeps its solution; the answer None leaves it as released.
    """
    notebook = sources.drawn(source, secret)
    answers = answers or {}
    released = sources.release(source, secret) if None in answers.values() else notebook
    for cell, stub in zip(notebook.cells, released.cells, strict=True):
        answer = answers.get(cell.id, cell.source)
        cell.source = stub.source if answer is None else answer
    assert set(answers) <= {cell.id for cell in notebook.cells}
    return notebook


def solutions(source):
    """Return the code of every cell that is to be written, grade id to code."""
    cells = (cell for cell in sources.drawn(source).cells if cell.cell_type == "code")
    return {c.id: c.source for c in cells if c.metadata.get("nbgrader", {}).get("solution")}


def blank(source):
    """Return the answers of a student who wrote nothing."""
    cells = (cell.metadata.get("nbgrader", {}) for cell in source.notebook.cells)
    return {role["grade_id"]: None for role in cells if role.get("solution")}


def marked(source, answers=None, secret=SECRET):
    """Run a submission; return grade id to what its test said, empty where it passed."""
    return {name: said for name, said in _run(source, answers, secret) if name in source.points}


def failed(source, answers=None, secret=SECRET):
    """Run a submission; return grade id to what its test said, of those tests that failed."""
    return {name: said for name, said in marked(source, answers, secret).items() if said}


def points(source, answers=None, secret=SECRET):
    """Return the points that a submission earns by machine."""
    said = marked(source, answers, secret)
    return sum(source.points[name] for name, found in said.items() if not found)


def _run(source, answers, secret):
    namespace = {"__name__": "__main__"}
    for cell in submission(source, answers, secret).cells:
        if cell.cell_type != "code":
            continue
        # As in a kernel, where a message can quote the line.
        linecache.cache[cell.id] = (len(cell.source), None, cell.source.splitlines(True), cell.id)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, cell.id, "exec"), namespace)
            found = ""
        except checks.NotYet as error:
            found = str(error)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        yield cell.id, found


def tests_below(source, solution):
    """Return the tests between a cell that is to be written and the next one."""
    found, inside = [], False
    for cell in source.notebook.cells:
        role = cell.metadata.get("nbgrader", {})
        inside = role["grade_id"] == solution if role.get("solution") else inside
        if inside and role.get("grade") and not role["solution"]:
            found.append(role["grade_id"])
    return found


# ---- what every assignment must do


def check_all_points(source, secret):
    """Solutions earn every point that a machine gives, and no cell stops, in a class."""
    said = dict(_run(source, None, secret))
    assert not any(said.values()), {name: found for name, found in said.items() if found}
    tests = [name for name in said if name in source.points]
    cells = (cell.metadata.get("nbgrader", {}) for cell in source.notebook.cells)
    by_hand = sum(role["points"] for role in cells if role.get("solution") and role["grade"])
    assert sum(source.points[name] for name in tests) == sources.POINTS - by_hand


def check_blank(source, words):
    """A blank submission earns nothing, and no given cell stops; `words`: test to what it says."""
    said = dict(_run(source, blank(source), SECRET))
    assert all(said[name] for name in said if name in source.points)
    for test, sentence in words.items():
        assert said[test] == sentence, said[test]
    others = set(said) - set(source.points) - set(solutions(source))
    stopped = {name: said[name] for name in others if said[name]}
    assert not stopped, f"cells that are given stop, too: {stopped}"


def check_another_way(source, answers):
    """Other right answers earn all points, and the cells without points run with them."""
    said = {name: found for name, found in _run(source, answers, SECRET) if found}
    assert not said, said


def check_mistake(source, row, alone=None):
    """A mistake costs its own points only, and is explained; see the top for a `row`."""
    cell, good, bad, failing = row
    answers = solutions(source) | (alone or {})
    assert good is None or good in answers[cell]
    wrong = bad if good is None else answers[cell].replace(good, bad)
    found = failed(source, (alone or {}) | {cell: wrong})
    assert set(found) == set(failing), found
    for test, words in failing.items():
        assert words.lower() in found[test].lower(), found[test]
        assert not re.search(r"Traceback|(?<!\.)tensor\(", found[test]), found[test]


def check_alone(source, answers):
    """Each answer, in an otherwise blank submission, earns the tests below it and no other."""
    for name, answer in answers.items():
        said = marked(source, blank(source) | {name: answer})
        passed = [test for test, found in said.items() if not found]
        assert passed == tests_below(source, name), (name, passed)


def check_published(source, answers):
    """Answers that hold the published numbers fail every test below them, and pass at home."""
    tests = {test for name in answers for test in tests_below(source, name)}
    passed, found = tests - set(failed(source, answers)), failed(source, answers, secret="")
    assert not passed and not tests & set(found), (passed, found)


def check_names(source):
    """A test binds no name that a student may use: only imports, and what begins with `case`."""
    for cell in sources.drawn(source).cells:
        if cell.id in source.points and cell.cell_type == "code":
            bound = symtable.symtable(cell.source, cell.id, "exec").get_symbols()
            bound = {name.get_name() for name in bound if name.is_assigned()}
            odd = {name for name in bound - {"setting", "secret"} if not name.startswith("case")}
            assert not odd, (cell.id, odd)


def check_flagged(source, cell, code, word):
    """The report for the instructor has one line, about this word in this cell."""
    lines = sources.flagged(source, submission(source, {cell: code}))
    assert lines == [f"{cell} uses {word}"], lines


def check_own_work(source, answers):
    """Solutions, and the same in another way, are not flagged."""
    for mine in (None, answers):
        lines = sources.flagged(source, submission(source, mine))
        assert not lines, lines
