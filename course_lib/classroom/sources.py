"""The source of an assignment, and what is made of it: release, key and self-study text.

A source is a MyST notebook, ``lessons/assignments/psN_topic.md``, with solutions, tests and hidden
tests marked as nbgrader marks them. Its front matter says what each class draws for itself.
"""

import hashlib
import importlib
import io
import json
import os
import pathlib
import random
import re
import tokenize
from typing import NamedTuple

import jupytext
import nbformat

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "lessons" / "assignments"
POINTS = 20
# Seconds that one cell may take, here and when submissions are graded.
CELL_SECONDS = 60
_KINDS = {"solution": ("BEGIN SOLUTION", "END SOLUTION")}
_KINDS["hidden"] = ("BEGIN HIDDEN TESTS", "END HIDDEN TESTS")
_KINDS["scheme"] = ("BEGIN MARK SCHEME", "END MARK SCHEME")
_RUBRIC = "**Points.**"
# The line with a class's numbers that a test of a release begins with; it calls nothing.
_SETTING = re.compile(r"\Asetting = \{[^()\n]*\}\n")
_FOLD = re.compile(r"^:::+\{dropdown\} *([^\n]*)\n(.*?)\n:::+$", re.M | re.S)
_STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
# As the course's jupytext.toml has it; a copy of the sources elsewhere reads the same.
_AS_WRITTEN = jupytext.config.JupytextConfiguration(
    notebook_metadata_filter="classroom,-jupytext.text_representation.jupytext_version,"
    "-jupytext.text_representation.format_version"
)
# What a student's own cells may never use: the tests' answers, and what makes them.
_ANSWERS = {
    "references": r"\breferences\b",
    "fresh.call": r"\bfresh\.call\b|\bcourse_lib\.fresh\b|\bimport [\w ,]*\bfresh\b",
    "classroom": r"\bclassroom\b",
}


class Source(NamedTuple):
    """An assignment as it was read.

    Attributes
    ----------
    name : str, such as "ps2";  path : pathlib.Path;  notebook : NotebookNode
    title, follows : str;  minutes : int
    setting, secret : dict
        Name to rule: what a class draws, shown to students or for the hidden tests only (`draw`).
    files : str or None
        The dotted name of a function ``(folder, setting, secret)`` that writes the data files.
    own_work : tuple of str
        What a student's solution should not call (`flagged`).
    """

    name: str
    path: pathlib.Path
    notebook: nbformat.NotebookNode
    title: str
    follows: str
    minutes: int
    setting: dict
    secret: dict
    files: str | None
    own_work: tuple

    @property
    def points(self):
        """Grade id to points, in the order of the notebook."""
        graded = (_role(cell) for cell in self.notebook.cells)
        return {role["grade_id"]: role["points"] for role in graded if role.get("grade")}


class Drawn(NamedTuple):
    """What a class has drawn: `setting` is shown to students, `secret` is not."""

    setting: dict
    secret: dict


# ---- reading


def names(folder=None):
    """Return the assignments of a folder, the course's own if None, such as ["ps1", "ps2"]."""
    sources = pathlib.Path(folder or FOLDER).glob("ps*_*.md")
    return sorted(path.stem.split("_")[0] for path in sources)


def find(name, folder=None):
    """Return the path of an assignment's source; ValueError, with those there are, if none."""
    folder = folder or FOLDER
    found = list(pathlib.Path(folder).glob(f"{name}_*.md")) if name in names(folder) else []
    if len(found) != 1:
        known = ", ".join(names(folder)) or "none"
        raise ValueError(f"there is no assignment {name!r} in {folder}; there are: {known}")
    return found[0]


def read(path):
    """Return the `Source` at a path; ValueError with all that is wrong with its form."""
    path = pathlib.Path(path)
    source = _parse(path.stem.split("_")[0], path, path.read_text(encoding="utf-8"))
    if wrong := problems(source):
        raise ValueError(f"{path.name}:\n" + "\n".join(f"- {line}" for line in wrong))
    return source


def _parse(name, path, text):
    notebook = jupytext.reads(text, fmt="md:myst", config=_AS_WRITTEN)
    given = notebook.metadata.get("classroom", {})
    return Source(
        name,
        path,
        notebook,
        str(given.get("title", "")),
        str(given.get("follows", "")),
        given.get("minutes", 0),
        dict(given.get("setting", {})),
        dict(given.get("secret", {})),
        given.get("files"),
        tuple(given.get("own_work", ())),
    )


