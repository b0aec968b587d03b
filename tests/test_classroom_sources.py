"""A source's form is checked, a class draws its own values, and no product shows too much."""

import importlib
import re
import subprocess
import sys
import textwrap

import jupytext
import nbformat
import pytest
import yaml

from course_lib.classroom import sources

NAMES = sources.names()
SMALL = '''---
classroom:
  title: Small
  minutes: 60
  setting: {width: [20, 60], kind: {choice: [tanh, softsign]}}
  secret: {seed: [10000, 99999], sizes: {different: [3, 9], count: 4}}
  own_work: [torch.nn, autograd]
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Small

As Eq. {eq}`eq-2` says in [lesson 1](../01_build_it_by_hand.md).

```{code-cell} ipython3
---
nbgrader: {grade: false, grade_id: ps9-setting, locked: true, schema_version: 3, solution: false}
tags: [setting]
---
setting = {}
```

## Part 1: one (4 points)

```{code-cell} ipython3
---
nbgrader: {grade: false, grade_id: ps9-add, locked: false, schema_version: 3, solution: true}
---
def add(a, b):
    """Return the sum."""
    ### BEGIN SOLUTION
    total_of_both = a + b
    return total_of_both
    ### END SOLUTION
```

:::{dropdown} Hint 1
Add the x.
:::

```{code-cell} ipython3
---
nbgrader: {grade: true, grade_id: ps9-add-test, locked: true, points: 4, schema_version: 3,
  solution: false}
---
from math import isclose

assert add(setting["width"], 1) == setting["width"] + 1
### BEGIN HIDDEN TESTS
assert isclose(add(secret["seed"], -1), secret["seed"] - 1)
### END HIDDEN TESTS
```

## Part 2: two (4 points)

Say why.

+++ {WRITTEN}

=== BEGIN MARK SCHEME ===

**A model answer.** Addition commutes because counting does.

**Points.**

- 4 points: counting is named.

=== END MARK SCHEME ===

+++

## Part 3: three (4 points)
'''
WRITTEN = """{"nbgrader": {"grade": true, "grade_id": "ps9-why", "locked": false, "points": 4,
 "schema_version": 3, "solution": true}}"""
SMALL = SMALL.replace("{WRITTEN}", WRITTEN.replace("\n", ""))
for number in (3, 4, 5):
    SMALL += f'''
```{{code-cell}} ipython3
---
nbgrader: {{grade: true, grade_id: ps9-{number}-test, locked: true, points: 4, schema_version: 3,
  solution: false}}
---
import math
```

## {f"Part {number + 1}: more (4 points)" if number < 5 else "Three questions for a conversation"}
'''  # fmt: skip
SMALL += "\n1. Why?\n2. How?\n3. What for?\n"


@pytest.fixture
def small(tmp_path):
    """The path of a small assignment whose form is right."""
    path = tmp_path / "ps9_small.md"
    path.write_text(SMALL)
    sources.tidy(path)
    return path


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


# ---- reading


def test_assignments_are_found_by_name(small):
    assert sources.find("ps9", small.parent) == small
    assert sources.names(small.parent) == ["ps9"]
    with pytest.raises(ValueError, match="no assignment 'ps8'.*there are: ps9"):
        sources.find("ps8", small.parent)


@pytest.mark.parametrize("name", NAMES)
def test_every_source_reads_and_is_written_as_jupytext_writes_it(name, tmp_path):
    path = sources.find(name)
    source = sources.read(path)
    assert sum(source.points.values()) == 20 and re.fullmatch(r"ps\d_[a-z_0-9]+", path.stem)
    copied = tmp_path / path.name
    copied.write_text(path.read_text())
    sources.tidy(copied)
    assert copied.read_text() == path.read_text(), "run sources.tidy"


