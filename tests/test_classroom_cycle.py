"""The instructor's road from end to end: sources, release, a download from Moodle, marks as CSV.

The zoo of submissions takes it, by the commands that an instructor types. Every mark is compared
with what its parts are worth, every cause is looked for in words, and whoever goes in comes out.
"""

import contextlib
import copy
import csv
import datetime
import importlib.util
import io
import re
import shutil
import zipfile
from typing import NamedTuple

import nbformat
import pytest
import zoo
from leaks import traces

from course_lib import __main__ as command
from course_lib.classroom import course, grade, sandbox, sources
from course_lib.classroom.references import ps2

_BROWSER = importlib.util.find_spec("playwright")
if _BROWSER:
    import browser

# A function that never ends is stopped before its cell is: after 20 seconds at most.
SECONDS, TOTAL = 25, 300
DUE, EARLY, LATE = "2026-11-20 23:59", (2026, 11, 20, 18, 0, 0), (2026, 11, 21, 7, 30, 0)
BY_HAND = "ps2-wrong-gradients"
COMMENT = "Ben's step is *named*. <script>alert(6)</script>"
HANDED_IN_LATE = ("otherwise", "empty")
# Graded by hand after all, by an instructor who opened the file: 1.5 points for its written answer.
READ_BY_EYE, ITS_MARK = "scan", 1.5


class Said(NamedTuple):
    """How a command ended: its exit status, and its words on standard output and error."""

    status: int
    out: str
    err: str


class Cycle(NamedTuple):
    """A class at the end of its road.

    Attributes
    ----------
    course : course.Course;  stub : NotebookNode, the release;  animals : dict
    said : dict, name of a step to `Said`;  tables : dict, name of an export to its rows
    by_hand : dict, student to the points that the instructor gave
    """

    course: course.Course
    stub: nbformat.NotebookNode
    animals: dict
    said: dict
    tables: dict
    by_hand: dict


def assign(*words):
    """Run a command of `hard-to-train assign` as typed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = command.main(["assign", *map(str, words)])
    return Said(status, out.getvalue(), err.getvalue())


def full_name(student):
    """A name as rosters have them; one begins as a formula, one has an accent."""
    odd = {"blank": ("=Blanche", "Zoo"), "perfect": ("Zoë", "Pérfect")}
    return odd.get(student, (student.title(), "Zoo"))


def roster(animals):
    rows = [["id", "first_name", "last_name", "email", "canvas"]]
    for number, student in enumerate(animals):
        rows.append([student, *full_name(student), f"{student}@example.org", 500 + number])
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def download(path, files):
    """Write what Moodle lets an instructor download: student to (file name, bytes, time)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (student, (name, content, time)) in enumerate(files.items()):
            who = " ".join(full_name(student))
            folder = f"{who}_{7000 + number}_assignsubmission_file_"
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", time), content)