def _role(cell):
    """Return what nbgrader is told about a cell, an empty dict if nothing."""
    return cell.metadata.get("nbgrader", {})


def _is_test(cell):
    return bool(_role(cell).get("grade") and not _role(cell).get("solution"))


def _is_code(cell):
    return cell.cell_type == "code"


def problems(source):
    """Return what is wrong with the form of a source, in words; an empty list if nothing."""
    cells = source.notebook.cells
    wrong = []
    if not source.title or not isinstance(source.minutes, int) or not 60 <= source.minutes <= 90:
        wrong.append("classroom: needs a title, and minutes from 60 to 90")
    ids = [_role(cell)["grade_id"] for cell in cells if "grade_id" in _role(cell)]
    wrong += [
        f"grade_id {one} is there twice" for one in sorted({i for i in ids if ids.count(i) > 1})
    ]
    wrong += [
        f"grade_id {one} should begin with {source.name}-"
        for one in ids
        if not one.startswith(f"{source.name}-")
    ]
    for cell in cells:
        wrong += _problems_of_cell(cell)
    wrong += _problems_of_setting(source)
    wrong += _problems_of_parts(cells)
    return wrong


def _problems_of_cell(cell):
    role, what = _role(cell), f"cell {_role(cell).get('grade_id', cell.source[:30])!r}"
    lines, wrong = cell.source.split("\n"), []
    count = {}
    for kind, (begin, end) in _KINDS.items():
        marks = [end in line for line in lines if begin in line or end in line]
        count[kind] = len(marks) // 2
        if marks != [False, True] * count[kind]:
            wrong.append(f"{what}: {begin} and {end} do not alternate")
    solution = role.get("solution", False)
    if count["hidden"] and not (_is_test(cell) and _is_code(cell)):
        wrong.append(f"{what}: hidden tests outside a test cell")
    if bool(count["solution"]) != bool(solution and _is_code(cell)):
        wrong.append(f"{what}: a solution belongs into a solution cell, and each has one")
    if bool(count["scheme"]) != bool(solution and not _is_code(cell)):
        wrong.append(f"{what}: a mark scheme belongs into a written answer, and each has one")
    if count["scheme"] and (not role.get("grade") or f"\n{_RUBRIC}\n" not in cell.source):
        wrong.append(f"{what}: a written answer is graded, and its rubric begins with {_RUBRIC}")
    if role and role.get("schema_version") != 3:
        wrong.append(f"{what}: schema_version must be 3")
    if role.get("grade") and not role.get("points", 0) > 0:
        wrong.append(f"{what}: a graded cell needs points")
    if _is_test(cell):
        if not re.match(r"import |from ", cell.source):
            wrong.append(f"{what}: a test begins with its own imports, which students may shadow")
        if "secret[" in _without(cell.source, "hidden"):
            wrong.append(f"{what}: secret is used outside the hidden tests")
    if not _is_code(cell):
        odd = set(re.findall(r"^[`:]{3,}\{(\w+)\}", cell.source, re.M)) - {"div", "dropdown"}
        odd |= set(re.findall(r"\{([\w:]+)\}`", cell.source)) - {"eq"}
        wrong += [f"{what}: {{{name}}} would stand raw in a student's notebook" for name in odd]
        if any("$" in fold for _, fold in _FOLD.findall(cell.source)):
            wrong.append(f"{what}: a formula in a hint would stand raw in JupyterLab")
    return wrong


def _problems_of_setting(source):
    cells = [c for c in source.notebook.cells if "setting" in c.metadata.get("tags", [])]
    if len(cells) != 1 or not _role(cells[0]).get("locked"):
        return ["one locked cell must be tagged setting"]
    try:
        expected = _setting_cell(draw(source).setting)
    except ValueError as error:
        return [str(error)]
    if cells[0].source != expected:
        return [f"the setting cell must hold the published values:\n{expected}"]
    return []


