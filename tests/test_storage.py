"""Files are whole or absent, damaged ones are refused by name, keys depend on content alone."""

import ast
import errno
import json
import os
import pathlib
import shutil
import tempfile

import numpy as np
import pytest

from course_lib import storage

CONFIG = {"sizes": [4, 3, 2], "scheme": "normalized", "nested": {"rate": 0.1, "on": True}}


def write_example(path):
    rng = np.random.default_rng(0)
    arrays = {
        "floats": rng.normal(size=(3, 4)).astype(np.float32),
        "wide": rng.normal(size=5),
        "whole": np.arange(6).reshape(2, 3),
        "flags": np.array([True, False]),
        "single": np.float64(2.5),
        "empty": np.zeros((0, 3)),
        "words": np.array(["tanh", "softsign"]),
    }
    storage.save(path, arrays, CONFIG, {"torch": "x"}, {"floats": ["update", "run"]})
    return arrays


@pytest.mark.parametrize("compress", [True, False])
def test_load_gives_back_what_save_took(tmp_path, compress):
    arrays = {"a": np.arange(3, dtype=np.int16), "slash/name": np.array([[1.5, -0.0]])}
    path = tmp_path / "new" / "folder" / "result.npz"
    storage.save(path, arrays, CONFIG, {"torch": "x"}, {"a": ["t"]}, compress=compress)
    assert list(path.parent.iterdir()) == [path]
    stored = storage.load(path)
    assert stored.config == CONFIG
    assert stored.provenance == {"torch": "x"} and stored.axes == {"a": ["t"]}
    assert stored.arrays.keys() == arrays.keys() and "a" in stored
    for name, array in arrays.items():
        assert stored[name].dtype == array.dtype and stored[name].tobytes() == array.tobytes()


def test_every_kind_of_array_survives(tmp_path):
    arrays = write_example(tmp_path / "x.npz")
    stored = storage.load(str(tmp_path / "x.npz"))
    for name, array in arrays.items():
        np.testing.assert_array_equal(stored[name], array, strict=True)


def test_unknown_array_name_lists_the_known(tmp_path):
    write_example(tmp_path / "x.npz")
    with pytest.raises(KeyError, match="no array 'float'; there are: empty, flags, floats"):
        storage.load(tmp_path / "x.npz")["float"]


def test_missing_file_is_reported_as_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.npz"):
        storage.load(tmp_path / "nowhere.npz")


def test_every_truncation_is_one_error_that_names_the_file(tmp_path):
    path = tmp_path / "cut.npz"
    write_example(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut.npz is damaged"):
            storage.load(path)


def test_no_damaged_byte_goes_unnoticed(tmp_path):
    """A damaged byte is refused, or lies where it changes nothing that is read."""
    path = tmp_path / "bad.npz"
    arrays = write_example(path)
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            stored = storage.load(path)
        except ValueError as error:
            assert "bad.npz is damaged" in str(error)
            refused += 1
        else:
            assert stored.config == CONFIG
            for name, array in arrays.items():
                np.testing.assert_array_equal(stored[name], array, strict=True)
    # Only stamps (dates, permissions, sizes kept twice) may go unread.
    assert refused > 0.5 * len(whole) / 3


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "plain.npz", a=np.arange(3))
    np.save(tmp_path / "single.npy", np.arange(3))
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "list.npz", __meta__=np.array("[1, 2]"))
    pickled = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "pickled.npz", a=pickled, __meta__=np.array("{}"))
    for name in ("plain.npz", "single.npy", "text.npz", "list.npz", "pickled.npz"):
        with pytest.raises(ValueError, match=f"{name} is damaged or is not a result"):
            storage.load(tmp_path / name)


