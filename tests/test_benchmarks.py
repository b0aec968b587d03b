"""The benchmarks run, are recorded whole or not at all, and their last results are there.

No test asserts a time: they run each benchmark at a tiny size and look at what it returns.
"""

import json
import math
import re
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import assignment
import nbformat
import numpy as np
import pytest
import torch

from benchmarks import __main__ as runner
from benchmarks import (
    _peers,
    _students,
    book,
    classroom,
    drawing,
    gpu,
    growth,
    instrumentation,
    jacobian,
    lessons,
    machine,
    playground,
    shapeset,
    training,
)
from course_lib import engine, models
from course_lib.classroom import sources

PAGE = Path(__file__).resolve().parent.parent / "book" / "benchmarks.md"
RECORDED = {path.stem: json.loads(path.read_text()) for path in runner.RESULTS.glob("*.json")}


def finite(numbers):
    """Say whether all are finite numbers, at least one; True and strings are none."""
    plain = (type(value) in (int, float) and math.isfinite(value) for value in numbers.values())
    return bool(numbers) and all(plain)


# ---- what is recorded
def test_every_benchmark_has_a_recorded_result_with_its_origin():
    """But for those that say themselves that a machine may be unable to run them."""
    elsewhere = {name for name in runner.names() if hasattr(runner.module(name), "missing")}
    assert "lessons" in runner.names() and "__main__" not in runner.names()
    assert elsewhere == {"classroom", "gpu", "playground"}
    assert set(runner.names()) - elsewhere <= set(RECORDED) <= set(runner.names())
    for result in RECORDED.values():
        assert finite(result["results"])
        assert {"processor", "threads", "torch", "date"} <= set(result["provenance"])
    assert {"jax", "cores"} <= set(RECORDED["training"]["provenance"])


def test_the_page_shows_every_benchmark():
    shown = set(re.findall(r'show\("(\w+)"|recorded\["(\w+)"\]', PAGE.read_text()))
    assert {first or second for first, second in shown} == set(runner.names())


def test_the_recorded_ratios_are_of_the_benchmark_as_it_is_now():
    numbers = RECORDED["training"]["results"]
    for width, runs in training.WIDTHS:
        prefix = f"width {width}, {runs} run{'s' * (runs > 1)}: "
        for peer in (training.PLAIN, "torch.func.vmap", training.LIMIT):
            times = [numbers[f"{prefix}{name}: microseconds"] for name in (peer, training.ENGINE)]
            ratio = numbers[f"{prefix}{peer}: times the engine's time"]
            assert ratio == pytest.approx(times[0] / times[1])


def test_a_result_is_written_with_its_origin(tmp_path):
    numbers = {"images_per_second": 3, "seconds": 0.5}
    runner.record("a", numbers, 1.23, tmp_path, {"gpu": "none"})
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["results"] == numbers
    assert result["took_seconds"] == 1.2
    assert "torch" in result["provenance"] and result["provenance"]["gpu"] == "none"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "3", True, None, [1.0]])
