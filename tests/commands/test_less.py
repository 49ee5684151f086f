"""`probe dump --sketch` and `--stats-only`, and what show and diff say of such dumps."""

import json
import shlex
from pathlib import Path

import pytest

from tests.commands.running import TINY, Refused, Run

BUILD = f"{TINY}:build"


@pytest.fixture
def recorded(probe: Run):
    """A reference, and one whose second block is half as strong again."""

    def record(*words: str) -> tuple[str, str]:
        for name, more in (("ref.h5", []), ("cand.h5", ["--arg", "gain=1.5"])):
            assert probe("dump", BUILD, *more, "--tokens", "1,2,3,4,5", "-o", name, *words).code == 0
        return "ref.h5", "cand.h5"

    return record


def test_a_diff_of_sketches_says_about_where_and_what_to_record_next(recorded, probe: Run):
    shown = probe("diff", *recorded("--sketch", "4"))
    assert shown.code == 1
    assert "both hold sketches of 4 projections a token: errors are estimates" in shown.out
    assert "first at blocks.1" in shown.out
    following = [line.removeprefix("next").strip() for line in shown.out.splitlines() if line.startswith("next")]
    assert len(following) == 2
    for command in following:
        assert probe(*shlex.split(command)[1:]).code == 0
    again = [shlex.split(command)[-1] for command in following]
    assert probe("diff", *again, "--no-replay").code == 1


def test_json_says_what_each_figure_comes_from(recorded, probe: Run):
    report = json.loads(probe("diff", *recorded("--sketch", "4"), "--json").out)
    assert {tap["seen"] for tap in report["taps"]} == {"values", "sketch"}
    assert all((tap["rel_l2_stderr"] is None) == (tap["seen"] != "sketch") for tap in report["taps"])
    assert len(report["next"]) == 2


def test_statistics_that_agree_are_no_match(recorded, probe: Run):
    near = ["--arg", "gain=1.000001", "--tokens", "1,2,3,4,5", "-o", "near.h5", "--stats-only"]
    assert probe("dump", BUILD, *near).code == 0
    one, other = recorded("--stats-only")
    assert probe("diff", one, one).code == 0
    assert probe("diff", one, other).code == 1
    undecided = probe("diff", one, "near.h5")
    assert undecided.code == 2
    assert "probe: error: what was recorded does not tell whether the two match" in undecided.err
    assert "nothing is seen to differ by more than rounding" in undecided.out


def test_show_says_what_a_dump_has_kept(recorded, probe: Run):
    one, _ = recorded("--sketch", "4")
    text = probe("show", one).out
    assert "kept      sketches: 4 projections and the norm of each token, where that is smaller" in text
    assert "nan" not in text
    tap = probe("show", one, "blocks.1:out").out
    assert "; of a sketched tensor no more was measured\n" in tap
    assert "not kept: the dump holds sketches" in tap
    shown = json.loads(probe("show", one, "--json").out)
    assert shown["detail"] == {"num_projections": 4, "seed": 0, "has_values": True, "tokens": None}
    assert json.loads(probe("show", one, "blocks.1:out", "--json").out)["values"] is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--sketch", "0"], "a sketch of 0 projections"),
        (["--sketch", "8", "--stats-only"], "a sketch is more than statistics alone"),
        (["--sketch", "8", "--repeat", "2"], "--repeat compares values, which --sketch does not keep"),
        (["--compress", "--stats-only"], "--compress has no effect with --stats-only"),
        (["--tokens-slice", "3"], "'3' is no slice of tokens"),
        (["--tokens-slice", "1:2:3"], "'1:2:3' is no slice of tokens"),
        (["--tokens-slice", ":"], "a slice of tokens ':' is all of them"),
        (["--tokens-slice", "0:1", "--repeat", "2"], "--repeat compares values, which --tokens-slice does not keep"),
        (["--stats-only", "--repeat", "2"], "--repeat compares values, which --stats-only does not keep"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], error: str, refused: Refused):
    assert refused("dump", BUILD, "--tokens", "1,2", "-o", "x.h5", *words).error == error
    assert not Path("x.h5").exists()


def test_the_last_tokens_are_asked_for_as_the_help_says(probe: Run):
    for words, kept in ((["-2:"], 2), (["-4:-1"], 3)):
        told = ["--tokens", "1,2,3,4,5", "-o", "last.h5", "--force"]
        assert probe("dump", BUILD, *told, "--tokens-slice", *words).code == 0
        assert json.loads(probe("show", "last.h5", "blocks.1:out", "--json").out)["shape"][1] == kept
