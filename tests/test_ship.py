"""Curves among the shipped results: the same numbers to five figures, with their search."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from course_lib import experiments, reproduce, results
from tools import ship


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """A tiny Figure 9 with two rates to choose from, trained by the road that a reader takes."""
    folder = tmp_path_factory.mktemp("out")
    patch = pytest.MonkeyPatch()
    patch.setattr(experiments, "EXAMINED", 60)
    patch.setattr(experiments, "ON_THE_WAY", 30)
    size = experiments.Scale(6, 200, (0.1, 0.3), (0, 1))
    fig09 = dataclasses.replace(experiments.EXPERIMENTS["fig09"], scales={"lesson": size})
    patch.setitem(experiments.EXPERIMENTS, "fig09", fig09)
    with ThreadPoolExecutor(1) as executor:  # workers of their own would take seconds to start
        history = reproduce.run("fig09", "lesson", folder, executor=executor, progress=False)
    history.save(folder / "fig09-lesson.npz")
    patch.undo()
    return folder / "fig09-lesson.npz"


def test_what_is_shipped_is_what_was_made(joined, tmp_path, monkeypatch):
    written = ship.ship(joined, "fig09", tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    whole, shipped = ship.storage.load(joined), results.load("fig09")
    assert len(written) == 4 and sorted(written) == results.files("fig09")
    kept, made = results.runs(shipped), results.runs(whole)
    order = [made.index(run) for run in kept]
    assert sorted(order) == [0, 1, 2, 3]
    left_out = whole.arrays.keys() - shipped.arrays.keys()
    assert left_out == {"train_update", "train_cost"}
    for name in shipped.arrays:
        assert shipped[name].dtype != np.float64 or shipped[name].size < 4 * ship.SHORT, name
        axes = list(shipped.axes[name])
        own = whole[name].take(order, axes.index("run")) if "run" in axes else whole[name]
        assert np.array_equal(shipped[name], ship.small(own)), name
    for name in ("code_version", "command"):
        assert shipped.provenance[name] == whole.provenance[name]


def test_the_search_goes_along(joined, tmp_path, monkeypatch):
    ship.ship(joined, "fig09", tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    tried = ship.storage.load(joined).config["search"]
    shipped = results.load("fig09")
    for run, found in zip(results.runs(shipped), results.searched(shipped), strict=True):
        own = {t["learning_rate"]: t["error"] for t in tried if t["scheme"] == run["scheme"]}
        assert found == own and min(found, key=found.get) == run["learning_rate"]


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("activation", "softsign"),
        ("scheme", "normalized"),
        ("depth", 4),
        ("data", "mnist"),
        ("cost", "quadratic"),
        ("output_bias", False),
        ("pretraining", 20_000),
    ],
)
def test_rates_tried_for_another_curve_are_not_its_own(field, other):
    tanh = experiments.Curve("tanh")
    kind = dataclasses.asdict(tanh)
    own = [kind | {"learning_rate": rate, "error": error} for rate, error in ((0.1, 0.6), (1, 0.8))]
    others = [one | {field: other, "error": 0.5} for one in own]
    whole = results.storage.Stored({}, {"search": others + own + others})
    assert ship.rates(whole, tanh) == {"0.1": 0.6, "1": 0.8}


def test_a_result_without_curves_is_one_file(joined, tmp_path, monkeypatch):
    (path,) = ship.ship(joined, "alone.npz", tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    whole, shipped = ship.storage.load(joined), results.load("alone")
    assert path == tmp_path / "alone.npz" and path.stat().st_size < joined.stat().st_size
    assert shipped.config == whole.config and shipped.provenance == whole.provenance
    assert np.array_equal(shipped["activation_std"], ship.small(whole["activation_std"]))


def test_numbers_keep_five_figures():
    given = np.concatenate([10.0 ** np.arange(-30, 30, 0.5) * np.pi, [-1 / 3, 0, np.inf, np.nan]])
    kept = ship.small(given)
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, given, rtol=1.6e-5)
    assert np.array_equal(ship.small(kept), kept, equal_nan=True), "rounding twice changes nothing"
    assert not np.array_equal(kept, given.astype(np.float32), equal_nan=True)
    for other in (np.arange(70_000), np.array([True] * 200), np.array([0.05, 0.1])):
        assert ship.small(other) is other


def test_what_was_not_searched_says_so():
    alone = results.storage.Stored({}, {"runs": [{}, {}]})
    assert results.searched(alone) == [{}, {}]


def test_a_curve_of_another_training_is_passed_over(joined, tmp_path):
    """Its file's name says not everything: here it was trained for another number of updates."""
    (tmp_path / "curves").mkdir()
    for path in joined.parent.glob("curves/*.npz"):
        (tmp_path / "curves" / path.name).write_bytes(path.read_bytes())
        longer = ship.storage.load(path)
        longer.config["run"]["updates"] += 1
        to = tmp_path / "curves" / f"{path.stem[:-16]}{'0' * 16}.npz"
        axes = {name: list(names) for name, names in longer.axes.items()}
        ship.storage.save(to, longer.arrays, longer.config, longer.provenance, axes)
    copy = tmp_path / joined.name
    copy.write_bytes(joined.read_bytes())
    written = ship.ship(copy, "fig09", tmp_path / "shipped")
    assert len(written) == 4 and not any(path.stem.endswith("0" * 16) for path in written)


def test_a_missing_or_doubtful_curve_is_named(joined, tmp_path):
    copy = tmp_path / "fig09-lesson.npz"
    copy.write_bytes(joined.read_bytes())
    with pytest.raises(FileNotFoundError, match="no curve tanh5-standard-rate0"):
        ship.ship(copy, "fig09", tmp_path / "shipped")
    (tmp_path / "curves").mkdir()
    for path in joined.parent.glob("curves/*.npz"):
        (tmp_path / "curves" / path.name).write_bytes(path.read_bytes())
        (tmp_path / "curves" / f"{path.stem[:-16]}{'0' * 16}.npz").write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="2 files could be tanh5-standard-rate0"):
        ship.ship(copy, "fig09", tmp_path / "shipped")
