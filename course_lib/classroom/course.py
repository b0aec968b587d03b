"""An instructor's course folder: made once, with a secret of the class, then released from.

It holds everything about a class, and nothing of it belongs into the repository of the course::

    classroom.json   what this folder is        release/psN/   what students get
    secret.txt       what the class draws from  key/psN/       solved, with all tests, executed
    roster.csv       who takes part             source/psN/    what nbgrader starts from
    gradebook.db     nbgrader's marks           nbgrader_config.py
"""

import contextlib
import datetime
import json
import os
import pathlib
import re
import secrets
import shutil
import sqlite3
import sys
import tempfile
from typing import NamedTuple

import nbformat

from course_lib import __version__, checks, storage
from course_lib.classroom import lock, sources

_MARK = "classroom.json"
ROSTER = ("id", "first_name", "last_name", "email")
_CONFIG = '''"""For nbgrader called by hand; `hard-to-train assign` brings its own settings."""

c = get_config()
c.CourseDirectory.course_id = {name!r}
# Seconds that a cell may take. A test takes less than ten; nbgrader's own limit is 30.
c.Execute.timeout = {seconds}
c.Execute.interrupt_on_timeout = True
# One call of a student's function in a test may take {call} seconds, twice that on a busy machine
# (course_lib.checks.SECONDS): a loop without end costs its own part, and not those that call it.
# The formgrader is for marking by hand: it shows what students wrote as text and pictures only ...
c.HTMLExporter.preprocessors = ["course_lib.classroom.formgrader.Plain"]
# ... and its buttons find nothing to run outside of the sandbox, and leave our feedback alone.
c.CourseDirectory.submitted_directory = "use-hard-to-train-assign-grade"
c.CourseDirectory.feedback_directory = "feedback-by-nbgrader"
'''
_IGNORE = """# Marks, submissions, solutions and the secret of a class are nobody else's business.
*
!.gitignore
"""
_README = """A course folder of Hard to Train, made by `hard-to-train assign init`.

In this folder:

    hard-to-train assign release ps2            release/ps2, for students, and key/ps2, for you
    hard-to-train assign collect ps2 FILE.zip   takes in what Moodle or Canvas lets you download
    hard-to-train assign check ps2              says whether all of it can be graded
    hard-to-train assign grade ps2              marks it by machine
    hard-to-train assign feedback ps2           a page for each student, and zips to upload
    hard-to-train assign report ps2             how the class did, and who needs a look
    hard-to-train assign export ps2             the marks, as CSV

Written answers wait for you: start `jupyter lab` here, and choose Nbgrader > Formgrader > Manual
Grading. Then feedback, report and export once more.

secret.txt decides which numbers this class gets. Keep it, and keep it to yourself: another text
there makes another assignment. Write your students into roster.csv, one line each; the column id
is what their submissions are named by here. Further columns may say what finds them in a download:
moodle and canvas, their numbers there, and also, other names, with semicolons between.
"""


class Course(NamedTuple):
    """A course folder as `load` found it.

    Attributes
    ----------
    folder : pathlib.Path;  name : str
    secret : str
        What the class draws its values from (`sources.draw`).
    sources : pathlib.Path
        The folder with the sources of the assignments.
    """

    folder: pathlib.Path
    name: str
    secret: str
    sources: pathlib.Path

    @property
    def gradebook(self):
        """The path of nbgrader's database."""
        return self.folder / "gradebook.db"

    def read(self, assignment):
        """Return the `sources.Source` of an assignment by its name, such as "ps2"."""
        return sources.read(sources.find(assignment, self.sources))


class Released(NamedTuple):
    """What `release` wrote: folders, and the points of each graded cell."""

    release: pathlib.Path
    key: pathlib.Path
    points: dict


