"""How a student's notebook is run: in a process of its own that sees, and may use, only little.

Where the system allows it (Linux with user namespaces), the process has no network, a temporary
folder in memory, no privileges, and the folders named as hidden are empty for it; its descendants
end with it. Everywhere else it still has limits, a bare environment and an empty folder.
"""

import base64
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from typing import NamedTuple

from course_lib.classroom import worker
from course_lib.classroom.worker import Limits

LIBRARY = pathlib.Path(__file__).resolve().parents[2]
# What a whole answer may weigh, in bytes.
_ANSWER = 64 << 20


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
        program = [sys.executable, "-P", "-m", "course_lib.classroom.worker"]
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
        giving_up = threading.Timer(self.limits.total + worker.START, process.kill)
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
