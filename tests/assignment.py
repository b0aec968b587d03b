"""Solves an assignment in this process, cell by cell, as its tests need it: quick, no kernel."""

import contextlib
import io

from course_lib import checks
from course_lib.classroom import sources

SECRET = "a class of the tests"


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


def blank(source):
    """Return the answers of a student who wrote nothing."""
    cells = (cell.metadata.get("nbgrader", {}) for cell in source.notebook.cells)
    return {role["grade_id"]: None for role in cells if role.get("solution")}


def marked(source, answers=None, secret=SECRET):
    """Run a submission; return grade id to what its test said, empty where it passed."""
    namespace, said = {"__name__": "__main__"}, {}
    for cell in submission(source, answers, secret).cells:
        if cell.cell_type != "code":
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, cell.id, "exec"), namespace)
            found = ""
        except checks.NotYet as error:
            found = str(error)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        if cell.id in source.points:
            said[cell.id] = found
    return said


def points(source, answers=None, secret=SECRET):
    """Return the points that a submission earns by machine."""
    said = marked(source, answers, secret)
    return sum(source.points[name] for name, found in said.items() if not found)