def _problems_of_parts(cells):
    """Compare the points that headings promise with those of the cells below them."""
    wrong, stated, given, last, total = [], None, 0, "", 0
    end = nbformat.v4.new_markdown_cell("## end")
    for cell in [*cells, end]:
        if not _is_code(cell):
            for heading in re.findall(r"^## (.*)$", cell.source, re.M):
                if stated is not None and stated != given:
                    wrong.append(f"{last!r} promises {stated} points; its cells give {given}")
                found = re.search(r"^Part \d+: .*\((\d+) points?\)$", heading)
                stated, given, last = (int(found[1]) if found else 0), 0, heading
        points = _role(cell).get("points", 0) if _role(cell).get("grade") else 0
        given, total = given + points, total + points
    if total != POINTS:
        wrong.append(f"the points add up to {total}, not to {POINTS}")
    text = "\n".join(cell.source for cell in cells if not _is_code(cell))
    parts = re.findall(r"^## Part (\d+): ", text, re.M)
    if parts != [str(k) for k in range(1, len(parts) + 1)] or not 5 <= len(parts) <= 7:
        wrong.append("5 to 7 parts, numbered from 1, must be headed '## Part 1: ... (3 points)'")
    _, _, talk = text.partition("\n## Three questions for a conversation\n")
    if len(re.findall(r"^\d\. ", talk, re.M)) != 3 or "\n## " in talk:
        wrong.append("the last section must be 'Three questions for a conversation', with three")
    return wrong


# ---- what a class draws


def draw(source, secret=""):
    """Return the `Drawn` values of a class: a function of the secret, the assignment and the name.

    The empty secret gives the published values. A rule is ``[low, high]``, a whole number between,
    both included; ``{choice: [...]}``, one of them; ``{different: [low, high], count: n}``, n
    different whole numbers, with ``apart: r`` each at least r times the one beside it, or less by
    that factor, and not all rising or falling; ``{each: [[low, high], ...]}``, a list of one whole
    number from each; ``{sample: [...], count: n}``, n of them in any order; or
    ``{uniform: [low, high], digits: n}``. ValueError names a rule that is none of these.
    """

    def values(kind, rules):
        return {name: _value(rule, f"{source.name} {kind} {name}") for name, rule in rules.items()}

    def _value(rule, what):
        text = json.dumps([secret, what]).encode()
        generator = random.Random(int.from_bytes(hashlib.sha256(text).digest(), "big"))
        try:
            return _follow(rule, generator)
        except (TypeError, ValueError, KeyError, IndexError):
            raise ValueError(f"{what}: {rule!r} is no rule for a value to draw") from None

    return Drawn(values("setting", source.setting), values("secret", source.secret))


def _follow(rule, generator):
    # Only `random` is used: Python promises the same numbers of it in every version.
    def below(n):
        return int(generator.random() * n)

    def sample(values, count):
        values = list(values)
        return [values.pop(below(len(values))) for _ in range(count)]

    if isinstance(rule, list):
        low, high = rule
        return low + sample(range(high - low + 1), 1)[0]
    if "choice" in rule:
        return sample(rule["choice"], 1)[0]
    if "different" in rule:
        low, high = rule["different"]
        for _ in range(10_000 if "apart" in rule else 1):
            found = sample(range(low, high + 1), rule["count"])
            if "apart" not in rule or _apart(found, rule["apart"]):
                return found
        raise ValueError
    if "each" in rule:
        return [_follow([low, high], generator) for low, high in rule["each"]]
    if "sample" in rule:
        return sample(rule["sample"], rule["count"])
    low, high = rule["uniform"]
    return round(low + (high - low) * generator.random(), rule["digits"])


def _apart(values, factor):
    """Say whether neighbours differ by a factor at least, and the values go up and down."""
    steps = [b / a for a, b in zip(values, values[1:], strict=False)]
    far = all(max(step, 1 / step) >= factor for step in steps)
    return far and min(steps) < 1 < max(steps)


def _setting_cell(values):
    lines = "".join(f"    {json.dumps(name)}: {value!r},\n" for name, value in values.items())
    return f"setting = {{\n{lines}}}"


def tidy(path):
    """Write a source as jupytext writes it, with the published values in its setting cell."""
    path = pathlib.Path(path)
    source = _parse(path.stem.split("_")[0], path, path.read_text(encoding="utf-8"))
    for cell in source.notebook.cells:
        if "setting" in cell.metadata.get("tags", []):
            cell.source = _setting_cell(draw(source).setting)
    text = jupytext.writes(source.notebook, fmt="md:myst", config=_AS_WRITTEN)
    path.write_text(text, encoding="utf-8")


# ---- the notebooks


