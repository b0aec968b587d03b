"""The notebook of a submission, found among its files and put in order before it is run.

Students rename files, delete and copy cells, and use tools that drop what nbgrader has written into
a notebook. A submission is refused only where nothing of the release is to be found in it.
"""

import difflib
import json
from typing import NamedTuple

import nbformat

# Bytes of a file that may be a notebook.
SIZE = 50 << 20


class Unusable(ValueError):
    """A submission that cannot be graded; the text says why."""


class Mended(NamedTuple):
    """A submission with the cells of the release in it, how many it had, and what was done."""

    notebook: dict
    recognised: int
    changed: int
    lines: list


def choose(folder, name, released):
    """Return the notebook of a submission, `Mended`; of several, the one with most work in it.

    Raises `Unusable`, with the cause, if there is none.
    """
    files = [path for path in files_in(folder) if path.name != "timestamp.txt"]
    if not files:
        raise Unusable("nothing was handed in: the folder is empty")
    notebooks = [path for path in files if ".ipynb" in path.name.lower()]
    found, causes = [], []
    for path in notebooks or files:
        try:
            mended = mend(_read(path), released)
            found.append((mended.recognised, mended.changed, path.name == f"{name}.ipynb", path))
        except Unusable as error:
            causes.append(f"{path.name} {error}")
    if not found:
        raise Unusable("; ".join(causes))
    *_, path = max(found, key=lambda one: one[:3])
    mended = mend(_read(path), released)
    if not mended.recognised:
        raise Unusable(f"{path.name} holds no cell of {name}: is it another assignment's?")
    lines = causes
    if path.name != f"{name}.ipynb":
        lines = [*lines, f"handed in as {path.name}, recognised by its cells"]
    others = [other.relative_to(folder).as_posix() for other in files if other != path]
    if others:
        lines = [*lines, f"not used: {', '.join(others[:5])}"]
    return mended._replace(lines=[*lines, *mended.lines])