def test_save_refuses_what_cannot_be_read_back(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(ValueError, match="'things' of type object"):
        storage.save(path, {"things": np.array([None])}, {})
    with pytest.raises(ValueError, match="__meta__"):
        storage.save(path, {"__meta__": np.arange(2)}, {})
    for config in ({"rate": float("nan")}, {"seed": np.int64(3)}, {"model": object()}):
        with pytest.raises(ValueError, match="cannot be stored as JSON"):
            storage.save(path, {"a": np.arange(2)}, config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_failed_write_keeps_the_old_content(tmp_path, interruption):
    path = tmp_path / "x.npz"
    path.write_bytes(b"old")
    with pytest.raises(interruption), storage.atomic_write(path) as file:
        file.write(b"half of the new")
        file.flush()
        assert path.read_bytes() == b"old"
        raise interruption
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        storage.save(tmp_path / "x.npz", {"a": np.arange(3)}, {})
    assert list(tmp_path.iterdir()) == []


def test_read_only_folder_names_the_file(tmp_path, monkeypatch):
    # Simulated: tests may run as root, whom no permission stops.
    def refuse(**options):
        raise PermissionError(errno.EACCES, "Permission denied", f"{options['dir']}/.random.part")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    path = tmp_path / "x.npz"
    path.write_bytes(b"old")
    with pytest.raises(PermissionError, match="cannot write there: Permission denied") as caught:
        storage.save(path, {"a": np.arange(3)}, {})
    assert caught.value.filename == str(path) and caught.value.errno == errno.EACCES
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_file_in_place_of_the_folder_names_the_file(tmp_path):
    (tmp_path / "results").write_text("I am no folder")
    path = tmp_path / "results" / "x.npz"
    with pytest.raises(OSError, match="results/x.npz"):
        storage.save(path, {"a": np.arange(3)}, {})


def test_key_depends_on_content_and_not_on_order():
    turned = {"nested": {"on": True, "rate": 0.1}, "scheme": "normalized", "sizes": [4, 3, 2]}
    assert storage.key(turned) == storage.key(CONFIG)
    assert len(storage.key(CONFIG)) == 16 and int(storage.key(CONFIG), 16) >= 0
    others = [
        CONFIG | {"sizes": [4, 2, 3]},
        CONFIG | {"nested": {"rate": 0.2, "on": True}},
        CONFIG | {"more": 1},
        {},
    ]
    keys = {storage.key(config) for config in (CONFIG, *others)}
    assert len(keys) == 5
    with pytest.raises(ValueError, match="cannot be stored as JSON"):
        storage.key({"rate": float("inf")})


def test_plain_equals_what_a_file_gives_back(tmp_path):
    config = {"b": (1, 2.5, None), "a": {"z": True}}
    storage.save(tmp_path / "x.npz", {}, config)
    assert storage.plain(config) == storage.load(tmp_path / "x.npz").config
    assert storage.plain(config)["b"] == [1, 2.5, None]


# ---- the version of the code -----------------------------------------------------------------


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A copy of the library whose files may be edited, in place of the real one."""
    home = pathlib.Path(storage.__file__).parent
    for file in home.glob("*.py"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(storage, "__file__", str(tmp_path / "storage.py"))
    return tmp_path


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_code_version_ignores_docstrings_comments_and_layout(sources):
    before = storage.code_version()
    assert len(before) == 16
    edit(sources / "init.py", '"""Initialisation schemes', '"""Other words: schemes')
    edit(sources / "init.py", "\n\n_ALIASES = {", "\n\n# A comment.\n\n\n_ALIASES   =  {")
    edit(sources / "models.py", '"""R dense networks', '"""Some dense networks')
    edit(sources / "backprop.py", '"""Return delta^0', '"""Return the deltas,')
    (sources / "report.py").write_text("below = 'nothing computes with this module'\n")
    assert storage.code_version() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("theory.py", "np.sqrt(6 /", "np.sqrt(5 /"),
        ("backprop.py", "0.5 * error.square()", "1.0 * error.square()"),
        ("activations.py", "SATURATION = 0.19", "SATURATION = 0.2"),
        ("training.py", "COST_EVERY = 100", "COST_EVERY = 50"),
    ],
)
def test_code_version_changes_with_the_code(sources, name, old, new):
    before = storage.code_version()
    edit(sources / name, old, new)
    assert storage.code_version() != before


def test_code_version_covers_all_that_training_imports():
    home = pathlib.Path(storage.__file__).parent
    todo, seen = ["training", "models", "jacobian", "shapeset", "datasets"], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse((home / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "course_lib":
                todo += [alias.name for alias in node.names if alias.name != "__version__"]
            elif isinstance(node, ast.ImportFrom) and node.module.startswith("course_lib."):
                todo.append(node.module.split(".")[1])
    assert seen <= set(storage._COMPUTING)


def test_provenance_says_with_what_and_can_be_stored():
    found = storage.provenance()
    assert {"course_lib", "code_version", "python", "torch", "numpy", "threads"} <= found.keys()
    assert found["code_version"] == storage.code_version()
    assert json.loads(json.dumps(found)) == found
