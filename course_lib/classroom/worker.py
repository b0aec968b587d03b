"""The process that runs one notebook, inside of what `sandbox` has put around it.

It sets the limits, starts a kernel, and starts it again where a cell took it down. On Linux the
processes that a notebook starts are counted (`crowd`), and too many are ended; where the kernel of
the system can, from 5.14 on and for users other than root, it refuses them itself. Other systems
have only their own limit for each user.
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sys
import threading
import time
from typing import NamedTuple

from course_lib.classroom import crowd

# How often a notebook is run again without the cell that took its kernel down.
RESTARTS = 3
# Seconds for what is not the notebook: starting the process and a kernel, on a busy machine.
START = 120


class Limits(NamedTuple):
    """What one submission may use: seconds of a cell and in all, bytes, characters of a cell.

    `processes` counts threads, too; a kernel and its helper have about 30.
    """

    seconds: int = 60
    total: int = 600
    memory: int = 4 << 30
    file: int = 100 << 20
    output: int = 100_000
    processes: int = 256


def _work():
    """Read a task from standard input, run it, write the answer to standard output."""
    # Whatever the kernel writes to standard output goes nowhere.
    sink = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    task = json.loads(sys.stdin.buffer.readline())
    folder, limits = pathlib.Path(task["folder"]), Limits(**task["limits"])
    (folder / "own").mkdir(parents=True)
    (folder / "work").mkdir()
    # jsonschema would build a grammar for a format that no notebook has: a second, each time.
    sys.modules["rfc3987_syntax"] = None
    kernels = []
    threading.Thread(target=_end_with_parent, args=(folder, kernels), daemon=True).start()
    try:
        for name, text in task["files"].items():
            path = folder / "work" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(text))
        _limit(limits, task["enclosed"])
        watch = crowd.Watch(limits.processes)
        answer = _execute(task["notebook"], folder, limits, kernels, watch)
    except Exception as error:
        answer = {"error": f"could not be run: {type(error).__name__}: {error}"[:500]}
    sink.write(json.dumps(answer).encode())
    sink.flush()
    _clear(folder, kernels)
    os._exit(0)


def _end_with_parent(folder, kernels):
    """Wait for the end of standard input, which the parent's death brings, too."""
    while os.read(0, 4096):
        pass
    _clear(folder, kernels)
    os._exit(1)


def _clear(folder, kernels):
    for manager in kernels:
        _kill(manager)
    shutil.rmtree(folder, ignore_errors=True)


def _kill(manager):
    """Kill a kernel and what it started."""
    with contextlib.suppress(AttributeError, OSError):
        process = manager.provisioner.process
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def _limit(limits, enclosed):
    """Set the limits of this process and of those that it starts, where the system has such."""
    try:
        import resource
    except ImportError:
        return
    wanted = {
        "RLIMIT_AS": limits.memory,
        "RLIMIT_CPU": limits.total + START,
        "RLIMIT_FSIZE": limits.file,
        "RLIMIT_CORE": 0,
    }
    if enclosed and crowd.counted_apart():
        wanted["RLIMIT_NPROC"] = limits.processes
    for name, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # macOS takes no limit of memory
            resource.setrlimit(getattr(resource, name), (value, value))


def _execute(content, folder, limits, kernels, watch):
    """Run a notebook; what takes the kernel down is left out, and the rest is run again."""
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    runner = _runner()
    given_up, events, deadline = {}, {}, time.monotonic() + limits.total
    for attempt in range(RESTARTS + 1):
        notebook = nbformat.from_dict(json.loads(json.dumps(content)))
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        # Sockets in the folder: there is no network, and nobody else can listen.
        private = {"transport": "ipc", "ip": str(folder / f"k{attempt}")}
        manager = AsyncKernelManager(
            kernel_name="python3", **(private if os.name == "posix" else {})
        )
        kernels.append(manager)
        run = runner(limits, given_up, events, deadline)
        try:
            run.preprocess(notebook, {"metadata": {"path": str(folder / "work")}}, km=manager)
            break
        except (DeadKernelError, CellTimeoutError, _Again) as why:
            if run.at is None:
                raise RuntimeError(f"its kernel did not start ({type(why).__name__})") from None
            words = {
                DeadKernelError: "ended its kernel",
                CellTimeoutError: f"did not stop after {limits.seconds} seconds",
            }.get(type(why), str(why))
            if watch.ended():
                words = f"started more than {limits.processes} processes and threads"
            given_up[run.at] = events[run.at] = words
        finally:
            _kill(manager)
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip() and index not in run.done:
            _fail(cell, events.get(index, "was not run: an earlier cell ended the kernel"))
    outputs = [cell.get("outputs", []) for cell in notebook.cells]
    return {"outputs": outputs, "events": sorted(events.items())}


