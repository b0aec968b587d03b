"""Submissions taken in: from a Moodle or Canvas zip or a folder, to ``submitted/STUDENT/psN``.

Everything that came is kept under ``collected/psN``, every attempt of a student in a folder of its
own; the last attempt is also what is graded. What fits no student is listed, never dropped.
"""

import contextlib
import datetime
import hashlib
import io
import json
import re
from typing import NamedTuple

from course_lib import storage
from course_lib.classroom import course as folders
from course_lib.classroom import lock, roster, unpack

_TIME = "%Y-%m-%d %H:%M:%S UTC"
# "Ann Lee_1234567_assignsubmission_file_", a folder; in older Moodles the file's name follows.
_MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_[a-z]+(?:_(?P<rest>.*))?")
# "leeann_LATE_12345_678_ps2-1.ipynb": the student, their number, the file's, how often it came.
_CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<number>\d+)_\d+_(?P<rest>.+)")


class Collected(NamedTuple):
    """What `collect` found, over all runs so far.

    Attributes
    ----------
    kept : dict
        Student id to the record of the attempt that is to be graded.
    repeated : dict
        Student id to how many earlier attempts are kept aside.
    missing, late, new : list of str, student ids;  `new`: changed by this run
    unmatched, refused : list of (str, str)
        Path and reason, in this run.
    """

    kept: dict
    repeated: dict
    missing: list
    late: list
    new: list
    unmatched: list
    refused: list


class _Claim(NamedTuple):
    """Whose a file says it is: names to try, the platform's number, what to return it under."""

    names: tuple
    platform: str = ""
    number: str = ""
    prefix: str = ""
    late: bool = False


# ---- whose is it


def _claim(parts, assignment):
    """Return the `_Claim` that a path makes, and the rest of the path, the student's own."""
    for k, part in enumerate(parts):
        found = _MOODLE.fullmatch(part)
        if found:
            # A group's name may stand before the student's, with a hyphen between.
            name = found["name"].strip()
            names = (name, *(name[i + 1 :] for i, c in enumerate(name) if c == "-"))
            rest = (found["rest"],) if found["rest"] else ()
            prefix = part[: len(part) - len(found["rest"] or "")]
            return _Claim(names, "moodle", found["number"], prefix), rest + parts[k + 1 :]
    found = _CANVAS.fullmatch(parts[-1])
    if found and len(parts) == 1:
        prefix = parts[-1][: len(parts[-1]) - len(found["rest"])]
        late = bool(found["late"])
        return _Claim((found["name"],), "canvas", found["number"], prefix, late), (found["rest"],)
    if len(parts) == 1:
        stem = parts[0].rpartition(".")[0] or parts[0]
        own = re.sub(r"\(\d+\)$", "", stem).strip()
        shorter = re.sub(rf"(?i)(?<![a-z0-9]){assignment}(?![a-z0-9])", "", re.sub("_", " ", own))
        return _Claim((stem, own, shorter)), parts
    rest = parts[1:]
    if len(rest) > 1 and rest[0] == assignment:
        rest = rest[1:]
    return _Claim((parts[0],)), rest


def _unwrapped(files, matcher, assignment):
    """Take off folders around everything, such as the one that a zip program adds."""
    while len(files) > 1 and len({file.path[0] for file in files}) == 1:
        claim, _ = _claim(files[0].path, assignment)
        if len(files[0].path) == 1 or claim.platform == "moodle" or matcher.named(claim.names):
            break
        if any(len(file.path) == 1 for file in files):
            break
        files = [file._replace(path=file.path[1:]) for file in files]
    return files


def _version(name, assignment):
    """Return the number that a repeated hand-in has at the end of its name, or 0."""
    found = re.search(r"(?<=[-_ (v])(\d+)\)?$", name.rpartition(".")[0])
    return int(found[1]) if found else 0


def _attempts(files, assignment):
    """Return the attempts in one student's files, the last one last: (notebook or None, files).

    Each notebook that begins with the assignment's name is one; without such, each that holds cells
    of the assignment; without such, every notebook.
    """
    books = [file for file in files if file.path[-1].lower().endswith(".ipynb")]
    named = [file for file in books if file.path[-1].lower().startswith(assignment)]
    cells = re.compile(rf'"grade_id": *"{assignment}-'.encode())
    books = named or [file for file in books if cells.search(file.data)] or books
    if not books:
        return [(None, files)]
    others = [file for file in files if file not in books]

    def order(file):
        name = file.path[-1].lower()
        return (file.time or datetime.datetime.min, _version(name, assignment), name)

    return [(book, [*others, book]) for book in sorted(books, key=order)]


# ---- collecting


