"""`probe dump --repeat`: a run that differs from its own repetition, and recording that moved the output."""

from pathlib import Path

import pytest

from probe.cli import main
from probe.dump import Dump
from probe.report import Status
from tests.trust.conftest import Doubts, only
from tests.trust.retelling import retold

TARGETS = f"py:{Path(__file__).with_name('restless.py')}"


@pytest.fixture
def dumped(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`dumped("noisy", 2)`: the dump of that model, repeated, and what was said on stderr."""

    def run(function: str, repeat: int, *words: str, code: int = 0) -> tuple[Path, str]:
        path = tmp_path / f"{function}{repeat}.h5"
        words = (*words, "--tokens", "3,4,5,6", "--repeat", str(repeat), "-o", str(path))
        assert main(["dump", f"{TARGETS}:{function}", *words]) == code
        return path, capsys.readouterr().err

    return run


def test_a_run_that_differs_from_its_own_repetition(dumped, doubts: Doubts):
    path, said = dumped("noisy", 2)
    with Dump(path) as dump:
        seen = dump.attribute("repetition")
        assert dump.complete
        after = [tap.name for tap in dump.taps]
    assert (seen["runs"], seen["recording_moved_output"]) == (2, False)
    step, first, size = seen["taps"][0]
    assert (step, first) == (0, "model.layers.5.mix:out")
    assert 1e-4 < size < 1e-2
    assert seen["num_differing"] == len(seen["taps"]) == len(after) - after.index(first)
    assert f"{seen['num_differing']} taps differ, first model.layers.5.mix:out by {size:.1e} of it" in said
    steady, _ = dumped("steady", 2)
    message = only(doubts(steady, path), "repetition", Status.WARN)
    assert message.startswith(
        "the candidate does not repeat itself: run again on the same inputs, model.layers.5.mix:out"
    )
    assert message.endswith(f"differs by {size:.1e} of it, and {seen['num_differing'] - 1} more taps after it")
    assert "the reference does not" in doubts(path, steady)["repetition"].message


def test_more_runs_find_larger_noise(dumped):
    sizes = []
    for runs in (2, 6):
        with Dump(dumped("noisy", runs)[0]) as dump:
            sizes.append(dump.attribute("repetition")["taps"][0][2])
    assert sizes[1] > sizes[0]


def test_a_run_that_repeats_itself_passes(dumped, doubts: Doubts):
    path, said = dumped("steady", 3)
    assert "3 runs on the same inputs are the same bit for bit, and so is one without hooks" in said
    with Dump(path) as dump:
        assert dump.attribute("repetition") == {
            "runs": 3,
            "num_differing": 0,
            "taps": [],
            "recording_moved_output": False,
        }
    assert doubts(path, path) == {}


def test_recording_that_moved_the_output(dumped, doubts: Doubts):
    path, said = dumped("shy", 2)
    assert "without hooks the same run gives other numbers: recording moved the output" in said
    steady, _ = dumped("steady", 2)
    assert "recording moved the candidate's output" in doubts(steady, path)["repetition"].message


def test_a_model_that_cannot_run_twice_says_so_and_keeps_its_first_run(dumped):
    path, said = dumped("failing", 2, code=2)
    assert "the model raised RuntimeError when it was run again: the cache is full (restless.py, line " in said
    assert f"its first run is in {path}" in said
    with Dump(path) as dump:
        assert dump.complete


@pytest.mark.parametrize("repeat", [1, 0, -1])
def test_repeating_nothing_is_refused(repeat: int, dumped):
    assert f"--repeat {repeat} repeats nothing" in dumped("steady", repeat, code=2)[1]


@pytest.mark.parametrize(
    "seen", [7, [], {"taps": 3}, {"taps": [1]}, {"taps": [[0, "a", None]], "num_differing": "x"}], ids=repr
)
def test_an_attribute_that_makes_no_sense_is_no_crash(seen: object, dumped, tmp_path: Path, doubts: Doubts):
    steady, _ = dumped("steady", 2)
    hostile = retold(steady, tmp_path / "hostile.h5", repetition=seen, environment={"training": seen, "tf32": seen})
    assert doubts(steady, hostile).keys() <= {"repetition", "mode"}