def test_what_is_no_number_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="seconds"):
        runner.record("a", {"seconds": value}, 1, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_benchmark_that_measured_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'a' measured nothing"):
        runner.record("a", {}, 1, tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---- the command
@pytest.fixture
def two(monkeypatch, tmp_path):
    """Two benchmarks in place of the real ones: `first` runs, `second` does what it is given."""
    modules = {
        "first": SimpleNamespace(run=lambda: {"seconds": 1.0}),
        "second": SimpleNamespace(run=lambda: {"seconds": 2.0}, origin=lambda: {"cores": 2}),
    }
    monkeypatch.setattr(runner, "names", lambda: sorted(modules))
    monkeypatch.setattr(runner, "module", modules.get)
    monkeypatch.setattr(runner.record, "__defaults__", (tmp_path, None))
    monkeypatch.setattr(runner.announce, "__defaults__", (tmp_path,))
    return modules


def test_an_unknown_benchmark_is_refused_with_the_names():
    assert "lessons" in runner.main(["nothing"])


def test_it_says_beforehand_how_long_it_takes(two, tmp_path, capsys):
    runner.record("first", {"seconds": 1.0}, 61, tmp_path)
    assert runner.main([]) == 0
    said = capsys.readouterr().out
    assert re.search(r"first +about 61 s\n +second +not timed before\nAbout 2 minutes", said)
    assert said.index("About 2 minutes") < said.index("\nfirst")
    assert json.loads((tmp_path / "second.json").read_text())["provenance"]["cores"] == 2


def test_what_cannot_be_measured_here_is_left_out_with_the_reason(two, tmp_path, capsys):
    two["second"].missing = lambda: "it needs a CUDA GPU"
    (tmp_path / "second.json").write_text("kept")
    assert runner.main([]) == 0
    assert re.search(r"second +left out: it needs a CUDA GPU", capsys.readouterr().out)
    assert (tmp_path / "first.json").exists()
    assert (tmp_path / "second.json").read_text() == "kept"


def test_ctrl_c_keeps_what_is_finished(two, tmp_path, capsys):
    def interrupted():
        raise KeyboardInterrupt

    two["second"].run = interrupted
    assert runner.main([]) == 130
    assert "recorded: first" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["first.json"]


# ---- the peers
TINY = {"widths": ((5, 2),), "threads": (1,), "rounds": 2, "seconds": 0.0, "batches": 4}


def test_the_peers_are_timed_side_by_side():
    numbers = training.run(**TINY)
    assert finite(numbers)
    jax = {"JAX", "JAX without vmap"} if training.origin()["jax"] != "not installed" else set()
    for peer in _peers.PEERS.keys() - {"JAX", "JAX without vmap"} | jax:
        assert numbers[f"width 5, 2 runs: {peer}: microseconds"] > 0
        if peer != training.ENGINE:
            ratio = f"width 5, 2 runs: {peer}: times the engine's time"
            low, high = (numbers[f"{ratio}, {end} of the rounds"] for end in ("lowest", "highest"))
            assert 0 < low <= high
        if peer != training.LIMIT:
            assert 0 < numbers[f"width 5, 2 runs: {peer}: relative error"] < 1e-5


@pytest.fixture
def start():
    """The first weights of two small networks, and six mini-batches."""
    model = models.MLP([7, 4, 5, 3], "tanh", runs=2, seed=0)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, 10, 7, generator=generator)
    labels = torch.randint(3, (6, 10), generator=generator)
    return model, {name: value.numpy() for name, value in model.parameters.items()}, images, labels


@pytest.mark.parametrize("peer", [name for name in _peers.PEERS if name != training.LIMIT])
def test_each_peer_takes_the_same_updates_as_float64(start, peer):
    """Also `jax`, where it is installed."""
    if peer.startswith("JAX"):
        pytest.importorskip("jax", reason="JAX is not installed")
    model, weights, images, labels = start
    before = {name: value.copy() for name, value in weights.items()}
    advance, parameters = _peers.PEERS[peer](weights, images.numpy(), labels.numpy(), 0.5)
    exact = models.MLP(model.sizes, "tanh", runs=2, dtype=torch.float64)
    for name, value in exact.parameters.items():
        value.copy_(torch.from_numpy(before[name]))
    for _ in range(2):  # a second call goes on from where the first ended
        advance()
        for x, y in zip(images, labels, strict=True):
            moved = training.exact_change(exact, x, y, 0.5)
            for name, value in exact.parameters.items():
                value.add_(torch.from_numpy(moved[name]))
    after = parameters()
    assert weights.keys() == after.keys()
    for name, value in exact.parameters.items():
        np.testing.assert_allclose(after[name], value, atol=5e-6, err_msg=name)
        assert np.array_equal(weights[name], before[name]), "the first weights were changed"


def test_a_peer_that_does_other_work_stops_the_benchmark():
    ours = {"weight_0": np.ones((2, 3)), "bias_0": np.ones(3)}
    training.check("same", {name: value * (1 + 5e-5) for name, value in ours.items()}, ours)
    with pytest.raises(RuntimeError, match="other does other work"):
        training.check("other", ours | {"bias_0": np.ones(3) * 1.001}, ours)
    with pytest.raises(RuntimeError, match="none does other work"):
        training.check("none", ours | {"bias_0": np.full(3, np.nan)}, ours)


def test_a_worker_that_dies_is_named(tmp_path, capfd):
    worker = training.Worker(training.PLAIN, 1, "default", tmp_path / "none.npz")
    try:
        with pytest.raises(RuntimeError, match="plain PyTorch, 1 thread stopped with status 1"):
            worker.ready()
    finally:
        worker.close()
    assert "none.npz" in capfd.readouterr().err


Timed = namedtuple("Timed", "peer threads kernel name")


def worker(peer, threads=1, kernel="default"):
    name = f"{peer} {kernel} {threads}"
    return Timed(peer, threads, kernel, name)


def test_a_kernel_that_rounds_too_much_does_not_count():
    fast, slow = (worker(training.ENGINE, kernel=kernel) for kernel in reversed(engine.KERNELS))
    plain, limit = worker(training.PLAIN), worker(training.LIMIT)
    times = {slow: [2e-6], fast: [1e-6], plain: [8e-6], limit: [1e-6]}
    errors = {slow.name: 1.9e-7, fast.name: 2.1e-7, plain.name: 1e-7}
    numbers = training.summary(times, errors, runs=2)
    assert numbers["plain PyTorch: times the engine's time"] == pytest.approx(4)
    assert numbers["this engine: microseconds"] == pytest.approx(1)
    numbers = training.summary(times, errors | {fast.name: 1.9e-7}, runs=2)
    assert numbers["plain PyTorch: times the engine's time"] == pytest.approx(8)


def test_each_takes_the_threads_it_likes_best():
    ours, theirs = ([worker(peer, n) for n in (1, 2)] for peer in (training.ENGINE, training.PLAIN))
    times = {ours[0]: [3, 4, 9], ours[1]: [2, 2, 2], theirs[0]: [5, 6, 9], theirs[1]: [7, 7, 7]}
    numbers = training.summary(times, {w.name: 1e-7 for w in times}, runs=1)
    assert numbers["this engine: threads"] == 2 and numbers["plain PyTorch: threads"] == 1
    assert numbers["plain PyTorch: times the engine's time"] == 3
    ratio = "plain PyTorch: times the engine's time, {} of the rounds"
    assert [numbers[ratio.format(end)] for end in ("lowest", "highest")] == [2.5, 4.5]


# ---- the others
def test_growth_has_every_size():
    before = torch.get_num_threads()
    numbers = growth.run((1, 2), (5, 6), (1,), threads=(1,), rounds=1, seconds=0)
    assert len(numbers) == 5 and finite(numbers) and min(numbers.values()) > 0
    assert torch.get_num_threads() == before


def test_drawing_compares_the_same_pictures():
    before = torch.get_num_threads()
    stream = drawing.shapeset.Stream(10, seed=0)
    drawn = drawing.Drawn(stream, 3)
    assert torch.equal(drawn.batch(2)[0], stream.batch(2)[0])
    images, labels = drawn.batches(1, 3)
    assert torch.equal(images[1], stream.batch(2)[0]) and torch.equal(labels[1], stream.batch(2)[1])
    numbers = drawing.run(widths=((5, 2),), threads=(1,), rounds=1, least=0)
    assert len(numbers) == 1 and finite(numbers)
    assert torch.get_num_threads() == before


def test_the_machine_is_measured_and_its_threads_restored():
    before = torch.get_num_threads()
    numbers = machine.run(threads=(1,), size=20, read=1e4)
    assert len(numbers) == 2 and finite(numbers) and min(numbers.values()) > 0
    assert torch.get_num_threads() == before


def test_the_gpu_benchmark_runs_or_says_why_not():
    """On the CPU in place of a GPU, to see that its code runs."""
    numbers = gpu.run(runs=(1, 2), width=5, least=0, copied=1000, device="cpu")
    assert finite(numbers) and numbers["updates/s of all, 2 runs"] == pytest.approx(
        2 * numbers["updates/s per run, 2 runs"]
    )
    assert (gpu.missing() is None) == torch.cuda.is_available()
    if gpu.missing():
        assert "CUDA" in gpu.missing() and gpu.origin() == {}


def test_the_weights_of_an_update_are_counted():
    """First layer: 3 times its 8 weights; second: 4 times its 3; 2 runs; 4 bytes each."""
    assert gpu.bytes_an_update([3, 2, 1], runs=2) == 4 * 2 * (3 * 8 + 4 * 3)


def test_instrumentation_gives_the_share_of_each_training():
    watch = instrumentation.sweeps.Watch(("activation_mean",), ("every", 10), examples=20)
    case = instrumentation.Case("small", "tanh", 5, 1, 2, 100, (watch,))
    numbers = instrumentation.run([case], widths=(5,), rounds=1, seconds=0)
    assert finite(numbers) and numbers["small: records"] == 11
    assert "small: % added to the training" in numbers


def test_a_race_in_the_page_is_timed_and_read():
    if why := playground.missing():
        pytest.skip(why)
    numbers = playground.run(seeds=(0,), updates=100)
    assert finite(numbers)
    assert numbers["seed 0: updates"] == 100
    looks = [(0.1 * k, 100 * k, points, 1, k < 4) for k, points in enumerate((0, 6, 1, 9, 8))]
    ahead = {name: v for name, v in playground.story(looks).items() if "ahead by" in name}
    assert ahead == {  # one look alone is not enough
        "normalized ahead by 5 points after updates": 300,
        "normalized ahead by 5 points after seconds": pytest.approx(0.3),
    }


def test_drawing_of_shapeset_is_timed(monkeypatch):
    monkeypatch.setattr(shapeset, "BATCHES", (10,))
    monkeypatch.setattr(shapeset, "SECONDS", 0.001)
    monkeypatch.setattr(shapeset, "REPEATS", 1)
    numbers = shapeset.run()
    assert len(numbers) == 2 and finite(numbers) and min(numbers.values()) > 0


def test_the_jacobian_is_timed_and_checked(monkeypatch):
    for name, value in {
        "NETWORKS": (("tanh", "standard"),),
        "SIZES": (1024, 6, 7, 8, 9),
        "EXAMPLES": 10,
        "UPDATES": 2,
        "DECOMPOSED": 1,
    }.items():
        monkeypatch.setattr(jacobian, name, value)
    numbers = jacobian.run()
    assert finite(numbers)
    assert all(v < 0.05 for label, v in numbers.items() if label.endswith(": relative error"))


def test_a_lesson_is_timed(monkeypatch, tmp_path):
    """One that keeps 200 MB for a moment."""
    cell = "```{code-cell} ipython3\nlen(bytearray(200_000_000))\n```\n"
    (tmp_path / "01_small.md").write_text("# A lesson\n\n" + cell)
    monkeypatch.setattr(lessons, "LESSONS", tmp_path)
    numbers = lessons.run()
    assert list(numbers) == ["01_small_seconds", "01_small_peak_gigabytes"]
    assert 0 < numbers["01_small_seconds"] and 0.2 < numbers["01_small_peak_gigabytes"] < 0.5


def test_the_book_is_built_in_a_copy(tmp_path):
    """Twice: the second time it finds what the first one left."""
    (tmp_path / "page.md").write_text("text")
    for unwanted in (".venv", "_build"):
        (tmp_path / unwanted).mkdir()
    script = (
        "import pathlib, os; assert sorted(os.listdir()) in (['page.md'], ['built', 'page.md']);"
        "pathlib.Path('built').touch(); sum(range(10**6))"
    )
    numbers = book.run(tmp_path, [sys.executable, "-c", script])
    assert len(numbers) == 4 and finite(numbers)
    assert not (tmp_path / "built").exists()


def test_a_book_that_cannot_be_built_says_so(tmp_path):
    with pytest.raises(RuntimeError, match="(?s)could not be built.*a warning"):
        book.run(tmp_path, [sys.executable, "-c", "print('a warning'); raise SystemExit(1)"])


# ---- a class of students
PS2 = sources.read(sources.find("ps2"))


def test_a_class_is_drawn_from_its_seed():
    many = _students.make(100, PS2)
    assert many == _students.make(100, PS2) != _students.make(100, PS2, seed=1)
    assert len({(s.first_name, s.last_name) for s in many}) == len({s.id for s in many}) == 100
    assert sorted(s.accident for s in many if s.accident) == sorted(_students.ACCIDENTS)
    earned = [sum(filter(None, s.marks.values())) for s in many if s.marks]
    assert len(earned) == 98 and len(set(earned)) > 8 and max(earned) == 16
    for test in PS2.points:  # each is passed by some and failed by some
        assert len({s.marks[test] for s in many if s.marks}) == 2
    for count in (0, 101):
        with pytest.raises(ValueError, match=f"not {count}"):
            _students.make(count, PS2)


@pytest.mark.parametrize("number", range(3))
def test_each_mistake_costs_what_the_benchmark_expects(number):
    """One of every cell at once: no part depends on another."""
    right, answers, lost = _students.solutions(PS2), {}, set()
    for cell, (_, mistakes) in _students.CELLS.items():
        answers[cell], fails = _students.mistaken(cell, min(number, len(mistakes) - 1), right)
        lost |= fails
    assert set(assignment.failed(PS2, answers)) == lost


def test_other_ways_and_other_names_cost_nothing():
    for way in (_students.solutions(PS2), _students.OTHERWISE):
        functions = {cell: way[cell] for cell in _students.CELLS if "def " in way[cell]}
        other = {cell: _students.renamed(functions[cell]) for cell in functions}
        assert all(other[cell] != functions[cell] for cell in functions)
        assert not assignment.failed(PS2, _students.OTHERWISE | other)


def test_a_student_gets_what_is_not_lost():
    student = _students.make(100, PS2)[9]  # makes three mistakes and leaves things out
    answers = dict.fromkeys([*_students.CELLS, _students.WRITTEN]) | student.answers
    failed = assignment.failed(PS2, answers)
    lost = {test for test, points in student.marks.items() if points == 0}
    assert not student.accident and lost - {_students.WRITTEN} == set(failed)


def test_what_is_handed_in_is_the_release_with_answers():
    released = sources.release(PS2, assignment.SECRET)
    by_accident = {s.accident: s for s in _students.make(100, PS2)}
    whole, torn = (
        nbformat.reads(_students.handed_in(by_accident[what], released).decode(), as_version=4)
        for what in ("prints", "tests deleted")
    )
    assert [cell.id for cell in whole.cells] == [cell.id for cell in released.cells]
    assert "still running" in next(c for c in whole.cells if c.id == "ps2-evaluations").source
    assert len(whole.cells) - len(torn.cells) == len(PS2.points) - 1
    assert _students.handed_in(by_accident["empty"], released) == b""


@pytest.fixture
def gradebook(monkeypatch):
    """Four students, and marks as a gradebook has them that graded them rightly; to be spoiled."""
    students = _students.make(4, PS2)
    marks = {}
    for s in students:
        grades = {
            test: SimpleNamespace(score=points or 0, waiting=points is None)
            for test, points in s.marks.items()
        }
        lines = [_students.ACCIDENTS[s.accident]] if s.accident else []
        state = "waiting" if s.marks else "failed"
        marks[s.id] = SimpleNamespace(student=s, state=state, grades=grades, lines=lines)
    monkeypatch.setattr(classroom.export, "marks", lambda *given: list(marks.values()))
    return students, marks


def test_a_class_that_is_graded_as_expected_is_counted(gradebook):
    numbers = classroom.compare(None, gradebook[0])
    assert list(numbers.values()) == [4, 3, 1, 3 * len(PS2.points)]


def test_a_mark_that_is_wrong_or_lost_stops_the_benchmark(gradebook):
    students, marks = gradebook
    good = next(s.id for s in students if s.marks and not s.accident)
    empty, stuck = (next(s.id for s in students if s.accident == a) for a in ("empty", "import"))

    def refused(words):
        with pytest.raises(RuntimeError, match=words):
            classroom.compare(None, students)

    grade = marks[good].grades["ps2-fall-test"]
    grade.score += 1
    refused(f"{good} got")
    grade.score -= 1
    grade.waiting = True
    refused(f"{good} got")
    grade.waiting = False
    marks[good].lines.append("flagged: something")
    refused(f"{good}: of nothing is said: flagged")
    marks[good].lines.clear()
    marks[stuck].lines.clear()
    refused(f"{stuck}: of import is said")
    marks[empty].state = "waiting"
    refused(f"{empty} is waiting")
    del marks[good]
    refused(f"(?s)3 students, not 4.*{good} was lost")


def test_memory_of_a_process_and_its_children_is_seen():
    """200 MB in a child of the process that is looked at, 30 MB in the process itself."""
    if why := classroom.missing():
        pytest.skip(why)
    child = [sys.executable, "-c", "held = bytearray(b'x') * 200_000_000; input()"]
    code = "import subprocess; held = bytearray(b'x') * 30_000_000; "
    code += f"subprocess.run({child!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    until = time.monotonic() + 60
    with classroom.Memory(process.pid, every=0.05) as memory:
        while memory.each < 200e6 and time.monotonic() < until:
            time.sleep(0.05)
        process.communicate()
    assert 200e6 < memory.each < 260e6 and 30e6 < memory.own < 90e6
    assert memory.all == pytest.approx(memory.own + memory.each, rel=0.05) and memory.looks > 0
