"""Marks leave the gradebook as they stand, in each platform's columns; the class is described."""

import csv
import io
import json

import pytest

from course_lib import __main__ as command
from course_lib.classroom import collect, course, export, report, roster, sources

ROSTER = """id,first_name,last_name,email,canvas
s1,Ann,Lee,ann@example.org,101
s2,=cmd(),"-Bo",+bo@example.org,
s3,Cy,Ray,cy@example.org,103
s4,Di,Poe,di@example.org,104
s5,Ed,Fox,ed@example.org,105
"""


@pytest.fixture(scope="session")
def source():
    return sources.read(sources.find("ps2"))


@pytest.fixture(scope="session")
def written(source):
    """The grade id of the one answer that is marked by hand."""
    cells = (cell.metadata.get("nbgrader", {}) for cell in source.notebook.cells)
    return next(c["grade_id"] for c in cells if c.get("grade") and c.get("solution"))


@pytest.fixture(scope="session")
def made(tmp_path_factory, source, written):
    """A class of five: all points, a written answer waiting, failed, missing, graded too early."""
    from nbgrader.api import Gradebook

    made = course.init(tmp_path_factory.mktemp("class") / "autumn")
    (made.folder / "roster.csv").write_text(ROSTER)
    collect._enter(made, roster.read(made))
    zero = list(source.points)[:2]  # both tests of the first part
    with Gradebook(f"sqlite:///{made.gradebook}", made.name) as gradebook:
        gradebook.add_assignment("ps2")
        gradebook.add_notebook("ps2", "ps2")
        for name, of in source.points.items():
            kind = "markdown" if name == written else "code"
            gradebook.add_grade_cell(name, "ps2", "ps2", max_score=of, cell_type=kind)
        for student in ("s1", "s2", "s3", "s5"):
            submission = gradebook.add_submission("ps2", student)
            for grade in submission.notebooks[0].grades:
                grade.needs_manual_grade = student == "s3" or (
                    grade.name == written and student == "s2"
                )
                if grade.needs_manual_grade:
                    continue
                lost = student == "s2" and grade.name in zero
                score = 0.0 if lost else grade.cell.max_score
                if grade.name == written:
                    grade.manual_score = score
                else:
                    grade.auto_score = score
        gradebook.db.commit()
    for student in ("s1", "s2", "s3", "s5"):
        (made.folder / "submitted" / student / "ps2").mkdir(parents=True)
        note = {"state": "failed" if student == "s3" else "graded", "lines": []}
        note["lines"] = {"s2": ["flagged: x uses autograd"], "s3": ["is an empty file"]}.get(
            student, []
        )
        path = made.folder / "graded/ps2" / f"{student}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(note))
    for kind, time in (("submitted", "2026-11-21"), ("autograded", "2026-11-20")):
        path = made.folder / kind / "s5/ps2/timestamp.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{time} 12:00:00 UTC\n")
    return made


def rows(made, form="plain", **options):
    exported = export.export(made, ["ps2"], form, **options)
    return list(csv.reader(io.StringIO(exported.text))), exported.blank


# ---- marks


def test_every_student_has_a_state(made):
    states = {mark.student.id: mark.state for mark in export.marks(made, "ps2")}
    assert states == {
        "s1": "graded", "s2": "waiting", "s3": "failed", "s4": "missing", "s5": "not graded"
    }  # fmt: skip


def test_what_is_not_final_stays_blank(made):
    table, blank = rows(made)
    assert table[0] == ["id", "last_name", "first_name", "email", "ps2", "ps2 of", "ps2 state",
                        "ps2 late"]  # fmt: skip
    assert [row[4] for row in table[1:]] == ["20", "", "", "", ""]
    assert blank == [
        ("s2", "ps2", "waiting"),
        ("s3", "ps2", "failed"),
        ("s4", "ps2", "missing"),
        ("s5", "ps2", "not graded"),
    ]
    table, blank = rows(made, unfinished=True, missing_zero=True)
    assert [row[4] for row in table[1:]] == ["20", "13", "0", "0", ""]
    assert blank == [("s5", "ps2", "not graded")]


def test_a_cell_never_begins_as_a_formula(made):
    table, _ = rows(made)
    assert table[2][:4] == ["s2", "'-Bo", "'=cmd()", "'+bo@example.org"]
    for form in export.FORMS:
        for row in rows(made, form, unfinished=True)[0]:
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", " =1", "＝1"])
def test_what_is_escaped(text):
    assert export.safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "12.5", "    Points Possible", "Lee, Ann", "a-b"])
def test_what_is_left_alone(text):
    assert export.safe(text) == text


