"""Create .venv and install the course into it, unless that is done already.

It runs on whatever Python the reader has, before anything is installed, so it uses only the
standard library, and no syntax newer than Python 3.6.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "book,lab,grade,data,cluster,test,dev"
# What `make lab` needs for a double click on a lesson to open it as a notebook, and to ask nobody
# for news.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
    },
    "@jupyterlab/docmanager-extension:plugin": {
        "defaultViewers": {"markdown": "Jupytext Notebook", "myst": "Jupytext Notebook"}
    },
}


def tested_pythons(pyproject):
    """Return the versions, such as (3, 11), that the classifiers in pyproject.toml list."""
    found = re.findall(r"Programming Language :: Python :: (\d+)\.(\d+)", pyproject)
    return sorted((int(major), int(minor)) for major, minor in found)


def refusal(version, tested):
    """Return the line that refuses a Python (major, minor), or None if it is among `tested`."""
    if tuple(version) in tested:
        return None
    names = ["{}.{}".format(*v) for v in tested]
    return (
        "Python {}.{} is not one that the course was tested with ({}): "
        "name one with, for example, `make book PYTHON=python{}`."
    ).format(version[0], version[1], ", ".join(names), names[-1])


def stamp_of(root, version):
    """Return the hash of what decides the contents of .venv: pins, extras, and the Python."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    digest.update(json.dumps(LAB_SETTINGS).encode())
    digest.update(EXTRAS.encode() + repr(tuple(version)).encode() + str(root).encode())
    return digest.hexdigest()


def usable(venv):
    """Say whether `venv` works with this Python, and was made where it lies.

    The commands in the .venv of a folder that was moved or copied name the Python of the old place.
    """
    python, pip = venv / "bin" / "python", venv / "bin" / "pip"
    if not (python.exists() and pip.exists()) or str(venv) not in pip.read_text():
        return False
    check = f"import pip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return subprocess.call([str(python), "-c", check]) == 0


def install(venv, root):
    """Fill .venv; the stamp is written last, so that an interrupted installation is redone."""
    python = venv / "bin" / "python"
    if not usable(venv):
        shutil.rmtree(str(venv), ignore_errors=True)
        subprocess.check_call([sys.executable, "-m", "venv", str(venv)])
    command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    if os.environ.get("TORCH_INDEX"):
        command += ["--extra-index-url", os.environ["TORCH_INDEX"]]
    command += ["-c", "constraints.txt", "-e", f".[{EXTRAS}]"]
    subprocess.check_call(command, cwd=str(root))
    settings = venv / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(LAB_SETTINGS, indent=2) + "\n")


def main():
    version = sys.version_info[:2]
    refused = refusal(version, tested_pythons((ROOT / "pyproject.toml").read_text()))
    if refused:
        return refused
    venv = ROOT / ".venv"
    stamp = venv / "installed"
    wanted = stamp_of(ROOT, version)
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    if importlib.util.find_spec("ensurepip") is None:
        return (
            "This Python cannot make virtual environments (ensurepip is missing): "
            "on Debian or Ubuntu, `apt install python3-venv` adds what it lacks."
        )
    if stamp.exists():
        stamp.unlink()
    print(
        "Installing into .venv: some two minutes, and 1.7 GB of disk "
        "(5.4 GB if torch comes with CUDA; the README says how to get it without) ...",
        flush=True,
    )
    start = time.time()
    try:
        install(venv, ROOT)
    except subprocess.CalledProcessError:
        return "The installation failed, for the reason above; the same command tries it again."
    except KeyboardInterrupt:
        return "Stopped; the same command goes on with the installation."
    stamp.write_text(wanted)
    print(f"Installed; this took {time.time() - start:.0f} s.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
