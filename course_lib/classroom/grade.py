"""Submissions marked by machine: restored, run in the sandbox, scored with nbgrader.

What lies in ``submitted/STUDENT/psN`` is read; marks go to the gradebook, the executed notebook to
``autograded/STUDENT/psN``, and last a line of the journal to ``graded/psN/STUDENT.json``. A run
that was killed, however it was, goes on from there; what has not changed is not graded again.
Marks and comments that were given by hand stay.
"""

import datetime
import difflib
import hashlib
import json
import os
import re
import shutil
import sys
import time
import warnings
from concurrent import futures
from typing import NamedTuple

import nbformat
from tqdm import tqdm

from course_lib import processes, storage
from course_lib.classroom import course as folders
from course_lib.classroom import lock, sandbox, sources

# Raised when grading itself changes, so that everything is graded again.
VERSION = 2
# Bytes of a file that may be a notebook; seconds that a submission takes, before any was measured.
_SIZE, _SECONDS = 50 << 20, 12
_PRYING = re.compile(
    r"gradebook|secret\.txt|classroom\.json|autograded|submitted|HIDDEN TESTS|nbgrader|sqlite3"
    r"|mark scheme|lessons/assignments|psutil|\b_ih\b|\b(?-i:In)\[|history_manager"
    r"|\.environ\b|\bchecks\.\w+ *=(?!=)",
    re.I,
)
_NETWORK = re.compile(r"^\s*(?:import|from) (?:socket|requests|urllib|http|httpx|aiohttp)\b", re.M)


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


class Unusable(ValueError):
    """A submission that cannot be graded; the text says why."""


# ---- a class


def grade(course, name, workers=None, limits=None, again=False, progress=True):
    """Grade all submissions of an assignment; return an `Outcome` for each, by student.

    Parameters
    ----------
    course : Course;  name : str, such as "ps2"
    workers : int, optional
        How many at a time; by default one for each processor.
    limits : sandbox.Limits, optional
    again : bool
        Also what has not changed since it was graded.
    progress : bool
        An estimate and a bar on standard error.

    Raises
    ------
    ValueError
        If the assignment is not released or nothing was handed in.
    RuntimeError
        If the gradebook cannot be written, or another run works on the course (`lock.Busy`).
    KeyboardInterrupt
        After Ctrl-C, with how far it came; the marks until then are kept.
    """
    with lock.held(course.folder, f"grading {name}"):
        return _grade_all(course, name, workers, limits, again, progress)


def _grade_all(course, name, workers, limits, again, progress):
    from sqlalchemy.exc import SQLAlchemyError

    work = _Assignment(course, name, limits or sandbox.Limits())
    kept, todo = {}, []
    for student in work.students():
        entry = None if again else work.entry(student)
        if entry is None or entry.state != "graded":
            todo.append(student)
        else:
            kept[student] = entry
    if workers is None:
        every = os.cpu_count() or 1
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    try:
        done = _grade(work, todo, min(workers, len(todo)), kept, progress) if todo else {}
    except SQLAlchemyError as error:
        line = str(error).strip().splitlines()[0]
        raise RuntimeError(
            f"the gradebook {course.gradebook} cannot be used: {line}; what was graded is kept"
        ) from None
    found = kept | done
    return [found[student] for student in sorted(found)]


