"""Build the book, and write its lessons out as the notebooks that the tests run again.

`python -m tools.book build` runs the lessons and builds the HTML in _build/html. Jupyter Book keeps
the outputs of every notebook that ran, but asks only whether the notebook changed. Two hashes, kept
in _build, add what it does not look at:

- what the outputs depend on: course_lib and its data, the pins, the Python, the results of the
  benchmarks. If that hash changed, every lesson runs again;
- what all pages share: the configuration, the extensions, the bibliography. If that hash changed,
  or if the last build did not end well, every page is written again. Sphinx would otherwise skip
  the pages it has read, and with them their warnings, so that a second try would pass.

With SELF_STUDY=0 in the environment, the assignments with their solutions are left out of the book.
Last, the lecture's slides are made of the lessons that ran (`tools.slides`).

`python -m tools.book notebooks` writes the executed lessons into _build/nbval.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What the outputs of the lessons depend on, and what the pages depend on beyond that.
ASSIGNMENTS = "lessons/assignments/"
OUTPUTS_FROM = ("course_lib", "constraints.txt", "benchmarks/results")
PAGES_FROM = ("_config.yml", "_toc.yml", "book/extensions", "book/references.bib", "tools/book.py")
# Jupyter Book's own entry page has neither a title nor an icon, and browsers ask for both.
ENTRY = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Refresh" content="0; url=book/intro.html">
<link rel="icon" href="_static/favicon.svg">
<title>Hard to Train</title>
</head>
<body><p><a href="book/intro.html">Hard to Train</a></p></body>
</html>
"""


def fingerprint(root, names):
    """Return the hash of the Python version and of the named files and folders under `root`.

    Names count as well as contents; what Python or an editor leaves behind does not.
    """
    digest = hashlib.sha256(repr(sys.version_info[:3]).encode())
    for name in names:
        top = root / name
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for path in files:
            inside = path.relative_to(root)
            hidden = any(part.startswith((".", "__pycache__")) for part in inside.parts)
            if path.is_file() and not hidden and not path.name.endswith(("~", ".pyc")):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{inside.as_posix()} {content}\n".encode())
    return digest.hexdigest()


def keys(root):
    """Return the two hashes: of what the outputs depend on, and of what the pages depend on."""
    pages = fingerprint(root, OUTPUTS_FROM + PAGES_FROM)
    return {
        "outputs": fingerprint(root, OUTPUTS_FROM),
        "pages": pages if self_study() else f"{pages} without self-study",
    }


def self_study():
    """Say whether the assignments and their solutions are to be pages of the book."""
    return os.environ.get("SELF_STUDY", "1") != "0"


def table_of_contents(root):
    """Return the file that says which pages there are: the course's, or one without assignments."""
    import yaml

    if self_study():
        return root / "_toc.yml"
    contents = yaml.safe_load((root / "_toc.yml").read_text())
    for part in contents["parts"]:
        part["chapters"] = [
            chapter
            for chapter in part["chapters"]
            if not str(chapter.get("file", "")).startswith(ASSIGNMENTS)
        ]
    contents["parts"] = [part for part in contents["parts"] if part["chapters"]]
    shorter = root / "_build" / "_toc.yml"
    shorter.write_text(yaml.safe_dump(contents, sort_keys=False))
    return shorter


def prepare(build, now):
    """Remove from the folder `build` what the hashes `now` show to be stale.

    Returns the names of the hashes that differed. A hash is forgotten before the build and noted
    after it (`conclude`), so that one that was stopped half-way counts as different; only the
    outputs stay good, because each is stored when its lesson has run to the end.
    """
    build.mkdir(exist_ok=True)
    stored = {name: _read(build / f"{name}.key") for name in now}
    stale = [name for name in now if stored[name] != now[name]]
    if "outputs" in stale:
        shutil.rmtree(build / ".jupyter_cache", ignore_errors=True)
    (build / "outputs.key").write_text(now["outputs"])
    if "pages" in stale:
        for name in (".doctrees", "html", "jupyter_execute"):
            shutil.rmtree(build / name, ignore_errors=True)
    (build / "pages.key").unlink(missing_ok=True)
    return stale


def conclude(build, before, after, succeeded):
    """Note the hashes of a build that ended: `before` it began and `after`.

    If a file was edited meanwhile, nobody knows which lesson saw which version: all run again next
    time. The hash of the pages is noted for a build without a warning only.
    """
    if after["outputs"] != before["outputs"]:
        (build / "outputs.key").unlink(missing_ok=True)
    elif succeeded and after == before:
        (build / "pages.key").write_text(after["pages"])