@pytest.mark.parametrize("name", NAMES)
def test_saving_a_source_in_jupyter_keeps_what_a_class_draws(name):
    """By the settings of the course's own jupytext.toml."""
    path = sources.find(name)
    config = jupytext.config.load_jupytext_config(path)
    notebook = jupytext.reads(path.read_text(), fmt="md:myst", config=config)
    assert jupytext.writes(notebook, fmt="md:myst", config=config) == path.read_text()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("minutes: 60", "minutes: 200", "minutes from 60 to 90"),
        ("grade_id: ps9-add\n", "grade_id: ps9-setting\n", "ps9-setting is there twice"),
        ("ps9-add-test", "add-test", "should begin with ps9-"),
        ("points: 4", "points: 3", "add up to"),
        ("one (4 points)", "one (5 points)", "promises 5 points; its cells give 4"),
        ("## Part 2: two", "## Part 7: two", "numbered from 1"),
        ("3. What for?\n", "", "with three"),
        ("### END SOLUTION\n", "", "do not alternate"),
        ("    ### BEGIN SOLUTION\n", "", "do not alternate"),
        ("### END HIDDEN TESTS\n", "", "do not alternate"),
        ("(setting[", "(secret[", "secret is used outside"),
        ("from math import isclose\n\n", "", "its own imports"),
        ("tags: [setting]\n", "", "must be tagged setting"),
        ('setting = {\n', 'setting = {\n    "more": 3,\n', "the published values"),
        ("width: [20, 60]", "width: [20]", "no rule"),
        ("width: [20, 60]", "width: {different: [2, 3], count: 2, apart: 2}", "no rule"),
        ("**Points.**", "Points", "its rubric begins with"),
        ("schema_version: 3", "schema_version: 2", "schema_version must be 3"),
        (":::{dropdown} Hint 1", ":::{tip} Hint 1", "{tip} would stand raw"),
        ("{eq}`eq-2`", "{cite:t}`a`", "{cite:t} would stand raw"),
        ("Add the x.", "Add the $x$.", "a formula in a hint"),
    ],
)  # fmt: skip
def test_problems_of_form_are_named(small, old, new, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        sources.read(edited(small, old, new))


def test_a_solution_stands_in_a_solution_cell_and_hidden_tests_in_a_test(small):
    text = small.read_text()
    small.write_text(text.replace("    ### BEGIN SOLUTION", "    ### BEGIN HIDDEN TESTS").replace(
        "    ### END SOLUTION", "    ### END HIDDEN TESTS"))  # fmt: skip
    with pytest.raises(ValueError) as error:
        sources.read(small)
    assert "hidden tests outside a test cell" in str(error.value)
    assert "a solution belongs into a solution cell, and each has one" in str(error.value)


# ---- what a class draws


def test_the_same_secret_draws_the_same_and_another_one_draws_others(small):
    source = sources.read(small)
    draws = [sources.draw(source, secret) for secret in ("", "a", "a", "b", "c")]
    assert draws[1] == draws[2]
    assert len({str(drawn) for drawn in draws}) == 4
    for drawn in draws:
        assert 20 <= drawn.setting["width"] <= 60 and drawn.setting["kind"] in ("tanh", "softsign")
        assert len(set(drawn.secret["sizes"])) == 4 and set(drawn.secret["sizes"]) <= {
            *range(3, 10)
        }


def test_what_is_drawn_never_changes(small):
    """A class is released in one term and graded with another version of Python."""
    drawn = sources.draw(sources.read(small), "a class")
    assert drawn.setting == {"width": 45, "kind": "tanh"}
    assert drawn.secret == {"seed": 34432, "sizes": [5, 7, 6, 4]}


def test_every_value_of_a_rule_is_drawn():
    rules = {
        "[1, 3]": {1, 2, 3},
        "{choice: [a, b]}": {"a", "b"},
        "{sample: [a, b], count: 2}": {"['a', 'b']", "['b', 'a']"},
        "{different: [1, 2], count: 2}": {"[1, 2]", "[2, 1]"},
        "{different: [1, 3], count: 3, apart: 1.6}": {"[2, 1, 3]", "[3, 1, 2]"},
        "{each: [[5, 5], [1, 2]]}": {"[5, 1]", "[5, 2]"},
        "{uniform: [0, 0.2], digits: 1}": {0.0, 0.1, 0.2},
    }
    for rule, possible in rules.items():
        source = sources.Source(
            "ps9", None, None, "", "", 60, {"x": yaml.safe_load(rule)}, {}, None, ()
        )
        drawn = [sources.draw(source, str(k)).setting["x"] for k in range(100)]
        assert {str(x) if isinstance(x, list) else x for x in drawn} == possible, rule


# ---- the release


def test_release_has_stubs_visible_tests_and_the_class_s_setting(small):
    source = sources.read(small)
    notebook = sources.release(source, "a class")
    nbformat.validate(notebook)
    cells = {cell.id: cell for cell in notebook.cells}
    width = sources.draw(source, "a class").setting["width"]
    assert f'"width": {width}' in cells["ps9-setting"].source
    stub = "# YOUR CODE HERE\n    raise NotImplementedError()"
    assert cells["ps9-add"].source.endswith(f'"""Return the sum."""\n    {stub}')
    assert cells["ps9-add-test"].source.startswith(f"setting = {{'width': {width}, ")
    assert 'setting["width"] + 1' in cells["ps9-add-test"].source
    assert cells["ps9-why"].source == "YOUR ANSWER HERE"
    assert cells["ps9-setting"].metadata.editable is False
    assert cells["ps9-add-test"].metadata.deletable is False
    assert cells["ps9-add"].metadata.nbgrader.checksum
    assert notebook == sources.release(source, "a class"), "the same bytes each time"


def test_prose_is_plain_markdown(small):
    text = "\n".join(cell.source for cell in sources.release(sources.read(small)).cells)
    assert "As Eq. (2) says in lesson 1." in text
    assert "<details><summary>Hint 1 (open)</summary>\n\nAdd the x.\n\n</details>" in text
    assert ":::" not in text and "{eq}" not in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("secret", ["", "a class"])
def test_no_release_leaks(name, secret):
    """`release` itself refuses to leak; here its result is searched once more, by hand."""
    source = sources.read(sources.find(name))
    text = nbformat.writes(sources.release(source, secret))
    for word in ("BEGIN SOLUTION", "HIDDEN TESTS", "MARK SCHEME", "model answer", "secret"):
        assert word not in text
    answers = 2 if name == "ps6" else 1  # its design is stated in words, too
    assert text.count("YOUR CODE HERE") >= 4 and text.count("YOUR ANSWER HERE") == answers


@pytest.mark.parametrize(
    "place", ["source", "comment", "output", "metadata", "notebook", "markdown"]
)
@pytest.mark.parametrize(
    "leak",
    ["total_of_both = a + b", 'assert isclose(add(secret["seed"], -1), secret["seed"] - 1)',
     "**A model answer.** Addition commutes because counting does.",
     "- 4 points: counting is named.",
     "SEED", "### BEGIN SOLUTION"],
)  # fmt: skip
def test_a_planted_leak_is_found(small, place, leak):
    source = sources.read(small)
    notebook = sources.release(source, "a class")
    assert sources.leaks(source, notebook, "a class") == []
    if leak == "SEED":
        leak = f"try {sources.draw(source, 'a class').secret['seed']} first"
    cells = {cell.id: cell for cell in notebook.cells}
    if place == "source":
        cells["ps9-add"].source += f"\n{leak}"
    elif place == "comment":
        cells["ps9-add"].source += f"\nx = 3  # for example: {leak}"
    elif place == "output":
        cells["ps9-add"].outputs = [nbformat.v4.new_output("stream", text=leak)]
    elif place == "metadata":
        cells["ps9-add"].metadata.nbgrader["hint"] = leak
    elif place == "notebook":
        notebook.metadata["note"] = {"deep": [leak]}
    else:
        cells["ps9-why"].source += f"\n\n{leak}"
    found = sources.leaks(source, notebook, "a class")
    kinds = {"total": "a line of", "asser": "a line of", "**A m": "a line of", "- 4 p": "a line of",
             "try 1": "the secret seed", "### B": "the marker"}  # fmt: skip
    expected = next((k for start, k in kinds.items() if leak.startswith(start)), "the secret seed")
    assert any(line.startswith(expected) for line in found), found
    with pytest.raises(ValueError, match="the release of ps9 shows"):
        sources.refuse_leaks(source, notebook, "a class")


def test_outputs_and_foreign_metadata_are_leaks(small):
    source = sources.read(small)
    notebook = sources.release(source)
    notebook.metadata["classroom"] = {}
    notebook.cells[1].metadata["tags"] = ["setting"]
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="3")]
    assert len(sources.leaks(source, notebook)) == 3


