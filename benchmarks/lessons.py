"""What each lesson costs: processor seconds of its cells, and the peak memory of its kernel.

Processor seconds, because on a shared machine waiting for a turn is not part of the work. With one
thread they are what the lesson takes on a quiet machine.
"""

from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

LESSONS = Path(__file__).resolve().parent.parent / "lessons"
# What getrusage calls the peak holds that of the process which started the kernel, too. Linux has
# the kernel's own; macOS, which has not, counts in bytes.
COST = """\
import pathlib, re, resource
used, status = resource.getrusage(resource.RUSAGE_SELF), pathlib.Path("/proc/self/status")
own = re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text() if status.exists() else "")
print(used.ru_utime + used.ru_stime, int(own[1]) * 1024 if own else used.ru_maxrss)
"""


def cost(path):
    """Run a lesson in a kernel of its own; return its seconds and its peak memory in bytes."""
    notebook = jupytext.read(path)
    notebook.cells.append(nbformat.v4.new_code_cell(COST))
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    seconds, peak = notebook.cells[-1].outputs[0].text.split()
    return float(seconds), int(peak)


def run():
    numbers = {}
    for path in sorted(LESSONS.glob("*.md")):
        seconds, peak = cost(path)
        numbers[f"{path.stem}_seconds"] = round(seconds, 1)
        numbers[f"{path.stem}_peak_gigabytes"] = round(peak / 1e9, 2)
    return numbers
