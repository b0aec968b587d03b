"""The experiments run at a tiny scale, repeat, and go on after a stop; the command line too."""

import numpy as np
import pytest

from course_lib import __main__ as command
from course_lib import (
    claims,
    experiments,
    instruments,
    models,
    results,
    shapeset,
    storage,
    training,
)

TINY = experiments.Scale(width=10, updates=60, learning_rates=(0.1, 1.0), seeds=(0, 3))


@pytest.fixture(scope="module")
def tiny():
    return experiments.saturating_sigmoid(TINY, depth=2, progress=False)


def test_runs_are_seed_by_seed_with_every_rate(tiny):
    assert tiny.config["model"]["seeds"] == [0, 0, 3, 3]
    assert np.allclose(tiny.config["learning_rate"], [0.1, 1.0, 0.1, 1.0])
    assert tiny["activation_mean"].shape == (len(tiny["update"]), 4, 2)
    assert tiny["validation_error"].shape == (1, 4)
    assert [data["seed"] for data in tiny.config["data"]] == [0, 3]


def test_a_seed_alone_gives_the_same(tiny):
    alone = experiments.Scale(10, 60, (0.1, 1.0), (3,))
    found = experiments.saturating_sigmoid(alone, depth=2, progress=False)
    assert np.array_equal(found["cost"], tiny["cost"][:, 2:])


def test_frozen_output_biases_stay_at_zero():
    found = experiments.saturating_sigmoid(TINY, depth=1, output_bias=False, progress=False)
    assert (found["logit_bias_rms"] == 0).all() and (found["logit_weight_rms"] > 0).all()


def test_a_stopped_experiment_keeps_its_finished_seeds(tiny, tmp_path, monkeypatch):
    """The second seed fails; the call that follows trains that one only."""
    train, trained = training.train, []

    def failing(model, *args, **kwargs):
        trained.append(model.seeds[0])
        if trained == [0, 3]:
            raise KeyboardInterrupt
        return train(model, *args, **kwargs)

    monkeypatch.setattr(training, "train", failing)
    with pytest.raises(KeyboardInterrupt):
        experiments.saturating_sigmoid(TINY, 2, checkpoint=tmp_path / "c.npz", progress=False)
    found = experiments.saturating_sigmoid(TINY, 2, checkpoint=tmp_path / "c.npz", progress=False)
    assert trained == [0, 3, 3]
    assert np.array_equal(found["activation_mean"], tiny["activation_mean"])
    assert len(list(tmp_path.iterdir())) == 2, "they stay until the whole is saved"
    experiments.tidy(tmp_path / "c.npz")
    assert not list(tmp_path.iterdir())


def test_race_pairs_the_schemes():
    found = experiments.race(experiments.Scale(8, 20, (0.03,), (5,)), depth=2, progress=False)
    assert found.config["model"]["schemes"] == ["standard", "normalized"]
    assert found.config["model"]["seeds"] == [5, 5]
    assert found["error"].shape == (21, 2)


def test_schedule_is_dense_early_and_bounded_late():
    due = experiments.sigmoid_schedule(400_000)
    steps = [k for k in range(0, 400_001) if due(k)]
    assert set(range(9)) <= set(steps) and steps[-1] == 400_000
    assert 400 <= len(steps) <= 520


# ---- what is shipped


@pytest.mark.parametrize("name", results.names())
def test_a_shipped_result_is_what_its_experiment_makes(name):
    """Its configuration is that of the workstation scale, and it says where it comes from."""
    _, scales = experiments.EXPERIMENTS[name]
    scale, stored = scales["workstation"], results.load(name)
    config = stored.config
    assert config["updates"] == scale.updates
    assert np.allclose(sorted(set(config["learning_rate"])), sorted(scale.learning_rates))
    assert sorted(set(config["model"]["seeds"])) == sorted(scale.seeds)
    assert config["model"]["sizes"][1:-1] == [scale.width] * (len(config["model"]["sizes"]) - 2)
    assert {"code_version", "torch", "processor", "threads", "date"} <= stored.provenance.keys()
    assert (results.FOLDER / f"{name}.npz").stat().st_size < 500_000


