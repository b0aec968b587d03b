"""How a student's notebook is run: in a process of its own that sees, and may use, only little.

Where the system allows it (Linux with user namespaces), the process has no network, a temporary
folder in memory, no privileges, and the folders named as hidden are empty for it; its descendants
end with it. Everywhere else it still has limits, a bare environment and an empty folder.

On Linux the processes that a notebook starts are counted (`crowd`), and too many are ended; where
the kernel can, from 5.14 on and for users other than root, it refuses them itself. Other systems
have only their own limit for each user.
"""

import base64
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

from course_lib.classroom import crowd

LIBRARY = pathlib.Path(__file__).resolve().parents[2]
# How often a notebook is run again without the cell that took its kernel down.
RESTARTS = 3
# What a whole answer may weigh, in bytes.
_ANSWER = 64 << 20
# Seconds for what is not the notebook: starting the process and a kernel, on a busy machine.
_START = 120


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


class Ran(NamedTuple):
    """A notebook with its outputs, and what befell it: a list of (index of the cell, words)."""

    notebook: dict
    events: list


class Sandbox:
    """Runs notebooks, each in a process of its own; a context manager, usable by several threads.

    Parameters
    ----------
    hidden : sequence of path-like
        Folders that no notebook may see. What Python itself needs of them stays.
    limits : Limits
    """

    def __init__(self, hidden=(), limits=None):
        self.limits = limits or Limits()
        self._base = tempfile.TemporaryDirectory(prefix="htt-")
        self._hidden = [path for folder in hidden for path in _hideable(folder, self._base.name)]
        self._running, self._lock, self._closed = set(), threading.Lock(), False
        self.isolation = next(kind for kind in ("full", "network", "none") if self._works(kind))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @property
    def described(self):
        """What the system allows, in words for the instructor."""
        return {
            "full": "without network, gradebook and other submissions",
            "network": "without network, in an empty folder",
            "none": "in an empty folder; this system cannot take the network away",
        }[self.isolation]

    def _command(self, kind, program):
        """Return the command that runs a program, a list of words, isolated in a way."""
        if kind == "none":
            return program
        unshare = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork"]
        unshare += ["--kill-child", "--mount-proc"]  # the last makes a mount namespace, too
        steps = []
        if kind == "full":
            steps = [f"mount -t tmpfs -o size=512m,mode=700 tmpfs {shlex.quote(self._base.name)}"]
            for path in self._hidden:
                there = shlex.quote(str(path))
                steps.append(
                    f"mount -t tmpfs -o ro,size=4k tmpfs {there}"
                    if path.is_dir()
                    else f"mount --bind /dev/null {there}"
                )
        bare = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        words = [*(bare if shutil.which("setpriv") else []), *program]
        # The shell stays: a kernel whose parent has number 1 takes itself for an orphan.
        script = " && ".join(["cd /", *steps, shlex.join(words)]) + "; exit $?"
        return [*unshare, "sh", "-c", script]

    def _works(self, kind):
        if kind == "none":
            return True
        try:
            given = {"capture_output": True, "timeout": 30, "check": False}
            return subprocess.run(self._command(kind, ["true"]), **given).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def run(self, notebook, files=None):
        """Execute a notebook, in a folder with copies of the files; return what `Ran`.

        Cells that could not be run, or took too long, end with an error among their outputs, so
        that no test passes for want of running.

        Parameters
        ----------
        notebook : NotebookNode, of format 4
        files : dict of relative name to bytes, optional

        Raises
        ------
        RuntimeError
            If the process died or gave no answer.
        Interrupted
            If the sandbox was closed meanwhile.
        """
        folder = tempfile.mktemp(dir=self._base.name, prefix="")  # the process itself makes it
        task = {
            "notebook": notebook,
            "files": {k: base64.b64encode(v).decode() for k, v in (files or {}).items()},
            "folder": folder,
            "limits": self.limits._asdict(),
            "enclosed": self.isolation != "none",
        }
        program = [sys.executable, "-P", "-m", "course_lib.classroom.sandbox"]
        with self._lock:
            if self._closed:
                raise Interrupted
            process = subprocess.Popen(
                self._command(self.isolation, program),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(folder),
                cwd=self._base.name,
                start_new_session=True,  # Ctrl-C is for the grading, which then ends this
            )
            self._running.add(process)
        giving_up = threading.Timer(self.limits.total + _START, process.kill)
        giving_up.start()
        try:
            with contextlib.suppress(OSError):
                process.stdin.write(json.dumps(task).encode() + b"\n")
                process.stdin.flush()  # it stays open: its end is this process's
            answer = process.stdout.read(_ANSWER + 1)
        finally:
            giving_up.cancel()
            with self._lock:
                self._running.discard(process)
            _end(process)
            process.stdout.close()
            shutil.rmtree(folder, ignore_errors=True)
        if self._closed:
            raise Interrupted
        return _ran(notebook, answer)

    def close(self):
        """End what is running, and start nothing more."""
        with self._lock:
            self._closed, running = True, list(self._running)
        for process in running:
            _end(process)
        with contextlib.suppress(OSError):
            self._base.cleanup()


class Interrupted(Exception):
    """The sandbox was closed while a notebook was running in it."""


def _end(process):
    """End a process, and what it started, in a moment."""
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _hideable(folder, base):
    """Return a folder, or what is in it but what Python and the sandbox need."""
    folder = pathlib.Path(folder).resolve()
    needed = [LIBRARY, sys.prefix, sys.base_prefix, sys.executable, base, *filter(None, sys.path)]
    needed = [pathlib.Path(path).resolve() for path in needed]
    if not folder.is_dir():
        return []
    if not any(_within(part, folder) for part in needed):
        return [folder]
    return [p for p in folder.iterdir() if not any(_within(part, p) for part in needed)]


def _within(path, folder):
    return path == folder or folder in path.parents


def environment(folder):
    """Return the few environment variables of a student's process."""
    kept = {k: os.environ[k] for k in ("SYSTEMROOT", "LANG", "LC_ALL") if k in os.environ}
    here = str(pathlib.Path(sys.executable).parent)
    places = ("HOME", "TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR")
    places += ("JUPYTER_CONFIG_DIR", "MPLCONFIGDIR", "TEMP", "TMP", "TORCHINDUCTOR_CACHE_DIR")
    return (
        kept
        | {name: f"{folder}/own" for name in places}
        | {
            "PATH": os.pathsep.join([here, "/usr/bin", "/bin"]),
            "PYTHONPATH": str(LIBRARY),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONSAFEPATH": "1",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "NBGRADER_EXECUTION": "autograde",
        }
    )


def _ran(notebook, answer):
    """Put the outputs of an answer, which nobody need trust, into a copy of the notebook."""
    import nbformat

    if len(answer) > _ANSWER:
        raise RuntimeError("its outputs are too large")
    try:
        found = json.loads(answer)
    except ValueError:
        raise RuntimeError("its process was ended, or died without an answer") from None
    if "error" in found:
        raise RuntimeError(found["error"])
    made = nbformat.from_dict(json.loads(json.dumps(notebook)))
    for cell, outputs in zip(made.cells, found["outputs"], strict=True):
        if cell.cell_type == "code":
            cell.outputs = [nbformat.from_dict(output) for output in outputs]
    try:
        nbformat.validate(made)
    except nbformat.ValidationError as error:
        line = str(error).strip().splitlines()[0]
        raise RuntimeError(f"its outputs are no notebook's: {line}") from None
    return Ran(made, [(int(index), str(words)) for index, words in found["events"]])


# ---- in the process


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
        "RLIMIT_CPU": limits.total + _START,
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
