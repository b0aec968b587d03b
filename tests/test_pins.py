"""The pins are complete, agree with pyproject.toml and wherever they are repeated, and install."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import environment, upgrade

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
PINS = upgrade.read_pins(CONSTRAINTS)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]


def test_constraints_are_plain_pins():
    """One exact version a line; no host, no option, no name that only one index gives."""
    lines = [line for line in CONSTRAINTS.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    assert len(lines) == len(PINS)
    assert "://" not in CONSTRAINTS


def test_constraints_are_in_the_order_that_upgrade_writes():
    python = re.search(r"Python (\d+\.\d+)", CONSTRAINTS)[1]
    assert upgrade.write_pins(PINS, python) == CONSTRAINTS


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_what_we_ask_for_is_pinned_within_its_bounds(wanted):
    assert wanted.specifier.contains(PINS[canonicalize_name(wanted.name)])
    operators = {s.operator for s in wanted.specifier}
    # Jupyter Book 2 is another program; nothing else has an upper bound.
    assert operators == ({">=", "<"} if wanted.name == "jupyter-book" else {">="})


def version_of(name):
    """Return the installed version, without what one index adds to it, or None."""
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def needed():
    """Return the names of all packages that the course and its extras need on this machine.

    An extra that is not installed is followed no further than its own names.
    """
    seen = set()
    todo = [(wanted.name, "") for wanted in WANTED]
    while todo:
        name, extra = todo.pop()
        name = canonicalize_name(name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        if version_of(name) is None:
            continue
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                todo += [(requirement.name, e) for e in ["", *requirement.extras]]
    return {name for name, _ in seen if not upgrade.LEFT_OUT.fullmatch(name)}


def test_everything_needed_is_pinned_and_installed_so():
    names = needed()
    assert "markdown-it-py" in names, "the walk reaches what is needed by what is needed"
    assert names <= set(PINS), f"not pinned: {sorted(names - set(PINS))}"
    installed = {name: version_of(name) for name in names if version_of(name)}
    assert installed == {name: PINS[name] for name in installed}


def test_runtime_needs_little():
    names = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert names == {"torch", "numpy", "matplotlib", "tqdm"}
    assert {"book", "lab", "grade", "data", "cluster"} <= set(PROJECT["optional-dependencies"])


# ---- which Pythons


def test_the_tested_pythons_are_listed_once():
    """The list is the classifiers; the lower bound and the linter's target are its first."""
    text = (ROOT / "pyproject.toml").read_text()
    tested = environment.tested_pythons(text)
    lowest = "{}.{}".format(*tested[0])
    assert PROJECT["requires-python"] == f">={lowest}"
    assert f'target-version = "py{lowest.replace(".", "")}"' in text
    assert sys.version_info[:2] in tested


def test_an_untested_python_is_refused_in_one_line():
    tested = [(3, 11), (3, 12)]
    assert environment.refusal((3, 12), tested) is None
    for version in [(2, 7), (3, 10), (3, 14), (4, 0)]:
        line = environment.refusal(version, tested)
        assert "{}.{}".format(*version) in line and "3.11, 3.12" in line and "\n" not in line


def test_the_set_up_script_runs_on_an_old_python():
    """A Python from before 3.11 must be able to read the script that refuses it."""
    import ast

    source = (ROOT / "tools" / "environment.py").read_text()
    ast.parse(source, feature_version=(3, 6))
    assert "tomllib" not in source


# ---- when .venv is filled again


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    return tmp_path


def test_only_pins_extras_python_and_place_decide(root, monkeypatch):
    first = environment.stamp_of(root, (3, 11))
    assert environment.stamp_of(root, (3, 11)) == first
    assert environment.stamp_of(root, (3, 12)) != first
    for name in ("pyproject.toml", "constraints.txt"):
        before = (root / name).read_text()
        (root / name).write_text(before + "#")
        assert environment.stamp_of(root, (3, 11)) != first
        (root / name).write_text(before)
    monkeypatch.setattr(environment, "EXTRAS", "book")
    assert environment.stamp_of(root, (3, 11)) != first


