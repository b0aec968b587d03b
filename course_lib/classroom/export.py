"""Marks out of nbgrader's gradebook, as CSV: plain, or as Moodle and Canvas import them."""

import csv
import io
import json
import re
from typing import NamedTuple

from course_lib import storage
from course_lib.classroom import collect, roster
from course_lib.classroom import course as folders

FORMS = ("plain", "moodle", "canvas")
# A spreadsheet reads a cell that begins so as a formula; the last ones are the wide forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Grade(NamedTuple):
    """Points of one graded cell: scored, possible, whether marked by hand, whether that waits."""

    score: float
    of: float
    by_hand: bool
    waiting: bool


class Mark(NamedTuple):
    """Where one student stands with one assignment.

    Attributes
    ----------
    student : roster.Student
    state : str
        "graded"; "waiting" for marks by hand; "failed", the machine cannot grade it; "not graded"
        as it is now; or "missing".
    grades : dict, grade id to `Grade`, in the order of the notebook;  empty unless graded
    penalty : float, taken off for lateness, if the instructor has nbgrader do so
    late : bool
    lines : list of str, what grading noted
    """

    student: roster.Student
    state: str
    grades: dict
    penalty: float
    late: bool
    lines: list

    @property
    def score(self):
        """The points so far."""
        return max(0.0, sum(grade.score for grade in self.grades.values()) - self.penalty)

    @property
    def machine(self):
        """The points that were given by machine."""
        return sum(grade.score for grade in self.grades.values() if not grade.by_hand)


def marks(course, assignment):
    """Return the `Mark` of every student, in the order of the roster; others come after it.

    Raises
    ------
    ValueError
        If the assignment was not released, so that the gradebook does not know it.
    """
    from nbgrader.api import Gradebook, MissingEntry

    students = roster.read(course)
    record = collect.load_record(course, assignment)
    order = list(course.read(assignment).points)
    if not course.gradebook.exists():
        raise ValueError(f"{assignment} was not released: there is no {course.gradebook}")
    with folders.programs(), Gradebook(f"sqlite:///{course.gradebook}", course.name) as gradebook:
        try:
            found = gradebook.find_assignment(assignment).submissions
        except MissingEntry:
            raise ValueError(f"{assignment} was not released: the gradebook lacks it") from None
        graded = {submission.student.id: _read(submission, order) for submission in found}
        others = [
            roster.Student(s.id, s.first_name or "", s.last_name or "", s.email or "")
            for s in (submission.student for submission in found)
            if s.id not in {student.id for student in students}
        ]
    made = []
    for student in [*students, *sorted(others)]:
        grades, penalty = graded.get(student.id, ({}, 0.0))
        known = record["students"].get(student.id)
        late = bool(known) and collect.is_late(collect.last(known), record["due"])
        noted = _noted(course, assignment, student.id)
        if grades and not _outdated(course, assignment, student.id):
            waits = any(grade.waiting for grade in grades.values())
            state = "graded" if not waits else "failed" if noted["failed"] else "waiting"
        else:
            there = (course.folder / "submitted" / student.id / assignment).is_dir()
            state = "not graded" if there else "missing"
        made.append(Mark(student, state, grades, penalty, late, noted["lines"]))
    return made


def _noted(course, assignment, student):
    """Return what grading noted of a submission: whether it failed, and its lines."""
    path = course.folder / "graded" / assignment / f"{student}.json"
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return {"failed": entry["state"] == "failed", "lines": [str(x) for x in entry["lines"]]}
    except FileNotFoundError:
        return {"failed": False, "lines": []}
    except (ValueError, KeyError, TypeError):
        return {"failed": False, "lines": [f"{path} is damaged"]}


def _outdated(course, assignment, student):
    """Whether another attempt was collected since grading, which copies the time along."""
    times = []
    for kind in ("submitted", "autograded"):
        path = course.folder / kind / student / assignment / "timestamp.txt"
        times.append(path.read_text() if path.is_file() else None)
    return None not in times and times[0] != times[1]


