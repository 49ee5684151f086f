"""`probe diff`: what it prints for people and for programs, and that both say the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.running import TINY, Outcome, Refused, Run

KEYS = {
    "": {"schema", "verdict", "trust", "compared", "output", "first", "findings", "taps"},
    "trust": {"check", "status", "message"},
    "compared": {"pairs", "reference_only", "candidate_only"},
    "output": {"max_abs", "rel_l2", "nmse", "kl", "argmax_match", "top10_overlap"},
    "first": {"module", "tap", "step", "local_error", "floor", "ratio"},
    "findings": {
        *("cause", "module", "modules", "span", "reference_value", "candidate_value", "error_before", "error_after"),
        *("coefficient", "stderr", "share", "message"),
    },
    "taps": {
        *("reference", "candidate", "step", "shape", "dtype", "max_abs", "rel_l2", "nmse", "cosine", "sqnr_db"),
        *("local_error", "floor", "ratio"),
    },
}
"""Schema 1. Keys may be added, never changed."""


def report_of(outcome: Outcome) -> Any:
    """Whatever JSON holds. NaN and Infinity are no JSON, though Python reads them."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(outcome.out, parse_constant=refuse)


@pytest.mark.parametrize("how", [[], ["--no-replay"]], ids=["replayed", "not replayed"])
def test_json_has_the_keys_of_schema_1(how: list[str], reference: Path, faulty: Path, probe: Run):
    report = report_of(probe("diff", reference, faulty, "--json", *how))
    assert report["schema"] == 1
    for name, keys in KEYS.items():
        rows = report[name] if name else report
        for row in rows if isinstance(rows, list) else [rows]:
            assert keys - row.keys() == set(), name
    assert report["findings"]
    assert report["taps"]


def test_json_of_equal_dumps_has_no_first_divergence_and_says_infinity_in_words(reference: Path, probe: Run):
    report = report_of(probe("diff", reference, reference, "--json"))
    assert (report["verdict"], report["first"], report["findings"]) == ("identical", None, [])
    assert {tap["sqnr_db"] for tap in report["taps"]} == {"inf"}


def test_text_and_json_say_the_same(reference: Path, faulty: Path, probe: Run):
    text, report = (probe("diff", reference, faulty, *how) for how in ([], ["--json"]))
    assert text.code == report.code == 1
    report = report_of(report)
    assert (
        f"{report['verdict'].upper()}  first at {report['first']['module']}, tap {report['first']['tap']}" in text.out
    )
    assert report["first"]["module"] == "blocks.1"
    for finding in report["findings"]:
        assert f"{finding['module']}   cause: {finding['cause']}" in text.out
        assert finding["message"] in " ".join(text.out.split())
    assert f"compared  {report['compared']['pairs']} pairs of taps" in text.out
    [marked] = [line.split() for line in text.out.splitlines() if line.startswith(">")]
    assert marked[1] == report["first"]["tap"]
    assert marked[4] == f"{report['first']['local_error']:.1e}"
    output = report["output"]
    assert f"relative error {output['rel_l2']:.1e}, largest {output['max_abs']:.1e}" in text.out
    assert f"same next token {output['argmax_match']:.1%}" in text.out


def test_without_replay_the_place_is_said_to_be_approximate(reference: Path, faulty: Path, probe: Run):
    assert "about here, by size alone (nothing was replayed)" in probe("diff", reference, faulty, "--no-replay").out
    assert "about here" not in probe("diff", reference, faulty).out
    report = report_of(probe("diff", reference, faulty, "--no-replay", "--json"))
    assert report["replayed"] is False
    assert {tap["ratio"] for tap in report["taps"]} == {None}


def test_a_reference_named_again_is_loaded_with_the_arguments_given_again(
    reference: Path, faulty: Path, probe: Run, refused: Refused
):
    again = probe("diff", faulty, reference, "--reference", f"{TINY}:build", "--arg", "gain=1.5", "--json")
    assert (again.code, report_of(again)["first"]["module"]) == (1, "blocks.1")
    refusal = refused("diff", reference, faulty, "--reference", f"{TINY}:build", "--arg", "seed=3")
    assert refusal.error.startswith("the reference model is not the one that was recorded in ref.h5: ")
    assert "--no-replay" in refusal.hint


@pytest.mark.parametrize("words", [["-q"], ["--quiet"]])
def test_quiet_leaves_stderr_empty_and_stdout_as_it_was(words: list[str], reference: Path, faulty: Path, probe: Run):
    loud, quiet = probe("diff", reference, faulty), probe("diff", reference, faulty, *words)
    assert quiet.err == ""
    assert quiet.out == loud.out