def collect(course, assignment, where, due=None):
    """Take submissions in and return what is there now, as `Collected`.

    Run again with the same files it changes nothing; with newer ones it adds them.

    Parameters
    ----------
    course : Course;  assignment : str
    where : path-like
        A zip from Moodle or Canvas, or any zip or folder with a folder or a notebook per student.
    due : datetime, optional
        In this machine's time; compared with the times in the zip, and kept for later runs.

    Raises
    ------
    ValueError
        If the roster or the assignment is wrong, or the zip cannot be read or is too large.
    course_lib.classroom.lock.Busy
        If another run works on the course.
    """
    with lock.held(course.folder, f"collecting {assignment}"):
        return _collect(course, assignment, where, due)


def _collect(course, assignment, where, due):
    course.read(assignment)
    students = roster.read(course)
    matcher = roster.Matcher(students)
    record = load_record(course, assignment)
    if due:
        record["due"] = due.isoformat(" ", "minutes")
    refused, unmatched, theirs = [], [], {}
    files = _unwrapped(unpack.files(where, refused), matcher, assignment)
    for file in files:
        claim, path = _claim(file.path, assignment)
        student, why = matcher.find(claim)
        if student is None:
            unmatched.append(("/".join(file.path), why))
            continue
        for part in _opened(file, path or file.path[-1:], refused):
            theirs.setdefault(student, []).append((part, claim))
    new = []
    for student in (s.id for s in students):
        if student not in record["students"]:
            _adopt(course, assignment, student, record)
        given = theirs.get(student, [])
        if given and _take(course, assignment, student, given, record):
            new.append(student)
    _save_record(course, assignment, record)
    for student in record["students"]:
        _place(course, assignment, student, record)
    _enter(course, students)
    found = _result(course, assignment, students, record, new, unmatched, refused)
    text = describe(found, assignment, len(students))
    with storage.atomic_write(_kept(course, assignment) / "report.txt") as report:
        report.write(f"{text}\n".encode())
    return found


def _opened(file, path, refused):
    """Return what a file holds if it is a student's zip, else the file, under its new path."""
    if not path[-1].lower().endswith(".zip"):
        return [file._replace(path=path)]
    where = "/".join(file.path)
    try:
        return list(
            unpack.unzip(io.BytesIO(file.data), refused, unpack.STUDENT_LIMIT, f"{where}: ", 1000)
        )
    except ValueError as error:
        refused.append((where, f"{error}; kept as it is"))
        return [file._replace(path=path)]


def _take(course, assignment, student, given, record):
    """Enter one student's files in the record; return whether another attempt is now the last."""
    origin = given[0][1]
    late = any(claim.late for _, claim in given)
    known = record["students"].setdefault(student, {"attempts": []})
    before = last(known)
    for book, files in _attempts([file for file, _ in given], assignment):
        claim = next((c for f, c in given if f is book), origin)
        named = [(_target(file, book, assignment), file.data) for file in files]
        named = dict(sorted(reversed(named)))  # of two with one name, the first; a book is last
        attempt = {
            "name": "/".join((book or files[0]).path),
            "notebook": book is not None,
            "files": sorted(named),
            "sha256": _digest(named),
            "time": _text_time(book.time if book else files[0].time),
            "late": late,
            "moodle": claim.prefix if claim.platform == "moodle" else "",
            "canvas": claim.prefix if claim.platform == "canvas" else "",
        }
        same = [old for old in known["attempts"] if old["sha256"] == attempt["sha256"]]
        if same:
            # The same notebook again: nothing new, unless it came after another one.
            if same[0] is not last(known) and attempt["time"] > last(known)["time"]:
                same[0].update(attempt)
            for place in ("moodle", "canvas"):
                same[0][place] = attempt[place] or same[0][place]
            continue
        known["attempts"].append(attempt)
        _write_files(_kept(course, assignment) / student / str(len(known["attempts"])), named)
    return last(known) is not before


def last(known):
    """Return the attempt that counts: the latest, and of those without a time the last to come."""
    attempts = known["attempts"]
    order = [(attempt["time"], k) for k, attempt in enumerate(attempts)]
    return attempts[max(order)[1]] if attempts else None


def _target(file, book, assignment):
    """Return where a student's file goes: the notebook under the assignment's name."""
    if file is book:
        return f"{assignment}.ipynb"
    return "/".join(re.sub(r'[<>:"|?*]', "_", part).rstrip(". ") or "_" for part in file.path)


def _digest(named):
    made = hashlib.sha256()
    for name, data in sorted(named.items()):
        made.update(f"{len(name.encode())} {name} {len(data)} ".encode() + data)
    return made.hexdigest()