class _Again(Exception):
    """The notebook is to be run again without the cell that was running."""


def _fail(cell, words):
    """Put an error among the outputs: a test that did not run has not passed."""
    import nbformat

    said = f"This cell {words}."
    error = {"ename": "NotRun", "evalue": said, "traceback": [said]}
    cell.outputs = [*cell.outputs, nbformat.v4.new_output("error", **error)]


def _runner():
    """Return nbgrader's way to execute a notebook, with a deadline and bounded outputs."""
    import nbformat
    from nbgrader.preprocessors import Execute

    class Runner(Execute):
        def __init__(self, limits, given_up, events, deadline):
            super().__init__(
                iopub_timeout=10,
                interrupt_on_timeout=True,
                extra_arguments=["--InteractiveShellApp.ignore_cwd=True"],
            )
            self.limits, self.given_up, self.events = limits, given_up, events
            self.deadline, self.at, self.done, self.left = deadline, None, set(), 0

        def preprocess_cell(self, cell, resources, index):
            if cell.cell_type != "code" or not cell.source.strip():
                return cell, resources
            remaining = self.deadline - time.monotonic()
            if index in self.given_up:
                _fail(cell, self.given_up[index])
            elif remaining < 1:
                self.events[index] = "was not run: the time of the whole notebook is used up"
                _fail(cell, self.events[index])
            else:
                self.at, self.left = index, self.limits.output
                self.timeout = int(min(self.limits.seconds, remaining + 1))
                # What a test holds is not for the history, which every later cell can read.
                graded = cell.metadata.get("nbgrader", {}).get("grade", False)
                self.execute_cell(cell, index, store_history=not graded)
                self._look(cell, index)
            self.done.add(index)
            return cell, resources

        def _look(self, cell, index):
            errors = [output for output in cell.outputs if output.output_type == "error"]
            if any(output.ename == "CellTimeoutError" for output in errors):
                self.events[index] = f"was stopped after {self.timeout} seconds"
            full = ("MemoryError" in o.ename or "allocate memory" in o.evalue for o in errors)
            if any(full):
                self.events[index] = "ran out of memory"
                if not cell.metadata.get("nbgrader", {}).get("grade"):
                    raise _Again("ran out of memory")  # what it filled is full for all others

        def process_message(self, message, cell, index):
            kind, content = message["msg_type"], message["content"]
            if kind.startswith("comm") or kind == "update_display_data":
                return None
            if kind == "stream":
                return self._write(cell, index, content["name"], content["text"])
            if kind == "error":
                content["evalue"] = content["evalue"][:2000]
                content["traceback"] = [line[:2000] for line in content["traceback"][-60:]]
            elif kind in ("display_data", "execute_result"):
                self.left -= len(json.dumps(content.get("data", {})))
                if self.left < 0:
                    self.events.setdefault(index, "wrote more than is kept")
                    return None
            return super().process_message(message, cell, index)

        def _write(self, cell, index, name, text):
            """Add to the text that a cell has written, as long as it is not too much."""
            if self.left <= 0:
                return None
            if len(text) > self.left:
                text = text[: self.left] + "\n... the rest is left out ...\n"
                self.events.setdefault(index, "wrote more than is kept")
            self.left -= len(text)
            last = cell.outputs[-1] if cell.outputs else {}
            if last.get("output_type") == "stream" and last.get("name") == name:
                last["text"] += text
                return None
            cell.outputs.append(nbformat.v4.new_output("stream", name=name, text=text))
            return None

    return Runner


if __name__ == "__main__":
    _work()
