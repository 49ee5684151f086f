"""Below the floor: a wrong eps in bf16 and fp16 that no norm of the error shows; honest rounding is none."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from probe.locate import ABOVE_FLOOR
from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs

SIZE = Size(hidden=96, layers=2, tokens=64)


@pytest.mark.parametrize(
    ("name", "norms", "attribute", "value"),
    [
        ("llama", "model.layers.{i}.input_layernorm", "variance_epsilon", 1e-5),
        ("gpt2", "transformer.h.{i}.ln_1", "eps", 1e-6),
    ],
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_eps_is_found_where_all_errors_are_within_the_floor(
    compare: Compare, name: str, norms: str, attribute: str, value: float, dtype: torch.dtype
):
    reference, candidate = build(name, SIZE), build(name, SIZE)
    setattr(candidate.get_submodule(norms.format(i=0)), attribute, value)
    report = compare(reference, candidate.to(dtype), inputs(name, SIZE))
    assert max(tap.ratio for tap in report.taps) < ABOVE_FLOOR
    (finding,) = report.findings
    assert (finding.cause, finding.candidate_value) == ("norm.eps", value)
    assert finding.module == norms.format(i=0)
    assert finding.coefficient == pytest.approx(1, abs=0.2)
    assert finding.stderr < 1 / 6
    assert report.verdict is Verdict.DIVERGED
    assert report.first.module == finding.module


def folded(forward: Callable[[Tensor], Tensor], norm: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + norm.eps) * weight.float()).to(x.dtype)


def with_folded_norms(model: nn.Module) -> nn.Module:
    """A converter's norms: 1 + w is what they store."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            weight = (1 + module.weight.detach()).to(torch.bfloat16)
            module.forward = lambda x, norm=module, weight=weight: folded(norm.forward, norm, x, weight)
    return model


@pytest.mark.parametrize("with_bug", [True, False])
def test_an_eps_is_found_behind_another_way_to_round(compare: Compare, with_bug: bool):
    """1 + w, stored in bf16, makes every third element another one; none of them says anything of an eps."""
    reference, candidate = build("gemma3", SIZE), build("gemma3", SIZE)
    for layer in (*reference.model.layers, *candidate.model.layers):
        layer.mlp.down_proj.weight.data.mul_(0.1)
    candidate = with_folded_norms(candidate)
    for part in range(2 if with_bug else 0):
        candidate.model.layers[part].post_feedforward_layernorm.eps = 1e-5
    report = compare(reference, candidate.to(torch.bfloat16), inputs("gemma3", SIZE))
    assert [one.cause for one in report.findings if not one.is_honest] == ["norm.eps"] * with_bug
    assert [one.cause for one in report.findings if one.is_honest] == ["precision.compute"]
    assert report.verdict is (Verdict.DIVERGED if with_bug else Verdict.NOISE)


@pytest.mark.parametrize(("name", "attention"), [("llama", "eager"), ("gemma3", "sdpa"), ("bert", "sdpa")])
def test_honest_rounding_is_no_eps(compare: Compare, name: str, attention: str):
    reference, candidate = build(name, SIZE), build(name, SIZE, attention=attention)
    report = compare(reference, candidate.to(torch.bfloat16), inputs(name, SIZE))
    assert all(one.is_honest for one in report.findings)
    assert report.verdict is Verdict.NOISE


def test_what_the_input_cannot_show_is_said(compare: Compare):
    """Activations of size 1 hide an eps of 1e-5 from two tokens."""
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    for model in (reference, candidate):
        model.model.embed_tokens.weight.data.mul_(10)
    report = compare(reference, candidate.to(torch.bfloat16), {"input_ids": torch.tensor([[5, 7]])})
    (note,) = report.notes
    assert "norm.eps" in note
    assert "times as many tokens" in note


def test_what_no_longer_input_would_show_is_said_so(compare: Compare):
    """Activations of size 100 hide an eps of 1e-5 from any number of tokens."""
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    for model in (reference, candidate):
        model.model.embed_tokens.weight.data.mul_(10_000)
    report = compare(reference, candidate.to(torch.bfloat16), {"input_ids": torch.tensor([[5, 7]])})
    (note,) = [one for one in report.notes if "no longer input would show it" in one]
    assert "norm.eps" in note
