"""A class of 100 through every step of `hard-to-train assign`, on two processors.

The grading is killed half-way with SIGKILL and resumed, while the memory of all its processes is
looked at. Every mark must be the one that was known beforehand (`_students`), and every tenth
student's the same, in all words, where nothing was killed; or nothing is recorded.

To try it, with fewer students and nothing recorded: ``python -m benchmarks.classroom 6``.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import nbformat
import psutil

from benchmarks import _students
from course_lib.classroom import course, export, grade, sandbox, sources

STUDENTS, CORES = 100, 2
LOOKS = 2.0  # seconds between two looks at the memory
SECRET = "a class of the benchmarks\n"
# Status 1 says that something needs a look: here the files that are no notebooks.
LOOK = {"check": 1, "grade": 1}
# What a cell of a notebook does, each more than the one before.
USED = "from course_lib import checks, fresh\nfrom course_lib.classroom.references import ps2\n"
STAGES = {
    "a process and its kernel start": "pass",
    "the library is imported": USED,
    "the process of the reference values starts": USED + "fresh.call(ps2.miscounts, [3, 2])",
}


def missing():
    """Return why this machine cannot run the benchmark, or None."""
    if not sys.platform.startswith("linux"):
        return "only Linux says what memory processes share"
    return None if importlib.util.find_spec("nbgrader") else "nbgrader is not installed"


def origin():
    """What else the numbers depend on, for their provenance."""
    cores = len(os.sched_getaffinity(0))
    return {"cores": min(CORES, cores), "nbgrader": importlib.metadata.version("nbgrader")}


def run(count=STUDENTS):
    """Seconds of each step and submission, where these go, peak memory, sizes, and counts."""
    numbers = {}
    students = _students.make(count, sources.read(sources.find("ps2")))
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(processors)[:CORES])
    try:
        with tempfile.TemporaryDirectory(prefix="class-") as place:
            folder = Path(place) / "course"
            numbers |= until_collected(folder, students)
            made = course.load(folder)
            other = course.load(shutil.copytree(folder, Path(place) / "undisturbed"))
            numbers |= graded_in_two(made, students)
            numbers |= compare(made, students)
            numbers |= returned(made)
            numbers |= undisturbed(other, students[::10], export.marks(made, "ps2"))
            numbers |= phases(made, students)
    finally:
        os.sched_setaffinity(0, processors)
    return numbers


# ---- the steps


def assign(folder, step, *arguments, **surroundings):
    """Start a step of the command line in a course folder; return the process."""
    command = [sys.executable, "-m", "course_lib", "assign", step, *map(str, arguments)]
    command += [] if step == "init" else ["--course", str(folder)]
    shown = None if step == "grade" else subprocess.STDOUT  # its progress bar
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=shown, text=True, env=os.environ | surroundings
    )


def finish(process, step):
    """Wait for a step to end; RuntimeError, with what it printed, if it failed."""
    said, _ = process.communicate()
    if process.returncode not in (0, LOOK.get(step, 0)):
        raise RuntimeError(f"{step} ended with status {process.returncode}:\n{said[-2000:]}")


def timed(folder, step, *arguments):
    """Run a step; return its seconds, under its name."""
    start = time.perf_counter()
    finish(assign(folder, step, *arguments), step)
    return {f"{step}: seconds": time.perf_counter() - start}


def until_collected(folder, students):
    """Make a course, release ps2, and collect a class from a zip as Moodle writes it."""
    secret, download = folder.with_name("secret.txt"), folder.with_name("moodle.zip")
    secret.write_text(SECRET)
    numbers = timed(folder, "init", folder, "--secret", secret)
    numbers |= timed(folder, "release", "ps2")
    lines = [f"{s.id},{s.first_name},{s.last_name},{s.id}@example.org\n" for s in students]
    (folder / "roster.csv").write_text("".join(["id,first_name,last_name,email\n", *lines]))
    released = nbformat.read(folder / "release" / "ps2" / "ps2.ipynb", as_version=4)
    with zipfile.ZipFile(download, "w", zipfile.ZIP_DEFLATED) as archive:
        for s in students:
            own = f"{s.first_name} {s.last_name}_{s.moodle}_assignsubmission_file"
            archive.writestr(f"{own}/{s.file}", _students.handed_in(s, released))
    return numbers | timed(folder, "collect", "ps2", download) | timed(folder, "check", "ps2")


def journal(made):
    """Return student to the line of the journal."""
    found = made.folder.glob("graded/ps2/*.json")
    return {path.stem: json.loads(path.read_text()) for path in found}


def returned(made):
    """Write the feedback, the report and the marks; say how large the feedback is."""
    numbers = timed(made.folder, "feedback", "ps2") | timed(made.folder, "report", "ps2")
    numbers |= timed(made.folder, "export", "ps2", "--for", "moodle", "--unfinished")
    pages = [page.stat().st_size / 1e3 for page in made.folder.glob("feedback/*/ps2/*.html")]
    upload = made.folder / "upload" / "ps2-moodle.zip"
    marks = (made.folder / "exported" / "moodle.csv").read_text().splitlines()
    return numbers | {
        "feedback: pages": len(pages),
        "feedback: kilobytes of a page, median": statistics.median(pages),
        "feedback: kilobytes of a page, largest": max(pages),
        "feedback: kilobytes of the zip for Moodle": upload.stat().st_size / 1e3,
        "export: students": len(marks) - 1,
    }


def compare(made, students):
    """Count the marks and causes in the gradebook; RuntimeError unless each is as expected."""
    found = {mark.student.id: mark for mark in export.marks(made, "ps2")}
    wrong = [f"{len(found)} students, not {len(students)}"] * (len(found) != len(students))
    tests = 0
    for student in students:
        mark, cause = found.get(student.id), _students.ACCIDENTS.get(student.accident, "")
        if mark is None:
            wrong.append(f"{student.id} was lost")
            continue
        said = "\n".join(mark.lines)
        got = {name: None if g.waiting else g.score for name, g in mark.grades.items()}
        if (mark.state == "failed") == bool(student.marks):
            wrong.append(f"{student.id} is {mark.state}: {said}")
        elif student.marks:
            tests += len(got)
            if got != student.marks:
                wrong.append(f"{student.id} got {got}, not {student.marks}")
        if cause not in said or "flagged:" in said:
            wrong.append(f"{student.id}: of {student.accident or 'nothing'} is said: {said}")
    if wrong:
        raise RuntimeError("\n".join(wrong))
    causes = sum(mark.state == "failed" for mark in found.values())
    return {
        "marks: students who handed in": len(students),
        "marks: students who got them": len(found) - causes,
        "marks: students with a cause in place of them": causes,
        "marks: of single tests, all as expected": tests,
    }


# ---- killed and resumed


def graded_in_two(made, students):
    """Grade the class, killed half-way, and resume; look at the memory of all that belongs to it.

    Raises
    ------
    RuntimeError
        If a process goes on after the kill, or something is graded twice.
    """
    place = made.folder.with_name("t")  # short: the kernels' sockets lie in it
    place.mkdir()
    numbers = {"grade: load of the machine beforehand": os.getloadavg()[0]}
    begin = time.perf_counter()
    grading = assign(made.folder, "grade", "ps2", "--workers", CORES, TMPDIR=str(place))
    with Memory(grading.pid) as first:
        left = []
        while len(journal(made)) < len(students) / 2 or "ipykernel_launcher" not in sum(left, []):
            if grading.poll() is not None:
                raise RuntimeError(f"grade ended early, with status {grading.returncode}")
            time.sleep(0.2)
            left = living(place)
        grading.kill()
        grading.communicate()
    death = time.perf_counter()
    print(file=sys.stderr)  # below the bar that was cut off
    while living(place):
        if time.perf_counter() - death > 60:
            raise RuntimeError(f"after SIGKILL, {len(living(place))} processes went on")
        time.sleep(0.1)
    again, before = time.perf_counter(), journal(made)
    grading = assign(made.folder, "grade", "ps2", "--workers", CORES)
    with Memory(grading.pid) as second:
        finish(grading, "grade")
    after, end = journal(made), time.perf_counter()
    kept = [name for name, entry in before.items() if entry["state"] == "graded"]
    if redone := [name for name in kept if after[name] != before[name]]:  # it holds the time
        raise RuntimeError(f"graded a second time: {', '.join(redone)}")
    took = [entry["seconds"] for entry in after.values() if entry["state"] == "graded"]
    return numbers | {
        "grade: seconds": death - begin + end - again,
        "grade: seconds of a submission, median": statistics.median(took),
        "grade: seconds of a submission, slowest": max(took),
        "killed: students who were done by then": len(before),
        "killed: marks that were not made again": len(kept),
        "killed: processes that it left": len(left) - 1,
        "killed: seconds until these had ended": again - death,
        "memory: megabytes in all, peak": max(first.all, second.all) / 1e6,
        "memory: megabytes of the grading itself, peak": max(first.own, second.own) / 1e6,
        "memory: megabytes of one submission, peak": max(first.each, second.each) / 1e6,
        "memory: looks": first.looks + second.looks,
    }


def undisturbed(other, some, marks):
    """Grade some of the students in a course of their own; RuntimeError if a mark or word differs.

    `marks` are those of the whole class, as `export.marks` returns them.
    """
    names = {student.id for student in some}
    for folder in (other.folder / "submitted").iterdir():
        if folder.name not in names:
            shutil.rmtree(folder)
    finish(assign(other.folder, "grade", "ps2", "--workers", CORES), "grade")
    killed, alone = (
        {mark.student.id: mark for mark in all_marks if mark.student.id in names}
        for all_marks in (marks, export.marks(other, "ps2"))
    )
    if differ := [name for name in names if killed[name] != alone[name]]:
        raise RuntimeError(f"other marks or words where nothing was killed: {', '.join(differ)}")
    return {"killed: students graded undisturbed as well, with the same marks": len(names)}


def living(place):
    """Return the commands of the processes that have a place among their variables."""
    known = (one.info for one in psutil.process_iter(["cmdline", "environ"]))
    return [
        one["cmdline"] or []
        for one in known
        if any(str(place) in value for value in (one["environ"] or {}).values())
    ]


class Memory:
    """Looks at the memory of a process and of all that it started, until the block ends.

    Attributes
    ----------
    all, own, each : int
        Peak in bytes: of all together, of the process itself, of one of its children with theirs.
        What several processes share is split between them (Linux calls that the PSS).
    looks : int
    """

    def __init__(self, pid, every=LOOKS):
        self.pid, self.every, self.all, self.own, self.each, self.looks = pid, every, 0, 0, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            while not self._stop.wait(self.every):
                own = _held(process)
                each = [
                    sum(map(_held, [child, *child.children(recursive=True)]))
                    for child in process.children()
                ]
                self.own, self.each = max(self.own, own), max(self.each, *each, 0)
                self.all = max(self.all, own + sum(each))
                self.looks += 1


def _held(process):
    try:
        return process.memory_full_info().pss
    except psutil.Error:  # it has ended meanwhile
        return 0


# ---- where the time of a submission goes


def phases(made, students, rounds=5):
    """Return the seconds of each part of a submission's way, alone: from the best of rounds.

    Notebooks that do more and more go through the sandbox, last a good one; then that one is
    graded. What each takes longer than the one before is a part of the way. The course is left
    with that one submission.
    """
    able = max(
        (s for s in students if s.marks and not s.accident),
        key=lambda s: sum(filter(None, s.marks.values())),
    )
    for s in students:
        if s is not able:
            shutil.rmtree(made.folder / "submitted" / s.id / "ps2")
    cells = [nbformat.v4.new_code_cell(code) for code in STAGES.values()]
    books = [nbformat.v4.new_notebook(cells=[cell]) for cell in cells]
    books.append(nbformat.read(made.folder / "autograded" / able.id / "ps2" / "ps2.ipynb", 4))
    took = []
    with sandbox.Sandbox([made.folder, made.sources]) as room:
        ways = [lambda book=book: room.run(book) for book in books]
        ways.append(lambda: grade.grade(made, "ps2", workers=1, again=True, progress=False))
        for _ in range(rounds):
            for way in ways:
                start = time.perf_counter()
                way()
                took.append(time.perf_counter() - start)
    ends = [min(took[k :: len(ways)]) for k in range(len(ways))]
    parts = [*STAGES, "cells and tests run", "it is read, restored and entered in the gradebook"]
    spent = [end - before for before, end in zip([0, *ends], ends, strict=False)]
    numbers = {f"a submission: {part}": own for part, own in zip(parts, spent, strict=True)}
    return numbers | {"a submission: in all": ends[-1]}


if __name__ == "__main__":
    for label, value in run(int(sys.argv[1]) if len(sys.argv) > 1 else STUDENTS).items():
        print(f"{label:<70} {value:>12,.4g}")