def test_columns_of_moodle(made):
    table, _ = rows(made, "moodle")
    assert table[0] == ["First name", "Last name", "ID number", "Email address",
                        "Assignment: ps2 (Real)"]  # fmt: skip
    assert table[1] == ["Ann", "Lee", "s1", "ann@example.org", "20"]


def test_columns_of_canvas(made):
    record = {"s2": {"attempts": [{"time": "", "late": True, "canvas": "bo_LATE_102_9_"}]}}
    path = made.folder / "collected/ps2/record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"due": None, "students": record}))
    try:
        table, _ = rows(made, "canvas", columns={"ps2": "Set 2 (4711)"})
        late = [mark.student.id for mark in export.marks(made, "ps2") if mark.late]
    finally:
        path.unlink()
    assert table[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Set 2 (4711)"]
    assert table[1] == ["    Points Possible", "", "", "", "", "20"]
    assert table[2] == ["Lee, Ann", "101", "s1", "ann@example.org", "", "20"]
    assert table[3][1] == "102", "the number that Canvas's zip gave"
    assert late == ["s2"]


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["ps2"], {"form": "excel"}, "form must be one of plain, moodle, canvas, not 'excel'"),
        (["ps2"], {"columns": {"ps9": "x"}}, "named for ps9"),
        (["ps0"], {}, "there is no assignment 'ps0'"),
    ],
)
def test_what_cannot_be_exported(made, names, options, words):
    with pytest.raises(ValueError, match=words):
        export.export(made, names, **options)


def test_an_assignment_that_was_not_released(tmp_path):
    other = course.init(tmp_path / "spring")
    (other.folder / "roster.csv").write_text(ROSTER)
    with pytest.raises(ValueError, match="ps2 was not released"):
        export.marks(other, "ps2")


# ---- the class


def test_the_class_in_numbers(made, source, written):
    found = report.report(made, "ps2")
    assert found.states == dict.fromkeys(
        ["graded", "waiting", "failed", "missing", "not graded"], 1
    )
    assert found.spread == {"by machine": (16, [16, 13]), "in all": (20, [20])}
    first, *others, last = found.parts
    assert (first.title, first.points) == ("Part 1: the delta at the output", 3)
    assert (first.share, first.all_points, first.none, first.waiting) == (0.5, 1, 1, 0)
    assert all((part.share, part.all_points) == (1.0, 2) for part in others)
    assert (last.share, last.waiting) == (1.0, 1) and len(found.parts) == 7
    assert found.look == [
        ("s2", "flagged: x uses autograd"),
        ("s2", "1 answer to mark by hand"),
        ("s3", "not graded: is an empty file"),
        ("s4", "nothing submitted"),
        ("s5", "submitted, and not graded since"),
    ]


def test_the_report_in_words(made):
    said = report.text(report.report(made, "ps2"))
    assert "mean 14.5, median 14.5, middle half 13.8 to 15.2, from 13 to 16" in said
    assert "12.8 to 16     2  ##" in said
    assert "50%    1    1    0  Part 1: the delta at the output (3 points)" in said
    assert "  s3: not graded: is an empty file" in said


def test_the_report_of_a_class_without_marks(made):
    found = report.report(made, "ps2")._replace(
        spread={"by machine": (16, []), "in all": (20, [])}, look=[]
    )
    assert "none yet" in report.text(found) and "Nobody needs a look." in report.text(found)
    assert "<p>Nobody.</p>" in report.page(found)


def test_the_report_as_a_page_shows_names_as_text(made):
    found = report.report(made, "ps2")._replace(look=[("<script>x</script>", "<b>\x00y")])
    page = report.page(found)
    assert "<script" not in page and "&lt;b&gt;y" in page
    assert '<html lang="en">' in page and "://" not in page


# ---- the commands


def test_the_commands_say_what_they_left_out(made, tmp_path, capsys):
    here = ["--course", str(made.folder)]
    assert command.main(["assign", "report", "ps2", *here]) == 0
    said = capsys.readouterr().out
    assert "Who needs a look:" in said and (made.folder / "reports/ps2.html").exists()
    out = tmp_path / "marks.csv"
    options = ["--for", "moodle", "--out", str(out), "--column", "ps2=Homework 2"]
    assert command.main(["assign", "export", "ps2", *here, *options]) == 1
    said = capsys.readouterr().out
    assert "left blank: s2, ps2: waits for marks by hand" in said
    assert out.read_text().splitlines()[0].endswith(",Homework 2")
    assert command.main(["assign", "export", "ps2", *here, "--column", "ps2"]) == 2
    assert "--column needs NAME=TITLE" in capsys.readouterr().err
