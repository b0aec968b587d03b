"""Who takes part: the students of roster.csv, and whose a name or a number is."""

import csv
import io
import re
import unicodedata
from typing import NamedTuple

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")


class Student(NamedTuple):
    """A line of the roster: `also` are other names, `moodle` and `canvas` numbers of that place."""

    id: str
    first_name: str
    last_name: str
    email: str = ""
    moodle: str = ""
    canvas: str = ""
    also: tuple = ()

    @property
    def name(self):
        """First and last name, or the id where the roster has none."""
        return f"{self.first_name} {self.last_name}".strip() or self.id


def read(course):
    """Return every `Student` of a course, in the order of roster.csv.

    Columns: id, and as far as there are such first_name, last_name, email, moodle, canvas, also
    (other names, with semicolons between). Comma, semicolon or tab separate them.

    Raises
    ------
    ValueError
        If there is nobody in it, or a line has no id, a doubtful one, or one that came before.
    """
    path = course.folder / "roster.csv"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"there is no {path}: write a line for each student") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8: save it as “CSV UTF-8”") from None
    head = text.partition("\n")[0]
    between = max(",;\t", key=head.count)
    rows = csv.DictReader(io.StringIO(text), delimiter=between, skipinitialspace=True)
    columns = [name.strip().lower() for name in rows.fieldnames or []]
    if "id" not in columns:
        raise ValueError(f"{path} has no column id; it has: {', '.join(columns) or 'none'}")
    rows.fieldnames = columns
    students, wrong = [], []
    for row in rows:
        given = {k: (row.get(k) or "").strip() for k in Student._fields if k != "also"}
        if not any(given.values()):
            continue
        also = (row.get("also") or "").split(";")
        student = Student(**given, also=tuple(name.strip() for name in also if name.strip()))
        if not _ID.fullmatch(student.id):
            wrong.append(
                f"line {rows.line_num}: the id {student.id!r} must be letters, digits and ._@-"
            )
        elif student.id.lower() in (other.id.lower() for other in students):
            wrong.append(f"line {rows.line_num}: the id {student.id} came before")
        students.append(student)
    if wrong:
        raise ValueError(f"{path}: " + "; ".join(wrong))
    if not students:
        raise ValueError(f"there is nobody in {path}: write a line for each student")
    return students


def _plain(name):
    """Return a name in small letters, without accents, spaces and marks: for comparing."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(c for c in letters if c.isalnum())


class Matcher:
    """Finds the student that a submission's name and number mean."""

    def __init__(self, students):
        self.names, self.numbers = {}, {}
        for student in students:
            own = [student.id, student.email, *student.also]
            first, last = student.first_name, student.last_name
            own += [first + last, last + first] if first and last else []
            for name in filter(None, map(_plain, own)):
                self.names.setdefault(name, set()).add(student.id)
            for platform in ("moodle", "canvas"):
                if number := getattr(student, platform):
                    self.numbers.setdefault((platform, number), set()).add(student.id)

    def named(self, names):
        for name in names:
            if found := self.names.get(_plain(name)):
                return found
        return set()

    def find(self, claim):
        """Return the student's id and "", or None and why there is none."""
        numbered = self.numbers.get((claim.platform, claim.number), set())
        named = self.named(claim.names)
        if numbered and named and not numbered & named:
            return None, (
                f"the number {claim.number} is that of {_list(numbered)}, the name {_list(named)}'s"
            )
        fits = numbered & named or numbered or named
        if len(fits) == 1:
            return next(iter(fits)), ""
        if fits:
            return None, f"fits several students: {_list(fits)}"
        return None, f"nobody in the roster is called {claim.names[0]!r}"


def _list(names):
    return ", ".join(sorted(names))
