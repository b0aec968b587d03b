"""Arrays on disk: one ``.npz`` with its configuration and provenance inside, written atomically."""

import ast
import contextlib
import datetime
import functools
import hashlib
import json
import os
import pathlib
import platform
import tempfile
from dataclasses import dataclass, field

import numpy as np
import torch

from course_lib import __version__

_META = "__meta__"

# The modules whose code decides what a training run computes (layers 1 to 8 of the design).
_COMPUTING = (
    "storage activations spectra theory shapeset datasets init models backprop instruments"
    " jacobian engine processes training pretraining".split()
)


@dataclass(frozen=True)
class Stored:
    """Named arrays with the configuration that made them; ``stored["name"]`` is an array."""

    arrays: dict
    config: dict
    provenance: dict = field(default_factory=dict)
    axes: dict = field(default_factory=dict)

    def __getitem__(self, name):
        if name not in self.arrays:
            raise KeyError(f"no array {name!r}; there are: {', '.join(sorted(self.arrays))}")
        return self.arrays[name]

    def __contains__(self, name):
        return name in self.arrays


@contextlib.contextmanager
def atomic_write(path):
    """Open a temporary binary file that takes the name `path` only once it is complete.

    Whatever goes wrong inside the block, `path` holds its old content or none, and no
    temporary file stays behind.

    Raises
    ------
    OSError
        If the folder cannot be written; the message names the file.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        )
    except OSError as why:
        raise type(why)(why.errno, f"cannot write there: {why.strerror}", str(path)) from None
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(handle.name, 0o644)
        os.replace(handle.name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(handle.name)
        raise


def save(path, arrays, config, provenance=None, axes=None, compress=True):
    """Write named arrays with their configuration to `path` (``.npz``), atomically.

    Parameters
    ----------
    path : path-like
    arrays : dict of name to array
    config, provenance, axes : dict
        Anything JSON can hold. `axes` gives each array's axis names.
    compress : bool
        Weights hardly shrink and take long: False suits a checkpoint.

    Raises
    ------
    ValueError
        If JSON cannot hold a dict, or an array holds Python objects.
    OSError
        If the file cannot be written; the message names it.
    """
    plain = {name: np.asarray(value) for name, value in arrays.items()}
    for name, value in plain.items():
        if value.dtype.hasobject or name == _META:
            raise ValueError(f"array {name!r} of type {value.dtype} cannot be stored")
    meta = {"config": config, "provenance": provenance or {}, "axes": axes or {}}
    text = _json(meta | {"arrays": list(plain)})
    with atomic_write(path) as file:
        (np.savez_compressed if compress else np.savez)(file, **{_META: np.array(text)}, **plain)


def load(path):
    """Read what `save` wrote, as a `Stored`. Never unpickles.

    Raises
    ------
    FileNotFoundError, PermissionError
        If there is no such file, or it may not be read.
    ValueError
        If the file is damaged or was not written by `save`; the message names it.
    """
    path = pathlib.Path(path)
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop(_META)))
        if list(arrays) != meta.get("arrays", list(arrays)):
            raise ValueError("arrays are missing")
        return Stored(arrays, meta["config"], meta["provenance"], meta["axes"])
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as why:  # damaged bytes make zipfile, zlib and numpy raise nearly anything
        raise ValueError(
            f"{path} is damaged or is not a result of this course ({why}); "
            "delete it and make it again"
        ) from None


def plain(config):
    """Return `config` as `load` would give it back: lists for tuples, keys in order.

    Raises ValueError if JSON cannot hold it, for example for NaN or a numpy number.
    """
    return json.loads(_json(config))


def key(config):
    """Return 16 hexadecimal digits that name a configuration, whatever the order of its keys."""
    return hashlib.sha256(_json(config).encode()).hexdigest()[:16]


def _json(value):
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as why:
        raise ValueError(f"this cannot be stored as JSON ({why}): {value!r}") from None


def code_version():
    """Return 16 hexadecimal digits of a SHA-256 over the code that computes results.

    Docstrings, comments and layout do not count: only a change of what runs changes it.
    """
    files = [pathlib.Path(__file__).with_name(f"{name}.py") for name in _COMPUTING]
    return _version_of(tuple((file, file.stat().st_mtime_ns) for file in files))


@functools.cache
def _version_of(files):
    digest = hashlib.sha256()
    for file, _ in files:  # the time only tells the cache of an edit
        tree = ast.parse(file.read_text(encoding="utf-8"))
        digest.update(ast.dump(_without_docstrings(tree)).encode())
    return digest.hexdigest()[:16]


def _without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def provenance():
    """Return where and with what a result is being made: versions, processor, threads, date."""
    return {
        "course_lib": __version__,
        "code_version": code_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "date": datetime.date.today().isoformat(),
    }


def _processor():
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
