"""A course folder is made once, and what is released from it is whole, private and repeatable."""

import csv
import json
import os
import stat
import subprocess
import sys

import nbformat
import pytest

from course_lib import __main__ as command
from course_lib.classroom import course, sources


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("correct horse battery staple\n")
    return path


@pytest.fixture
def made(tmp_path, secret):
    return course.init(tmp_path / "autumn", secret)


def tree(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# ---- init


def test_a_course_folder_has_a_secret_a_roster_and_a_configuration(made):
    assert made == course.load(made.folder)
    assert (made.name, made.secret) == ("autumn", "correct horse battery staple")
    assert tree(made.folder) == [".gitignore", "README.txt", "classroom.json", "nbgrader_config.py",
                                 "roster.csv", "secret.txt"]  # fmt: skip
    if os.name == "posix":
        assert stat.S_IMODE((made.folder / "secret.txt").stat().st_mode) == 0o600
    with (made.folder / "roster.csv").open() as file:
        assert next(csv.reader(file)) == list(course.ROSTER)
    compile((made.folder / "nbgrader_config.py").read_text(), "config", "exec")


def test_git_keeps_nothing_of_a_course_folder(made):
    def git(*words):
        done = subprocess.run(["git", *words], cwd=made.folder, capture_output=True, text=True)
        return done.stdout.split()

    git("init", "-q")
    git("add", "-A")
    assert git("ls-files") == [".gitignore"]


def test_without_a_file_each_folder_has_a_secret_of_its_own(tmp_path):
    first, second = (course.init(tmp_path / name).secret for name in "ab")
    assert len(first) == 32 and first != second


def test_a_second_init_leaves_the_secret_alone(made):
    with pytest.raises(ValueError, match="a course folder already"):
        course.init(made.folder)
    assert course.load(made.folder).secret == made.secret


def test_a_roster_that_is_there_stays(tmp_path):
    (tmp_path / "roster.csv").write_text("id\nann\n")
    course.init(tmp_path)
    assert (tmp_path / "roster.csv").read_text() == "id\nann\n"


@pytest.mark.parametrize(
    ("text", "words"), [(None, "there is no file"), ("short", "at least 8 characters, not 5")]
)
def test_a_secret_that_is_none_is_refused(tmp_path, text, words):
    file = tmp_path / "words.txt"
    if text:
        file.write_text(text)
    with pytest.raises(ValueError, match=words):
        course.init(tmp_path / "autumn", file)
    assert not (tmp_path / "autumn").exists()


def test_a_folder_without_sources_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there are no assignments in"):
        course.init(tmp_path / "autumn", sources_folder=tmp_path)


def test_a_folder_that_is_no_course_says_how_to_make_one(tmp_path, made):
    with pytest.raises(ValueError, match="assign init FOLDER"):
        course.load(tmp_path)
    (made.folder / "classroom.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        course.load(made.folder)


# ---- release


def test_a_release_is_entered_with_nbgrader_and_comes_out_the_same_again(made):
    from nbgrader.api import Gradebook

    path = os.environ["PATH"]
    released = course.release(made, "ps2")
    assert os.environ["PATH"] == path
    assert sum(released.points.values()) == 20
    assert tree(released.release) == ["ps2.ipynb"] and tree(released.key) == ["ps2.ipynb"]
    for_students = (released.release / "ps2.ipynb").read_text()
    notebook = nbformat.reads(for_students, as_version=4)
    source = made.read("ps2")
    assert sources.leaks(source, notebook, made.secret) == []
    assert sources.draw(source, made.secret).setting != sources.draw(source).setting
    assert repr(sources.draw(source, made.secret).setting["sizes"]) in notebook.cells[1].source
    solved = nbformat.read(released.key / "ps2.ipynb", as_version=4)
    assert any(
        "HIDDEN TESTS" in cell.source and cell.outputs
        for cell in solved.cells[1:]
        if cell.cell_type == "code"
    )
    with Gradebook(f"sqlite:///{made.gradebook}") as gradebook:
        assignment = gradebook.find_assignment("ps2")
        assert (assignment.max_score, assignment.max_code_score) == (20, 16)
        kept = gradebook.find_source_cell("ps2-output-delta-test", "ps2", "ps2").source
    assert "HIDDEN TESTS" in kept, "what a submission's tests are restored from"
    course.release(made, "ps2")
    assert (released.release / "ps2.ipynb").read_text() == for_students
    names = {path.split("/")[0] for path in tree(made.folder)}
    made_by_init = {".gitignore", "README.txt", "classroom.json", "nbgrader_config.py"}
    made_by_init |= {"roster.csv", "secret.txt"}
    assert names - made_by_init == {"gradebook.db", "key", "release", "source"}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A course with a changed copy of an assignment, whose key is not run."""
    folder = tmp_path / "mine"
    folder.mkdir()
    path = folder / "ps2_write_the_backward_pass.md"
    path.write_text(sources.find("ps2").read_text())
    monkeypatch.setattr(
        sources, "key", lambda source, secret, folder: sources.drawn(source, secret)
    )
    return course.init(tmp_path / "autumn", sources_folder=folder), path


def test_an_assignment_of_ones_own_is_released(own):
    made, path = own
    path.write_text(
        path.read_text().replace("You write back-propagation", "Write back-propagation")
    )
    released = course.release(made, "ps2")
    assert "Write back-propagation" in (released.release / "ps2.ipynb").read_text()


def test_files_go_to_students_and_to_the_key(own, monkeypatch):
    made, path = own

    def write(folder, setting, secret):
        (folder / "data.txt").write_text(str(secret["seed"]))

    monkeypatch.setattr(sources, "tests_write", write, raising=False)
    files = "  files: course_lib.classroom.sources.tests_write"
    path.write_text(path.read_text().replace("  minutes: ", f"{files}\n  minutes: ", 1))
    released = course.release(made, "ps2")
    for folder in (released.release, released.key, made.folder / "source" / "ps2"):
        assert tree(folder) == ["data.txt", "ps2.ipynb"]


def test_a_wrong_source_releases_nothing(own):
    made, path = own
    path.write_text(path.read_text().replace("### END SOLUTION", "", 1))
    with pytest.raises(ValueError, match="do not alternate"):
        course.release(made, "ps2")
    assert not (made.folder / "release").exists()


def test_a_failing_solution_releases_nothing_and_keeps_the_last_key(own, monkeypatch):
    made, path = own
    released = course.release(made, "ps2")
    before = (released.key / "ps2.ipynb").read_text()

    def fails(*given):
        raise ValueError("ps2, solved, fails")

    monkeypatch.setattr(sources, "key", fails)
    with pytest.raises(ValueError, match="fails"):
        course.release(made, "ps2")
    assert (released.key / "ps2.ipynb").read_text() == before
    assert os.listdir(made.folder / "key") == ["ps2"]


def test_a_release_that_leaks_is_not_written(own, monkeypatch):
    made, _ = own
    monkeypatch.setattr(sources, "leaks", lambda *given: ["the secret seed"])
    with pytest.raises(ValueError, match="shows the secret seed"):
        course.release(made, "ps2")
    assert not (made.folder / "release").exists()


# ---- released again, when a class has it


def everything(folder, *leave_out):
    """Return path to content of all files but the gradebook and some folders."""
    paths = (path for path in tree(folder) if path.split("/")[0] not in leave_out)
    return {p: (folder / p).read_bytes() for p in paths if not p.endswith("gradebook.db")}


def hand_in_and_mark(made, student="ann"):
    from nbgrader.api import Gradebook

    place = made.folder / "submitted" / student / "ps2"
    place.mkdir(parents=True)
    (place / "ps2.ipynb").write_text("all my work")
    with Gradebook(f"sqlite:///{made.gradebook}") as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission("ps2", student)
        (mark,) = (g for book in submission.notebooks for g in book.grades
                   if g.name == "ps2-wrong-gradients")  # fmt: skip
        mark.manual_score, mark.needs_manual_grade = 3.5, False
        gradebook.db.commit()


def test_other_numbers_are_not_released_over_those_that_the_class_has(own):
    made, _ = own
    released = course.release(made, "ps2")
    before, numbers = everything(made.folder), (released.release / "ps2.ipynb").read_bytes()
    other = made._replace(secret="another secret")
    with pytest.raises(ValueError, match="the numbers of the class are others now.*--force"):
        course.release(other, "ps2")
    assert everything(made.folder) == before
    course.release(other, "ps2", force=True)
    assert (released.release / "ps2.ipynb").read_bytes() != numbers
    (kept,) = (made.folder / "earlier").iterdir()
    assert (kept / "release" / "ps2" / "ps2.ipynb").read_bytes() == numbers


def test_another_text_is_said_to_be_one(own):
    made, path = own
    course.release(made, "ps2")
    path.write_text(path.read_text().replace("You write back-propagation", "Write it"))
    with pytest.raises(ValueError, match="released before, and its text has changed since"):
        course.release(made, "ps2")
    (made.folder / "source" / "ps2" / "ps2.ipynb").write_text("{")
    with pytest.raises(ValueError, match="can no longer be read"):
        course.release(made, "ps2")


def test_with_submissions_and_marks_it_is_refused_and_force_keeps_them(own):
    from nbgrader.api import Gradebook

    made, path = own
    course.release(made, "ps2")
    hand_in_and_mark(made)
    before = everything(made.folder)
    words = r"ps2 has submissions \(1\); ps2 has marks in the gradebook \(1\). Nothing was released"
    with pytest.raises(ValueError, match=words):
        course.release(made, "ps2")
    assert everything(made.folder) == before
    path.write_text(path.read_text().replace("You write back-propagation", "Write it"))
    course.release(made, "ps2", force=True)
    after = everything(made.folder, "earlier")
    same = {name for name in after if after[name] == before.get(name)}
    assert set(before) == set(after) and "submitted/ann/ps2/ps2.ipynb" in same
    assert {name.split("/")[0] for name in set(after) - same} == {"release", "key", "source"}
    (kept,) = (made.folder / "earlier").iterdir()
    for book in (made.gradebook, kept / "gradebook.db"):
        with Gradebook(f"sqlite:///{book}") as gradebook:
            assert gradebook.find_submission("ps2", "ann").score == 3.5


def test_what_nbgrader_refuses_leaves_all_as_it_was(own):
    """It takes no cell away that a submission has."""
    made, path = own
    course.release(made, "ps2")
    hand_in_and_mark(made)
    before = everything(made.folder)
    path.write_text(path.read_text().replace("grade_id: ps2-numerical\n", "grade_id: ps2-mine\n"))
    with pytest.raises(ValueError, match="nbgrader does not release ps2"):
        course.release(made, "ps2", force=True)
    assert everything(made.folder, "earlier") == before


# ---- the command line


def test_the_commands_say_what_they_did(own, tmp_path, secret, capsys):
    made, path = own
    folder = tmp_path / "spring"
    given = ["assign", "init", str(folder), "--secret", str(secret), "--name", "dl101"]
    assert command.main([*given, "--sources", str(path.parent)]) == 0
    said = capsys.readouterr().out
    assert f"{folder} is the course folder of dl101" in said and "Assignments: ps2." in said
    assert command.main(["assign", "release", "ps2", "--course", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "ps2: 20 points; every solution passes every test." in said
    assert str(folder / "release" / "ps2") in said and (folder / "key" / "ps2").exists()
    assert json.loads((folder / "classroom.json").read_text())["course"] == "dl101"
    (folder / "secret.txt").write_text("another secret")
    assert command.main(["assign", "release", "ps2", "--course", str(folder)]) == 2
    assert "the numbers of the class are others now" in capsys.readouterr().err
    assert command.main(["assign", "release", "ps2", "--force", "--course", str(folder)]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["init", "."], "a course folder already"),
        (["release", "ps2", "ps0"], "there is no assignment 'ps0'"),
        (["release", "ps2", "--course", ".."], "is no course folder"),
    ],
)
def test_an_error_is_one_line_and_a_status(made, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(made.folder)
    assert command.main(["assign", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hard-to-train: ") and words in line
    assert not (made.folder / "release").exists()


def test_a_missing_nbgrader_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command.main(["assign", "init", str(tmp_path / "a")]) == 2
    assert 'pip install "hard-to-train[grade]"' in capsys.readouterr().err


def test_the_other_commands_need_no_nbgrader():
    """Nor jupytext: an installation for reading and running has neither."""
    code = (
        "import sys\n"
        "for name in ('nbgrader', 'jupytext', 'nbformat'):\n    sys.modules[name] = None\n"
        "from course_lib import __main__\nsys.exit(__main__.main(['results']))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
