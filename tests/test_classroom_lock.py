"""Two runs on one course do not meet, and a run that was killed stops nobody."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from course_lib import __main__ as command
from course_lib.classroom import collect, course, grade, lock

HOLDS = """
import pathlib, sys, time
from course_lib.classroom import lock
with lock.held(pathlib.Path(sys.argv[1]), "grading ps2"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_told_of_the_first(tmp_path, other):
    words = f"another run works on {tmp_path}: grading ps2, process {other.pid} on .*, since 2"
    with pytest.raises(lock.Busy, match=words), lock.held(tmp_path, "more"):
        pytest.fail("the lock was held twice")
    assert (tmp_path / lock.NAME).exists(), "the first one still has it"
    with pytest.raises(lock.Busy), lock.held(tmp_path, "more"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_what_a_killed_run_leaves_behind_stops_nobody(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert str(other.pid) in (tmp_path / lock.NAME).read_text()
    with lock.held(tmp_path, "grading ps2"):
        assert str(os.getpid()) in (tmp_path / lock.NAME).read_text()
    assert os.listdir(tmp_path) == []


def test_it_is_given_back_after_an_error_and_is_for_threads_too(tmp_path):
    with pytest.raises(KeyError), lock.held(tmp_path, "one"):
        raise KeyError
    found = []

    def second():
        try:
            with lock.held(tmp_path, "two"):
                found.append("held")
        except lock.Busy as error:
            found.append(str(error))

    with lock.held(tmp_path, "one"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(found) == 1 and ": one, process" in found[0]
    second()
    assert found[1] == "held" and os.listdir(tmp_path) == []


def test_many_at_once_come_one_after_the_other(tmp_path):
    inside, most, passed = [], [], []

    def often():
        while len(passed) < 200:
            try:
                with lock.held(tmp_path, "one"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    passed.append(1)
            except lock.Busy:
                pass

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}


def test_where_there_are_no_locks_that_is_said(tmp_path, monkeypatch):
    def none(file):
        raise OSError(95, "not supported")

    monkeypatch.setattr(lock, "_lock", none)
    with pytest.warns(UserWarning, match="start no second run"), lock.held(tmp_path, "one"):
        pass


def test_releasing_collecting_and_grading_wait_for_each_other(tmp_path, capsys):
    made = course.init(tmp_path / "autumn")
    with lock.held(made.folder, "grading ps2"):
        for attempt in (
            lambda: grade.grade(made, "ps2"),
            lambda: course.release(made, "ps2"),
            lambda: collect.collect(made, "ps2", tmp_path),
        ):
            with pytest.raises(lock.Busy, match="grading ps2"):
                attempt()
        assert command.main(["assign", "grade", "ps2", "--course", str(made.folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hard-to-train: another run works on ")
