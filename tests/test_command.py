"""The command line: what it prints, what it writes, and how it ends."""

import csv
import dataclasses
import re

import pytest

from course_lib import __main__ as command
from course_lib import experiments, reproduce, results, storage, sweeps


@pytest.fixture
def tiny(monkeypatch):
    """Figure 10 with one small network: one job, which a sweep does in this very process."""
    monkeypatch.setattr(experiments, "EXAMINED", 60)
    size = experiments.Scale(6, 30, (0.1,), (0,))
    scales = {"lesson": size, "workstation": dataclasses.replace(size, seeds=(0, 1))}
    small = dataclasses.replace(experiments.EXPERIMENTS["fig10"], scales=scales)
    monkeypatch.setitem(experiments.EXPERIMENTS, "fig10", small)


def no_training(*args, **kwargs):
    raise AssertionError("it trained")


def test_reproduce_says_what_it_does_and_writes_figure_table_and_arrays(tiny, tmp_path, capsys):
    assert command.main(["reproduce", "fig10", "--out", str(tmp_path), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    first, table = said.split("\n\n")[:2]
    assert "fig10 at scale lesson, Figure 10: tanh layers" in first
    assert "to train: 1 network in 1 job, 1 at a time; 30 updates in all" in first
    assert re.search(r"on cpu, 1 of \d+ cores a job; about \d+ MB of memory", first)
    assert "takes about 2 seconds" in first and f"stay in {tmp_path}" in first
    assert "tanh N, depth 5" in table and "fig10-lesson.svg, .csv and .npz" in said
    stored = storage.load(tmp_path / "fig10-lesson.npz")
    assert stored.config["runs"][0]["updates"] == 30 and stored.config["experiment"] == "fig10"
    assert {"code_version", "torch", "numpy", "processor", "date"} <= stored.provenance.keys()
    rows = list(csv.DictReader((tmp_path / "fig10-lesson.csv").read_text().splitlines()))
    assert [row["layer"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert (tmp_path / "fig10-lesson.svg").read_text().startswith('<svg role="img" aria-label="Act')
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["curves", "fig10-lesson.csv", "fig10-lesson.npz", "fig10-lesson.svg"]


def test_the_same_command_does_not_train_again(tiny, tmp_path, monkeypatch, capsys):
    again = ["reproduce", "fig10", "--out", str(tmp_path)]
    assert command.main(again) == 0
    before = storage.load(tmp_path / "fig10-lesson.npz")
    monkeypatch.setattr(sweeps, "_train", no_training)
    assert command.main(again) == 0
    after = storage.load(tmp_path / "fig10-lesson.npz")
    assert after.config == before.config
    assert (after["activation_std"] == before["activation_std"]).all()


def test_the_number_of_seeds_is_in_the_names(tiny, tmp_path, capsys):
    given = ["reproduce", "fig10", "--scale", "workstation", "--seeds", "1", "--out", str(tmp_path)]
    assert command.main(given) == 0
    assert len(storage.load(tmp_path / "fig10-workstation-1seeds.npz").config["runs"]) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seeds", "0"], "seeds must be a whole number of at least 1, not 0"),
        (["--threads", "0"], "--threads must be at least 1, not 0"),
        (["--cluster", "nowhere"], "Dask"),  # is missing, or no scheduler answers
    ],
)
def test_an_error_of_the_user_is_one_line_before_training(
    more, words, tiny, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sweeps, "sweep", no_training)
    assert command.main(["reproduce", "fig10", "--out", str(tmp_path), *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hard-to-train: ") and words in line


def test_cuda_where_there_is_none(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.engine.torch.cuda, "is_available", lambda: False)
    assert command.main(["reproduce", "fig10", "--out", str(tmp_path), "--device", "cuda"]) == 2
    assert "torch finds no CUDA GPU; use 'cpu'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_is_refused_before_training(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweeps, "sweep", no_training)
    (tmp_path / "file").write_text("")
    assert command.main(["reproduce", "fig10", "--out", str(tmp_path / "file")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "file" in line


def test_an_error_of_a_job_is_one_line(tiny, tmp_path, monkeypatch, capsys):
    def failing(*args, **kwargs):
        raise RuntimeError("1 of 2 jobs failed")

    monkeypatch.setattr(sweeps, "sweep", failing)
    assert command.main(["reproduce", "fig10", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "hard-to-train: 1 of 2 jobs failed\n"


@pytest.mark.parametrize(("stop", "said"), [((), "stopped"), (("after 3 of 9",), "after 3 of 9")])
def test_a_stop_is_one_line(stop, said, tiny, tmp_path, monkeypatch, capsys):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt(*stop)

    monkeypatch.setattr(sweeps, "sweep", stopped)
    assert command.main(["reproduce", "fig10", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"hard-to-train: {said}"


def test_a_cluster_gets_the_jobs(tiny, tmp_path, monkeypatch, capsys):
    handed = []

    def swept(jobs, folder, executor, progress):
        handed.append(executor)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "cluster", lambda address: f"the executor of {address}")
    monkeypatch.setattr(sweeps, "sweep", swept)
    given = ["reproduce", "fig10", "--out", str(tmp_path), "--cluster", "tcp://here:1"]
    assert command.main(given) == 130 and handed == ["the executor of tcp://here:1"]
    said = capsys.readouterr().out
    assert "on the cluster" in said and "shared by the cluster's workers" in said
    assert "\n  on cpu; about " in said
    assert command.main([*given, "--device", "cuda"]) == 130, "the workers' card, not ours"
    assert "\n  on cuda; about " in capsys.readouterr().out


def test_networks_before_training_are_reproduced_too(tmp_path, monkeypatch, capsys):
    experiment = experiments.EXPERIMENTS["signal_at_initialisation"]
    size = experiments.untrained.Networks(width=10, networks=2, depth=2)
    small = dataclasses.replace(experiment, scales={"lesson": size})
    monkeypatch.setitem(experiments.EXPERIMENTS, "signal_at_initialisation", small)
    given = ["reproduce", "signal_at_initialisation", "--out", str(tmp_path)]
    assert command.main(given) == 0
    assert "to measure, on the CPU: 2 networks of each kind" in capsys.readouterr().out
    assert not list(tmp_path.glob("checkpoints/*")), "nothing is left of what was kept"
    assert command.main([*given, "--seeds", "3"]) == 2
    assert "has no seeds to choose" in capsys.readouterr().err


def test_list_shows_every_experiment_with_its_times(capsys):
    assert command.main(["list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["name", "what"]
    for line, (name, experiment) in zip(lines, experiments.EXPERIMENTS.items(), strict=False):
        assert line.startswith(name) and experiment.figure in line and experiment.shows in line
        assert len(re.findall(r"\d+ (?:seconds|minutes|hours|days)", line)) == 3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "2 seconds"), (119, "119 seconds"), (130, "2 minutes"), (7300, "2 hours")]
    + [(170_000, "47 hours"), (8.64e5, "10 days")],
)
def test_durations_in_words(seconds, words):
    assert command.duration(seconds) == words


def test_a_missing_extra_is_one_line(monkeypatch, capsys):
    def lacking():
        raise ImportError('downloading needs pooch: pip install "hard-to-train[data]"')

    monkeypatch.setattr(command.datasets, "mnist", lacking)
    assert command.main(["data", "mnist"]) == 2
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
    [
        (["reproduce", "nothing"], "fig02"),
        (["reproduce"], "NAME"),
        (["run", "fig02"], "reproduce"),
        (["fly"], "claims"),
        ([], "COMMAND"),
    ],
)
def test_a_wrong_command_line_lists_what_there_is(arguments, line, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2 and line in capsys.readouterr().err


def test_a_wrong_scale_lists_what_the_experiment_has(capsys):
    assert command.main(["reproduce", "fig10", "--scale", "quick"]) == 2
    assert "it has: lesson, workstation-100, workstation, paper" in capsys.readouterr().err


def test_the_plan_is_what_is_done(tiny, tmp_path, monkeypatch):
    """The runs that `reproduce` sweeps are those that its plan counted."""
    swept, sweep = [], sweeps.sweep

    def counting(jobs, *args, **kwargs):
        swept.extend(job.key for job in jobs)
        return sweep(jobs, *args, **kwargs)

    monkeypatch.setattr(sweeps, "sweep", counting)
    assert command.main(["reproduce", "fig10", "--out", str(tmp_path)]) == 0
    assert swept == [job.key for job in reproduce.plan("fig10", "lesson").jobs]