def drawn(source, secret=""):
    """Return the notebook of a class, with solutions and hidden tests: what nbgrader starts from.

    The setting is the class's, at the start of every test too, where no student can have changed
    it; hidden tests get the secret values. All metadata but nbgrader's is gone, and the prose is
    plain Markdown.
    """
    values = draw(source, secret)
    notebook = nbformat.v4.new_notebook(metadata=_metadata(source))
    for number, cell in enumerate(source.notebook.cells):
        role, tags = _role(cell), cell.metadata.get("tags", [])
        text = cell.source if _is_code(cell) else plain(cell.source)
        if "setting" in tags:
            text = _setting_cell(values.setting)
        if _is_test(cell) and _is_code(cell):
            if re.search(r"\bsetting\b", _without(text, "hidden")):
                text = f"setting = {values.setting!r}\n{text}"
            text = _with_secret(text, values)
        make = nbformat.v4.new_code_cell if _is_code(cell) else nbformat.v4.new_markdown_cell
        metadata = {"nbgrader": {**role, "cell_type": cell.cell_type}} if role else {}
        name = role.get("grade_id", f"{source.name}-cell-{number}")
        notebook.cells.append(make(text, id=name, metadata=metadata))
    return notebook


def _metadata(source):
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"kernelspec": kernel, "language_info": {"name": "python"}}


def _with_secret(text, values):
    lines = []
    for line in text.split("\n"):
        lines.append(line)
        if _KINDS["hidden"][0] in line:
            lines.append(f"setting, secret = {values.setting!r}, {values.secret!r}")
    return "\n".join(lines)


def plain(text):
    """Return Markdown that every notebook shows: folds as HTML, no roles, no links to pages."""
    text = re.sub(r"\{eq\}`eq-(\d+)`", r"(\1)", text)
    text = re.sub(r"\[([^\]]+)\]\(\.\.?/[^)]*\)", r"\1", text)
    text = re.sub(r"^:::+\{div\}[^\n]*\n(.*?)^:::+$", r"\1", text, flags=re.M | re.S)
    # Not every style sheet keeps the triangle that says that it opens.
    return _FOLD.sub(r"<details><summary>\1 (open)</summary>\n\n\2\n\n</details>", text)


def release(source, secret=""):
    """Return the notebook that students get, made by nbgrader's own steps; checked for leaks.

    Raises
    ------
    ValueError
        If something that only the instructor may see is left in it.
    """
    from nbgrader import preprocessors as steps

    notebook = drawn(source, secret)
    for step in (
        steps.LockCells,
        steps.ClearSolutions,
        steps.ClearOutput,
        steps.CheckCellMetadata,
        steps.ComputeChecksums,
        steps.ClearHiddenTests,
        steps.ComputeChecksums,
        steps.CheckCellMetadata,
    ):
        notebook, _ = step().preprocess(notebook, {})
    refuse_leaks(source, notebook, secret)
    return notebook


def key(source, secret="", folder=None):
    """Return the notebook of a class with solutions and hidden tests, executed.

    It runs in `folder`, where the assignment's files lie, or in an empty one. ValueError names the
    cell that fails.
    """
    import tempfile

    import nbclient
    from jupyter_client.manager import AsyncKernelManager

    notebook = drawn(source, secret)
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as sockets:
        # Sockets in a folder of ours, where there are such: nobody else on the machine can listen.
        private = {"transport": "ipc", "ip": f"{sockets}/kernel"} if os.name == "posix" else {}
        if folder is None:
            write_files(source, empty, secret)
        client = nbclient.NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            km=AsyncKernelManager(kernel_name="python3", **private),
            resources={"metadata": {"path": str(folder or empty)}},
        )
        client.owns_km = True  # or the kernel runs on, and complains when this process has ended
        try:
            client.execute()
        except nbclient.exceptions.CellExecutionError as error:
            said = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip()
            raise ValueError(f"{source.path.name}, solved, fails: {said}") from None
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran
    return notebook


def write_files(source, folder, secret=""):
    """Write the data files of an assignment for a class; return whether it has any."""
    if not source.files:
        return False
    module, _, function = source.files.rpartition(".")
    getattr(importlib.import_module(module), function)(pathlib.Path(folder), *draw(source, secret))
    return True


# ---- what must not get out