def _grade(work, todo, workers, kept, progress):
    """Grade some students' submissions; return student to outcome."""
    done, waiting, running = {}, list(todo), {}
    hidden = [work.course.folder, work.course.sources]
    with (
        processes.interrupts(None) as stop,
        folders.programs(),
        futures.ThreadPoolExecutor(workers) as pool,
        sandbox.Sandbox(hidden, work.limits) as room,
    ):
        if progress:
            print(_estimate(work.name, todo, kept, workers, room), file=sys.stderr, flush=True)
        bar = tqdm(total=len(todo), unit=" submissions", disable=not progress, file=sys.stderr)

        def finish(outcome):
            done[outcome.student] = outcome
            bar.update()

        while waiting or running:
            if stop.is_set():
                room.close()
                bar.close()
                raise KeyboardInterrupt(
                    f"stopped; {len(done)} of {len(todo)} were graded and are kept, "
                    "the same command goes on with the rest"
                )
            while waiting and len(running) < workers:
                task = _Task(work, waiting.pop(0))
                if task.failed:
                    finish(task.fail(task.failed))
                else:
                    running[pool.submit(room.run, task.notebook, work.files)] = task
            for future in futures.wait(running, 0.2, futures.FIRST_COMPLETED).done:
                task = running.pop(future)
                try:
                    ran = future.result()
                except RuntimeError as error:
                    finish(task.fail(f"could not be run: {error}"))
                except sandbox.Interrupted:
                    waiting.append(task.student)
                else:
                    finish(task.save(ran))
        bar.close()
    return done


def _estimate(name, todo, kept, workers, room):
    known = [outcome.seconds for outcome in kept.values()] or [_SECONDS]
    seconds = sum(known) / len(known) * len(todo) / workers
    took = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    before = f" ({len(kept)} are graded already)" if kept else ""
    return (
        f"{name}: {len(todo)} to grade, {workers} at a time, about {took}{before};\n"
        f"each {room.described}."
    )