def test_the_present_code_makes_the_shipped_result():
    """The first 300 updates of one seed: a longer run would magnify the last digits.

    Another processor rounds differently, by 1e-7 an operation; within 300 updates at rate 0.3 that
    stays far below the 1e-3 allowed here, and any change of data or algorithm far above.
    """
    shipped, updates = results.load("sigmoid_depth4"), 300
    same = experiments.sigmoid_schedule(shipped.config["updates"])
    watch = instruments.Monitor(
        *shapeset.sample(experiments.MONITORED, experiments.MONITORED_SEED),
        same,
        ["activation_mean"],
    )
    model = models.MLP(shipped.config["model"]["sizes"], "sigmoid", scheme="standard", seed=2)
    history = training.train(
        model, shapeset.Stream(10, 2), updates, [0.3], monitors=[watch], progress=False
    )
    steps = len(history["update"])
    found, kept = history["activation_mean"][:, 0], shipped["activation_mean"][:steps, 2]
    assert np.abs(found - kept).max() < 1e-3
    other = shipped["activation_mean"][:steps, 1]
    assert np.abs(found - other).max() > 1e-2, "another seed would not pass"


def test_every_experiment_is_shipped_and_the_ledger_finds_its_own():
    assert set(results.names()) == set(experiments.EXPERIMENTS)
    assert set(claims.SHIPPED.values()) <= set(results.names())


# ---- the command line


def test_run_writes_a_result_that_loads(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(
        experiments.EXPERIMENTS, "sigmoid_depth4", (experiments.saturating_sigmoid, {"quick": TINY})
    )
    path = tmp_path / "out.npz"
    assert command.main(["run", "sigmoid_depth4", "--to", str(path)]) == 0
    assert "wrote" in capsys.readouterr().out
    assert storage.load(path).config["updates"] == 60
    assert list(tmp_path.iterdir()) == [path], "no checkpoint is left"


def test_run_refuses_a_wrong_file_before_it_trains(tmp_path, monkeypatch, capsys):
    def trains(scale, checkpoint):
        raise AssertionError("it trained")

    monkeypatch.setitem(experiments.EXPERIMENTS, "race_depth8", (trains, {"quick": TINY}))
    (tmp_path / "folder.npz").mkdir()
    for wrong in (tmp_path / "folder.npz", tmp_path, tmp_path / "out.csv"):
        assert command.main(["run", "race_depth8", "--to", str(wrong)]) == 1
        assert f"ends in .npz, not {wrong}" in capsys.readouterr().err


def test_a_missing_extra_is_one_line(monkeypatch, capsys):
    def lacking():
        raise ImportError('downloading needs pooch: pip install "hard-to-train[data]"')

    monkeypatch.setattr(command.datasets, "mnist", lacking)
    assert command.main(["data", "mnist"]) == 1
    assert capsys.readouterr().err == (
        'hard-to-train: downloading needs pooch: pip install "hard-to-train[data]"\n'
    )


def test_claims_and_results_are_listed(capsys):
    assert command.main(["claims"]) == 0
    assert command.main(["results"]) == 0
    said = capsys.readouterr().out
    assert all(f"C{number:02}" in said for number in range(1, 32))
    assert all(name in said for name in results.names())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [(["run", "nothing"], "sigmoid_depth4"), (["fly"], "claims"), ([], "COMMAND")],
)
def test_a_wrong_command_line_lists_what_there_is(arguments, line, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2 and line in capsys.readouterr().err


def test_an_error_is_one_line(monkeypatch, capsys):
    def broken(scale, checkpoint):
        raise ValueError("the rate is 0")

    monkeypatch.setitem(experiments.EXPERIMENTS, "race_depth8", (broken, {"quick": TINY}))
    assert command.main(["run", "race_depth8"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "hard-to-train: the rate is 0"
