"""The judge itself: what it refuses to judge, and that it counts what a report says."""

from dataclasses import replace
from pathlib import Path

import pytest

import probe
from probe.report import Finding, Report, Verdict
from tests.zoo.bugs import bug_named
from tests.zoo.judge import Outcome, judge, record_both, score
from tests.zoo.misses import counts
from tests.zoo.pairs import Pair, pair

BLANK = Outcome("", (), "seen", "fp32")
NORM = "model.layers.0.input_layernorm"


def test_a_bug_that_changes_nothing_is_refused(tmp_path: Path):
    bug = replace(bug_named("no scale"), code=lambda site: None)
    outcome = judge(pair(bug, "llama", "seen", 1), "", "seen", tmp_path)
    assert outcome.trouble.startswith("the bug changes nothing")


def test_a_port_that_is_wrong_without_a_bug_is_refused(tmp_path: Path):
    honest = pair(bug_named("no scale"), "llama", "seen", 1)
    outcome = judge(replace(honest, unlike=1e-3), "", "seen", tmp_path)
    assert outcome.trouble.startswith("the candidate without a bug is not the reference")


def test_an_eps_that_no_bfloat16_can_show_is_weak_and_a_scale_is_not():
    eps = pair(bug_named("eps of Gemma's final norm"), "gemma2", "seen", 1, dtype="bf16")
    scale = pair(bug_named("scale a little off"), "gemma2", "seen", 1, dtype="bf16")
    assert not counts(replace(BLANK, significance=eps.significance))
    assert counts(replace(BLANK, significance=scale.significance))


@pytest.fixture(scope="module")
def eps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Report]:
    """An eps in one layer, and what was reported of it."""
    made = pair(bug_named("eps of the norm before attention"), "llama", "seen", 0, scope="layer")
    paths = record_both(made, tmp_path_factory.mktemp("eps"))
    return made, probe.diff(*paths, reference=made.reference)


def reported(made: tuple[Pair, Report], *findings: tuple[str, str]) -> Outcome:
    """As if these causes at these modules had been found."""
    span = ("", "")
    found = tuple(Finding(cause, module, (module,), span, "") for cause, module in findings)
    return score(BLANK, replace(made[1], findings=found), made[0])


def test_the_right_cause_at_the_right_module_is_right(eps):
    (module,) = eps[0].places[0]
    outcome = reported(eps, ("precision.compute", "model.norm"), ("norm.eps", module))
    assert (outcome.place, outcome.named, outcome.wrong, outcome.stray) == (True, (True,), (), ())


def test_another_cause_is_a_wrong_name_and_unknown_is_none(eps):
    (module,) = eps[0].places[0]
    assert reported(eps, ("norm.kind", module)).wrong
    unknown = reported(eps, ("unknown", module))
    assert (unknown.wrong, unknown.named, unknown.located) == ((), (False,), (True,))


def test_the_right_cause_at_another_module_is_a_wrong_name(eps):
    outcome = reported(eps, ("norm.eps", "lm_head"))
    assert outcome.wrong
    assert not outcome.place


def test_unknown_where_no_bug_is_counts_as_stray(eps):
    (module,) = eps[0].places[0]
    assert reported(eps, ("unknown", module), ("unknown", "lm_head")).stray == ("unknown at lm_head",)


def test_a_benign_pair_is_blamed_by_anything_but_precision(eps):
    honest = replace(eps[0], bugs=(), places=()), replace(eps[1], verdict=Verdict.NOISE)
    assert not reported(honest, ("precision.storage", NORM)).blamed
    assert reported(honest, ("unknown", NORM)).blamed
    quantized = replace(honest[0], may_be_quantized=True), honest[1]
    assert not reported(quantized, ("linear.quantized", NORM)).blamed