# ---- the key


def test_key_runs_the_solutions_through_all_tests(small):
    source = sources.read(small)
    notebook = sources.key(source, "a class")
    cells = {cell.id: cell for cell in notebook.cells}
    assert "total_of_both" in cells["ps9-add"].source
    assert "secret" in cells["ps9-add-test"].source
    assert all(c.execution_count for c in notebook.cells if c.cell_type == "code")


@pytest.mark.parametrize("right", [True, False])
def test_the_kernel_of_the_key_ends_with_it_and_says_nothing(small, right):
    """One that is left behind writes a warning, about its parent, when the process has ended."""
    source = sources.read(small if right else edited(small, "= a + b", "= a + abs(b)"))
    code = (
        "import pathlib, sys\n"
        "from course_lib.classroom import crowd, sources\n"
        "source = sources.read(pathlib.Path(sys.argv[1]))\n"
        "try:\n    sources.key(source, 'a class')\n"
        "except ValueError:\n    print('fails')\n"
        "print(crowd.descendants())"
    )
    given = [sys.executable, "-c", code, str(source.path)]
    ran = subprocess.run(given, capture_output=True, text=True, check=True)
    assert ran.stdout == ("" if right else "fails\n") + "[]\n"
    assert "exited" not in ran.stderr


def test_a_wrong_solution_is_found_by_its_hidden_test(small):
    wrong = edited(small, "total_of_both = a + b", "total_of_both = a + abs(b)")
    with pytest.raises(ValueError, match=r"solved, fails[\s\S]*> 7 assert isclose"):
        sources.key(sources.read(wrong), "a class")


