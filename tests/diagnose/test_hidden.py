"""Findings below the floor: what they do to the output is said, and where rounding does more."""

import re
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from probe.diagnose import beneath
from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.locate import ABOVE_FLOOR
from probe.report import Finding, Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.draw import look_trained

SIZE = Size(hidden=96, layers=2, tokens=64)
BELOW = "its effect on the output is below the output's own rounding"


def trained(name: str) -> nn.Module:
    model = build(name, SIZE)
    look_trained(model, torch.Generator().manual_seed(3))
    return model


def with_other_eps(model: nn.Module) -> nn.Module:
    model.model.layers[0].input_layernorm.variance_epsilon = 1e-5
    return model


def effect(finding: Finding) -> float:
    (number,) = re.findall(r"([\d.e-]+) of the output's error", finding.message)
    return float(number)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_rounding_outweighs_is_said_with_its_size(compare: Compare, dtype: torch.dtype):
    fed = inputs("llama", SIZE)
    report = compare(build("llama", SIZE), with_other_eps(build("llama", SIZE)).to(dtype), fed)
    (finding,) = report.findings
    assert BELOW in finding.message
    assert (finding.share, report.explained) == (None, None)
    with torch.no_grad():
        r = build("llama", SIZE).double()(**fed).logits
        planted = with_other_eps(build("llama", SIZE)).double()(**fed).logits
        c = with_other_eps(build("llama", SIZE)).to(dtype)(**fed).logits.double()
    assert effect(finding) == pytest.approx(float((planted - r).norm() / (c - r).norm()), rel=0.1)
    assert report.to_dict()["findings"][0]["message"] == finding.message


def test_what_outweighs_rounding_is_not_said_to_be_below_it(compare: Compare):
    reference, candidate = trained("granite"), trained("granite")
    candidate.model.layers[1].residual_multiplier = 0.35
    (finding,) = compare(reference, candidate.bfloat16(), inputs("granite", SIZE)).findings
    assert finding.cause == "residual.scale"
    assert BELOW not in finding.message
    assert effect(finding) > 0.7


@torch.no_grad()
def transpose(linear: nn.Linear) -> None:
    linear.weight.copy_(linear.weight.T.clone())


def test_an_effect_is_held_against_what_other_findings_leave(compare: Compare):
    alone = compare(build("llama", SIZE), with_other_eps(build("llama", SIZE)).bfloat16(), inputs("llama", SIZE))
    candidate = with_other_eps(build("llama", SIZE))
    transpose(candidate.model.layers[1].self_attn.o_proj)
    report = compare(build("llama", SIZE), candidate.bfloat16(), inputs("llama", SIZE))
    small, large = report.findings
    assert (small.cause, large.cause) == ("norm.eps", "linear.weight_transposed")
    assert effect(small) == pytest.approx(effect(alone.findings[0]), rel=0.5)
    assert BELOW in small.message
    assert (small.share, large.share) == (None, report.explained)


def test_what_nothing_explains_is_not_called_rounding(compare: Compare):
    candidate = with_other_eps(build("llama", SIZE)).bfloat16()
    candidate.model.layers[1].mlp.register_forward_hook(lambda module, args, output: output + output.roll(1, -1))
    report = compare(build("llama", SIZE), candidate, inputs("llama", SIZE))
    hidden = next(one for one in report.findings if one.cause == "norm.eps")
    assert BELOW not in hidden.message
    assert effect(hidden) < 0.1


def test_a_bug_that_shows_in_one_layer_and_hides_in_another_is_planted_in_both(compare: Compare):
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    for model in (reference, candidate):
        model.model.embed_tokens.weight.data.mul_(0.1)
        for part in (model.model.layers[0].self_attn.o_proj, model.model.layers[0].mlp.down_proj):
            part.weight.data.mul_(0.3)
    for layer in candidate.model.layers:
        layer.input_layernorm.variance_epsilon = 1e-5
    report = compare(reference, candidate.bfloat16(), inputs("llama", SIZE))
    ratios = {tap.reference: tap.ratio for tap in report.taps}
    first, second = (ratios[f"model.layers.{i}.input_layernorm:out"] for i in range(2))
    assert first > ABOVE_FLOOR > second
    (finding,) = report.findings
    assert finding.modules == tuple(f"model.layers.{i}.input_layernorm" for i in range(2))
    assert finding.share is not None


def test_the_first_place_is_that_of_a_bug_and_not_of_rounding(compare: Compare):
    """Activations kept in bfloat16 stand above float32's floor, before the bug and behind it."""
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    for layer in candidate.model.layers:
        layer.mlp.register_forward_hook(lambda module, args, out: out.bfloat16().float())
    candidate.model.layers[1].input_layernorm.variance_epsilon = 1e-3
    report = compare(reference, candidate, inputs("llama", SIZE))
    honest, bug = report.findings
    assert (honest.cause, bug.cause) == ("precision.storage", "norm.eps")
    assert honest.module == "model.layers.0.mlp"
    assert report.first.module == bug.module == "model.layers.1.input_layernorm"
    assert report.verdict is Verdict.DIVERGED


def nowhere(case: Case) -> Iterator[Hypothesis]:
    def no_plan(value: float) -> Plan:
        raise ValueError(value)

    yield Hypothesis("norm.kind", no_plan, str, usual=(1.0,))


def test_what_cannot_be_planted_costs_itself_alone(compare: Compare, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(beneath, "FAMILIES", (nowhere, *beneath.FAMILIES))
    report = compare(build("llama", SIZE), with_other_eps(build("llama", SIZE)).bfloat16(), inputs("llama", SIZE))
    assert [one.cause for one in report.findings] == ["norm.eps"]