def leaks(source, notebook, secret=""):
    """Return, in words, what a notebook for students shows of what only instructors may see.

    Lines of solutions, hidden tests and mark schemes are looked for in all that the notebook holds,
    cells, metadata and outputs; lines that the assignment shows by itself do not count.
    """
    shown, kept = [], set()
    for cell in drawn(source, secret).cells:
        visible = cell.source
        for kind in _KINDS:
            visible = _without(visible, kind)
        shown += _lines(visible)
        kept |= set(_lines(cell.source))
    public = "\n".join(shown)
    text = "\n".join(_texts(notebook))
    lines, flat = set(_lines(text)), " ".join(text.split())
    found = [
        f"a line of a solution or hidden test: {line}"
        for line in sorted(kept)
        if line not in public and (line in lines or (len(line) >= 15 and line in flat))
    ]
    marks = [mark for pair in _KINDS.values() for mark in pair]
    found += [f"the marker {mark}" for mark in marks if mark in text]
    for name, value in draw(source, secret).secret.items():
        if any(re.search(rf"(?<![\w.]){re.escape(one)}(?![\w.])", text) for one in _telling(value)):
            found.append(f"the secret {name}")
    for cell in notebook.cells:
        if cell.get("outputs"):
            found.append(f"outputs of cell {cell.source[:30]!r}")
        odd = set(cell.metadata) - {"nbgrader", "deletable", "editable"}
        found += [f"the metadata {name} of a cell" for name in sorted(odd)]
    odd = set(notebook.metadata) - {"kernelspec", "language_info"}
    return found + [f"the metadata {name} of the notebook" for name in sorted(odd)]


def refuse_leaks(source, notebook, secret=""):
    """Raise ValueError if a notebook for students leaks something."""
    if found := leaks(source, notebook, secret):
        raise ValueError(f"the release of {source.name} shows " + "; ".join(found))


def _telling(value):
    """Return the texts of a secret value that nobody would write by chance."""
    if isinstance(value, list):
        return [repr(value)]
    return [repr(value)] if isinstance(value, (int, float)) and len(repr(value)) >= 4 else []


def _lines(text):
    """Return the lines of a text that say something, without their space."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return [line for line in lines if len(re.sub(r"\W", "", line)) >= 3]


def _texts(node):
    """Return every text in a notebook: keys, sources, metadata, outputs."""
    if isinstance(node, dict):
        return [*map(str, node), *(text for value in node.values() for text in _texts(value))]
    if isinstance(node, list):
        return [text for value in node for text in _texts(value)]
    return [str(node)]


def _without(text, kind):
    """Return a cell's text without its regions of a kind."""
    begin, end = _KINDS[kind]
    return re.sub(rf"^[^\n]*{begin}.*?{end}[^\n]*\n?", "", text, flags=re.M | re.S)


def flagged(source, notebook):
    """Return what a submission calls that it should have written itself, a line for each cell.

    Looks at every code cell that is not restored from the source when it is graded, nor a copy of
    such a cell; the mark cannot tell, so that the instructor is told.
    """
    cells = {_role(cell)["grade_id"]: cell for cell in source.notebook.cells if _role(cell)}
    locked = [c for c in source.notebook.cells if _is_code(c) and not _role(c).get("solution")]
    restored = {_without(cell.source, "hidden").strip() for cell in locked}
    modules, shown = _makers(source)
    found = []
    for cell in notebook.cells:
        own = cells.get(_role(cell).get("grade_id"))
        tags = own.metadata.get("tags", []) if own else []
        if not _is_code(cell) or (own and not _role(own).get("solution")):
            continue
        if _SETTING.sub("", cell.source).strip() in restored:
            continue
        code = _code(cell.source)
        words = [word for word, pattern in _ANSWERS.items() if re.search(pattern, code)][:1]
        uses = [] if words else [use for use in _uses(modules, code) if use not in shown]
        if "library-allowed" not in tags:
            words += [word for word in source.own_work if _stands(word, code)]
        words += [use for use in uses if not use.startswith(tuple(words))]
        name = _role(cell).get("grade_id", f"cell {cell.source[:30]!r}")
        found += [f"{name} uses {word}" for word in dict.fromkeys(words)]
    return found


def _stands(word, code):
    start = r"(?<!\w)" if re.match(r"\w", word) else ""  # .backward( follows a name
    return re.search(start + re.escape(word), code)


