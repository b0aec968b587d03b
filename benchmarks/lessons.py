"""What each lesson costs: seconds from the first cell to the last, and the kernel's peak memory."""

import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

LESSONS = Path(__file__).resolve().parent.parent / "lessons"
# Linux counts in KiB, macOS in bytes.
PEAK = """\
import resource, sys
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def cost(path):
    """Run a lesson in a kernel of its own; return its seconds and its peak memory in bytes."""
    notebook = jupytext.read(path)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=180, kernel_name="python3", resources=resources)
    with client.setup_kernel():
        start = time.perf_counter()
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
        seconds = time.perf_counter() - start
    return seconds, int(notebook.cells[-1].outputs[0].text)


def run():
    numbers = {}
    for path in sorted(LESSONS.glob("*.md")):
        seconds, peak = cost(path)
        numbers[f"{path.stem}_seconds"] = round(seconds, 1)
        numbers[f"{path.stem}_peak_gigabytes"] = round(peak / 1e9, 2)
    return numbers
