"""Binder installs what was tested, and its lessons open as notebooks."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from tools.upgrade import normalised, read_pins

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements():
    lines = (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def test_pins_agree_with_the_constraints():
    pinned = read_pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    ours = [line for line in requirements() if not line.startswith("-")]
    assert ours and all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in ours), ours
    for name, version in (line.split("==") for line in ours):
        # "+cpu" names a build of the same version.
        assert version.removesuffix("+cpu") == pinned.get(normalised(name)), (
            f"binder/requirements.txt has {name}=={version}, "
            f"constraints.txt {pinned.get(normalised(name))}"
        )


def test_torch_is_the_cpu_build_from_the_index_that_has_it():
    assert any(re.fullmatch(r"torch==[\d.]+\+cpu", line) for line in requirements())
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in requirements()


def test_what_the_pins_need_is_constrained_too():
    files = [line.split()[1] for line in requirements() if line.startswith("-c ")]
    assert [(BINDER / name).resolve() for name in files] == [ROOT / "constraints.txt"]


def test_the_library_gets_all_that_it_needs():
    # postBuild installs with --no-deps: what is missing here would be missing there.
    needed = {normalised(re.match(r"[\w.-]+", line)[0]) for line in PROJECT["dependencies"]}
    assert needed <= {normalised(line.split("==")[0]) for line in requirements()}


def test_binder_runs_a_tested_python():
    version = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip()
    assert (
        version.replace("python-", "Programming Language :: Python :: ") in (PROJECT["classifiers"])
    )


def test_post_build_makes_lessons_open_as_notebooks(tmp_path):
    if sys.platform == "win32":
        pytest.skip("Binder's script needs bash")
    copy = tmp_path / "repository"
    for folder in ("binder", "tools"):
        shutil.copytree(ROOT / folder, copy / folder)
    shutil.copy(ROOT / "jupytext.toml", copy)
    (copy / "lessons").mkdir()
    lesson = "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n# Title\n\n"
    lesson += "```{code-cell} ipython3\n1 + 1\n```\n"
    (copy / "lessons" / "00_start_here.md").write_text(lesson, encoding="utf-8")
    # A python that records `-m pip ...` instead of installing anything.
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "python").write_text(
        f'#!/bin/bash\n[ "$1" = -m ] && echo "$@" >> {tmp_path}/calls && exit\n'
        f'exec {sys.executable} "$@"\n',
        encoding="utf-8",
    )
    (commands / "python").chmod(0o755)
    scripts = pathlib.Path(sys.executable).parent  # where jupytext lies
    environment = os.environ | {
        "PATH": f"{commands}:{scripts}:{os.environ['PATH']}",
        "NB_PYTHON_PREFIX": str(tmp_path / "prefix"),
    }
    assert os.access(copy / "binder" / "postBuild", os.X_OK), "postBuild must be executable"
    done = subprocess.run(
        [copy / "binder" / "postBuild"], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert calls == ["-m pip install --no-cache-dir --no-deps -e ."]
    notebook = json.loads((copy / "notebooks" / "00_start_here.ipynb").read_text(encoding="utf-8"))
    assert [cell["cell_type"] for cell in notebook["cells"]] == ["markdown", "code"]
    settings = tmp_path / "prefix" / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    viewers = json.loads(settings.read_text(encoding="utf-8"))
    viewers = viewers["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert viewers["markdown"] == viewers["myst"] == "Jupytext Notebook"