def _read(submission, order):
    grades, penalty = {}, 0.0
    for notebook in submission.notebooks:
        penalty += notebook.late_submission_penalty or 0.0
        for grade in notebook.grades:
            by_hand = grade.cell_type == "markdown"
            waiting = grade.needs_manual_grade and grade.manual_score is None
            grades[grade.name] = Grade(grade.score, grade.max_score, by_hand, waiting)
    place = {name: k for k, name in enumerate(order)}
    return dict(sorted(grades.items(), key=lambda g: place.get(g[0], len(place)))), penalty


def safe(text):
    """Return a text for a cell, with an apostrophe before it where a spreadsheet would compute."""
    text = str(text)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


class Exported(NamedTuple):
    """The text of a CSV file, and what it leaves blank: lines of student, assignment, reason."""

    text: str
    blank: list


def export(course, names, form="plain", columns=None, unfinished=False, missing_zero=False):
    """Return the marks of a class as `Exported`.

    Parameters
    ----------
    course : Course;  names : list of str, the assignments
    form : str, of `FORMS`
    columns : dict, optional
        Assignment to the name that its column has in Moodle or Canvas, such as "Set 2 (4711)".
    unfinished : bool
        Write marks that wait for a human as they stand; without it they stay blank.
    missing_zero : bool
        Write 0 for those who submitted nothing; without it they stay blank.
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
    columns = columns or {}
    if unknown := set(columns) - set(names):
        raise ValueError(f"a column is named for {sorted(unknown)[0]}, which is not exported")
    of = {name: sum(course.read(name).points.values()) for name in names}
    all_marks = {name: marks(course, name) for name in names}
    by_student = {}
    for name in names:
        for mark in all_marks[name]:
            by_student.setdefault(mark.student, {})[name] = mark
    blank, rows = [], []
    for student, own in by_student.items():
        cells = {}
        for name in names:
            mark = own.get(name)
            state = mark.state if mark else "missing"
            done = state == "graded" or (state in ("waiting", "failed") and unfinished)
            zero = state == "missing" and missing_zero
            cells[name] = f"{mark.score:g}" if done else "0" if zero else ""
            if not cells[name]:
                blank.append((student.id, name, state))
        rows.append((student, cells, own))
    head, body = _FORMS[form](course, names, columns, of, rows)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerows([[safe(cell) for cell in row] for row in [*head, *body]])
    return Exported(file.getvalue(), blank)


def _plain(course, names, columns, of, rows):
    head = ["id", "last_name", "first_name", "email"]
    for name in names:
        head += [columns.get(name, name), f"{name} of", f"{name} state", f"{name} late"]
    body = []
    for student, cells, own in rows:
        row = [student.id, student.last_name, student.first_name, student.email]
        for name in names:
            mark = own.get(name)
            late = "late" if mark and mark.late else ""
            row += [cells[name], of[name], mark.state if mark else "missing", late]
        body.append(row)
    return [head], body


def _moodle(course, names, columns, of, rows):
    """Columns as Moodle's gradebook exports them; its import assigns them by these names."""
    head = ["First name", "Last name", "ID number", "Email address"]
    head += [columns.get(name, f"Assignment: {name} (Real)") for name in names]
    body = [
        [student.first_name, student.last_name, student.id, student.email, *cells.values()]
        for student, cells, _ in rows
    ]
    return [head], body


def _canvas(course, names, columns, of, rows):
    """Columns and second line as Canvas's gradebook exports them, and takes them back."""
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    head += [columns.get(name, name) for name in names]
    points = ["    Points Possible", "", "", "", "", *(of[name] for name in names)]
    body = []
    for student, cells, _ in rows:
        number = student.canvas or _canvas_number(course, names, student)
        name = f"{student.last_name}, {student.first_name}".strip(", ") or student.id
        body.append([name, number, student.id, student.email, "", *cells.values()])
    return [head, points], body


def _canvas_number(course, names, student):
    """Return the number that Canvas's zip gave a student, or an empty text."""
    for name in names:
        known = collect.load_record(course, name)["students"].get(student.id)
        found = known and re.search(r"_(\d+)_\d+_$", collect.last(known)["canvas"])
        if found:
            return found[1]
    return ""


_FORMS = {"plain": _plain, "moodle": _moodle, "canvas": _canvas}


def write(exported, path):
    """Write a CSV file, whole or not at all, and for its owner only where the system knows that."""
    with storage.atomic_write(path) as file:
        file.write(exported.text.encode())
    path.chmod(0o600)
