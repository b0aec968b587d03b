"""What building the book costs: from nothing, and again when nothing has changed.

The build goes on in a copy of the course in a temporary folder, so that the reader's own book and
its cache are left alone. Lessons run in processes of their own, so processor seconds are those of
all children.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = (".*", "_build", "notebooks", "__pycache__", "*.egg-info")
BUILD = [sys.executable, "-m", "tools.book", "build"]


def cost(command, folder):
    """Run a command in a folder; return its seconds, and the processor seconds of all it started.

    Raises
    ------
    RuntimeError
        If it fails; the message ends with what it printed.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"the book could not be built:\n{done.stdout[-2000:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, used


def run(root=ROOT, command=BUILD):
    """Seconds and processor seconds of a build from nothing, and of one without a change."""
    numbers = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "course"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        for what in ("from nothing", "unchanged"):
            took, used = cost(command, copy)
            numbers[f"{what}: seconds"] = round(took, 1)
            numbers[f"{what}: processor seconds"] = round(used, 1)
    return numbers
