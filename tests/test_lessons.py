"""Each lesson has the parts, the size and the manners agreed on, and ran to its end.

The second run of its cells, which shows that results repeat, is nbval's: `make test` hands pytest
the executed notebooks in _build/nbval.
"""

import ast
import json
import os
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from tools import book

ROOT = Path(__file__).resolve().parent.parent
NAMES = book.lessons(ROOT)
SOURCES = {name: (ROOT / "lessons" / f"{name}.md").read_text() for name in NAMES}
EXECUTED = ROOT / "_build" / "nbval"

each_lesson = pytest.mark.parametrize("name", NAMES)
after_the_book = pytest.mark.skipif(
    "BOOK_STATUS" not in os.environ, reason="`make test` runs the lessons; here only the tests run"
)


def code_cells(name):
    """Return the sources of a lesson's code cells."""
    cells = jupytext.reads(SOURCES[name], fmt="md:myst").cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def facts(text):
    """Return what a lesson's header promises: reading minutes, running seconds, gigabytes."""
    reading = re.search(r"\*\*Reading\*\*\D*(\d+) minutes", text)
    running = re.search(r"\*\*Running\*\* under (\d+) seconds and ([\d.]+) GB on two cores", text)
    if not reading or not running:
        raise ValueError("no reading time, running time and memory in the header")
    return int(reading[1]), float(running[1]), float(running[2])


# ---- which lessons there are


def test_lessons_stand_in_order_and_all_in_the_table_of_contents():
    assert NAMES == sorted(p.stem for p in (ROOT / "lessons").glob("*.md"))
    assert NAMES[0] == "00_start_here"
    assert all(re.fullmatch(r"\d\d_[a-z]+(_[a-z0-9]+)+", name) for name in NAMES)


@after_the_book
def test_every_lesson_was_run_again(notebooks_collected):
    """Collecting nothing would pass as well, so the notebooks are counted."""
    assert notebooks_collected == set(NAMES)


# ---- the source


@each_lesson
def test_header_is_one_of_a_notebook_without_a_pairing_of_its_own(name):
    header = SOURCES[name].split("---")[1]
    assert "format_name: myst" in header and "name: python3" in header
    assert "formats" not in header, "the pairing is in jupytext.toml"


@each_lesson
def test_lesson_is_written_as_jupytext_writes_it(name):
    """Then saving it in JupyterLab changes only what was edited; `make notebooks` does that too."""
    paired = jupytext.config.load_jupytext_config(ROOT / "lessons" / f"{name}.md")
    notebook = jupytext.reads(SOURCES[name], fmt="md:myst", config=paired)
    assert jupytext.writes(notebook, fmt="md:myst", config=paired) == SOURCES[name]


@each_lesson
def test_header_says_how_long_it_takes(name):
    minutes, seconds, gigabytes = facts(SOURCES[name])
    assert 5 <= minutes <= 90
    assert 0 < seconds <= 60 and 0 < gigabytes <= 1


def test_facts_need_all_three_numbers():
    line = "- **Reading** 15 minutes\n- **Running** under 30 seconds and 1 GB on two cores"
    assert facts(line) == (15, 30, 1)
    for lost in ("15 minutes", "30 seconds", "1 GB"):
        with pytest.raises(ValueError, match="header"):
            facts(line.replace(lost, "some"))


@each_lesson
def test_measured_cost_is_within_what_the_header_says(name):
    """As recorded by `make bench`: seconds and the kernel's peak memory."""
    recorded = json.loads((ROOT / "benchmarks" / "results" / "lessons.json").read_text())["results"]
    _, seconds, gigabytes = facts(SOURCES[name])
    assert recorded[f"{name}_seconds"] <= seconds
    assert recorded[f"{name}_peak_gigabytes"] <= gigabytes


@each_lesson
def test_size(name):
    """450 lines and some 25 code cells at most; a cell that a screen holds."""
    cells = code_cells(name)
    assert len(SOURCES[name].splitlines()) <= 450
    assert 3 <= len(cells) <= 28
    longest = max(cells, key=lambda source: len(source.splitlines()))
    assert len(longest.splitlines()) <= 18, longest


