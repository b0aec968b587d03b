"""Students' notebooks of every kind, made from a release, with what each of them earns and why.

What is expected is written down part by part, as points lost of those that the release states, so
that no mark is copied from a run.
"""

import copy
import json
import pathlib
import re
from typing import NamedTuple

import nbformat
import test_assignment_ps2 as ps2_answers

from course_lib.classroom import sources
from course_lib.classroom.references import ps2

SOURCE = sources.read(sources.find("ps2"))
WRITTEN = "Anna sums where she should average; Ben's step from layer two down is wrong."
# All that a page of feedback must not let live; the address is one that nobody has.
HOSTILE = """<script>alert("answer")</script> <img src=x onerror=alert(1)>
[click](javascript:alert(2)) ![far](https://example.org/spy.png)"""
DISPLAYS = """from IPython.display import HTML, Javascript, display
display(HTML("<script>alert(3)</script><img src='https://example.org/spy.png'>"
             "<svg onload='alert(4)'><image href='https://example.org/spy.svg'/></svg>"))
display(Javascript("alert(5)"))
"""


class Animal(NamedTuple):
    """A student's file, what it loses, and what the instructor is told.

    Attributes
    ----------
    content : NotebookNode, bytes, or None where nothing is handed in
    lost : dict, number of a part to the points lost there;  None if it cannot be graded
    words : list of str, of the lines about it
    name : str, of the file
    """

    content: object
    lost: dict | None
    words: list = []
    name: str = "ps2.ipynb"


def stated(release):
    """Return number of a part to the points that its heading promises, as students read them."""
    text = "\n".join(cell.source for cell in release.cells if cell.cell_type == "markdown")
    found = re.findall(r"^## Part (\d): .*\((\d+) points?\)$", text, re.M)
    return {int(number): int(points) for number, points in found}


def by_part(release, marks):
    """Return number of a part to the sum of its marks, from a dict of grade id to points."""
    found, part = {}, 0
    for cell in release.cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^## Part (\d): ", cell.source, re.M)
            part = int(headings[-1]) if headings else part
        if cell.id in marks:
            found[part] = found.get(part, 0) + marks[cell.id]
    return found


def solved(stub, instead=(), without=(), source=SOURCE, written=WRITTEN):
    """Return a release with solutions and written answers in it, but for some cells."""
    notebook = copy.deepcopy(stub)
    answers = {}
    for cell in sources.drawn(source).cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            lines = (line for line in cell.source.split("\n") if " SOLUTION" not in line)
            answers[cell.id] = "\n".join(lines) if cell.cell_type == "code" else written
    answers |= dict(instead)
    assert set(answers) <= {cell.id for cell in notebook.cells}
    for cell in notebook.cells:
        if cell.id in answers and cell.id not in without:
            cell.source = answers[cell.id]
    return notebook


def changed(stub, cell, good, bad):
    """Return a release, solved but for one mistake."""
    notebook = solved(stub)
    (own,) = (one for one in notebook.cells if one.id == cell)
    assert good in own.source
    own.source = own.source.replace(good, bad)
    return notebook


def _hard_coded(made):
    """The answer to the visible test of part 1, stored."""
    net = ps2.example(sources.draw(SOURCE, made.secret).setting)
    stored = ps2.output_delta(net.logits, net.labels).tolist()
    return {
        "ps2-output-delta": f"def output_delta(logits, labels):\n    return torch.tensor({stored})",
        **ps2_answers.ALONE,
    }


def _another_tool(notebook):
    """Return a notebook as a tool writes it that knows neither nbgrader nor ids of cells."""
    made = copy.deepcopy(notebook)
    made.nbformat_minor, made.metadata = 4, {"colab": {"name": "ps2"}}
    for cell in made.cells:
        cell.metadata = {"id": "x7f"}
        del cell["id"]
    return made


def _without_tests(stub):
    notebook = solved(stub)
    notebook.cells = [cell for cell in notebook.cells if not cell.id.endswith("-test")]
    return notebook


def _twice(stub):
    """Cells copied, as by a slip in the menu, and metadata that makes no sense."""
    notebook = solved(stub)
    notebook.cells += [copy.deepcopy(cell) for cell in notebook.cells[2:14]]
    for number, cell in enumerate(notebook.cells[len(stub.cells) :]):
        cell.id = f"copy-{number}"
    notebook.cells[4].metadata["nbgrader"] = {"grade_id": "ps2-output-delta", "points": "many"}
    return notebook


def _loose(stub):
    """Tests replaced by ones that always pass, for 100 points each."""
    notebook = solved(stub)
    for cell in notebook.cells:
        if cell.id.endswith("-test"):
            cell.source, cell.metadata["nbgrader"]["points"] = "1", 100
    return notebook