def test_files_of_an_assignment_are_written_from_what_is_drawn(small, tmp_path, monkeypatch):
    def write(folder, setting, secret):
        (folder / "data.txt").write_text(f"{setting['width']} {secret['seed']}")

    monkeypatch.setattr(sources, "tests_write", write, raising=False)
    assert not sources.write_files(sources.read(small), tmp_path)
    path = edited(
        small, "  minutes: 60", "  minutes: 60\n  files: course_lib.classroom.sources.tests_write"
    )
    source = sources.read(path)
    assert sources.write_files(source, tmp_path, "a class")
    drawn = sources.draw(source, "a class")
    text = (tmp_path / "data.txt").read_text()
    assert text == f"{drawn.setting['width']} {drawn.secret['seed']}"


# ---- what a submission calls


def test_what_is_flagged_is_code_not_words(small):
    source = sources.read(small)
    notebook = sources.release(source)
    cells = {cell.id: cell for cell in notebook.cells}
    cells["ps9-add"].source = '# autograd does it too\n"""torch.nn"""\nmy_autograd = 1'
    assert sources.flagged(source, notebook) == []
    cells["ps9-add"].source = "import torch . nn as t"
    notebook.cells.append(nbformat.v4.new_code_cell("from torch import autograd"))
    assert sources.flagged(source, notebook) == [
        "ps9-add uses torch.nn",
        "cell 'from torch import autograd' uses autograd",
    ]
    cells["ps9-add"].source = "torch.nn is not (Python"
    assert sources.flagged(source, notebook)[0] == "ps9-add uses torch.nn"