def set_up(root, monkeypatch, outcome=lambda: None):
    """Call the set-up with an installation that only does `outcome`; return what it returns."""
    calls = []

    def install(venv, root):
        calls.append(venv)
        venv.mkdir(exist_ok=True)
        outcome()

    monkeypatch.setattr(environment, "ROOT", root)
    monkeypatch.setattr(environment, "install", install)
    monkeypatch.setattr(environment, "tested_pythons", lambda _: [sys.version_info[:2]])
    return environment.main(), len(calls)


def test_it_installs_once(root, monkeypatch):
    assert set_up(root, monkeypatch) == (0, 1)
    assert set_up(root, monkeypatch) == (0, 0)
    (root / "constraints.txt").write_text("torch==2.14.0\n")
    assert set_up(root, monkeypatch) == (0, 1)


@pytest.mark.parametrize(
    ("error", "words"),
    [(subprocess.CalledProcessError(1, "pip"), "failed"), (KeyboardInterrupt(), "Stopped")],
)
def test_an_installation_that_failed_is_done_again(root, monkeypatch, error, words):
    assert set_up(root, monkeypatch) == (0, 1)
    (root / "constraints.txt").write_text("torch==2.14.0\n")

    def fail():
        raise error

    message, _ = set_up(root, monkeypatch, fail)
    assert words in message
    (root / "constraints.txt").write_text("torch==2.13.0\n")
    assert set_up(root, monkeypatch) == (0, 1)


def test_a_venv_that_was_moved_is_made_again(tmp_path):
    """Only this folder's own .venv is kept: pip's first line names the Python that runs it."""
    here, moved = tmp_path / "here" / ".venv", tmp_path / "moved" / ".venv"
    assert not environment.usable(here)
    (here / "bin").mkdir(parents=True)
    (here / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (here / "bin" / "python").chmod(0o755)
    (here / "bin" / "pip").write_text(f"#!{here}/bin/python\n")
    assert environment.usable(here)
    shutil.copytree(here.parent, moved.parent)
    assert not environment.usable(moved)


def test_a_python_without_ensurepip_is_told_what_to_do(root, monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    message, installations = set_up(root, monkeypatch)
    assert "python3-venv" in message and "\n" not in message and installations == 0


# ---- make upgrade


def test_upgrade_writes_what_it_reads():
    pins = {"torch": "2.13.0", "pytest": "9.2.0", "zipp": "4.1.2", "attrs": "26.1.0"}
    text = upgrade.write_pins(pins, "3.11")
    assert upgrade.read_pins(text) == pins
    order = [text.index(name + "==") for name in ("torch", "pytest", "attrs", "zipp")]
    assert order == sorted(order)


def test_upgrade_says_what_changed():
    old = {"a": "1", "b": "1", "c": "1"}
    new = {"a": "1", "b": "2", "d": "1"}
    assert upgrade.differences(old, new) == [
        "  b: 1 -> 2",
        "  c: 1 -> no longer needed",
        "  d: not pinned -> 1",
    ]


def test_upgrade_carries_the_pins_over_to_binder():
    """Or its own run of the tests, which compare the two files, would always fail."""
    text = "# a==1 in words\n-c ../constraints.txt\ntorch==2.12.0+cpu\nipy_Kernel==7.0\nother==3\n"
    assert upgrade.repin(text, {"torch": "2.13.0", "ipy-kernel": "7.4.0", "a": "2"}) == (
        "# a==1 in words\n-c ../constraints.txt\ntorch==2.13.0+cpu\nipy_Kernel==7.4.0\nother==3\n"
    )
    binder = (ROOT / "binder" / "requirements.txt").read_text()
    assert upgrade.repin(binder, PINS) == binder
    moved = upgrade.repin(binder, {name: "9.9" for name in PINS})
    assert moved.count("==9.9") == binder.count("==")


def test_upgrade_leaves_out_what_torch_brings_for_a_gpu():
    out = ["nvidia-cublas-cu12", "triton", "pip", "hard-to-train"]
    assert all(upgrade.LEFT_OUT.fullmatch(name) for name in out)
    assert not upgrade.LEFT_OUT.fullmatch("torch")