def _pries(made):
    return (
        "import os, pathlib\n"
        f"places = {[str(made.folder), str(made.sources)]!r}\n"
        "print([p.name for place in places for p in pathlib.Path(place).rglob('*')],\n"
        "      [text for text in _ih if 'HIDDEN TESTS' in text and 'places' not in text])\n"
        "open(places[0] + '/gradebook.db').read()"
    )


def zoo(made, stub, seconds):
    """Return name to `Animal`, for ps2 as a class has it, where a cell may take some seconds."""
    evaluations = "sizes = setting['sizes']\nevaluations = 2 * sum((n + 1) * m for n, m in "
    evaluations += "zip(sizes, sizes[1:]))\n"

    def with_(code, before="", **named):
        return solved(stub, {"ps2-evaluations": before + evaluations + code}, **named)

    endless = "def numerical_gradient(cost, w, h):\n    while True:\n        cost(w)"
    machine = {part: points for part, points in stated(stub).items() if part != 7}
    return {
        "perfect": Animal(solved(stub), {}),
        "blank": Animal(stub, machine),
        "otherwise": Animal(solved(stub, ps2_answers.OTHERWISE), {}),
        # Part 1 has 3 points; its hidden tests have other logits than those that were stored.
        "hard-coded": Animal(
            solved(stub, _hard_coded(made)), {1: 3}, ["ps2-together stops with RuntimeError"]
        ),
        # 2 points are for dC/dW; dC/db is right, and of squares the sum is the same.
        "transposed": Animal(
            changed(stub, "ps2-weight-gradients", "z.T @ delta", "delta.T @ z"),
            {3: 2},
            ["ps2-together stops with RuntimeError"],
        ),
        # All of part 2, and the number of part 6 that this student takes from their own functions.
        "equal-sizes-only": Animal(
            changed(stub, "ps2-step-back", "weight.T", "weight"),
            {2: 3, 6: 1},
            ["ps2-together stops with RuntimeError"],
        ),
        # Part 5, and the cell without points that calls the function, too.
        "loop": Animal(
            solved(stub, {"ps2-numerical": endless}),
            {5: 2},
            [f"ps2-together was stopped after {seconds} seconds"],
        ),
        "hog": Animal(
            with_("", "held = [bytes(200 << 20) for _ in range(9999)]\n"),
            {6: 1},
            ["ps2-evaluations ran out of memory"],
        ),
        "exits": Animal(
            with_("", "import os\nos._exit(0)\n"), {6: 1}, ["ps2-evaluations ended its kernel"]
        ),
        # The function of part 1 is not there, nor what this student computes with it in part 6.
        "import": Animal(
            changed(stub, "ps2-output-delta", "def ", "import tensorflaw\ndef "),
            {1: 3, 6: 1},
            ["ps2-output-delta stops with ModuleNotFoundError: No module named 'tensorflaw'"],
        ),
        "no-tests": Animal(
            _without_tests(stub), {}, ["missing, and put back: ps2-output-delta-test, "]
        ),
        "twice": Animal(_twice(stub), {}, ["there more than once: ps2-start, ps2-output-delta, "]),
        "loose": Animal(_loose(stub), {}, ["changed, and restored: ps2-output-delta-test, "]),
        "renamed": Animal(solved(stub), {}, name="Kopie von Übung (1).ipynb"),
        "other-tool": Animal(_another_tool(solved(stub)), {}, ["marks were lost, and found"]),
        "prints": Animal(
            with_(DISPLAYS + "for _ in range(20_000): print('megabytes ' * 100)", written=HOSTILE),
            {},
            ["ps2-evaluations wrote more than is kept"],
        ),
        "pries": Animal(
            with_(_pries(made)), {}, ["flagged: ps2-evaluations looks around: HIDDEN TESTS, _ih"]
        ),
        "library": Animal(
            changed(stub, "ps2-weight-gradients", "def ", "from course_lib import backprop\ndef "),
            {},
            ["flagged: ps2-weight-gradients uses backprop"],
        ),
        "empty": Animal(b"", None, ["ps2.ipynb is an empty file"]),
        "pdf": Animal(b"%PDF-1.7\n\xff\xfe", None, ["ps2.ipynb is not a notebook"]),
        "scan": Animal(
            b"%PDF-1.7\n\xff\xfe", None, ["my_answers.pdf is not a notebook"], "my_answers.pdf"
        ),
        "other": Animal(
            nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]),
            None,
            ["holds no cell of ps2: is it another assignment's?"],
        ),
        "absent": Animal(None, None, ["nothing submitted"]),
    }


def data(content):
    """Return what is in the file of a notebook, or of whatever was handed in as one."""
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def hand_in(made, student, content, name="ps2"):
    """Put a notebook where `collect` would, without a time."""
    folder = pathlib.Path(made.folder) / "submitted" / student / name
    folder.mkdir(parents=True)
    (folder / f"{name}.ipynb").write_bytes(data(content))