def init(folder, secret=None, name=None, sources_folder=None):
    """Make a course folder and return its `Course`.

    Parameters
    ----------
    folder : path-like;  name : str, optional
        The name of the course, by default that of the folder.
    secret : path-like, optional
        A file with any text; without it, one is drawn at random.
    sources_folder : path-like, optional
        Assignments of your own, in place of the course's.

    Raises
    ------
    ValueError
        If it is a course folder already, or the secret is missing or short, or there are no
        assignments.
    """
    folder = pathlib.Path(folder).resolve()
    if (folder / _MARK).exists():
        raise ValueError(f"{folder} is a course folder already; its secret stays as it is")
    text = secrets.token_hex(16) if secret is None else _read_secret(pathlib.Path(secret))
    where = None if sources_folder is None else str(pathlib.Path(sources_folder).resolve())
    if not sources.names(where or sources.FOLDER):
        raise ValueError(
            f"there are no assignments in {where or sources.FOLDER}: the command needs the "
            "repository of the course, or --sources FOLDER"
        )
    folder.mkdir(parents=True, exist_ok=True)
    name = name or folder.name
    _write(folder / "secret.txt", f"{text}\n", private=True)
    _write(folder / ".gitignore", _IGNORE)
    _write(folder / "README.txt", _README)
    _write(folder / "nbgrader_config.py", _config_text(name))
    if not (folder / "roster.csv").exists():
        _write(folder / "roster.csv", ",".join(ROSTER) + "\n")
    made = {"course": name, "sources": where, "version": __version__}
    _write(folder / _MARK, json.dumps(made, indent=2) + "\n")  # the last one: it makes it a course
    return load(folder)


def _config_text(name):
    return _CONFIG.format(name=name, seconds=sources.CELL_SECONDS, call=checks.SECONDS)


def _read_secret(path):
    if not path.is_file():
        raise ValueError(f"there is no file {path} to take the secret from")
    text = path.read_text(encoding="utf-8").strip()
    if len(text) < 8:
        raise ValueError(f"the secret in {path} must have at least 8 characters, not {len(text)}")
    return text


def _write(path, text, private=False):
    with storage.atomic_write(path) as file:
        file.write(text.encode())
    if private:
        path.chmod(0o600)


def load(folder="."):
    """Return the `Course` in a folder; ValueError if it holds none or has lost its secret."""
    folder = pathlib.Path(folder).resolve()
    try:
        made = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        name, where = made["course"], made["sources"]
    except FileNotFoundError:
        raise ValueError(
            f"{folder} is no course folder; make one with: hard-to-train assign init FOLDER"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{folder / _MARK} is damaged") from None
    where = pathlib.Path(where) if where else sources.FOLDER
    return Course(folder, name, _read_secret(folder / "secret.txt"), where)


def release(course, name, force=False):
    """Write the release and the key of an assignment, and enter it in the gradebook.

    The solutions go through all tests of the class first. Released again, an assignment comes out
    the same, as long as its source and the secret do. With `force` it is also released when the
    class may have another one already; what is replaced is kept in the folder ``earlier``.

    Raises
    ------
    ValueError
        If that would be so without `force`, a solution fails, the release would leak, or nbgrader
        refuses, as it does when cells are added or removed after submissions were graded.
    course_lib.classroom.lock.Busy
        If another run works on the course.
    """
    source = course.read(name)
    for_students = sources.release(source, course.secret)
    with lock.held(course.folder, f"releasing {name}"), tempfile.TemporaryDirectory() as new:
        new = pathlib.Path(new)
        sources.write_files(source, new, course.secret)
        nbformat.write(sources.drawn(source, course.secret), new / f"{name}.ipynb")
        if lost := _at_stake(course, name, new):
            if not force:
                raise ValueError(f"{lost}. Nothing was released. {_FORCE}")
            _keep(course, name)
        return _release(course, source, for_students, new)


def _release(course, source, for_students, new):
    name = source.name
    folder = {kind: course.folder / kind / name for kind in ("key", "source", "release")}
    with _or_as_before(folder.values()):
        with whole_folder(folder["key"]) as made:
            shutil.copytree(new, made, dirs_exist_ok=True)
            nbformat.write(sources.key(source, course.secret, made), made / f"{name}.ipynb")
        with whole_folder(folder["source"]) as made:
            shutil.copytree(new, made, dirs_exist_ok=True)
        _generate(course, name)  # it copies the files along
        written = nbformat.read(folder["release"] / f"{name}.ipynb", as_version=4)
        if [cell.source for cell in written.cells] != [c.source for c in for_students.cells]:
            raise ValueError(
                f"nbgrader wrote another release of {name} than the one that was searched"
            )
        sources.refuse_leaks(source, written, course.secret)
    return Released(folder["release"], folder["key"], source.points)


# ---- released again


_FORCE = (
    "With --force it is: what students handed in and the marks stay, what is replaced is kept in "
    "the folder earlier, and grading again takes the new tests"
)


def _at_stake(course, name, new):
    """Say what speaks against another release of an assignment; an empty text if nothing does."""
    said = []
    before = course.folder / "source" / name
    if (course.folder / "release" / name).exists() and (other := _differs(before, new, name)):
        said.append(f"{name} was released before, and {other}")
    where = course.folder / "submitted"
    if handed_in := len(list(where.glob(f"*/{name}"))):
        said.append(f"{name} has submissions ({handed_in})")
    if marked := _marked(course, name):
        said.append(f"{name} has marks in the gradebook ({marked})")
    return "; ".join(said)


def _differs(before, new, name):
    """Say how two folders that nbgrader starts from differ; an empty text if they do not."""

    def content(folder):
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder): path.read_bytes() for path in files}

    one, other = content(before), content(new)
    if one == other:
        return ""
    try:
        numbers = [
            [line for cell in nbformat.reads(files[book], 4).cells
             for line in cell.source.split("\n") if re.match(r" *setting\b.* = ", line)]
            for files in (one, other)
            for book in [pathlib.Path(f"{name}.ipynb")]
        ]  # fmt: skip
    except (KeyError, ValueError):
        return "what was released can no longer be read"
    same = numbers[0] == numbers[1]
    return "its text has changed since" if same else "the numbers of the class are others now"


