"""How a class did with an assignment: the spread of marks, each part, and who needs a look."""

import collections
import math
import re
import statistics
from typing import NamedTuple

from course_lib.classroom import export, pages, roster


class Part(NamedTuple):
    """A part of an assignment: the share of its points that the class earned, how many got none.

    `waiting` counts the answers that are not marked yet; they count in neither of the shares.
    """

    title: str
    points: float
    share: float | None
    all_points: int
    none: int
    waiting: int


class Report(NamedTuple):
    """What `report` found.

    Attributes
    ----------
    name, title : str;  students : int;  states : dict, state to count
    spread : dict
        "by machine" and "in all" (finished marks only) to (points possible, list of points).
    parts : list of Part
    look : list of (str, str), student id and why
    """

    name: str
    title: str
    students: int
    states: dict
    spread: dict
    parts: list
    look: list


def report(course, assignment):
    """Return the `Report` of a class; ValueError if the assignment was not released."""
    source = course.read(assignment)
    marks = export.marks(course, assignment)
    graded = [mark for mark in marks if mark.state in ("graded", "waiting")]
    finished = [mark for mark in graded if mark.state == "graded"]
    by_hand = {name for mark in graded for name, grade in mark.grades.items() if grade.by_hand}
    machine = sum(of for name, of in source.points.items() if name not in by_hand)
    spread = {
        "by machine": (machine, [mark.machine for mark in graded]),
        "in all": (sum(source.points.values()), [mark.score for mark in finished]),
    }
    return Report(
        name=assignment,
        title=source.title,
        students=len(marks),
        states=dict(collections.Counter(mark.state for mark in marks)),
        spread=spread,
        parts=[_part(title, names, graded) for title, names in parts(source).items()],
        look=_look(course, source, marks),
    )


def parts(source):
    """Return the parts of an assignment: title, without its points, to its graded cells."""
    found, title = {}, source.title
    for cell in source.notebook.cells:
        heading = re.search(r"^## (.+?)(?: \([\d.]+ points?\))? *$", cell.source, re.M)
        if cell.cell_type == "markdown" and heading:
            title = heading[1]
        role = cell.metadata.get("nbgrader", {})
        if role.get("grade"):
            found.setdefault(title, []).append(role["grade_id"])
    return found


def _part(title, names, graded):
    earned, of, full, none, waiting = 0.0, 0.0, 0, 0, 0
    points = 0.0
    for mark in graded:
        own = [mark.grades[name] for name in names if name in mark.grades]
        points = max(points, sum(grade.of for grade in own))
        if any(grade.waiting for grade in own):
            waiting += 1
            continue
        score, possible = sum(grade.score for grade in own), sum(grade.of for grade in own)
        earned, of = earned + score, of + possible
        full += score >= possible
        none += score <= 0
    return Part(title, points, earned / of if of else None, full, none, waiting)


def _look(course, source, marks):
    """Return who needs a look, and why, in words: failures, flags, what waits, what is missing."""
    found = []
    known = {student.id for student in roster.read(course)}
    for mark in marks:
        name = mark.student.id
        why = [line if k else f"not graded: {line}" for k, line in enumerate(mark.lines)]
        if mark.state != "failed":
            why = list(mark.lines)
        waiting = sum(grade.waiting for grade in mark.grades.values())
        if waiting and mark.state != "failed":
            why.append(f"{waiting} answer{'s' if waiting > 1 else ''} to mark by hand")
        if mark.state == "not graded":
            why.append("submitted, and not graded since")
        if mark.state == "missing":
            why.append("nothing submitted")
        if mark.late:
            why.append("late")
        if name not in known:
            why.append("not in the roster")
        found += [(name, line) for line in dict.fromkeys(why)]
    return found


def _summary(possible, points):
    """Return count, mean, median, quartiles and range, in words; "none yet" for none."""
    if not points:
        return "none yet"
    low, middle, high = (
        statistics.quantiles(points, n=4, method="inclusive") if len(points) > 1 else points * 3
    )
    return (
        f"{len(points)} mark{'s' * (len(points) > 1)} of {possible:g} points: "
        f"mean {statistics.fmean(points):.1f}, median {middle:.1f}, "
        f"middle half {low:.1f} to {high:.1f}, from {min(points):g} to {max(points):g}"
    )


def _bins(possible, points):
    """Return (words, count, bar) for five equal ranges; the last one has its upper end too."""
    counts = collections.Counter(
        min(4, int(5 * point / possible)) if possible else 0 for point in points
    )
    scale = min(1, 40 / max(counts.values(), default=1))  # a bar of 40 characters at most
    return [
        (
            f"{possible * k / 5:g} to {'' if k == 4 else 'below '}{possible * (k + 1) / 5:g}",
            counts[k],
            math.ceil(counts[k] * scale),
        )
        for k in range(5)
    ]


def _share(part):
    return "not marked yet" if part.share is None else f"{part.share:.0%}"


def _states(found):
    order = ("graded", "waiting", "failed", "not graded", "missing")
    words = {"waiting": "waiting for marks by hand", "failed": "that the machine cannot grade"}
    return ", ".join(f"{found.states.get(s, 0)} {words.get(s, s)}" for s in order)


def text(found):
    """Return a `Report` as plain text."""
    lines = [f"{found.name}: {found.title}", f"{found.students} students: {_states(found)}."]
    for what, (possible, points) in found.spread.items():
        lines += ["", f"Points {what}: {_summary(possible, points)}"]
        if points:
            lines += [f"  {r:>20}  {n:4}  {bar * '#'}" for r, n, bar in _bins(possible, points)]
    lines += ["", "Part by part (share of the points; how many have all, none, wait):"]
    for part in found.parts:
        counts = f"{part.all_points:4} {part.none:4} {part.waiting:4}"
        lines.append(f"  {_share(part):>14} {counts}  {part.title} ({part.points:g} points)")
    lines += ["", "Who needs a look:" if found.look else "Nobody needs a look."]
    lines += [f"  {name}: {why}" for name, why in found.look]
    return "\n".join(lines)


def page(found):
    """Return a `Report` as a page of HTML."""
    body = [f"<p>{found.students} students: {pages.escape(_states(found))}.</p>"]
    body.append("<h2>Marks</h2>")
    for what, (possible, points) in found.spread.items():
        body.append(f"<p>Points {what}: {pages.escape(_summary(possible, points))}.</p>")
        if points:
            rows = [(r, n, bar * "█") for r, n, bar in _bins(possible, points)]
            head = ("Points", "Students", "As a bar")
            body.append(pages.table(f"Points {what}", head, rows))
    body.append("<h2>Part by part</h2>")
    head = ("Part", "Points", "Share earned", "All points", "No point", "Waiting")
    rows = [(p.title, p.points, _share(p), p.all_points, p.none, p.waiting) for p in found.parts]
    body.append(pages.table("Share of the points that the class earned", head, rows))
    body.append("<h2>Who needs a look</h2>")
    if found.look:
        body.append(pages.table("Students, and why", ("Student", "Why"), found.look))
    else:
        body.append("<p>Nobody.</p>")
    return pages.page(f"{found.name}: {found.title}: the class", "\n".join(body))
