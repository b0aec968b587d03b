"""The benchmarks are found, recorded whole or not at all, and their last results are there."""

import json

import pytest

from benchmarks import __main__ as runner


def test_every_benchmark_has_a_recorded_result_with_its_origin():
    assert "lessons" in runner.names() and "__main__" not in runner.names()
    recorded = {path.stem: json.loads(path.read_text()) for path in runner.RESULTS.glob("*.json")}
    assert set(recorded) == set(runner.names())
    for result in recorded.values():
        assert result["results"]
        assert {"processor", "threads", "torch", "date"} <= set(result["provenance"])


def test_a_result_is_written_with_its_origin(tmp_path):
    runner.record("a", {"images_per_second": 3, "seconds": 0.5}, 1.23, tmp_path)
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["results"] == {"images_per_second": 3, "seconds": 0.5}
    assert result["took_seconds"] == 1.2 and "torch" in result["provenance"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "3", True, None, [1.0]])
def test_what_is_no_number_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="seconds"):
        runner.record("a", {"seconds": value}, 1, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_benchmark_is_refused_with_the_names():
    assert "lessons" in runner.main(["nothing"])
