"""Shipped results: found by name, and a name that is not there lists those that are."""

import re

import numpy as np
import pytest

from course_lib import results, storage


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    return tmp_path


def test_results_are_loaded_by_name(folder):
    for name in ("race", "collapse"):
        storage.save(folder / f"{name}.npz", {"cost": np.arange(3.0)}, {"name": name})
    (folder / "README.md").write_text("how these were made")
    assert results.names() == ("collapse", "race")
    stored = results.load("race")
    assert stored.config == {"name": "race"} and stored["cost"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["racing", "../race", "race.npz", ""])
def test_unknown_name_lists_the_known(folder, name):
    storage.save(folder / "race.npz", {}, {})
    with pytest.raises(ValueError, match=re.escape(f"no shipped result {name!r}; there are: race")):
        results.load(name)


def test_no_results_at_all(folder):
    with pytest.raises(ValueError, match="there are: none"):
        results.load("race")


def test_every_shipped_result_says_how_it_was_made():
    for name in results.names():
        stored = results.load(name)
        assert stored.arrays and stored.config, name
        assert {"code_version", "torch", "processor"} <= stored.provenance.keys(), name
