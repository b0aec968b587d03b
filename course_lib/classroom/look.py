"""A look at what was collected, before it is graded: what is ready, what is not, and why."""

import warnings
from typing import NamedTuple

import nbformat

from course_lib.classroom import roster


class Checked(NamedTuple):
    """What is in ``submitted``: ids that are ready; id to what is wrong, or odd; ids missing."""

    ready: list
    unreadable: dict
    odd: dict
    missing: list
    strangers: list


def check(course, assignment):
    """Look at what is in ``submitted`` before it is graded; return `Checked`."""
    source = course.read(assignment)
    students = roster.read(course)
    ready, unreadable, odd, missing = [], {}, {}, []
    for student in students:
        folder = course.folder / "submitted" / student.id / assignment
        if not folder.is_dir():
            missing.append(student.id)
            continue
        try:
            notebook = read_notebook(folder / f"{assignment}.ipynb")
        except ValueError as error:
            unreadable[student.id] = str(error)
            continue
        ready.append(student.id)
        if found := _oddities(source, notebook):
            odd[student.id] = found
    known = {student.id for student in students}
    there = (course.folder / "submitted").glob(f"*/{assignment}")
    strangers = sorted(path.parent.name for path in there if path.parent.name not in known)
    return Checked(ready, unreadable, odd, missing, strangers)


def read_notebook(path):
    """Return a student's notebook; ValueError says in words why it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        others = sorted(p.name for p in path.parent.iterdir() if p.name != "timestamp.txt")
        raise ValueError(f"there is no notebook, but {', '.join(others) or 'nothing'}") from None
    except UnicodeDecodeError:
        raise ValueError("the file is not text, so it is no notebook") from None
    if not text.strip():
        raise ValueError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cells that are there twice, which is said below
            notebook = nbformat.reads(text, as_version=4)
            nbformat.validate(notebook)
        return notebook
    except Exception as error:  # nbformat raises many kinds: of JSON, of schema, of missing keys
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise ValueError(f"the file is no notebook: {why}") from None


def _oddities(source, notebook):
    """Return what is missing or double in a notebook, in words; grading mends what it can."""
    roles = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells]
    ids = [role.get("grade_id", "") for role in roles if isinstance(role, dict)]
    wanted = [cell.metadata.get("nbgrader", {}) for cell in source.notebook.cells]
    tests = [w["grade_id"] for w in wanted if w.get("grade") and not w.get("solution")]
    answers = [w["grade_id"] for w in wanted if w.get("solution")]
    found = []
    if not set(ids) & {*tests, *answers}:
        return ["none of its cells is one of this assignment"]
    if gone := [name for name in tests if name not in ids]:
        found.append(f"test cells missing: {', '.join(gone)}")
    if gone := [name for name in answers if name not in ids]:
        found.append(f"answers missing: {', '.join(gone)}")
    if double := sorted({name for name in ids if name and ids.count(name) > 1}):
        found.append(f"cells twice: {', '.join(double)}")
    return found


def describe_check(found, assignment):
    """Return a `Checked` in words."""
    lines = [
        f"{assignment}: {len(found.ready)} ready to grade, {len(found.unreadable)} cannot be read, "
        f"{len(found.missing)} missing."
    ]
    lines += [f"  {name}: {why}" for name, why in found.unreadable.items()]
    lines += [f"  {name}: {'; '.join(why)}" for name, why in found.odd.items()]
    lines += [f"  {name}: nothing submitted" for name in found.missing]
    lines += [f"  {name}: submitted, but not in the roster" for name in found.strangers]
    return "\n".join(lines)