def _read(path):
    return path.read_text() if path.exists() else None


def lessons(root):
    """Return the names, such as "00_start_here", of the lessons in the table of contents."""
    import yaml

    toc = (root / "_toc.yml").read_text()
    names = []

    def visit(node):
        if isinstance(node, dict):
            file = str(node.get("file", ""))
            if file.startswith("lessons/") and not file.startswith(ASSIGNMENTS):
                names.append(Path(file).stem)
            node = list(node.values())
        if isinstance(node, list):
            for child in node:
                visit(child)

    visit(yaml.safe_load(toc))
    return names


def build(root=ROOT):
    """Build the book with every warning an error; return the exit status and print the outcome."""
    start = time.monotonic()
    folder = root / "_build"
    before = keys(root)
    stale = prepare(folder, before)
    if "outputs" in stale:
        print("Running every lesson and building the book ...", flush=True)
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", ".", "--toc", table_of_contents(root), "-W", "--keep-going", "-n"]
    status = _run(command, root, folder / "book.log")
    if status is None:
        print("\nStopped. The lessons that ran to the end need not run again.")
        return 130
    conclude(folder, before, keys(root), status == 0)
    entry = folder / "html" / "index.html"
    if entry.exists():
        entry.write_text(ENTRY)
    status = _slides(root) or status
    took = time.monotonic() - start
    if status:
        print(
            f"The book has problems, see above and {folder / 'book.log'}; this took {took:.0f} s."
        )
    else:
        print(f"The book is in {folder / 'html' / 'index.html'}; this took {took:.0f} s.")
    return status


def _slides(root):
    """Make the lecture's slides of the lessons that ran; return 1 and say why if that fails."""
    from tools import slides

    try:
        slides.write(root)
    except slides.SlideError as error:
        print(f"No slides: {error}")
        return 1
    return 0


def _run(command, root, log):
    """Run Jupyter Book; print its warnings and each lesson that ran; return its exit status.

    What it says is kept in the file `log`. Returns None if it was stopped with Ctrl-C.
    """
    shown = re.compile(r"Executed notebook in")
    noise = re.compile(r"Kernel is running over TCP without encryption|^\s*$")
    stopped = threading.Event()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with log.open("w") as file, subprocess.Popen(command, cwd=root, **pipes) as process:

        def follow(stream, wanted):
            for line in stream:
                line = re.sub(r"\x1b\[[\d;]*m", "", line).replace(f"{root}/", "")
                file.write(line)
                if wanted(line) and not stopped.is_set():
                    print(line, end="", flush=True)

        # Sphinx reports its progress on one stream and its warnings on the other.
        warnings = threading.Thread(
            target=follow, args=(process.stderr, lambda line: not noise.search(line))
        )
        warnings.start()
        try:
            follow(process.stdout, shown.search)
            return process.wait()
        except KeyboardInterrupt:
            stopped.set()
            # Ctrl-C in a terminal reaches Jupyter Book as well; a signal to this process does not.
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                process.wait()
            return None
        finally:
            warnings.join()


def executed(root, name):
    """Return a lesson as a notebook with the outputs that the book's cache holds.

    None if the lesson, as its source stands now, has not run to the end.
    """
    import jupytext
    from jupyter_cache import get_cache

    cache = root / "_build" / ".jupyter_cache"
    if not cache.exists():
        return None
    source = jupytext.read(root / "lessons" / f"{name}.md")
    try:
        return get_cache(cache).merge_match_into_notebook(source)[1]
    except KeyError:
        return None


def notebooks(root=ROOT):
    """Write each lesson, merged with the outputs that the book's cache holds, into _build/nbval.

    A lesson that did not run to the end has no outputs in the cache and is left out; a test
    compares the notebooks with the table of contents. Returns the exit status.
    """
    import nbformat

    target = root / "_build" / "nbval"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    missing = []
    for name in lessons(root):
        notebook = executed(root, name)
        if notebook is None:
            missing.append(name)
        else:
            nbformat.write(notebook, target / f"{name}.ipynb")
    if missing:
        print("Not run to the end, so not run again:", ", ".join(missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit({"build": build, "notebooks": notebooks}[sys.argv[1]]())