def _read(path):
    """Return the cells of a file, dicts with type, source, id and metadata; `Unusable` if none."""
    if path.stat().st_size > SIZE:
        raise Unusable(f"is larger than {SIZE >> 20} MB")
    data = path.read_bytes()
    if not data.strip():
        raise Unusable("is an empty file")
    try:
        raw = json.loads(data.decode("utf-8-sig"))
        if raw.get("nbformat", 4) < 4:
            raw = nbformat.convert(nbformat.from_dict(raw), 4)
        cells = raw["cells"]
        return [_plain(cell) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unusable("is not a notebook") from None


def _plain(cell):
    text = cell.get("source", "")
    text = "".join(text) if isinstance(text, list) else str(text)
    metadata = cell.get("metadata")
    role = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    given = role.get("grade_id") if isinstance(role, dict) else None
    kind = cell.get("cell_type")
    return {
        "kind": kind if kind in ("code", "markdown", "raw") else "raw",
        "source": text,
        "ids": [one for one in (given, cell.get("id")) if isinstance(one, str)],
        "marked": isinstance(given, str),
        "attachments": _attached(cell.get("attachments")),
    }


def _attached(given):
    """Return what is well formed of a cell's attachments: name to kind to base64."""
    made = {}
    for name, kinds in given.items() if isinstance(given, dict) else ():
        own = kinds if isinstance(kinds, dict) else {}
        made[name] = {kind: data for kind, data in own.items() if isinstance(data, str)}
    return {name: kinds for name, kinds in made.items() if kinds}


def role(cell):
    """Return what nbgrader is told about a cell, an empty dict if nothing."""
    return cell.metadata.get("nbgrader", {})


def _text(source):
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def mend(cells, released):
    """Return a notebook made of a submission's cells, with all the release's cells known again.

    A cell is recognised by its grade id, else by its own id, its text or its place. Of copies, the
    last is taken; of a written answer, the last that was written in. Tests, locked cells and
    written answers that are missing are put back.
    """
    known = {role(cell)["grade_id"]: at for at, cell in enumerate(released.cells) if role(cell)}
    place = {}  # of a cell of the release: the submission's cells, one or more
    taken = set()
    for at, cell in enumerate(cells):
        if cell["marked"] and cell["ids"] and cell["ids"][0] in known:
            place.setdefault(known[cell["ids"][0]], []).append(at)
            taken.add(at)
    marked = set(place)
    _recognise(cells, released, place, taken)
    lines = []
    if guessed := [at for at in set(place) - marked if role(released.cells[at])]:
        lines.append(f"nbgrader's marks were lost, and found again: {_names(released, guessed)}")
    if copies := [at for at, several in place.items() if len(several) > 1]:
        lines.append(f"there more than once: {_names(released, copies)}")
    one = {at: _best(several, cells, released.cells[at]) for at, several in place.items()}
    back = {there: at for at, there in one.items() if role(released.cells[at])}
    made, changed, wrong = [], 0, []
    for at, cell in enumerate(cells):
        if at not in back:
            made.append((None, _own(cell, at)))
            continue
        its = nbformat.from_dict(json.loads(json.dumps(released.cells[back[at]])))
        same = _text(cell["source"]) == _text(its.source)
        if role(its).get("solution"):
            its.source, changed = cell["source"], changed + (not same)
            if its.cell_type == "markdown" and cell["attachments"]:
                its.attachments = nbformat.from_dict(cell["attachments"])
        elif not same:
            wrong.append(back[at])
        made.append((back[at], its))
    if wrong:
        lines.append(f"changed, and restored: {_names(released, wrong)}")
    lines += _put_back(made, released, one, known)
    notebook = nbformat.v4.new_notebook(cells=[cell for _, cell in made])
    notebook.metadata = nbformat.from_dict(json.loads(json.dumps(released.metadata)))
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise Unusable(f"is not a notebook: {str(error).splitlines()[0][:100]}") from None
    return Mended(notebook, sum(at in one for at in known.values()), changed, lines)


def _names(released, places):
    return ", ".join(role(released.cells[at])["grade_id"] for at in sorted(places))


def _own(cell, at):
    """Return a cell that the student added."""
    kinds = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    made = kinds.get(cell["kind"], nbformat.v4.new_raw_cell)(cell["source"], id=f"own-{at}")
    if cell["kind"] == "markdown" and cell["attachments"]:
        made.attachments = nbformat.from_dict(cell["attachments"])
    return made


def _best(several, cells, its):
    """Return which of several copies of a cell counts."""
    if its.cell_type == "markdown":
        written = [at for at in several if _text(cells[at]["source"]) != _text(its.source)]
        several = written or several
    return several[-1]


def _recognise(cells, released, place, taken):
    """Find the cells of the release that have lost nbgrader's mark: by id, by text, by place."""

    def take(at, there):
        place[at] = [there]
        taken.add(there)

    for how in ("id", "text"):
        for at, its in enumerate(released.cells):
            if at in place:
                continue
            for there, cell in enumerate(cells):
                same = (
                    cell["ids"][-1:] == [its.id] and cell["kind"] == its.cell_type
                    if how == "id"
                    else _text(cell["source"]) == _text(its.source)
                )
                if there not in taken and same:
                    take(at, there)
                    break
    for at, its in enumerate(released.cells):
        if at in place or not place or not role(its):
            continue
        low = max((place[k][-1] for k in place if k < at), default=-1)
        high = min((place[k][0] for k in place if k > at), default=len(cells))
        free = [
            there
            for there in range(low + 1, high)
            if there not in taken and cells[there]["kind"] == its.cell_type
        ]
        test = not role(its).get("solution")
        if test:  # a test is restored anyway: only what resembles one is taken for it
            free = [there for there in free if _alike(cells[there]["source"], its.source)]
        if free:
            take(at, max(free, key=lambda there: len(cells[there]["source"])))


def _alike(one, other):
    return difflib.SequenceMatcher(None, one[:2000], other[:2000]).ratio() > 0.6


def _put_back(made, released, one, known):
    """Put missing cells of the release where they belong, in `made`; say which."""
    lines, restored = [], []
    plain = {there: at for at, there in one.items() if not role(released.cells[at])}
    where = [at if at is not None else plain.get(k) for k, (at, _) in enumerate(made)]
    for name, at in known.items():
        its = released.cells[at]
        if at in one:
            continue
        if its.cell_type == "code" and role(its).get("solution"):
            lines.append(f"{name} is missing")  # its code may stand in another cell
            continue
        later = [k for k, there in enumerate(where) if there is not None and there > at]
        before = [k for k, there in enumerate(where) if there is not None and there < at]
        spot = before[-1] + 1 if before else 0
        if later and later[0] >= spot:
            spot = later[0]
        made.insert(spot, (at, nbformat.from_dict(json.loads(json.dumps(its)))))
        where.insert(spot, at)
        restored.append(at)
    if restored:
        lines.append(f"missing, and put back: {_names(released, restored)}")
    return lines


def files_in(folder):
    """Return the files of a submission, in an order; links are nobody's files."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    ]