class _Assignment:
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
        for path in _files(self.submitted(student)):
            name = path.relative_to(self.submitted(student)).as_posix()
            digest.update(f"\0{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes() if path.stat().st_size <= _SIZE else b"")
        return digest.hexdigest()

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


def _files(folder):
    """Return the files of a submission, in an order; links are nobody's files."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    ]


# ---- one submission


class _Task:
    """A submission on its way: made ready here, run elsewhere, saved here."""

    def __init__(self, work, student):
        self.work, self.student, self.started = work, student, time.monotonic()
        self.lines, self.failed, self.notebook = [], "", None
        self.hash = work.hash(student)
        try:
            mended = choose(work.submitted(student), work.name, work.released)
            self.lines = list(mended.lines)
            self.lines += flags(work.source, mended.notebook)
            self.notebook = _restore(work, student, mended.notebook)
        except Unusable as error:
            self.failed = str(error)
        except Exception as error:  # whatever a file may do to those who read it
            self.failed = f"could not be read: {type(error).__name__}: {error}"[:300]

    def save(self, ran):
        """Enter the marks, write the executed notebook, note it; return the outcome."""
        from nbgrader import preprocessors as steps

        for index, words in ran.events:
            self.lines.append(f"{_title(ran.notebook.cells[index], index)} {words}")
        self.lines += _stops(ran)
        work = self.work
        with _gradebook(work) as gradebook:
            _enter(gradebook, work, self.student)
        resources, notebook = _resources(work, self.student), ran.notebook
        for step in (steps.LimitOutput, steps.SaveAutoGrades, steps.CheckCellMetadata):
            notebook, resources = step().preprocess(notebook, resources)
        with _gradebook(work) as gradebook:
            submission = gradebook.find_submission(work.name, self.student)
            marks = {g.name: g.auto_score for book in submission.notebooks for g in book.grades}
        with storage.atomic_write(work.autograded(self.student) / f"{work.name}.ipynb") as file:
            file.write(nbformat.writes(notebook).encode())
        stamp = work.submitted(self.student) / "timestamp.txt"
        if stamp.is_file():
            shutil.copy(stamp, work.autograded(self.student) / "timestamp.txt")
        return self._note("graded", {name: marks[name] for name in work.source.points})

    def fail(self, words):
        """Note that a submission could not be graded; its marks wait for the instructor."""
        self.lines.insert(0, words)
        shutil.rmtree(self.work.autograded(self.student), ignore_errors=True)
        with _gradebook(self.work) as gradebook:
            submission = _enter(gradebook, self.work, self.student)
            for book in submission.notebooks:
                for mark in book.grades:
                    mark.auto_score, mark.needs_manual_grade = None, True
            gradebook.db.commit()
        return self._note("failed", {})

    def _note(self, state, marks):
        seconds = round(time.monotonic() - self.started, 1)
        outcome = Outcome(self.student, state, marks, self.lines, seconds)
        entry = outcome._asdict() | {"hash": self.hash, "at": _now()}
        del entry["fresh"]
        with storage.atomic_write(self.work.journal(self.student)) as file:
            file.write((json.dumps(entry, indent=1) + "\n").encode())
        return outcome


def _now():
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _gradebook(work):
    from nbgrader.api import Gradebook

    return Gradebook(work.database, work.course.name)


def _enter(gradebook, work, student):
    """Return the gradebook's submission of a student, made where there is none."""
    gradebook.update_or_create_student(student)
    given = {}
    stamp = work.submitted(student) / "timestamp.txt"
    if stamp.is_file():
        from nbgrader.utils import parse_utc

        try:
            given["timestamp"] = parse_utc(stamp.read_text(encoding="utf-8").strip())
        except (ValueError, OverflowError):
            given = {}  # a time that nobody can read is none
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy's, about how nbgrader adds things
        return gradebook.update_or_create_submission(work.name, student, **given)


def _resources(work, student):
    return {
        "nbgrader": {
            "student": student,
            "assignment": work.name,
            "notebook": work.name,
            "db_url": work.database,
        }
    }


def _restore(work, student, notebook):
    """Return a submission with its locked cells and tests as they were in the source."""
    from nbgrader import preprocessors as steps

    resources = _resources(work, student)
    for step in (
        steps.ClearOutput,
        steps.DeduplicateIds,
        steps.OverwriteKernelspec,
        steps.OverwriteCells,
        steps.CheckCellMetadata,
    ):
        notebook, resources = step().preprocess(notebook, resources)
    return notebook


def _title(cell, index):
    return cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {index + 1}")


def _stops(ran):
    """Name the student's own cells that stopped with an error, but for those left as they were."""
    known, found = dict(ran.events), []
    for index, cell in enumerate(ran.notebook.cells):
        if cell.cell_type != "code" or index in known or _role(cell).get("grade"):
            continue
        for output in cell.outputs:
            if output.output_type == "error" and output.ename != "NotImplementedError":
                said = output.evalue.strip().split("\n")[0][:100]
                found.append(f"{_title(cell, index)} stops with {output.ename}: {said}")
    return found[:4] + ([f"{len(found) - 4} more cells stop"] if len(found) > 4 else [])


def flags(source, notebook):
    """Return lines about what a submission calls that it should have written, or pries into."""
    found = [f"flagged: {line}" for line in sources.flagged(source, notebook)]
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or _role(cell).get("locked"):
            continue
        code = re.sub(r"#.*", "", cell.source)
        words = sorted({match[0] for match in _PRYING.finditer(code)})
        words += sorted({match[0].strip() for match in _NETWORK.finditer(code)})
        if words:
            found.append(f"flagged: {_title(cell, index)} looks around: {', '.join(words)}")
    return found


# ---- reading what was handed in


class Mended(NamedTuple):
    """A submission with the cells of the release in it, how many it had, and what was done."""

    notebook: dict
    recognised: int
    changed: int
    lines: list


def choose(folder, name, released):
    """Return the notebook of a submission, `Mended`; of several, the one with most work in it.

    Raises `Unusable`, with the cause, if there is none.
    """
    files = [path for path in _files(folder) if path.name != "timestamp.txt"]
    if not files:
        raise Unusable("nothing was handed in: the folder is empty")
    notebooks = [path for path in files if ".ipynb" in path.name.lower()]
    found, causes = [], []
    for path in notebooks or files:
        try:
            mended = mend(_read(path), released)
            found.append((mended.recognised, mended.changed, path.name == f"{name}.ipynb", path))
        except Unusable as error:
            causes.append(f"{path.name} {error}")
    if not found:
        raise Unusable("; ".join(causes))
    *_, path = max(found, key=lambda one: one[:3])
    mended = mend(_read(path), released)
    if not mended.recognised:
        raise Unusable(f"{path.name} holds no cell of {name}: is it another assignment's?")
    lines = causes
    if path.name != f"{name}.ipynb":
        lines = [*lines, f"handed in as {path.name}, recognised by its cells"]
    others = [other.relative_to(folder).as_posix() for other in files if other != path]
    if others:
        lines = [*lines, f"not used: {', '.join(others[:5])}"]
    return mended._replace(lines=[*lines, *mended.lines])


def _read(path):
    """Return the cells of a file, dicts with type, source, id and metadata; `Unusable` if none."""
    if path.stat().st_size > _SIZE:
        raise Unusable(f"is larger than {_SIZE >> 20} MB")
    data = path.read_bytes()
    if not data.strip():
        raise Unusable("is an empty file")
    try:
        raw = json.loads(data.decode("utf-8-sig"))
        if raw.get("nbformat", 4) < 4:
            raw = nbformat.convert(nbformat.from_dict(raw), 4)
        cells = raw["cells"]
        return [_plain(cell) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unusable("is not a notebook") from None


def _plain(cell):
    text = cell.get("source", "")
    text = "".join(text) if isinstance(text, list) else str(text)
    metadata = cell.get("metadata")
    role = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    given = role.get("grade_id") if isinstance(role, dict) else None
    kind = cell.get("cell_type")
    return {
        "kind": kind if kind in ("code", "markdown", "raw") else "raw",
        "source": text,
        "ids": [one for one in (given, cell.get("id")) if isinstance(one, str)],
        "marked": isinstance(given, str),
        "attachments": cell.get("attachments") or {},
    }


def _role(cell):
    return cell.metadata.get("nbgrader", {})


def _text(source):
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def mend(cells, released):
    """Return a notebook made of a submission's cells, with all the release's cells known again.

    A cell is recognised by its grade id, else by its own id, its text or its place. Of copies, the
    last is taken; of a written answer, the last that was written in. Tests, locked cells and
    written answers that are missing are put back.
    """
    known = {_role(cell)["grade_id"]: at for at, cell in enumerate(released.cells) if _role(cell)}
    place = {}  # of a cell of the release: the submission's cells, one or more
    taken = set()
    for at, cell in enumerate(cells):
        if cell["marked"] and cell["ids"] and cell["ids"][0] in known:
            place.setdefault(known[cell["ids"][0]], []).append(at)
            taken.add(at)
    marked = set(place)
    _recognise(cells, released, place, taken)
    lines = []
    if guessed := [at for at in set(place) - marked if _role(released.cells[at])]:
        lines.append(f"nbgrader's marks were lost, and found again: {_names(released, guessed)}")
    if copies := [at for at, several in place.items() if len(several) > 1]:
        lines.append(f"there more than once: {_names(released, copies)}")
    one = {at: _best(several, cells, released.cells[at]) for at, several in place.items()}
    back = {there: at for at, there in one.items() if _role(released.cells[at])}
    made, changed, wrong = [], 0, []
    for at, cell in enumerate(cells):
        if at not in back:
            made.append((None, _own(cell, at)))
            continue
        its = nbformat.from_dict(json.loads(json.dumps(released.cells[back[at]])))
        same = _text(cell["source"]) == _text(its.source)
        if _role(its).get("solution"):
            its.source, changed = cell["source"], changed + (not same)
            if its.cell_type == "markdown" and cell["attachments"]:
                its.attachments = nbformat.from_dict(cell["attachments"])
        elif not same:
            wrong.append(back[at])
        made.append((back[at], its))
    if wrong:
        lines.append(f"changed, and restored: {_names(released, wrong)}")
    lines += _put_back(made, released, one, known)
    notebook = nbformat.v4.new_notebook(cells=[cell for _, cell in made])
    notebook.metadata = nbformat.from_dict(json.loads(json.dumps(released.metadata)))
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise Unusable(f"is not a notebook: {str(error).splitlines()[0][:100]}") from None
    return Mended(notebook, sum(at in one for at in known.values()), changed, lines)


def _names(released, places):
    return ", ".join(_role(released.cells[at])["grade_id"] for at in sorted(places))


def _own(cell, at):
    """Return a cell that the student added."""
    kinds = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    made = kinds.get(cell["kind"], nbformat.v4.new_raw_cell)(cell["source"], id=f"own-{at}")
    if cell["kind"] == "markdown" and cell["attachments"]:
        made.attachments = nbformat.from_dict(cell["attachments"])
    return made


def _best(several, cells, its):
    """Return which of several copies of a cell counts."""
    if its.cell_type == "markdown":
        written = [at for at in several if _text(cells[at]["source"]) != _text(its.source)]
        several = written or several
    return several[-1]


def _recognise(cells, released, place, taken):
    """Find the cells of the release that have lost nbgrader's mark: by id, by text, by place."""

    def take(at, there):
        place[at] = [there]
        taken.add(there)

    for how in ("id", "text"):
        for at, its in enumerate(released.cells):
            if at in place:
                continue
            for there, cell in enumerate(cells):
                same = (
                    cell["ids"][-1:] == [its.id] and cell["kind"] == its.cell_type
                    if how == "id"
                    else _text(cell["source"]) == _text(its.source)
                )
                if there not in taken and same:
                    take(at, there)
                    break
    for at, its in enumerate(released.cells):
        if at in place or not place or not _role(its):
            continue
        low = max((place[k][-1] for k in place if k < at), default=-1)
        high = min((place[k][0] for k in place if k > at), default=len(cells))
        free = [
            there
            for there in range(low + 1, high)
            if there not in taken and cells[there]["kind"] == its.cell_type
        ]
        test = not _role(its).get("solution")
        if test:  # a test is restored anyway: only what resembles one is taken for it
            free = [there for there in free if _alike(cells[there]["source"], its.source)]
        if free:
            take(at, max(free, key=lambda there: len(cells[there]["source"])))


def _alike(one, other):
    return difflib.SequenceMatcher(None, one[:2000], other[:2000]).ratio() > 0.6


def _put_back(made, released, one, known):
    """Put missing cells of the release where they belong, in `made`; say which."""
    lines, restored = [], []
    plain = {there: at for at, there in one.items() if not _role(released.cells[at])}
    where = [at if at is not None else plain.get(k) for k, (at, _) in enumerate(made)]
    for name, at in known.items():
        its = released.cells[at]
        if at in one:
            continue
        if its.cell_type == "code" and _role(its).get("solution"):
            lines.append(f"{name} is missing")  # its code may stand in another cell
            continue
        later = [k for k, there in enumerate(where) if there is not None and there > at]
        before = [k for k, there in enumerate(where) if there is not None and there < at]
        spot = before[-1] + 1 if before else 0
        if later and later[0] >= spot:
            spot = later[0]
        made.insert(spot, (at, nbformat.from_dict(json.loads(json.dumps(its)))))
        where.insert(spot, at)
        restored.append(at)
    if restored:
        lines.append(f"missing, and put back: {_names(released, restored)}")
    return lines


# ---- words


def describe(outcomes, source):
    """Return what the instructor reads: for each student the mark or the cause, then the lines."""
    points, said = source.points, []
    for outcome in outcomes:
        if outcome.state == "failed":
            said.append(f"{outcome.student}: not graded: {outcome.lines[0]}")
            said += [f"    {line}" for line in outcome.lines[1:]]
            continue
        by_hand = [name for name, mark in outcome.marks.items() if mark is None]
        most = sum(points.values()) - sum(points[name] for name in by_hand)
        score = sum(mark for mark in outcome.marks.values() if mark is not None)
        waits = f"; {sum(points[name] for name in by_hand)} wait for you" if by_hand else ""
        before = "" if outcome.fresh else " (as before)"
        said.append(f"{outcome.student}: {score:g} of {most} points{waits}{before}")
        said += [f"    {line}" for line in outcome.lines]
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    graded = len(outcomes) - failed
    said.append(f"{source.name}: {graded} graded" + (f", {failed} not" if failed else ""))
    return "\n".join(said)