@pytest.mark.parametrize("name", sources.names())
def test_copies_of_what_was_given_are_not_flagged(name):
    source = sources.read(sources.find(name))
    notebook = sources.release(source, "a class")
    copies = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    for cell in copies:
        notebook.cells.append(nbformat.v4.new_code_cell(cell.source))
    assert sources.flagged(source, notebook) == []
    stolen = f"setting = vars({name})\n" + copies[0].source.partition("\n")[2]
    notebook.cells.append(nbformat.v4.new_code_cell(stolen))
    assert sources.flagged(source, notebook) != []


@pytest.mark.parametrize("name", sources.names())
def test_what_makes_the_answers_is_flagged_in_every_assignment(name):
    """What a release itself shows, such as the example of a network, is for everyone."""
    source = sources.read(sources.find(name))

    def found(code):
        notebook = sources.release(source, "a class")
        notebook.cells.append(nbformat.v4.new_code_cell(code))
        return [line.partition(" uses ")[2] for line in sources.flagged(source, notebook)]

    module = importlib.import_module(f"course_lib.classroom.references.{name}")
    asked = [
        word
        for cell in source.notebook.cells
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code"
        for word in re.findall(r"^def (\w+)", cell.source, re.M)
    ]
    asked = [word for word in asked if hasattr(module, word)]
    assert asked
    for word in asked:
        (said,) = found(f"mine = {name}.{word}")
        assert f"{name}.{word}".startswith(said) and said.startswith(f"{name}.")
    assert found(f"theirs = {name}\nmine = vars(theirs)['{asked[0]}']") == [name]
    assert found(f"from course_lib.classroom.references.{name} import *") == ["references"]
    assert found("import course_lib.classroom as rooms") == ["classroom"]
    for code in ("from course_lib.fresh import call", "from course_lib import plots, fresh as f"):
        assert found(code) == ["fresh.call"]
    assert found(f"# {name}.{asked[0]}\nfresh_start, {name}x = 1, 2") == []
    assert found(f"print('{name}.{asked[0]}')") == []


# ---- learning alone


def test_self_study_folds_solutions_and_hides_what_is_for_instructors(small):
    page = sources.self_study(small.read_text())
    for word in (
        "HIDDEN",
        "secret",
        "nbgrader",
        "ps9-",
        "MARK SCHEME",
        "4 points: counting",
        "classroom",
    ):
        assert word not in page, word
    assert "    # YOUR CODE HERE\n    raise NotImplementedError()\n```" in page
    order = ("This is the version", "raise NotImplementedError", "Hint 1", "tags: [hide-input]")
    assert sorted(order, key=page.index) == list(order)
    assert "code_prompt_show: Show a solution" in page and "    total_of_both = a + b\n" in page
    assert ":::{dropdown} A model answer\nAddition commutes because counting does.\n:::" in page
    assert 'assert add(setting["width"], 1)' in page and "{eq}`eq-2`" in page
    notebook = jupytext.reads(page, fmt="md:myst")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_self_study_page_shows_no_hidden_test(name):
    source = sources.read(sources.find(name))
    page = sources.self_study(source.path.read_text(), name)
    for word in ("HIDDEN", "BEGIN SOLUTION", "secret[", "nbgrader", "MARK SCHEME", "**Points.**"):
        assert word not in page
    hidden = set()
    for cell in source.notebook.cells:
        for region in re.findall(r"BEGIN HIDDEN TESTS\n(.*?)\n### END", cell.source, re.S):
            hidden |= {line.strip() for line in textwrap.dedent(region).split("\n")}
    assert not [line for line in hidden if "secret" in line and line in page]