def _text_time(time):
    if time is None:
        return ""
    return time.astimezone(datetime.UTC).strftime(_TIME)


def _adopt(course, assignment, student, record):
    """Enter a submission that was put into ``submitted`` by hand, so that it is not lost."""
    folder = course.folder / "submitted" / student / assignment
    if not folder.is_dir():
        return
    files = list(unpack.walk(folder, []))
    with contextlib.suppress(OSError, ValueError):  # what it says of the time, if it does
        text = (folder / "timestamp.txt").read_text().strip()
        time = datetime.datetime.strptime(text, _TIME).replace(tzinfo=datetime.UTC)
        files = [file._replace(time=time) for file in files]
    if files:
        claim = _Claim((student,))
        _take(course, assignment, student, [(file, claim) for file in files], record)


def _place(course, assignment, student, record):
    """Write the last attempt into ``submitted``, unless it is there."""
    attempt = last(record["students"][student])
    number = record["students"][student]["attempts"].index(attempt) + 1
    kept = _kept(course, assignment) / student / str(number)
    named = {name: (kept / name).read_bytes() for name in attempt["files"]}
    if attempt["time"]:
        named["timestamp.txt"] = f"{attempt['time']}\n".encode()
    folder = course.folder / "submitted" / student / assignment
    there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    if set(there) != set(named) or any(there[n].read_bytes() != named[n] for n in named):
        _write_files(folder, named)


def _write_files(folder, named):
    with folders.whole_folder(folder) as made:
        for name, data in named.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(data)


def _kept(course, assignment):
    return course.folder / "collected" / assignment


def load_record(course, assignment):
    """Return what was collected of an assignment: student id to its attempts; empty if nothing."""
    path = _kept(course, assignment) / "record.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"due": None, "students": {}}
    except ValueError:
        raise ValueError(f"{path} is damaged; move collected/{assignment} away") from None


def _save_record(course, assignment, record):
    with storage.atomic_write(_kept(course, assignment) / "record.json") as file:
        file.write(json.dumps(record, indent=1, ensure_ascii=False).encode())


def _enter(course, students):
    """Enter the students in the gradebook, with their names: those who sent nothing too."""
    from nbgrader.api import Gradebook

    with folders.programs(), Gradebook(f"sqlite:///{course.gradebook}", course.name) as gradebook:
        there = {s.id: (s.first_name, s.last_name, s.email) for s in gradebook.students}
        for student in students:
            names = (student.first_name or None, student.last_name or None, student.email or None)
            if there.get(student.id, ()) != names:
                keys = ("first_name", "last_name", "email")
                gradebook.update_or_create_student(
                    student.id, **dict(zip(keys, names, strict=True))
                )


def is_late(attempt, due):
    """Whether an attempt came late: marked so by Canvas, or after the date that was given."""
    if attempt["late"] or not (due and attempt["time"]):
        return attempt["late"]
    return attempt["time"] > _text_time(datetime.datetime.fromisoformat(due))


def _result(course, assignment, students, record, new, unmatched, refused):
    order = [s.id for s in students if s.id in record["students"]]
    kept = {name: last(record["students"][name]) for name in order}
    counts = {name: len(record["students"][name]["attempts"]) - 1 for name in order}
    return Collected(
        kept=kept,
        repeated={name: count for name, count in counts.items() if count},
        missing=[s.id for s in students if s.id not in kept],
        late=[name for name in order if is_late(kept[name], record["due"])],
        new=new,
        unmatched=sorted(unmatched),
        refused=sorted(refused),
    )


def describe(found, assignment, of):
    """Return a `Collected` in words, the same for the same submissions however often they came."""
    lines = [f"{assignment}: submissions of {len(found.kept)} of {of} students."]

    def add(title, names):
        if names:
            lines.append(f"{title}:")
            lines.extend(f"  {name}" for name in names)

    kept = found.kept
    add(
        "More than once; the last one counts, the others are kept in collected/" + assignment,
        [f"{n}: {count + 1}, {kept[n]['name']} counts" for n, count in found.repeated.items()],
    )
    add("Late", [f"{n}: {kept[n]['time'] or 'marked late by Canvas'}" for n in found.late])
    add("Without a notebook", [f"{n}: {a['name']}" for n, a in kept.items() if not a["notebook"]])
    add(
        "Under another name",
        [
            f"{n}: {a['name']}"
            for n, a in kept.items()
            if a["notebook"] and not a["name"].rpartition("/")[2].lower().startswith(assignment)
        ],
    )
    add("Nothing from", found.missing)
    add("Fits no student", [f"{path}: {why}" for path, why in found.unmatched])
    add("Refused", [f"{path}: {why}" for path, why in found.refused])
    return "\n".join(lines)