def _marked(course, name):
    """Return how many students the gradebook has marks of."""
    from nbgrader.api import Gradebook, MissingEntry

    if not course.gradebook.exists():
        return 0
    with programs(), Gradebook(f"sqlite:///{course.gradebook}", course.name) as gradebook:
        try:
            return len(gradebook.find_assignment(name).submissions)
        except MissingEntry:
            return 0


def _keep(course, name):
    """Copy what another release, and grading after it, replaces, into a folder of its own."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H%M%SZ")
    there = [course.folder / kind / name for kind in ("release", "key", "source", "graded")]
    there += sorted(course.folder.glob(f"autograded/*/{name}"))
    with whole_folder(course.folder / "earlier" / f"{name}-{now}") as kept:
        for path in filter(pathlib.Path.is_dir, there):
            shutil.copytree(path, kept / path.relative_to(course.folder))
        if course.gradebook.exists():
            with (
                contextlib.closing(sqlite3.connect(course.gradebook)) as mine,
                contextlib.closing(sqlite3.connect(kept / "gradebook.db")) as copy,
            ):
                mine.backup(copy)


@contextlib.contextmanager
def _or_as_before(folders):
    """Put folders back as they were if the block raises."""
    with tempfile.TemporaryDirectory() as safe:
        safe = pathlib.Path(safe)
        folders = list(enumerate(folders))
        for number, folder in folders:
            if folder.is_dir():
                shutil.copytree(folder, safe / str(number))
        try:
            yield
        except BaseException:
            for number, folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
                if (safe / str(number)).is_dir():
                    shutil.copytree(safe / str(number), folder)
            raise


def _generate(course, name):
    """Let nbgrader write release/NAME and enter the assignment in the gradebook."""
    from nbgrader.apps import NbGraderAPI

    with programs():
        api = NbGraderAPI(config=config(course))
        result = api.generate_assignment(name, force=True, create=True)
    if not result["success"]:
        said = result.get("error") or result.get("log") or "without saying why"
        raise ValueError(f"nbgrader does not release {name}: {said.strip().splitlines()[-1]}")


def config(course):
    """Return what nbgrader is to know of a course, as a traitlets Config."""
    from traitlets.config import Config

    settings = Config()
    settings.CourseDirectory.root = str(course.folder)
    settings.CourseDirectory.course_id = course.name
    settings.Execute.timeout = sources.CELL_SECONDS
    settings.Execute.interrupt_on_timeout = True
    return settings


@contextlib.contextmanager
def programs():
    """Let nbgrader find the programs installed beside this Python: it calls `alembic` by name."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(pathlib.Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


@contextlib.contextmanager
def whole_folder(folder):
    """Fill a folder beside the place of `folder`, and put it there when all went well."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
