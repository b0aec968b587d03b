"""What students get, searched for what they must not: in every assignment, for two classes."""

import functools
import json
import shutil

import leaks
import nbformat
import pytest

from course_lib.classroom import sources

SECRETS = {"published": "", "drawn": "a class whose release is searched"}
NAMES = sources.names()


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Write a release with its files, once, as students get it; return its folder and source."""

    @functools.cache
    def write(name, which):
        folder, source = tmp_path_factory.mktemp(name), sources.read(sources.find(name))
        nbformat.write(sources.release(source, SECRETS[which]), folder / f"{name}.ipynb")
        sources.write_files(source, folder, SECRETS[which])
        return folder, source

    return write


@pytest.mark.parametrize("which", SECRETS)
@pytest.mark.parametrize("name", NAMES)
def test_no_release_shows_what_only_instructors_have(name, which, released):
    folder, source = released(name, which)
    assert leaks.traces(folder, source, SECRETS[which]) == []


@pytest.mark.parametrize("name", NAMES)
def test_there_is_much_to_look_for(name):
    """Of every solution, hidden test and mark scheme, and of the secret, something is sought."""
    source = sources.read(sources.find(name))
    kinds = [kind for kind, _ in leaks.kept(source)]
    text = source.path.read_text()
    for kind, mark, least in (
        ("solution", "BEGIN SOLUTION", 2),
        ("hidden test", "BEGIN HIDDEN TESTS", 0.5),
        ("mark scheme", "BEGIN MARK SCHEME", 10),
    ):
        assert kinds.count(kind) >= least * text.count(mark) > 0, kind
    assert leaks.numbers(source, "a class")


def _plant(folder, name, place, text):
    """Put a text into a release, where it might have stayed."""
    path = folder / f"{name}.ipynb"
    notebook = json.loads(path.read_text())
    code = next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("solution"))
    prose = next(c for c in notebook["cells"] if c["cell_type"] == "markdown")
    if place == "a stub":
        code["source"] = [*code["source"], "\n", f"    {text}\n"]
    elif place == "prose":
        prose["source"] = [*prose["source"], f"\nSee: {text}"]
    elif place == "an output":
        code["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [text]}]
    elif place == "metadata":
        code["metadata"]["nbgrader"]["answer"] = text
    elif place == "the notebook's metadata":
        notebook["metadata"]["classroom"] = {"secret": {"deep": [text]}}
    elif place == "a line broken in two":
        middle = text.index(" ", len(text) // 3)
        code["source"] = [text[:middle], "\n      ", text[middle:]]
    else:
        (folder / "key.txt").write_text(text)
    path.write_text(json.dumps(notebook))


PLACES = [
    "a stub", "prose", "an output", "metadata", "the notebook's metadata", "a line broken in two",
    "a file",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_planted_is_found(name, place, released, tmp_path):
    """A line of a solution, of a hidden test and of a mark scheme, and a secret number."""
    clean, source = released(name, "drawn")
    folder, secret = shutil.copytree(clean, tmp_path / "release"), SECRETS["drawn"]
    clean = (folder / f"{name}.ipynb").read_bytes()
    seen = []
    for kind in ("solution", "hidden test", "mark scheme"):
        one = max((text for what, text in leaks.kept(source) if what == kind), key=len)
        _plant(folder, name, place, one)
        seen.append(
            any(f"a {kind}: {one}" in line for line in leaks.traces(folder, source, secret))
        )
        (folder / f"{name}.ipynb").write_bytes(clean)
    for what, forms in leaks.numbers(source, secret):
        if place == "a line broken in two":
            continue
        _plant(folder, name, place, f"seed {min(forms)}, for example")
        found = leaks.traces(folder, source, secret)
        seen.append(any(line.endswith(f"the secret {what}") for line in found))
        (folder / f"{name}.ipynb").write_bytes(clean)
    assert all(seen) and len(seen) >= 3
