"""A student's notebook runs to its end, sees nothing that is not its own, and harms nobody."""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import threading
import time

import assignment
import nbformat
import pytest

from course_lib.classroom import sandbox, sources

FAST = sandbox.Limits(seconds=8, total=90)


def notebook(**cells):
    cells = [nbformat.v4.new_code_cell(code, id=name) for name, code in cells.items()]
    return nbformat.v4.new_notebook(cells=cells)


def said(ran):
    """Return cell to all that it wrote and how it failed."""
    return {
        cell.id: "".join(
            output.get("text", output.get("evalue", "")) for output in cell.get("outputs", [])
        )
        for cell in ran.notebook.cells
    }


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    (folder / "gradebook.db").write_text("marks")
    (folder / "submitted").mkdir()
    return folder


@pytest.fixture(scope="module")
def ran(private):
    """One notebook that tries everything; its kernel has to be started twice."""
    os.environ["A_SECRET_OF_THE_INSTRUCTOR"] = "a token"
    try:
        with sandbox.Sandbox([private], FAST) as room:
            made = notebook(
                looks=f"import os\nprint(os.listdir({str(private)!r}), os.listdir('.'))",
                ends="os._exit(0)",
                environment="print(sorted(os.environ))",
                network="import socket\nsocket.create_connection(('192.0.2.1', 80), 2)",
                file="print(open('data/values.txt').read())\nlate = 1",
                shadows="open('torch.py', 'w').write('1/0')\nimport torch\nprint('own')",
                prints="for _ in range(3000): print('a line of text ' * 70)",
                pipe="os.write(1, b'{\"outputs\": []}')\nprint('through')",
                stays="import subprocess\np = subprocess.Popen(['sleep', '77'], "
                "start_new_session=True)\nprint(p.pid)",
                after="print(late)",
            )
            result = room.run(made, {"data/values.txt": b"1 2 3"})
            return result, room.isolation, pathlib.Path(room._base.name)
    finally:
        del os.environ["A_SECRET_OF_THE_INSTRUCTOR"]


def test_a_notebook_runs_with_its_files_and_to_its_end(ran):
    heard = said(ran[0])
    assert "1 2 3" in heard["file"] and heard["after"] == "1\n"
    assert heard["shadows"] == "own\n", "a file of the working folder is nobody's module"
    assert "through" in heard["pipe"]


def test_a_cell_that_ends_the_kernel_costs_itself_only(ran):
    assert said(ran[0])["ends"] == "This cell ended its kernel."
    assert (1, "ended its kernel") in ran[0].events


def test_megabytes_are_cut(ran):
    heard = said(ran[0])["prints"]
    assert FAST.output < len(heard) < FAST.output + 100 and heard.endswith("is left out ...\n")
    assert (6, "wrote more than is kept") in ran[0].events


def test_the_environment_is_bare(ran):
    heard = said(ran[0])["environment"]
    assert "PATH" in heard and "INSTRUCTOR" not in heard


