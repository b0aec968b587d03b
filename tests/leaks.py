"""Looks for what students must not get in all that they get: the notebook and the files beside it.

It reads the text of the source itself, and shares no line with what `sources.leaks` does, so that
a mistake there does not hide itself here.
"""

import io
import json
import re
import zipfile

from course_lib.classroom import sources

# A line or sentence with fewer letters and digits may stand anywhere by chance.
LETTERS = 10
_REGIONS = {
    "solution": re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.S),
    "hidden test": re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS", re.S),
    "mark scheme": re.compile(r"=== BEGIN MARK SCHEME ===\n(.*?)=== END MARK SCHEME ===", re.S),
}


def kept(source):
    """Return (kind, text) of each line, and of prose each sentence, that only instructors have."""
    text = source.path.read_text(encoding="utf-8")
    public = text
    for region in _REGIONS.values():
        public = region.sub("", public)
    public, found = _flat(public), []
    for kind, region in _REGIONS.items():
        for inside in region.findall(text):
            lines = inside.split("\n")
            if kind == "mark scheme":
                lines += re.split(r"(?<=[.?!:])\s+", inside)
            else:  # code alone, and what a comment says
                lines += [part for line in lines for part in line.split("# ")]
            lines = {_flat(line) for line in lines}
            found += [
                (kind, line)
                for line in sorted(lines)
                if len(re.sub(r"[\W_]", "", line)) >= LETTERS and line not in public
            ]
    return found


def numbers(source, secret):
    """Return (name, texts) of what a class draws for the hidden tests, where chance cannot hit."""
    found = []
    for name, value in sources.draw(source, secret).secret.items():
        if isinstance(value, list):
            found.append((name, {repr(value), json.dumps(value), repr(tuple(value))}))
        elif isinstance(value, (int, float)) and len(str(value)) >= 4:
            found.append((name, {str(value)}))
    return found


def _flat(text):
    return " ".join(text.split())


def traces(folder, source, secret):
    """Return, in words, what in a folder for students shows what only instructors may have.

    Searched are names of files and their bytes, unpacked where they are zips (.npz is one); the
    notebook as it stands and as its texts read, one by one and in one line.
    """
    found, texts = [], []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != f"{source.name}.ipynb" and not (source.files and path.suffix == ".npz"):
            found.append(f"the file {name}")
        texts += [(name, name), *((name, text) for text in _texts(path.read_bytes()))]
    secrets, answers = numbers(source, secret), kept(source)
    for name, text in texts:
        flat = _flat(text)
        found += [f"{name}: a {kind}: {line}" for kind, line in answers if line in flat]
        for what, forms in secrets:
            if any(re.search(rf"(?<![\d.]){re.escape(form)}(?![\d.])", flat) for form in forms):
                found.append(f"{name}: the secret {what}")
        for mark in ("BEGIN SOL", "END SOL", "HIDDEN TEST", "MARK SCHEME", "secret.txt"):
            if mark in text:
                found.append(f"{name}: the words {mark}")
    notebook = json.loads((folder / f"{source.name}.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell.get("outputs") or cell.get("execution_count") or cell.get("attachments"):
            found.append(f"outputs of {cell['id']}")
        known = {"cell_type", "checksum", "grade", "grade_id", "locked", "points"}
        known |= {"schema_version", "solution", "task"}
        more = set(cell["metadata"]) - {"nbgrader", "deletable", "editable"}
        more |= set(cell["metadata"].get("nbgrader", {})) - known
        found += [f"the metadata {name} of {cell['id']}" for name in sorted(more)]
    found += [f"the metadata {name}" for name in set(notebook["metadata"]) - _USUAL]
    return list(dict.fromkeys(found))


_USUAL = {"kernelspec", "language_info"}


def _texts(data):
    """Return every text in the bytes of a file: of a zip's members, of a notebook's strings."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [archive.read(name) for name in archive.namelist()]
            names = [*archive.namelist(), archive.comment.decode("latin-1")]
        return names + [text for one in inside for text in _texts(one)]
    text = data.decode("utf-8", "replace")
    try:
        return [text, "\n".join(_strings(json.loads(text)))]
    except ValueError:
        return [text]


def _strings(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from _strings(value)
    elif isinstance(node, list):
        whole = all(isinstance(entry, str) for entry in node)
        yield from ["".join(node)] if whole and node else ()
        for entry in node:
            yield from _strings(entry)
    else:
        yield str(node)
