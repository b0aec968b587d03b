"""What was handed in of an assignment, where it lies, and what has come of it so far.

The journal has a file for each student, ``graded/psN/STUDENT.json``, written last and whole, with
a hash of all that the marks depend on: what has not changed need not be graded again.
"""

import datetime
import hashlib
import json
from typing import NamedTuple

import nbformat

from course_lib import storage
from course_lib.classroom import mend

# Raised when grading itself changes, so that everything is graded again.
VERSION = 2


class Outcome(NamedTuple):
    """What came of one submission.

    Attributes
    ----------
    student : str;  state : "graded" or "failed"
    marks : dict
        Grade id to the points given by machine, None where the instructor is to give them.
    lines : list of str
        What the instructor should know: the cause of a failure, what was restored, flags.
    seconds : float;  fresh : bool
        How long it took; whether it was graded in this run.
    """

    student: str
    state: str
    marks: dict
    lines: list
    seconds: float
    fresh: bool = True


class Assignment:
    """An assignment of a course as it was released, and the places of its submissions."""

    def __init__(self, course, name, limits):
        self.course, self.name, self.limits = course, name, limits
        self.source = course.read(name)
        released = course.folder / "release" / name / f"{name}.ipynb"
        if not released.is_file() or not course.gradebook.is_file():
            raise ValueError(f"{name} is not released in {course.folder}: release it first")
        self.released = nbformat.read(released, as_version=4)
        own = course.folder / "source" / name
        files = [p for p in sorted(own.rglob("*")) if p.is_file()]
        given = b"".join(p.read_bytes() for p in files)
        self.digest = hashlib.sha256(given + f"{VERSION} {limits}".encode()).hexdigest()
        self.files = {
            path.relative_to(own).as_posix(): path.read_bytes()
            for path in files
            if path.suffix != ".ipynb"
        }

    @property
    def database(self):
        return f"sqlite:///{self.course.gradebook}"

    def submitted(self, student):
        return self.course.folder / "submitted" / student / self.name

    def autograded(self, student):
        return self.course.folder / "autograded" / student / self.name

    def journal(self, student):
        return self.course.folder / "graded" / self.name / f"{student}.json"

    def students(self):
        """Return who handed something in."""
        found = sorted(self.course.folder.glob(f"submitted/*/{self.name}"))
        found = [path.parent.name for path in found if path.is_dir()]
        if not found:
            where = self.course.folder / "submitted" / "STUDENT" / self.name
            raise ValueError(f"there are no submissions of {self.name}: they belong into {where}")
        return found

    def hash(self, student):
        """Return what the mark of a submission depends on, as a SHA-256."""
        digest = hashlib.sha256(self.digest.encode())
        for path in mend.files_in(self.submitted(student)):
            name = path.relative_to(self.submitted(student)).as_posix()
            digest.update(f"\0{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes() if path.stat().st_size <= mend.SIZE else b"")
        return digest.hexdigest()

    def note(self, outcome, digest):
        """Write an `Outcome` into the journal, with the `hash` of what was graded."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        entry = outcome._asdict() | {"hash": digest, "at": now}
        del entry["fresh"]
        with storage.atomic_write(self.journal(outcome.student)) as file:
            file.write((json.dumps(entry, indent=1) + "\n").encode())

    def entry(self, student):
        """Return the `Outcome` that the journal has of a submission as it is now, or None."""
        try:
            kept = json.loads(self.journal(student).read_text(encoding="utf-8"))
            outcome = Outcome(student, *(kept[key] for key in Outcome._fields[1:-1]), fresh=False)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        there = self.autograded(student) / f"{self.name}.ipynb"
        same = kept.get("hash") == self.hash(student)
        return outcome if same and (outcome.state == "failed" or there.is_file()) else None