def test_nothing_stays_behind(ran):
    assert not ran[2].exists()
    if ran[1] == "none":
        pytest.skip("this system lets no process be enclosed")
    lines = [path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
    assert b"sleep\x0077\x00" not in lines


def test_where_the_system_allows_there_is_no_network_and_no_gradebook(ran):
    if ran[1] != "full":
        pytest.skip("this system lets no process be enclosed")
    assert said(ran[0])["looks"] == "[] ['data']\n"
    assert "unreachable" in said(ran[0])["network"]


def test_limits_stop_what_does_not_end_and_what_is_too_large():
    """A loop that swallows the interrupt, and memory that a name holds on to."""
    loop = "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException:\n"
    with sandbox.Sandbox([], FAST._replace(seconds=3, memory=2 << 30)) as room:
        ran = room.run(
            notebook(
                memory="held = [bytes(100 << 20) for _ in range(100)]",
                loop=loop + "        pass",
                disk="open('large', 'wb').write(bytes(200 << 20))",
                after="print('after')",
            )
        )
    heard = said(ran)
    assert heard["after"] == "after\n" and "File too large" in heard["disk"]
    words = dict(ran.events)
    assert words[0] == "ran out of memory"
    assert words[1] == "did not stop after 3 seconds"


CROWDS = {
    "processes": "for _ in range(90):\n    if not os.fork():\n        time.sleep(77.5)\n",
    "doubling": "for _ in range(8):\n    os.fork()\ntime.sleep(77.5)",
    "threads": "for _ in range(90):\n    threading.Thread(target=time.sleep, args=(77.5,)).start()",
    # A child that ends at once leaves its own child to somebody else, in a group of its own.
    "orphans": "for _ in range(90):\n"
    "    if not os.fork():\n        os.setsid()\n        os.fork() and os._exit(0)\n"
    "        time.sleep(77.5)\n        os._exit(0)\n    os.wait()",
}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are counted on Linux only")
@pytest.mark.parametrize("enclosed", [True, False])
def test_who_starts_too_many_processes_loses_them_all(enclosed, monkeypatch):
    """No more than 256 come of it, and they only wait."""
    if not enclosed:
        monkeypatch.setattr(sandbox.Sandbox, "_works", lambda self, kind: kind == "none")
    limits = FAST._replace(processes=80, seconds=20)
    wait = "\ntime.sleep(10)"
    cells = {name: f"{code}{wait}" for name, code in CROWDS.items()}
    for name, code in [*cells.items(), ("few", "for _ in range(30): os.fork() or os._exit(0)")]:
        with sandbox.Sandbox([], limits) as room:
            ran = room.run(notebook(first="import os, time, threading", own=code, after="print(1)"))
        heard = said(ran)
        assert heard["after"] == "1\n", name
        if name == "few":
            assert ran.events == [] and heard["own"] == ""
        elif ran.events:
            assert ran.events == [(1, "started more than 80 processes and threads")], name
        else:  # the kernel of this system refuses them by itself
            assert "temporarily unavailable" in heard["own"] or "start new thread" in heard["own"]
        assert left_of(room) == [], name


def left_of(room):
    """Return the processes whose folder is one of a sandbox's."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if room._base.name.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def test_a_cell_that_was_not_run_has_failed():
    """nbgrader gives all points to a test without outputs."""
    with sandbox.Sandbox([], FAST._replace(total=0)) as room:
        ran = room.run(notebook(test="print(1)"))
    assert "time of the whole notebook" in said(ran)["test"]
    assert ran.notebook.cells[0].outputs[0].output_type == "error"


def test_closing_ends_what_runs():
    room = sandbox.Sandbox([], FAST)
    threading.Timer(3, room.close).start()
    started = time.monotonic()
    with pytest.raises(sandbox.Interrupted):
        room.run(notebook(a="import time\ntime.sleep(60)"))
    assert time.monotonic() - started < 20
    with pytest.raises(sandbox.Interrupted):
        room.run(notebook(a="1"))


def test_an_answer_is_not_trusted():
    made = notebook(a="1")
    for answer, words in [
        (b"", "died without an answer"),
        (b"{", "died without an answer"),
        (json.dumps({"error": "no kernel"}).encode(), "no kernel"),
        (json.dumps({"outputs": [[{"output_type": "x"}]], "events": []}).encode(), "no notebook's"),
    ]:
        with pytest.raises(RuntimeError, match=words):
            sandbox._ran(made, answer)


def test_what_python_needs_is_not_hidden(tmp_path):
    inside = pathlib.Path(sys.prefix)
    assert sandbox._hideable(tmp_path, "/nowhere") == [tmp_path]
    assert sandbox._hideable(tmp_path / "none", "/nowhere") == []
    hidden = sandbox._hideable(inside.parent, "/nowhere")
    assert not any(sandbox._within(inside.resolve(), path) for path in hidden)
    (tmp_path / "base").mkdir()
    (tmp_path / "submitted").mkdir()
    assert sandbox._hideable(tmp_path, tmp_path / "base") == [tmp_path / "submitted"]


def test_without_enclosure_it_still_runs(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sandbox.Sandbox, "_works", lambda self, kind: kind == "none")
    with sandbox.Sandbox([], FAST) as room:
        assert "cannot take the network away" in room.described
        ran = room.run(notebook(a="import os\nprint(os.listdir('.'))"))
        assert said(ran)["a"] == "[]\n"
        assert os.listdir(room._base.name) == []


def test_an_endless_function_costs_its_own_part_and_not_those_that_call_it():
    """All other parts of assignment 2 earn their points, in a kernel as grading has it."""
    source = sources.read(sources.find("ps2"))
    made = assignment.submission(source, {"ps2-output-delta": ENDLESS})
    with sandbox.Sandbox([], sandbox.Limits(seconds=10, total=300)) as room:
        ran = room.run(made)
    wrong = {
        cell.id: output.evalue
        for cell in ran.notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    }
    for name in [name for name in wrong if not name.endswith("-test") or "fall" in name]:
        del wrong[name]  # a cell that calls the function itself, and a number that is made there
    assert set(wrong) == {"ps2-output-delta-test", "ps2-large-logits-test"}
    assert set(wrong.values()) == {"output_delta took longer than 1 s: does a loop never end?"}
    assert "given right versions of output_delta" in said(ran)["ps2-deltas-test"]
    assert {words for _, words in ran.events} <= {"was stopped after 10 seconds"}


ENDLESS = """from course_lib import checks
checks.SECONDS = 1  # so that this takes less time

def output_delta(logits, labels):
    while True:
        pass
"""
