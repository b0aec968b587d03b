"""Every experiment goes the whole road at a tiny scale, and ends with a figure and a table."""

import dataclasses
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from course_lib import (
    datasets,
    experiments,
    figures,
    jobs,
    plots,
    reproduce,
    results,
    surfaces,
    sweeps,
    untrained,
)
from course_lib.experiments import Curve
from course_lib.training import History

TRAINED = [n for n, e in experiments.EXPERIMENTS.items() if isinstance(e, experiments.Training)]
APART = sorted(set(experiments.EXPERIMENTS) - {"fig11", "fig12", "table1"})


@pytest.fixture
def tiny(monkeypatch):
    """Every experiment a thousandth of its size, MNIST and CIFAR-10 made of noise."""
    monkeypatch.setattr(experiments, "EXAMINED", 60)
    monkeypatch.setattr(experiments, "ON_THE_WAY", 30)
    for name, experiment in experiments.EXPERIMENTS.items():
        if isinstance(experiment, experiments.Summary):
            continue
        size = experiments.Scale(6, 30, (0.1,), (0, 3))
        if name in ("fig09", "fig11", "fig12"):
            size = dataclasses.replace(size, rates=(0.1, 0.3))
        if isinstance(experiment, experiments.Untrained):
            size = untrained.Networks(width=10, networks=2, depth=2, inputs=2)
        if name == "cost_surfaces":
            size = surfaces.Draws(networks=2, points=5, cells=8)
        small = dataclasses.replace(experiment, scales={"lesson": size})
        monkeypatch.setitem(experiments.EXPERIMENTS, name, small)
    for name, (inputs, classes) in jobs.DATA.items():
        if name != "shapeset":
            monkeypatch.setattr(datasets, name, lambda i=inputs, c=classes: noise(i, c))
    sweeps._dataset.cache_clear()
    sweeps._examples.cache_clear()
    yield
    sweeps._dataset.cache_clear()
    sweeps._examples.cache_clear()


def noise(inputs, classes):
    generator = torch.Generator().manual_seed(inputs)
    images = torch.rand(300, inputs, generator=generator)
    labels = torch.randint(classes, (300,), generator=generator)
    part = datasets.Split(images, labels)
    return datasets.Dataset("noise", part, part, part, tuple("0123456789"), (inputs,))


def reproduced(name, folder, **more):
    """Run an experiment in this process: processes of their own would take seconds to start."""
    with ThreadPoolExecutor(1) as executor:
        return reproduce.run(name, "lesson", folder, executor=executor, progress=False, **more)


def check(name, history, folder):
    """A history that says what it is, draws and tabulates, and can be kept."""
    assert history.config["experiment"] == name and history.config["scale"] == "lesson"
    assert {"code_version", "torch", "processor", "date"} <= history.provenance.keys()
    shown = figures.show(name, history)
    assert shown.rows and all(row.keys() == shown.rows[0].keys() for row in shown.rows)
    picture = plots.svg(shown.figure, shown.alt)
    assert "nan" not in shown.alt and picture.startswith('<svg role="img"')
    if name in TRAINED:
        wanted = experiments.runs(name, "lesson", rates=chosen(history))
        kept = results.runs(history)
        assert [(run["seed"], run["learning_rate"]) for run in kept] == [
            (run.seed, run.learning_rate) for run in wanted
        ]
        assert [Curve.of(run) for run in kept] == [
            Curve.of(dataclasses.asdict(run)) for run in wanted
        ]
    history.save(folder / "whole.npz")
    again = History.load(folder / "whole.npz")
    assert again.config == history.config and again.arrays.keys() == history.arrays.keys()


def chosen(history):
    """The rates that the recorded search asks for."""
    best = {}
    for tried in history.config["search"]:
        best.setdefault(Curve.of(tried), []).append((tried["error"], tried["learning_rate"]))
    return {curve: min(pairs)[1] for curve, pairs in best.items()}


@pytest.mark.parametrize("name", APART)
def test_the_whole_road(name, tiny, tmp_path):
    check(name, reproduced(name, tmp_path), tmp_path)


def test_table_1_is_made_of_the_curves_of_figures_11_and_12(tiny, tmp_path, monkeypatch):
    """In one folder they are trained once, and each at the rate that validation chose."""
    table = reproduced("table1", tmp_path)
    check("table1", table, tmp_path)
    count = len(list((tmp_path / "curves").glob("*.npz")))
    monkeypatch.setattr(sweeps, "_work", None)  # nothing can be trained any more
    for name, sets in (("fig11", ["shapeset"]), ("fig12", ["mnist", "cifar10"])):
        curves = reproduced(name, tmp_path)
        check(name, curves, tmp_path)
        assert len(set(chosen(curves).values())) == 2, "else a wrong rate would not be seen"
        ours = [n for n, run in enumerate(results.runs(table)) if run["data"] in sets]
        assert np.array_equal(table["test_error"][ours], curves["test_error"][-1])
    assert len(list((tmp_path / "curves").glob("*.npz"))) == count
    rows = figures.show("table1", table).rows
    assert len(rows) == 16 and rows[2]["in the paper"] == "27.15"
    assert [row["in the paper"] for row in rows if row["curve"] == "sigmoid, depth 4"] == [""]