@each_lesson
def test_lines_of_code_are_as_short_as_the_librarys(name):
    """100 columns where a reader sees the code, 120 where it is folded; no limit where removed."""
    for cell in jupytext.reads(SOURCES[name], fmt="md:myst").cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and "remove-cell" not in tags:
            limit = 120 if "hide-input" in tags else 100
            long = [line for line in cell.source.splitlines() if len(line) > limit]
            assert not long, "\n".join(long)


@each_lesson
def test_parts(name):
    text = SOURCES[name]
    headings = re.findall(r"^## (.+)$", text, flags=re.M)
    for part in ("Compared with the paper", "Exercises", "In practice", "Further reading"):
        assert part in headings
    assert len(re.findall(r"^# ", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)) == 1
    assert "What you will do" in text and "What you will learn" in text and "What you need" in text
    assert text.count(":class: prediction") >= 3
    assert text.count("{exercise}") >= 2
    labels = set(re.findall(r"\{exercise\}\n:label: (\S+)", text))
    solved = set(re.findall(r"\{solution(?:-start)?\} (\S+)", text))
    assert labels and labels == solved, "every exercise has a solution"


@each_lesson
def test_equations_are_labelled_on_their_own_page_only(name):
    """Lessons repeat an equation with an unlabelled tag, so that each number exists once."""
    assert "\\label{" not in SOURCES[name] and not re.search(r"\$\$ *\(", SOURCES[name])
    assert not re.search(r"^:label: eq-", SOURCES[name], flags=re.M)


# What would make the book depend on the machine: the network, or a folder of data.
NOT_IN_LESSONS = {"datasets", "pooch", "requests", "urllib", "urllib3", "http", "socket", "shutil"}


def outside(source):
    """Return the imports of a lesson's code that reach the network or a data folder."""
    parts = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            parts.update(part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            parts.update((node.module or "").split("."))
            parts.update(alias.name for alias in node.names)
    return parts & NOT_IN_LESSONS


@each_lesson
def test_lesson_needs_neither_network_nor_data(name):
    source = "\n".join(code_cells(name))
    assert not outside(source)
    assert "COURSE_DATA" not in source and "://" not in source
    assert not re.search(r"^\s*[%!]", source, flags=re.M), "no magics, no shell"


def test_outside_imports_are_found():
    assert outside("from course_lib import datasets, init") == {"datasets"}
    assert outside("import course_lib.datasets as d\nfrom urllib.request import urlopen") == {
        "datasets",
        "urllib",
    }
    assert not outside("from course_lib import shapeset")


@each_lesson
def test_figures_go_through_plots_show(name):
    source = "\n".join(code_cells(name))
    assert "plt.show" not in source and "savefig" not in source
    assert source.count("plots.figure(") <= source.count("plots.show(")


@each_lesson
def test_some_outputs_are_compared_with_the_second_run(name):
    assert "nbval-check-output" in SOURCES[name]


# ---- what came of it


def outputs(name):
    notebook = nbformat.read(EXECUTED / f"{name}.ipynb", as_version=4)
    return [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]


@after_the_book
@each_lesson
def test_lesson_ran_without_an_error(name):
    assert outputs(name)
    assert [out for out in outputs(name) if out.output_type == "error"] == []


def nameless(html):
    """Return the opening tags of the pictures in a piece of HTML that have no sentence as name."""
    bad = []
    for tag in re.findall(r"<(?:svg|img|canvas)\b[^>]*>", html):
        name = re.search(r'(?:aria-label|alt)="([^"]*)"', tag)
        if not (name and len(name[1].split()) >= 5):
            bad.append(tag)
        elif tag.startswith("<svg") and 'role="img"' not in tag:
            bad.append(tag)
    return bad


@after_the_book
@each_lesson
def test_every_picture_has_a_sentence_as_its_name(name):
    pictures = 0
    for out in outputs(name):
        data = out.get("data", {})
        assert not any(kind.startswith("image/") for kind in data), "a figure not shown by plots"
        html = "".join(data.get("text/html", ""))
        assert nameless(html) == []
        pictures += html.count("<svg")
    assert pictures >= 1


def test_nameless_pictures_are_found():
    sentence = "Test error falls from 83 to 70 percent"
    assert nameless(f'<svg role="img" aria-label="{sentence}" width="3"><g/></svg>') == []
    assert len(nameless(f'<svg aria-label="{sentence}">')) == 1
    assert len(nameless('<img src="a.png"><svg role="img" aria-label="a plot">')) == 2
