"""`probe dump` of py: targets: what is fed, how it is run, what is recorded, and under which name."""

from pathlib import Path

import numpy as np
import pytest

from probe.dump import Dump
from tests.commands.running import TINY, Run

BUILD = f"{TINY}:build"


def ids(path: Path | str) -> list[list[int]]:
    with Dump(path) as dump:
        bits, dtype = dump.inputs()["input_ids"]
    assert dtype == "int64"
    return bits.tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,2,3", [[1, 2, 3]]),
        ("1 2 3\n4, 5, 6\n", [[1, 2, 3], [4, 5, 6]]),
        ("[1, 2, 3]", [[1, 2, 3]]),
        (" [[1, 2], [3, 4]]\n", [[1, 2], [3, 4]]),
    ],
)
def test_tokens_come_from_a_file_as_text_or_json(text: str, rows: list[list[int]], probe: Run):
    Path("ids.txt").write_text(text)
    assert probe("dump", BUILD, "--tokens-file", "ids.txt", "-o", "x.h5").code == 0
    assert ids("x.h5") == rows


def test_tokens_on_the_command_line_are_separated_by_commas_and_sentences_by_semicolons(probe: Run):
    assert probe("dump", BUILD, "--tokens", "1,2;3,4", "-o", "x.h5").code == 0
    assert ids("x.h5") == [[1, 2], [3, 4]]


def test_random_tokens_are_those_of_their_seed_and_of_the_vocabulary(probe: Run):
    for name, words in {"first": [], "zero": ["--seed", "0"], "one": ["--seed", "1"]}.items():
        assert probe("dump", BUILD, "--random-tokens", "50", *words, "-o", f"{name}.h5").code == 0
    assert ids("first.h5") == ids("zero.h5") != ids("one.h5")
    [drawn] = ids("one.h5")
    assert len(drawn) == 50
    assert set(drawn) <= set(range(32))


@pytest.mark.parametrize("function", ["with_inputs", "with_named_inputs"])
def test_a_function_may_bring_its_own_inputs_and_the_user_others(function: str, probe: Run):
    assert probe("dump", f"{TINY}:{function}", "-o", "own.h5").code == 0
    assert ids("own.h5") == [[3, 1, 2]]
    assert probe("dump", f"{TINY}:{function}", "--tokens", "7", "-o", "other.h5").code == 0
    assert ids("other.h5") == [[7]]


def test_inputs_of_another_dump_reach_a_parameter_of_another_name(reference: Path, probe: Run):
    assert probe("dump", f"{TINY}:port", "--inputs", reference, "-o", "x.h5").code == 0
    with Dump("x.h5") as dump:
        assert dump.inputs()["ids"][0].tolist() == ids(reference)


def test_a_dtype_casts_the_model_and_is_written_down(probe: Run):
    assert probe("dump", BUILD, "--tokens", "1,2", "--dtype", "bf16", "-o", "x.h5").code == 0
    with Dump("x.h5") as dump:
        assert dump.environment["dtype"] == "bfloat16"
        assert {tap.dtype for tap in dump.taps} == {"int64", "bfloat16"}


def test_arguments_reach_the_function_as_python_literals_or_text(reference: Path, probe: Run):
    words = ["--inputs", reference, "--arg", "gain=1e3", "--arg", "at=2", "--arg", "overflow=inf"]
    assert probe("dump", BUILD, *words, "-o", "x.h5").code == 0
    with Dump("x.h5") as dump:
        assert dump.attribute("target")["arguments"] == {"gain": 1000.0, "at": 2, "overflow": "inf"}
        assert np.isinf(dump["blocks.2:out"][..., 0]).all()
        assert np.isfinite(dump["blocks.1:out"]).all()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--include", "blocks.1"], {"blocks.1:in", "blocks.1:out"}),
        (["--include", "*.linear:out"], {f"blocks.{number}.linear:out" for number in range(3)}),
        (["--include", "head", "--include", "embed", "--exclude", "*:in"], {"embed:out", "head:out"}),
    ],
)
def test_include_and_exclude_choose_modules_or_taps(words: list[str], names: set[str], probe: Run):
    assert probe("dump", BUILD, "--tokens", "1,2", *words, "-o", "x.h5").code == 0
    with Dump("x.h5") as dump:
        assert {tap.name for tap in dump.taps} == names


def test_a_dump_without_a_name_goes_to_dumps_under_its_target_s(probe: Run):
    outcome = probe("dump", BUILD, "--tokens", "1")
    assert outcome.out == "dumps/tiny-build.h5: 24 taps, 0.1 MB\n"
    assert Path("dumps/tiny-build.h5").is_file()


def test_the_next_command_is_named_on_stderr_and_left_out_when_quiet(probe: Run):
    words = ["dump", BUILD, "--tokens", "1", "--force", "-o", "x.h5"]
    loud, quiet = probe(*words), probe(*words, "-q")
    assert loud.err == "next: probe show x.h5   or   probe dump CANDIDATE --inputs x.h5 -o cand.h5\n"
    fed = probe("dump", BUILD, "--inputs", "x.h5", "-o", "y.h5")
    assert fed.err == "next: probe show y.h5   or   probe diff x.h5 y.h5\n"
    assert quiet.err == ""
    assert loud.out == quiet.out == "x.h5: 24 taps, 0.1 MB\n"