def test_seeds_can_be_chosen(tiny, tmp_path):
    assert [run["seed"] for run in results.runs(reproduced("fig10", tmp_path, seeds=1))] == [0]


def test_data_that_are_missing_are_said_before_training(tiny, tmp_path, monkeypatch):
    def missing():
        raise OSError("no CIFAR-10 there")

    monkeypatch.setattr(datasets, "cifar10", missing)
    monkeypatch.setattr(sweeps, "sweep", None)
    with pytest.raises(OSError, match="no CIFAR-10"):
        reproduced("fig12", tmp_path)


# ---- choosing


def tried(rate, error, scheme="standard", diverged=-1):
    run = dataclasses.asdict(Curve("tanh", scheme)) | {"learning_rate": rate}
    arrays = {"validation_error": np.array([[error]]), "diverged": np.array([diverged])}
    return History(arrays, {}, {"run": run})


def test_the_least_validation_error_chooses_curve_by_curve():
    curves = [tried(0.1, 0.5), tried(0.3, 0.4), tried(1.0, 0.6)]
    curves += [tried(0.1, 0.2, "normalized"), tried(0.3, 0.4, "normalized")]
    assert reproduce.choose(curves) == {Curve("tanh"): 0.3, Curve("tanh", "normalized"): 0.1}
    assert reproduce.choose([]) == {}


def test_a_run_that_diverged_is_not_chosen():
    assert reproduce.choose([tried(0.1, 0.5), tried(1.0, 0.1, diverged=400)]) == {
        Curve("tanh"): 0.1
    }
    lost = [tried(0.1, 0.5, diverged=100), tried(1.0, np.nan, diverged=0)]
    with pytest.raises(ValueError, match="tanh, depth 5 on shapeset diverged at every rate"):
        reproduce.choose(lost)


# ---- planning


def test_the_longest_jobs_go_first():
    class Job:
        def __init__(self, seconds):
            self.seconds = seconds

    jobs = [Job(1), Job(1), Job(2), Job(4)]
    assert reproduce._elapsed(jobs, 1) == 8 and reproduce._elapsed(jobs, 2) == 4
    assert reproduce._elapsed([], 2) == 0


def test_a_plan_of_networks_that_are_not_trained():
    plan = reproduce.plan("signal_at_initialisation", "lesson")
    assert (plan.runs, plan.updates, plan.memory, plan.networks) == (0, 0, 0, 10)
    assert plan.device == "cpu"


# ---- figures


def test_runs_that_diverged_are_left_out(tiny, tmp_path):
    history = reproduced("fig10", tmp_path)
    history.arrays["diverged"] = np.array([-1, 10])
    for name in ("activation_std", "activation_percentiles"):
        history.arrays[name][:, 1] = np.nan
    shown = figures.show("fig10", history)
    assert {row["seeds"] for row in shown.rows} == {1} and "nan" not in shown.alt
    history.arrays["diverged"] = np.array([5, 10])
    with pytest.raises(ValueError, match="every run of fig10 diverged"):
        figures.show("fig10", history)


def test_sentences_and_tables_give_the_numbers_of_the_shipped_results():
    """Against the arrays themselves, by another way than that of the figures."""
    stored = results.load("race_depth8")
    shown = figures.show("race_depth8", stored)
    error = 100 * stored["error"][-1]
    standard, normalized = error[0::2].mean(), error[1::2].mean()
    assert f"Tanh depth 8 {standard:.1f} %" in shown.alt
    assert [row["test error (%)"] for row in shown.rows] == [
        f"{standard:.2f}",
        f"{normalized:.2f}",
    ]
    depth5 = results.load("sigmoid_depth5")
    rows = figures.show("sigmoid_depth5", depth5).rows
    assert [row["cost leaves the plateau at update"] for row in rows] == 5 * ["never"]
    assert rows[3]["at the end"] == f"{depth5['activation_mean'][-1, 3, -1]:.4f}"
    signal = results.load("signal_at_initialisation")
    row = figures.show("signal_at_initialisation", signal).rows[7]
    assert (row["activation"], row["scheme"], row["layer"]) == ("tanh", "normalized", 3)
    assert row["activation_std"] == f"{signal['activation_std'][0, 1, :, 2].mean():.4g}"


def test_every_experiment_has_a_figure_and_every_scale_is_offered():
    assert figures.SHOWN.keys() == experiments.EXPERIMENTS.keys()
    for name in experiments.EXPERIMENTS:
        scales = tuple(experiments.find(name).scales)
        assert (scales[0], scales[-1]) == ("lesson", "paper") and "workstation" in scales
        assert all(re.fullmatch(r"workstation(-[0-9]+)?", scale) for scale in scales[1:-1])
        assert re.fullmatch(r"[a-z0-9_]+", name)