def give_by_hand(made, student, marks, comment=""):
    """Enter marks for cells as nbgrader's formgrader does when an instructor types them."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{made.gradebook}", made.name) as gradebook:
        for cell, points in marks.items():
            mark = gradebook.find_grade(cell, "ps2", "ps2", student)
            mark.manual_score = points
            mark.needs_manual_grade = mark.manual_score is None and mark.auto_score is None
        if comment:
            gradebook.find_comment(BY_HAND, "ps2", "ps2", student).manual_comment = comment
        gradebook.db.commit()


@pytest.fixture(scope="module")
def cycle(tmp_path_factory):
    """The whole road, once."""
    place = tmp_path_factory.mktemp("road")
    folder, said, tables = place / "autumn", {}, {}
    (place / "secret.txt").write_text("the zoo of this test")
    said["init"] = assign("init", folder, "--secret", place / "secret.txt", "--name", "autumn")
    here = ("--course", folder)
    said["release"] = assign("release", "ps2", *here)
    made = course.load(folder)
    stub = nbformat.read(folder / "release" / "ps2" / "ps2.ipynb", as_version=4)
    animals = zoo.zoo(made, stub, SECONDS)
    (folder / "roster.csv").write_text(roster(animals), encoding="utf-8")

    files = {
        student: (one.name, zoo.data(one.content), LATE if student in HANDED_IN_LATE else EARLY)
        for student, one in animals.items()
        if one.content is not None
    }
    first = {**files, "transposed": ("ps2.ipynb", zoo.data(stub), (2026, 11, 19, 9, 0, 0))}
    first["nobody"] = ("ps2.ipynb", zoo.data(zoo.solved(stub)), EARLY)
    download(place / "early.zip", first)
    download(place / "later.zip", {**files, "nobody": first["nobody"]})
    collect = ("collect", "ps2", place / "early.zip", "--due", DUE)
    said["collect"] = assign(*collect, *here)
    said["collect later"] = assign("collect", "ps2", place / "later.zip", *here)
    said["check"] = assign("check", "ps2", *here)
    limits = ("--workers", 2, "--seconds", SECONDS, "--total", TOTAL)
    said["grade"] = assign("grade", "ps2", *limits, *here)

    said["export early"] = assign("export", "ps2", *here)
    tables["early"] = table(folder / "exported" / "plain.csv")
    answered = [name for name, one in animals.items() if one.lost is not None and name != "blank"]
    by_hand = {student: (k % 9) / 2 for k, student in enumerate(answered)}
    for student, points in by_hand.items():
        comment = COMMENT if student == "prints" else ""
        give_by_hand(made, student, {BY_HAND: points}, comment)
    every = sources.read(sources.find("ps2")).points
    by_hand[READ_BY_EYE] = ITS_MARK
    give_by_hand(made, READ_BY_EYE, dict.fromkeys(every, 0.0) | {BY_HAND: ITS_MARK})

    said["feedback"] = assign("feedback", "ps2", *here)
    said["report"] = assign("report", "ps2", *here)
    for form in ("plain", "moodle", "canvas"):
        out = ("--out", place / f"{form}.csv", "--for", form)
        said[form] = assign("export", "ps2", *out, *here)
        tables[form] = table(place / f"{form}.csv")
    out = ("--out", place / "closed.csv", "--for", "moodle")
    said["closed"] = assign("export", "ps2", *out, "--unfinished", "--missing-zero", *here)
    tables["closed"] = table(place / "closed.csv")
    return Cycle(made, stub, animals, said, tables, by_hand)


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


ANIMALS = (
    "perfect blank otherwise hard-coded transposed equal-sizes-only loop hog exits import no-tests "
    "twice loose renamed other-tool prints pries library empty pdf scan other absent"
).split()
UNGRADED = ("empty", "pdf", "other")


def expected(cycle, student):
    """Return part to points: what the release states, less what is lost, and what a human gave."""
    points = zoo.stated(cycle.stub)
    lost = cycle.animals[student].lost
    points[7] = cycle.by_hand.get(student, 0)
    return {part: of - lost.get(part, 0) for part, of in points.items()}


def final(cycle, student):
    """Return the mark that belongs into the CSV, a text; empty where there is none."""
    if student == READ_BY_EYE:
        return f"{ITS_MARK:g}"
    if cycle.animals[student].lost is None:
        return ""
    return f"{sum(expected(cycle, student).values()):g}"


# ---- marks


def test_the_release_states_what_the_parts_are_worth(cycle):
    assert zoo.stated(cycle.stub) == {1: 3, 2: 3, 3: 3, 4: 3, 5: 2, 6: 2, 7: 4}
    assert list(cycle.animals) == ANIMALS


@pytest.mark.parametrize("student", ANIMALS)
def test_every_part_of_everyone_has_its_points(cycle, student):
    """In the gradebook, as formgrader would show it."""
    from nbgrader.api import Gradebook, MissingEntry

    with Gradebook(f"sqlite:///{cycle.course.gradebook}") as gradebook:
        if student == "absent":
            with pytest.raises(MissingEntry):
                gradebook.find_submission("ps2", student)
            return
        submission = gradebook.find_submission("ps2", student)
        marks = {mark.name: mark.score for book in submission.notebooks for mark in book.grades}
        waits = submission.needs_manual_grade
        when = submission.timestamp
    assert waits == (student in UNGRADED)
    time = datetime.datetime(*(LATE if student in HANDED_IN_LATE else EARLY))
    assert when == time.astimezone(datetime.UTC).replace(tzinfo=None)
    found = zoo.by_part(cycle.stub, marks)
    if cycle.animals[student].lost is None:
        assert sum(found.values()) == (ITS_MARK if student == READ_BY_EYE else 0)
    else:
        assert found == expected(cycle, student)
    ran = cycle.course.folder / "autograded" / student / "ps2" / "ps2.ipynb"
    assert ran.exists() == (cycle.animals[student].lost is not None)


@pytest.mark.parametrize("student", ANIMALS)
def test_every_mark_reaches_the_tables(cycle, student):
    first, last = full_name(student)
    mark = final(cycle, student)
    moodle = {row[2]: row for row in cycle.tables["moodle"][1:]}
    safe = f"'{first}" if first.startswith("=") else first
    assert moodle[student] == [safe, last, student, f"{student}@example.org", mark]
    canvas = {row[2]: row for row in cycle.tables["canvas"][2:]}
    number = str(500 + ANIMALS.index(student))
    email = f"{student}@example.org"
    assert canvas[student] == [f"{last}, {first}", number, student, email, "", mark]
    plain = {row[0]: row for row in cycle.tables["plain"][1:]}
    late = "late" if student in HANDED_IN_LATE else ""
    state = "failed" if student in UNGRADED else "missing" if student == "absent" else "graded"
    assert plain[student][4:] == [mark, "20", state, late]
    closed = {row[2]: row[4] for row in cycle.tables["closed"][1:]}
    assert closed[student] == (mark or "0")


def test_nobody_is_lost_and_nobody_is_made_up(cycle):
    for name, head in (("early", 1), ("plain", 1), ("moodle", 1), ("canvas", 2), ("closed", 1)):
        assert len(cycle.tables[name]) - head == len(ANIMALS), name
    assert cycle.tables["moodle"][0][4] == "Assignment: ps2 (Real)"
    assert cycle.tables["canvas"][:2] == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "ps2"],
        ["    Points Possible", "", "", "", "", "20"],
    ]
    early = {row[0]: row[4:7] for row in cycle.tables["early"][1:]}
    assert early.pop("blank") == ["0", "20", "graded"], "nothing in it waits for a human"
    assert all(mark == "" for mark, *_ in early.values())


# ---- what is said


def test_exit_statuses_tell_the_truth(cycle):
    """1 where something needs a look: a stranger, what cannot be read, marks left blank."""
    assert {name: said.status for name, said in cycle.said.items()} == {
        "init": 0, "release": 0, "collect": 1, "collect later": 1, "check": 1, "grade": 1,
        "export early": 1, "feedback": 0, "report": 0, "plain": 1, "moodle": 1, "canvas": 1,
        "closed": 0,
    }  # fmt: skip


def test_collecting_says_who_is_late_twice_missing_or_unknown(cycle):
    said = cycle.said["collect"].out
    submitted = len(ANIMALS) - 1
    assert f"ps2: submissions of {submitted} of {len(ANIMALS)} students." in said
    assert "Nothing from:\n  absent\n" in said and "Without a notebook:\n  scan: " in said
    assert f"Under another name:\n  renamed: {cycle.animals['renamed'].name}\n" in said
    assert "nobody in the roster is called 'Nobody Zoo'" in said
    late = re.search(r"^Late:\n((?:  .*\n)+)", said, re.M)[1]
    assert sorted(re.findall(r"^  (\S+):", late, re.M)) == sorted(HANDED_IN_LATE)
    assert "More than once" not in said and "Refused" not in said
    later = cycle.said["collect later"].out
    assert "More than once" in later and "  transposed: 2, ps2.ipynb counts" in later
    assert "New in this run: transposed.\n" in later
    strangers = cycle.course.folder.glob("submitted/*nobody*")
    assert list(strangers) == []


def test_the_check_names_what_cannot_be_graded(cycle):
    said = cycle.said["check"].out
    ready = len(ANIMALS) - 4  # three files that are no notebooks, and nothing from one
    assert f"ps2: {ready} ready to grade, 3 cannot be read, 1 missing." in said
    for words in ("empty: the file is empty", "pdf: the file is not text", "absent: nothing"):
        assert f"\n  {words}" in said
    assert "scan: there is no notebook, but my_answers.pdf" in said
    assert "other: none of its cells" in said and "no-tests: test cells missing: ps2-out" in said
    assert re.search(r"^  twice: cells twice: .*ps2-output-delta", said, re.M)


@pytest.mark.parametrize("student", ANIMALS)
def test_report_and_grading_name_student_and_cause(cycle, student):
    grading, report = cycle.said["grade"].out, cycle.said["report"].out
    page = (cycle.course.folder / "reports" / "ps2.html").read_text()
    animal = cycle.animals[student]
    for words in animal.words:
        assert re.search(rf"^  {student}: .*{re.escape(words)}", report, re.M)
        assert words.split("'")[0] in page
        assert words in grading or student == "absent"
    noted = re.findall(rf"^  {student}: (.*)$", report, re.M)
    if student in ("perfect", "blank", "renamed"):
        assert noted == []
    assert ("late" in noted) == (student in HANDED_IN_LATE)
    if animal.lost is not None:
        machine = {part: points for part, points in expected(cycle, student).items() if part != 7}
        of = 20 if student == "blank" else 16  # an answer that was not touched is 0, by machine
        waits = "" if student == "blank" else "; 4 wait for you"
        assert f"\n{student}: {sum(machine.values())} of {of} points{waits}\n" in f"\n{grading}"
    elif student != "absent":
        assert re.search(rf"^{student}: not graded: .*{re.escape(animal.words[0])}", grading, re.M)


def test_the_report_counts_everyone_and_every_part(cycle):
    said = cycle.said["report"].out
    graded = len(ANIMALS) - len(UNGRADED) - 1
    states = f"{graded} graded, 0 waiting for marks by hand, {len(UNGRADED)} that the machine"
    assert f"{len(ANIMALS)} students: {states} cannot grade, 0 not graded, 1 missing." in said
    marked = [name for name, one in cycle.animals.items() if one.lost is not None]
    for part, of in zoo.stated(cycle.stub).items():
        points = [expected(cycle, student)[part] for student in marked]
        points.append(ITS_MARK if part == 7 else 0)  # the one that was read by eye
        share = f"{sum(points) / len(points) / of:.0%}"
        counts = (sum(p == of for p in points), sum(p == 0 for p in points), 0)
        row = rf"^ +{share} +{counts[0]} +{counts[1]} +{counts[2]}  Part {part}: "
        assert re.search(row, said, re.M), (part, share, counts, said)


def test_a_blank_mark_has_its_reason(cycle):
    left = re.findall(r"^  left blank: (.*)$", cycle.said["moodle"].out, re.M)
    assert sorted(line.split(",")[0] for line in left) == sorted([*UNGRADED, "absent"])
    early = re.findall(r"^  left blank: (\S+),.*waits", cycle.said["export early"].out, re.M)
    assert sorted(early) == sorted(set(cycle.by_hand) - {READ_BY_EYE})


# ---- feedback


def page(cycle, student):
    return (cycle.course.folder / "feedback" / student / "ps2" / "ps2.html").read_text()


def test_everyone_who_handed_in_gets_a_page_and_moodle_its_zip(cycle):
    there = sorted(path.parts[-3] for path in cycle.course.folder.glob("feedback/*/ps2/ps2.html"))
    assert there == sorted(set(ANIMALS) - {"absent"})
    with zipfile.ZipFile(cycle.course.folder / "upload" / "ps2-moodle.zip") as archive:
        names = archive.namelist()
    assert len(names) == len(there)
    assert all(re.fullmatch(r".+_\d+_assignsubmission_file_/ps2_feedback.html", n) for n in names)


@pytest.mark.parametrize("student", [name for name in ANIMALS if name != "absent"])
def test_a_page_shows_the_mark_and_lets_nothing_live(cycle, student):
    said = page(cycle, student)
    assert "not be marked yet" not in said
    mark = final(cycle, student)
    if mark:
        in_all = f'<td class="number">{float(mark):g}</td><td class="number">20</td>'
        assert in_all in said
    if cycle.animals[student].lost is None:
        assert "The machine could not grade this" in said or student == READ_BY_EYE
    markup = re.sub(r'="[^"]*"', '=""', said)
    assert not re.search(r"<\s*(script|iframe|object|embed|link|form|svg|base)\b", markup, re.I)
    assert not re.search(r"<[^>]*\son\w+\s*=", markup)
    assert not re.search(r'(?:src|href|action|poster|srcset)="(?!data:image/)', said)
    assert "BEGIN HIDDEN TESTS" not in said and "@import" not in said and "url(" not in said
    assert len(said) < 300_000


def test_what_was_hostile_is_there_as_text(cycle):
    said = page(cycle, "prints")
    assert "&lt;script&gt;alert(&quot;answer&quot;)" in said and "[picture: far]" in said
    assert "From your instructor:" in said and "&lt;script&gt;alert(6)" in said
    assert "Ben's step is" in said.replace("&#x27;", "'").replace("&#39;", "'")
    assert "the rest is left out" in said or "characters left out" in said
    assert "took longer than" in page(cycle, "loop")


@pytest.mark.skipif(not (_BROWSER and browser.CHROMIUM), reason="no Chromium on this machine")
def test_a_browser_asks_nothing_of_anyone(cycle):
    with browser.chromium() as chromium:
        for student in ("prints", "pries"):
            path = cycle.course.folder / "feedback" / student / "ps2" / "ps2.html"
            with browser.opened(chromium, path.as_uri()) as opened:
                dialogs = []
                opened.on("dialog", lambda d, seen=dialogs: (seen.append(d.message), d.dismiss()))
                opened.reload()
                assert (dialogs, opened.seen["outside"], opened.seen["failed"]) == ([], [], [])
                assert opened.evaluate("document.scripts.length") == 0


# ---- nothing gets out


def test_the_release_that_was_written_shows_no_answer(cycle):
    source = sources.read(sources.find("ps2"))
    assert traces(cycle.course.folder / "release" / "ps2", source, cycle.course.secret) == []


def test_who_looks_around_finds_nothing(cycle):
    with sandbox.Sandbox([]) as room:
        if room.isolation != "full":
            pytest.skip("this system lets no process be enclosed")
    path = cycle.course.folder / "autograded" / "pries" / "ps2" / "ps2.ipynb"
    (cell,) = (c for c in nbformat.read(path, as_version=4).cells if c.id == "ps2-evaluations")
    assert cell.outputs[0].text == "[] []\n"
    assert cell.outputs[1].ename == "FileNotFoundError"


def test_what_was_run_is_kept_whole_and_small(cycle):
    folder = cycle.course.folder / "autograded"
    ran = nbformat.read(folder / "otherwise" / "ps2" / "ps2.ipynb", as_version=4)
    (test,) = (cell for cell in ran.cells if cell.id == "ps2-slope-test")
    assert "HIDDEN TESTS" in test.source and "is right on this example" in test.outputs[0].text
    answer = nbformat.read(folder / "other-tool" / "ps2" / "ps2.ipynb", as_version=4)
    assert zoo.WRITTEN in [cell.source for cell in answer.cells]
    assert (folder / "prints" / "ps2" / "ps2.ipynb").stat().st_size < 500_000


def test_what_a_class_draws_is_not_what_is_published(cycle):
    source = sources.read(sources.find("ps2"))
    own, published = (sources.draw(source, s).setting for s in (cycle.course.secret, ""))
    assert ps2.cost_evaluations(own["sizes"]) != ps2.cost_evaluations(published["sizes"])
    assert f'"seed": {own["seed"]},' in "\n".join(cell.source for cell in cycle.stub.cells)


# ---- once more


def test_graded_again_only_what_is_new_and_marks_by_hand_stay(cycle, tmp_path):
    """A later submission, after the instructor overruled the machine."""
    made = course.load(shutil.copytree(cycle.course.folder, tmp_path / "c"))
    give_by_hand(made, "loose", {"ps2-slope-test": 0.5})
    notebook = zoo.solved(cycle.stub, {"ps2-evaluations": "evaluations = 1"})
    path = made.folder / "submitted" / "loose" / "ps2" / "ps2.ipynb"
    path.write_bytes(zoo.data(notebook))
    limits = sandbox.Limits(seconds=SECONDS, total=TOTAL)
    before = copy.deepcopy({p.stem: p.read_bytes() for p in made.folder.glob("graded/ps2/*.json")})
    again = grade.grade(made, "ps2", workers=2, limits=limits, progress=False)
    assert {one.student for one in again if one.fresh} == {"loose", READ_BY_EYE, *UNGRADED}
    after = {p.stem: p.read_bytes() for p in made.folder.glob("graded/ps2/*.json")}
    assert {name for name in after if after[name] != before[name]} <= {
        "loose", READ_BY_EYE, *UNGRADED,
    }  # fmt: skip
    out = tmp_path / "again.csv"
    assert assign("export", "ps2", "--out", out, "--course", made.folder).status == 1
    marks = {row[0]: row[4] for row in table(out)[1:]}
    lost = {"loose": 1 + 0.5}  # the number that is wrong now, and half of what the slope is worth
    for student in ANIMALS:
        mark = final(cycle, student)
        assert marks[student] == (f"{float(mark) - lost[student]:g}" if student in lost else mark)
