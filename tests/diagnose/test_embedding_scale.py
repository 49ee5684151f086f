"""embed.scale and embed.rounding: wherever a port multiplies, by whatever number; an honest rounding is none."""

import pytest
import torch
from torch import Tensor, nn

from probe.report import Finding, Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.ported import ported

SIZE = Size(hidden=96)
"""9.798 is its root, which bfloat16 makes 9.8125."""
ROOT = 96**0.5
NARROW = [torch.float32, torch.bfloat16]
STYLES = ["transformers", "plain decoder"]


def finding_of(compare: Compare, name: str, candidate: nn.Module, style: str, dtype: torch.dtype) -> Finding:
    """The only one; a plain decoder multiplies after the tap of its embedding."""
    candidate = candidate if style == "transformers" else ported(candidate, name, style)
    report = compare(build(name, SIZE), candidate.to(dtype), inputs(name, SIZE))
    (finding,) = (one for one in report.findings if not one.is_honest)
    return finding


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("name", ["gemma", "gemma3"])
def test_a_scale_that_is_left_out_is_named(compare: Compare, name: str, dtype: torch.dtype):
    candidate = build(name, SIZE)
    candidate.model.embed_tokens.embed_scale = torch.tensor(1.0)
    finding = finding_of(compare, name, candidate, "transformers", dtype)
    assert (finding.cause, finding.module) == ("embed.scale", "model.embed_tokens")
    assert finding.reference_value == pytest.approx(ROOT)
    assert finding.candidate_value == 1.0


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_a_scale_that_only_the_candidate_has_is_named(compare: Compare, name: str, dtype: torch.dtype):
    candidate = build(name, SIZE)
    candidate.model.embed_tokens.register_forward_hook(lambda module, args, rows: rows * ROOT)
    finding = finding_of(compare, name, candidate, "transformers", dtype)
    assert (finding.cause, finding.module, finding.reference_value) == ("embed.scale", "model.embed_tokens", 1.0)
    assert finding.candidate_value == pytest.approx(ROOT, rel=2**-8)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("style", STYLES)
def test_a_multiplier_in_the_parents_code_is_named(compare: Compare, style: str, dtype: torch.dtype):
    candidate = build("granite", SIZE)
    candidate.config.embedding_multiplier = candidate.model.embedding_multiplier = 3.0
    finding = finding_of(compare, "granite", candidate, style, dtype)
    assert (finding.cause, finding.module) == ("embed.scale", "model.embed_tokens")
    assert (finding.reference_value, finding.candidate_value) == (6.0, pytest.approx(3.0, rel=2**-8))
    assert finding.share == pytest.approx(1.0, abs=0.02)


def rounded(scale: Tensor) -> Tensor:
    return scale.to(torch.bfloat16).to(scale.dtype)


@pytest.mark.parametrize("name", ["gemma", "gemma2", "gemma3"])
def test_a_scale_rounded_to_bfloat16_is_named(compare: Compare, name: str):
    candidate = build(name, SIZE)
    candidate.model.embed_tokens.embed_scale = rounded(candidate.model.embed_tokens.embed_scale)
    finding = finding_of(compare, name, candidate, "transformers", torch.float32)
    assert (finding.cause, finding.module) == ("embed.rounding", "model.embed_tokens")
    assert finding.reference_value == pytest.approx(ROOT)
    assert finding.candidate_value == pytest.approx(9.8125)


def test_a_rounded_scale_is_named_where_the_tap_lies_before_it(compare: Compare):
    """A plain decoder's embedding returns rows that nothing multiplied: that is another point, and no fault."""
    candidate = ported(build("gemma2", SIZE), "gemma2", "plain decoder")
    candidate.get_submodule("tokens").register_forward_hook(lambda module, args, rows: rows * (9.8125 / ROOT))
    (finding,) = compare(build("gemma2", SIZE), candidate, inputs("gemma2", SIZE)).findings
    assert (finding.cause, finding.module) == ("embed.rounding", "model.embed_tokens")
    assert finding.candidate_value == pytest.approx(9.8125)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_scale_that_the_reference_rounds_too_is_no_fault(compare: Compare, style: str, dtype: torch.dtype):
    """In bfloat16, transformers' Gemma multiplies by 9.8125 as well."""
    candidate = build("gemma2", SIZE)
    candidate = candidate if style == "transformers" else ported(candidate, "gemma2", style)
    report = compare(build("gemma2", SIZE).to(dtype), candidate.to(torch.bfloat16), inputs("gemma2", SIZE))
    assert [one.cause for one in report.findings] == []
    assert report.verdict is not Verdict.DIVERGED


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_an_eps_of_the_first_norm_is_no_scale(compare: Compare, name: str):
    """Rows that are multiplied by s have the eps divided by s squared, as far as their norm can tell."""
    candidate = build(name, SIZE)
    norm = candidate.model.layers[0].input_layernorm
    setattr(norm, "eps" if hasattr(norm, "eps") else "variance_epsilon", 1e-4)
    finding = finding_of(compare, name, candidate, "transformers", torch.float32)
    assert finding.cause == "norm.eps"
    assert "embed" not in finding.message


@pytest.mark.parametrize("dtype", NARROW)
def test_a_scale_applied_twice_after_the_tap_is_one_finding(compare: Compare, dtype: torch.dtype):
    """At the embedding the port has no scale, after it the square of the reference's."""
    candidate = ported(build("gemma2", SIZE), "gemma2", "plain decoder")
    candidate.get_submodule("blocks.0").register_forward_pre_hook(lambda module, args: (args[0] * ROOT, *args[1:]))
    (finding,) = compare(build("gemma2", SIZE), candidate.to(dtype), inputs("gemma2", SIZE)).findings
    assert (finding.cause, finding.module) == ("embed.scale", "model.embed_tokens")
    assert finding.candidate_value == pytest.approx(96.0, rel=2**-7)


@pytest.mark.parametrize("dtype", NARROW)
def test_a_scale_after_the_tap_is_no_fault_beside_another(compare: Compare, dtype: torch.dtype):
    """Other tokens are looked up, and the plain decoder's embedding is tapped before its scale."""
    candidate = ported(build("gemma2", SIZE), "gemma2", "plain decoder")
    candidate.get_submodule("tokens").register_forward_pre_hook(lambda module, args: (args[0].clamp(max=128),))
    (finding,) = compare(build("gemma2", SIZE), candidate.to(dtype), inputs("gemma2", SIZE)).findings
    assert (finding.cause, finding.candidate_value) == ("input.tokens", 128)
