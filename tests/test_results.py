"""Shipped results: found by name, joined from curves, and checked against what is expected."""

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


# ---- curves in files of their own
RUN = {
    "activation": "tanh",
    "scheme": "standard",
    "learning_rate": 0.1,
    "seed": 0,
    "updates": 60,
    "width": 10,
    "depth": 2,
    "output_bias": True,
    "data": "shapeset",
}


def curve(value=1.0, updates=(0, 60), date="today", **run):
    """One run's curve of an error, as a sweep keeps it."""
    config = {"run": RUN | run, "threads": 1, "stack": [run.get("seed", 0)]}
    arrays = {
        "update": np.array(updates),
        "error": np.full((len(updates), 1), value),
        "diverged": np.array([-1]),
    }
    axes = {"update": ["update"], "error": ["update", "run"], "diverged": ["run"]}
    return storage.Stored(arrays, config, {"date": date, "torch": "2"}, axes)


def keep(folder, name, *curves):
    for number, one in enumerate(curves):
        path = folder / name / f"curve{len(curves) - number}.npz"
        storage.save(path, one.arrays, one.config, one.provenance, one.axes)


def test_curves_are_joined_seed_by_seed_whatever_their_files_are_called(folder):
    rates = [curve(r, seed=10, learning_rate=r) for r in (1.0, 0.03, 0.3)]
    others = [curve(2, seed=2), curve(3, seed=2, scheme="normalized"), curve(4, seed=0)]
    keep(folder, "pairs", *rates, *others)
    storage.save(folder / "alone.npz", {}, {})
    assert results.names() == ("alone", "pairs") and len(results.files("pairs")) == 6
    stored = results.load("pairs")
    assert stored["error"][0].tolist() == [4, 3, 2, 0.03, 0.3, 1.0]
    assert stored["update"].tolist() == [0, 60]
    assert [run["seed"] for run in results.runs(stored)] == [0, 2, 2, 10, 10, 10]
    assert stored.config["threads"] == 1 and stored.config["stack"][0] == [0]
    assert stored.provenance == {"date": "today", "torch": "2"}
    assert stored.axes["error"] == ["update", "run"]
    both = results.which(stored, seed=2, scheme="normalized")
    assert both.tolist() == [1] and results.which(stored, seed=10).tolist() == [3, 4, 5]


def test_what_differs_in_provenance_is_listed():
    joined = results.join([curve(date="monday"), curve(date="tuesday", seed=1)])
    assert joined.provenance == {"date": ["monday", "tuesday"], "torch": "2"}


def test_curves_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no curves"):
        results.join([])
    with pytest.raises(ValueError, match="differ in 'update'"):
        results.join([curve(), curve(updates=(0, 50))])
    with pytest.raises(ValueError, match="differ in the shape of 'error'|differ in 'update'"):
        results.join([curve(), curve(updates=(0, 30, 60))])
    wide = curve()
    wide.arrays["error"] = np.ones((3, 1))
    with pytest.raises(ValueError, match="the shape of 'error'"):
        results.join([curve(), wide])
    other = curve()
    other.axes["cost"] = ["update", "run"]
    with pytest.raises(ValueError, match="record different things"):
        results.join([curve(), other])


def test_what_is_expected_of_the_configuration_is_checked(folder):
    keep(folder, "pair", curve(seed=0), curve(seed=1))
    storage.save(folder / "alone.npz", {}, {"width": 300, "learning_rate": [0.3, 0.3]})
    results.load("pair", updates=60, activation="tanh", seed=[0, 1], threads=1)
    results.load("alone", width=300, learning_rate=0.3)
    results.load("alone", learning_rate=(0.3, 0.3))
    for name, expected, words in (
        ("pair", {"updates": 61}, "pair: its updates is 60, not 61"),
        ("pair", {"seed": 0}, "its seed is [0, 1], not 0"),
        ("pair", {"activation": "tanh", "data": "mnist"}, "its data is 'shapeset', not 'mnist'"),
        ("alone", {"width": 100}, "alone: its width is 300, not 100"),
        ("alone", {"depth": 4}, "its depth is None, not 4"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            results.load(name, **expected)


def test_runs_of_results_without_any():
    nothing = storage.Stored({}, {"width": 300})
    assert results.runs(nothing) == [] and len(results.which(nothing, seed=0)) == 0


def test_an_unknown_field_of_runs_is_named():
    with pytest.raises(ValueError, match="runs have no 'sead'; they have: activation, scheme"):
        results.which(results.join([curve()]), sead=0)


# ---- what is there
def test_every_shipped_result_says_how_it_was_made():
    for name in results.names():
        stored = results.load(name)
        assert stored.arrays and stored.config, name
        assert {"code_version", "torch", "processor"} <= stored.provenance.keys(), name


def test_runs_of_every_shipped_training_can_be_told_apart():
    for name in results.names():
        stored = results.load(name)
        runs = results.runs(stored)
        if "diverged" in stored:
            assert len(runs) == len(stored["diverged"]), name
            fields = ("activation", "depth", "scheme", "data", "seed", "learning_rate")
            own = {tuple(run[field] for field in fields) for run in runs}
            assert len(own) == len(runs), name


def test_all_results_are_small():
    assert sum(path.stat().st_size for path in results.FOLDER.rglob("*.npz")) < 5_000_000
