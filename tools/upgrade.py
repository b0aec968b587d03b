"""Pin the newest versions that pyproject.toml allows, run the tests, and say what changed."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.environment import EXTRAS, ROOT

HEADER = """\
# The versions that were tested together, on Python {python}. `make upgrade` writes this file.
# A version here binds only if something asks for the package: pyproject.toml says what is asked.
"""
GROUPS = [
    ("What the library runs on", ("torch", "numpy", "matplotlib", "tqdm")),
    (
        "What the extras name",
        (
            "anywidget axe-playwright-python distributed ipykernel ipywidgets jupyter-book "
            "jupyterlab jupyterlab-myst jupytext nbgrader nbval playwright pooch pre-commit pytest "
            "pytest-xdist ruff sphinx-exercise sphinx-proof"
        ).split(),
    ),
]
# torch brings these where it is built for a GPU; which of them is torch's own affair.
LEFT_OUT = re.compile(r"hard-to-train|pip|setuptools|nvidia-.*|cuda-.*|triton")


def normalised(name):
    """Return a package's name as the indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(text):
    """Return {name: version} of the lines `name==version` of a constraints file."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return {normalised(n): v for n, _, v in (line.partition("==") for line in lines) if v}


def write_pins(pins, python):
    """Return the text of a constraints file: the packages we name first, then what they need."""
    rest = set(pins)
    text = HEADER.format(python=python)
    for title, names in [*GROUPS, ("What those need", None)]:
        chosen = sorted(rest if names is None else rest.intersection(names))
        rest.difference_update(chosen)
        text += f"\n# {title}\n" + "".join(f"{name}=={pins[name]}\n" for name in chosen)
    return text


def resolve():
    """Return {name: version}, the newest that pyproject.toml allows; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), "-e", f".[{EXTRAS}]"]
        # Without an index of its own, torch stays: its newest build may bring gigabytes for a GPU.
        index = os.environ.get("TORCH_INDEX")
        if index:
            command += ["--extra-index-url", index]
        else:
            torch = read_pins((ROOT / "constraints.txt").read_text())["torch"]
            command += [f"torch=={torch}"]
        subprocess.check_call(command, cwd=ROOT)
        installed = json.loads(report.read_text())["install"]
    found = {normalised(e["metadata"]["name"]): e["metadata"]["version"] for e in installed}
    # "2.13.0+cpu" is the name that one index gives to 2.13.0.
    return {n: v.split("+")[0] for n, v in found.items() if not LEFT_OUT.fullmatch(n)}


def repin(requirements, pins):
    """Return the text of a requirements file with each ``name==version`` at its pin.

    What an index adds to a version, such as "+cpu", stays.
    """

    def line(match):
        name, version, build = match.groups()
        return f"{name}=={pins.get(normalised(name), version)}{build}"

    return re.sub(r"^([\w.-]+)==([\w.]+)((?:\+\w+)?)$", line, requirements, flags=re.MULTILINE)


def differences(old, new):
    """Return a line for each package that was added, dropped or moved between two sets of pins."""
    lines = []
    for name in sorted(set(old) | set(new)):
        before, after = old.get(name, "not pinned"), new.get(name, "no longer needed")
        if before != after:
            lines.append(f"  {name}: {before} -> {after}")
    return lines


def main():
    path = ROOT / "constraints.txt"
    old = path.read_text()
    try:
        new = write_pins(resolve(), "{}.{}".format(*sys.version_info[:2]))
    except subprocess.CalledProcessError:
        return "No set of versions was found, for the reason above; constraints.txt is as it was."
    changes = differences(read_pins(old), read_pins(new))
    if not changes:
        print("constraints.txt already holds the newest versions.")
        return 0
    path.write_text(new)
    binder = ROOT / "binder" / "requirements.txt"
    binder.write_text(repin(binder.read_text(), read_pins(new)))
    status = subprocess.call(["make", "test"], cwd=ROOT)
    print("constraints.txt and binder/requirements.txt changed:", *changes, sep="\n")
    if status:
        return "The tests FAIL with these; `git checkout constraints.txt binder` goes back."
    print("The tests pass with these.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
