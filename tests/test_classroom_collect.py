"""Submissions are taken in whole, by the right student, or listed; nothing is written outside."""

import datetime
import io
import json
import os
import shutil
import stat
import zipfile

import nbformat
import pytest

from course_lib import __main__ as command
from course_lib.classroom import collect, course, look, roster, sources, unpack

ROSTER = """id,first_name,last_name,email,moodle,canvas,also
s1,Ann,Lee,ann@example.org,,101,
s2,Jörg,Müller-Groß,joerg@example.org,,102,
s3,Mary Jane,O'Neil,mj@example.org,,103,MJ ONeil
s4,Sam,Poe,sam@example.org,4004,104,
s5,Sam,Poe,sam2@example.org,5005,105,
"""


@pytest.fixture(scope="session")
def notebook():
    made = sources.release(sources.read(sources.find("ps2")), "a class of the tests")
    return nbformat.writes(made)


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """An empty gradebook: to make one takes nbgrader seconds."""
    made = course.init(tmp_path_factory.mktemp("empty") / "autumn")
    collect._enter(made, [])
    return made.gradebook


@pytest.fixture
def made(tmp_path, empty):
    made = course.init(tmp_path / "autumn")
    shutil.copy(empty, made.gradebook)
    (made.folder / "roster.csv").write_text(ROSTER, encoding="utf-8")
    return made


