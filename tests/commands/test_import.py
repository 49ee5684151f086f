"""`probe import` on its command line: what it prints, what it is told, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.commands.running import Refused, Run


@pytest.fixture
def arrays() -> Path:
    path = Path("run.npz")
    np.savez(path, **{"1_b": np.ones((2, 3), "f4"), "0_a": np.zeros(4, "f4"), "tokens": np.array([[1, 2]])})
    return path


INPUT = ("--input", "input_ids=tokens")


def test_it_says_what_is_in_the_dump_and_what_to_do_next(arrays: Path, probe: Run):
    outcome = probe("import", "npz", arrays, *INPUT, "-o", "x.h5")
    assert outcome.code == 0
    assert outcome.out.startswith("x.h5: 2 taps, ")
    assert "note: without weights a diff pairs taps by names and order" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("next: probe show x.h5")
    shown = probe("show", "x.h5").out
    assert "imported from" in shown
    assert shown.index("a:out") < shown.index("b:out")


def test_quiet_says_nothing_but_the_result(arrays: Path, probe: Run):
    outcome = probe("import", "npz", arrays, *INPUT, "-o", "x.h5", "-q")
    assert (outcome.code, outcome.err) == (0, "")


def test_json_stands_alone_on_stdout(arrays: Path, probe: Run):
    outcome = probe("import", "npz", arrays, *INPUT, "-o", "x.h5", "--json", "-q")
    told = json.loads(outcome.out)
    assert (told["taps"], told["inputs"], told["steps"], told["weights"]) == (2, ["input_ids"], [0], 0)
    assert told["bytes"] == Path("x.h5").stat().st_size


def test_a_dump_is_replaced_only_if_told_so(arrays: Path, probe: Run, refused: Refused):
    words = ("import", "npz", arrays, *INPUT, "-o", "x.h5")
    assert probe(*words).code == 0
    assert refused(*words).error == "x.h5 exists already"
    assert probe(*words, "--force").code == 0


def test_less_is_imported_as_less_is_recorded(arrays: Path, probe: Run):
    words = ("import", "npz", arrays, *INPUT, "--include", "b", "--stats-only", "-o", "x.h5")
    assert probe(*words).out.startswith("x.h5: 1 taps, ")
    assert "statistics and hashes alone" in probe("show", "x.h5").out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("nowhere.npz",), "nowhere.npz: no such file or folder"),
        (("run.npz",), "'tokens' has no number in the order of execution, and 2 other arrays have one"),
        (("run.npz", "--input", "input_ids"), "--input 'input_ids' is not INPUT=NAME"),
        (("run.npz", "--input", "ids=nothing"), "--input ids=nothing: no array is called so"),
        (("run.npz", *INPUT, "--dtype", "fp12"), "--dtype fp12 is no type of raw numbers"),
        (("run.npz", *INPUT, "--order", "nowhere.txt"), "cannot read nowhere.txt: No such file or directory"),
        (("run.npz", *INPUT, "--include", "c"), "no array's name matches 'c'"),
        (("run.npz", *INPUT, "--exclude", "?"), "none of 3 arrays is a tap that was asked for"),
        (("run.npz", *INPUT, "--compress", "--stats-only"), "--compress has no effect with --stats-only"),
        (("run.npz", *INPUT, "--weights", "nowhere.npz"), "nowhere.npz: no such file or folder"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    words: tuple[str, ...], error: str, arrays: Path, here: Path, refused: Refused
):
    assert refused("import", "npz", *words, "-o", "x.h5").error == error
    assert not [*here.glob("x.h5*")]


def test_debug_output_of_tensorrt_llm_is_read_as_it_lies(probe: Run):
    """As its dump_debug_buffers names files: each tensor's .npy, and the same as text."""
    folder = Path("tllm_debug/PP_0/TP_0")
    folder.mkdir(parents=True)
    for step, length in ((0, 5), (1, 1)):
        np.save(folder / f"transformer.layers.0.mlp_output-step{step}.npy", np.ones((1, length, 4), "f4"))
        (folder / f"transformer.layers.0.mlp_output-step{step}.txt").write_text("1")
        np.save(folder / f"input_ids-step{step}.npy", np.ones((1, length), "i4"))
    outcome = probe("import", "npz", folder, "--input", "input_ids=input_ids", "-o", "x.h5")
    assert outcome.out.startswith("x.h5: 2 taps, ")
    assert "note: 2 files of other kinds were passed over" in outcome.err
    assert "note: its 2 steps count as runs of their own" in outcome.err
    assert "1/transformer.layers.0.mlp_output:out" in probe("show", "x.h5").out
