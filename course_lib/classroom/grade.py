"""Submissions marked by machine: restored, run in the sandbox, scored with nbgrader.

What lies in ``submitted/STUDENT/psN`` is read; marks go to the gradebook, the executed notebook to
``autograded/STUDENT/psN``, and last a line of the journal to ``graded/psN/STUDENT.json``. A run
that was killed, however it was, goes on from there; what has not changed is not graded again.
Marks and comments that were given by hand stay.
"""

import os
import re
import shutil
import sys
import time
import warnings
from concurrent import futures

import nbformat
from tqdm import tqdm

from course_lib import processes, storage
from course_lib.classroom import course as folders
from course_lib.classroom import lock, sandbox, sources
from course_lib.classroom.journal import Assignment, Outcome
from course_lib.classroom.mend import Unusable, choose, role

# Seconds that a submission takes, before any was measured.
_SECONDS = 12
_PRYING = re.compile(
    r"gradebook|secret\.txt|classroom\.json|autograded|submitted|HIDDEN TESTS|nbgrader|sqlite3"
    r"|mark scheme|lessons/assignments|psutil|\b_ih\b|\b(?-i:In)\[|history_manager"
    r"|\.environ\b|\bchecks\.\w+ *=(?!=)",
    re.I,
)
_NETWORK = re.compile(r"^\s*(?:import|from) (?:socket|requests|urllib|http|httpx|aiohttp)\b", re.M)


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

    work = Assignment(course, name, limits or sandbox.Limits())
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
        self.work.note(outcome, self.hash)
        return outcome


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
        if cell.cell_type != "code" or index in known or role(cell).get("grade"):
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
        if cell.cell_type != "code" or role(cell).get("locked"):
            continue
        code = re.sub(r"#.*", "", cell.source)
        words = sorted({match[0] for match in _PRYING.finditer(code)})
        words += sorted({match[0].strip() for match in _NETWORK.finditer(code)})
        if words:
            found.append(f"flagged: {_title(cell, index)} looks around: {', '.join(words)}")
    return found


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