def zipped(path, files, minute=0):
    """Write a zip: name to text, or to (text, minute)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            text, when = content if isinstance(content, tuple) else (content, minute)
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 20, 12, when, 0)), text)
    return path


def take(made, path, **given):
    return collect.collect(made, "ps2", path, **given)


def submitted(made):
    """Return STUDENT/psN/FILE to its text, but the time stamps."""
    folder = made.folder / "submitted"
    return {
        p.relative_to(folder).as_posix(): p.read_text()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "timestamp.txt"
    }


def tree(folder):
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


# ---- the forms


def test_moodle_folders_and_the_flat_form(made, tmp_path):
    path = zipped(
        tmp_path / "moodle.zip",
        {
            "Ann Lee_1234567_assignsubmission_file_/ps2.ipynb": "ann",
            "Jörg Müller-Groß_1234568_assignsubmission_file/ps2.ipynb": "joerg",  # Moodle 4.1
            "Group 1-Mary Jane O'Neil_7_assignsubmission_file_ps2.ipynb": "mary",
            "Sam Poe_4004_assignsubmission_file_/ps2.ipynb": "the first Sam",
            "__MACOSX/x": "junk",
        },
    )
    found = take(made, path)
    assert submitted(made) == {
        "s1/ps2/ps2.ipynb": "ann",
        "s2/ps2/ps2.ipynb": "joerg",
        "s3/ps2/ps2.ipynb": "mary",
        "s4/ps2/ps2.ipynb": "the first Sam",
    }
    assert (found.missing, found.unmatched, found.refused) == (["s5"], [], [])
    prefixes = {name: kept["moodle"] for name, kept in found.kept.items()}
    assert prefixes["s1"] == "Ann Lee_1234567_assignsubmission_file_"
    assert prefixes["s3"] == "Group 1-Mary Jane O'Neil_7_assignsubmission_file_"


def test_canvas_late_and_repeated(made, tmp_path):
    path = zipped(
        tmp_path / "canvas.zip",
        {
            "leeann_LATE_101_678_ps2-1.ipynb": "second",
            "leeann_101_677_ps2.ipynb": "first",
            "mullergrojorg_102_679_ps2-10.ipynb": "the number counts",
            "poesam_105_680_ps2.ipynb": "the second Sam",
        },
    )
    found = take(made, path)
    assert submitted(made) == {
        "s1/ps2/ps2.ipynb": "second",
        "s2/ps2/ps2.ipynb": "the number counts",
        "s5/ps2/ps2.ipynb": "the second Sam",
    }
    assert (found.late, found.repeated) == (["s1"], {"s1": 1})
    earlier = [p.read_text() for p in (made.folder / "collected/ps2/s1").rglob("*.ipynb")]
    assert sorted(earlier) == ["first", "second"]
    assert found.kept["s1"]["canvas"] == "leeann_LATE_101_678_"
    assert not found.unmatched


def test_ten_comes_after_nine(made, tmp_path):
    names = [f"leeann_101_{k}_ps2-{k}.ipynb" for k in (9, 10, 2)]
    take(made, zipped(tmp_path / "canvas.zip", {name: name for name in names}))
    assert submitted(made) == {"s1/ps2/ps2.ipynb": names[1]}


def test_a_folder_of_folders_and_of_files(made, tmp_path):
    for name in ("s1/ps2.ipynb", "s2/ps2/ps2.ipynb", "mj@example.org/ps2.ipynb", "s4_ps2.ipynb"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "in" / "ps2 s5.ipynb").write_text("s5")
    found = take(made, tmp_path / "in")
    assert len(found.kept) == 5 and not found.unmatched
    assert set(submitted(made)) == {f"s{k}/ps2/ps2.ipynb" for k in range(1, 6)}


def test_a_zip_with_a_folder_around_it(made, tmp_path):
    files = {"all/ps2/s1/ps2.ipynb": "1", "all/ps2/Lee Ann/data.txt": "2", "all/ps2/s2/b.txt": "3"}
    found = take(made, zipped(tmp_path / "a.zip", files))
    assert submitted(made)["s1/ps2/ps2.ipynb"] == "1" and not found.unmatched


def test_a_students_own_zip_and_their_other_files(made, tmp_path):
    inner = io.BytesIO()
    zipped(inner, {"mine/ps2.ipynb": "inside", "mine/data/a.csv": "1,2"})
    files = {"s1/mine.zip": inner.getvalue(), "s2/ps2.ipynb": "x", "s2/notes.txt": "y"}
    take(made, zipped(tmp_path / "a.zip", files))
    assert submitted(made) == {
        "s1/ps2/ps2.ipynb": "inside",
        "s1/ps2/mine/data/a.csv": "1,2",
        "s2/ps2/notes.txt": "y",
        "s2/ps2/ps2.ipynb": "x",
    }


# ---- which one counts


def test_the_last_of_several_counts_over_runs(made, tmp_path):
    first = zipped(tmp_path / "1.zip", {"s1/ps2.ipynb": ("one", 1), "s2/ps2.ipynb": "two"})
    second = zipped(tmp_path / "2.zip", {"s1/ps2.ipynb": ("better", 5)})
    assert take(made, first).new == ["s1", "s2"]
    found = take(made, second)
    assert (found.new, found.repeated) == (["s1"], {"s1": 1})
    assert submitted(made) == {"s1/ps2/ps2.ipynb": "better", "s2/ps2/ps2.ipynb": "two"}
    for path in (first, second, first):  # the old download again takes nothing back
        assert take(made, path).new == []
        assert submitted(made)["s1/ps2/ps2.ipynb"] == "better"
    third = zipped(tmp_path / "3.zip", {"s1/ps2.ipynb": ("one", 9)})  # the first one, sent again
    assert take(made, third).new == ["s1"]
    assert submitted(made)["s1/ps2/ps2.ipynb"] == "one"


def test_a_second_run_changes_no_file_but_its_report(made, tmp_path):
    files = {"s1/ps2.ipynb": "a", "s1/ps2-1.ipynb": "b", "zoe/ps2.ipynb": "c", "s2/x.pdf": "d"}
    path = zipped(tmp_path / "1.zip", files)
    first = take(made, path)
    before = tree(made.folder / "submitted")
    report = (made.folder / "collected/ps2/report.txt").read_text()
    second = take(made, path)
    assert tree(made.folder / "submitted") == before
    assert second == first._replace(new=[])
    assert (made.folder / "collected/ps2/report.txt").read_text() == report
    assert "s1: 2, s1/ps2-1.ipynb counts" not in report and "s1: 2, ps2-1.ipynb counts" in report


def test_late_is_later_than_the_date_given(made, tmp_path):
    path = zipped(tmp_path / "a.zip", {"s1/ps2.ipynb": ("a", 30), "s2/ps2.ipynb": ("b", 10)})
    due = datetime.datetime(2026, 11, 20, 12, 20)
    assert take(made, path).late == []
    assert take(made, path, due=due).late == ["s1"]
    assert take(made, path).late == ["s1"], "the date is kept"
    stamp = (made.folder / "submitted/s1/ps2/timestamp.txt").read_text().strip()
    moment = datetime.datetime(2026, 11, 20, 12, 30).astimezone(datetime.UTC)
    assert stamp == moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    from nbgrader.utils import parse_utc

    assert parse_utc(stamp) == moment.replace(tzinfo=None)


def test_another_name_and_no_notebook_are_said(made, tmp_path):
    path = zipped(tmp_path / "a.zip", {"s1/Homework Two.ipynb": "a", "s2/answer.docx": "b"})
    found = take(made, path)
    said = collect.describe(found, "ps2", 5)
    assert "Under another name:\n  s1: Homework Two.ipynb" in said
    assert "Without a notebook:\n  s2: answer.docx" in said
    assert set(submitted(made)) == {"s1/ps2/ps2.ipynb", "s2/ps2/answer.docx"}


def test_of_notebooks_with_other_names_the_one_with_its_cells_counts(made, tmp_path, notebook):
    files = {"s1/homework.ipynb": (notebook, 1), "s1/lesson.ipynb": ("later, something else", 5)}
    found = take(made, zipped(tmp_path / "a.zip", files))
    assert found.kept["s1"]["name"] == "homework.ipynb" and not found.repeated
    there = submitted(made)
    assert there == {"s1/ps2/ps2.ipynb": notebook, "s1/ps2/lesson.ipynb": "later, something else"}


def test_what_was_put_there_by_hand_is_not_lost(made, tmp_path):
    by_hand = made.folder / "submitted/s1/ps2/ps2.ipynb"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_text("by mail")
    os.utime(by_hand, (0, 1))
    found = take(made, zipped(tmp_path / "a.zip", {"s1/ps2.ipynb": "by Moodle"}))
    assert submitted(made) == {"s1/ps2/ps2.ipynb": "by Moodle"} and found.repeated == {"s1": 1}
    kept = (made.folder / "collected/ps2/s1").rglob("*.ipynb")
    assert {p.read_text() for p in kept} == {"by mail", "by Moodle"}


# ---- what fits nobody


def test_what_fits_nobody_is_listed(made, tmp_path, capsys):
    path = zipped(
        tmp_path / "a.zip",
        {
            "Zoe Ray_9_assignsubmission_file_/ps2.ipynb": "1",
            "Sam Poe_9_assignsubmission_file_/ps2.ipynb": "2",
            "Ann Lee_4004_assignsubmission_file_/ps2.ipynb": "3",
        },
    )
    arguments = ["assign", "collect", "ps2", str(path), "--course", str(made.folder)]
    assert command.main(arguments) == 1
    said = capsys.readouterr().out
    assert "ps2: submissions of 0 of 5 students." in said and "New in this run: none." in said
    assert "Zoe Ray_9_assignsubmission_file_/ps2.ipynb: nobody in the roster is called" in said
    assert "fits several students: s4, s5" in said
    assert "the number 4004 is that of s4, the name s1's" in said
    assert submitted(made) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,email\n", "there is nobody"),
        ("name\nann\n", "has no column id; it has: name"),
        ("id\n../ann\n=a\n", "line 2: the id '../ann' must be letters.*line 3"),
        ("id\nann\nAnn\n", "line 3: the id Ann came before"),
    ],
)
def test_a_wrong_roster_is_refused(made, text, words):
    (made.folder / "roster.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        roster.read(made)


def test_a_roster_from_a_spreadsheet(made):
    text = "\ufeffID;First_Name;Last_Name\r\ns1;Ann;Lee\r\n;;\r\ns2;Bo;Li\r\n"
    (made.folder / "roster.csv").write_text(text, encoding="utf-8")
    assert [(s.id, s.name) for s in roster.read(made)] == [("s1", "Ann Lee"), ("s2", "Bo Li")]


# ---- files that are not to be trusted


def test_nothing_is_written_outside(made, tmp_path):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("s1/../../evil.txt", "/tmp/evil.txt", "C:/evil.txt", "s1\\..\\..\\evil.txt"):
            archive.writestr(name, "x")
        link = zipfile.ZipInfo("s1/link.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("s2/ps2.ipynb", "good")
    found = take(made, path)
    assert submitted(made) == {"s2/ps2/ps2.ipynb": "good"}
    assert len(found.refused) == 5 and not list(tmp_path.rglob("evil.txt"))
    assert ("s1/link.ipynb", "it is a link") in found.refused


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_links_in_a_folder_are_refused(made, tmp_path):
    (tmp_path / "in/s1").mkdir(parents=True)
    (tmp_path / "in/s1/ps2.ipynb").symlink_to("/etc/hostname")
    (tmp_path / "in/s2").symlink_to("/etc")
    found = take(made, tmp_path / "in")
    assert submitted(made) == {} and len(found.refused) == 2


def test_sizes_are_limited(made, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "FILE_LIMIT", 2**20)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(4):
            archive.writestr(f"{k}.txt", bytes(2**20))
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("s1/ps2.ipynb", bytes(2**20 + 1))
        archive.writestr("s2/ps2.ipynb", "good")
        archive.writestr("s3/ps2.zip", inner.getvalue())
    monkeypatch.setattr(unpack, "STUDENT_LIMIT", 3 * 2**20)
    found = take(made, path)
    assert ("s1/ps2.ipynb", "it is larger than 1 MB") in found.refused
    assert ("s3/ps2.zip", "it unpacks to more than 3 MB; kept as it is") in found.refused
    assert (made.folder / "submitted/s2/ps2/ps2.ipynb").read_text() == "good"
    assert (made.folder / "submitted/s3/ps2/ps2.zip").exists()
    monkeypatch.setattr(unpack, "TOTAL_LIMIT", 4)
    with pytest.raises(ValueError, match="unpacks to more than"):
        take(made, path)


def test_a_damaged_zip_is_an_error_and_damaged_files_are_listed(made, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK no zip")
    with pytest.raises(ValueError, match="no zip file that can be read"):
        take(made, path)
    zipped(path, {"s1/ps2.ipynb": "x" * 1000, "s2/own.zip": "no zip", "s3/ps2.ipynb": "y"})
    data = path.read_bytes().replace(b"xxx", b"xyx", 1)
    path.write_bytes(data)
    found = take(made, path)
    assert [name for name, _ in found.refused] == ["s1/ps2.ipynb", "s2/own.zip"]
    assert set(submitted(made)) == {"s2/ps2/own.zip", "s3/ps2/ps2.ipynb"}


# ---- the gradebook, and the look before grading


def test_the_class_is_entered_in_the_gradebook(made, tmp_path):
    from nbgrader.api import Gradebook

    take(made, zipped(tmp_path / "a.zip", {"s1/ps2.ipynb": "a"}))
    with Gradebook(f"sqlite:///{made.gradebook}", made.name) as gradebook:
        there = {s.id: (s.first_name, s.last_name) for s in gradebook.students}
    assert len(there) == 5 and there["s2"] == ("Jörg", "Müller-Groß")


def test_check_says_what_can_be_graded(made, tmp_path, notebook, capsys):
    broken = json.loads(notebook)
    tests = [c for c in broken["cells"] if c["metadata"].get("nbgrader", {}).get("points")]
    broken["cells"].remove(tests[0])
    broken["cells"].append(tests[1])
    files = {
        "s1/ps2.ipynb": notebook,
        "s2/ps2.ipynb": "",
        "s3/ps2.ipynb": '{"cells": 1}',
        "s4/ps2.ipynb": json.dumps(broken),
    }
    take(made, zipped(tmp_path / "a.zip", files))
    (made.folder / "submitted/guest/ps2").mkdir(parents=True)
    assert command.main(["assign", "check", "ps2", "--course", str(made.folder)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "ps2: 2 ready to grade, 2 cannot be read, 1 missing."
    assert said[1] == "  s2: the file is empty"
    assert said[2].startswith("  s3: the file is no notebook: ")
    name, double = (test["metadata"]["nbgrader"]["grade_id"] for test in tests[:2])
    assert said[3] == f"  s4: test cells missing: {name}; cells twice: {double}"
    assert said[4:] == ["  s5: nothing submitted", "  guest: submitted, but not in the roster"]


def test_check_of_a_notebook_of_something_else(made, tmp_path):
    book = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))
    take(made, zipped(tmp_path / "a.zip", {"s1/ps2.ipynb": book, "s2/essay.pdf": "x"}))
    found = look.check(made, "ps2")
    assert found.odd == {"s1": ["none of its cells is one of this assignment"]}
    assert found.unreadable == {"s2": "there is no notebook, but essay.pdf"}