def _makers(source):
    """Return the names under which a notebook has modules of the classroom, and what it shows.

    The latter are the uses of these modules, such as "ps2.example", in what students are given,
    tests left out: those are for everyone.
    """
    codes = [_code(_without(c.source, "hidden")) for c in source.notebook.cells if _is_code(c)]
    taken = re.findall(
        r"from course_lib\.classroom\S* import (\w+(?: as \w+)?(?: , \w+)*)", "\n".join(codes)
    )
    modules = {name.split(" as ")[-1] for names in taken for name in names.split(" , ")}
    given = [cell for cell in source.notebook.cells if not _is_test(cell)]
    text = "\n".join(_without(_without(cell.source, "solution"), "scheme") for cell in given)
    return modules, {use for use in _uses(modules, text) if "." in use}


def _uses(modules, code):
    """Return how code uses modules: "ps2.example", or "ps2" where it stands alone."""
    names = "|".join(map(re.escape, sorted(modules)))
    return re.findall(rf"(?<![\w.])(?:{names})\b(?:\.\w+)?", code) if modules else []


def _code(text):
    """Return code without its comments and strings; the text as it is where it is no Python."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return text
    kept = (t.string for t in tokens if t.type not in (tokenize.COMMENT, tokenize.STRING))
    return re.sub(r" ?([.(]) ?", r"\1", " ".join(kept))


# ---- learning alone


def self_study(text, name="ps"):
    """Return the page of the book for those who learn alone, from the text of a source.

    Stubs are shown, solutions folded and executed; visible tests run against the solutions. Hidden
    tests, rubrics and all metadata are gone; model answers are folded.
    """
    source = _parse(name, pathlib.Path(name), text)
    page = nbformat.v4.new_notebook(metadata=_metadata(source))
    waiting = []  # a solution stands below the hints that follow its stub
    for number, cell in enumerate(source.notebook.cells):
        if not _is_code(cell):
            text = _model_answer(cell.source)
            page.cells.append(_markdown(text if number else _with_note(text)))
            continue
        page.cells += waiting
        waiting = []
        if _role(cell).get("solution"):
            page.cells.append(_markdown(f"```python\n{_stub(cell.source)}\n```"))
            folded = {"tags": ["hide-input"], "mystnb": {"code_prompt_show": "Show a solution"}}
            solution = re.sub(r"^.*(?:BEGIN|END) SOLUTION.*\n?", "", cell.source, flags=re.M)
            waiting = [nbformat.v4.new_code_cell(solution.strip("\n"), metadata=folded)]
        else:
            page.cells.append(nbformat.v4.new_code_cell(_without(cell.source, "hidden").rstrip()))
    page.cells += waiting
    return jupytext.writes(page, fmt="md:myst")


_ALONE = """:::{note}
This is the version for those who learn alone. Write each part yourself before you open its
solution; the cell below it then shows what the test says of a right one. The numbers are the
published ones: a class that is graded draws its own, and its tests have more cases than are shown.
For a notebook with stubs and numbers of your own, `hard-to-train assign init mine`, and then
`hard-to-train assign release NAME --course mine` with the assignment's name.
:::"""


def _with_note(text):
    """Put the note for those who learn alone below the facts of the header, or at the end."""
    facts = re.search(r"^:::\{div\}.*?^:::$", text, re.M | re.S)
    end = facts.end() if facts else len(text)
    return f"{text[:end]}\n\n{_ALONE}{text[end:]}"


def _markdown(text):
    return nbformat.v4.new_markdown_cell(text)


def _stub(text):
    """Return a solution cell as students get it."""

    def stub(match):
        indent = re.match(r" *", match[0])[0]
        return "\n".join(indent + line for line in _STUB.split("\n"))

    begin, end = _KINDS["solution"]
    return re.sub(rf"^[^\n]*{begin}.*?{end}[^\n]*$", stub, text, flags=re.M | re.S)


def _model_answer(text):
    """Return a written answer with its rubric gone and the model answer folded."""
    begin, end = _KINDS["scheme"]

    def fold(match):
        answer = match[1].split(_RUBRIC)[0].strip()
        answer = answer.removeprefix("**A model answer.**").strip()
        return f":::{{dropdown}} A model answer\n{answer}\n:::"

    return re.sub(rf"^[^\n]*{begin}[^\n]*\n(.*?)^[^\n]*{end}[^\n]*$", fold, text, flags=re.M | re.S)
