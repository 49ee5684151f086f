"""head.*: what a port does with its logits, in its code or before it; an honest head is none."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.pairs import cast
from tests.zoo.ported import ported

NARROW = [torch.float32, torch.bfloat16]
STYLES = ["transformers", "plain decoder"]


def with_logits(name: str, style: str, change: Callable[[Tensor], Tensor]) -> nn.Module:
    candidate = build(name) if style == "transformers" else ported(build(name), name, style)
    key = "logits" if style == "transformers" else None

    def hook(module: nn.Module, args: object, output: object) -> object:
        if key is None:
            return change(output)
        output[key] = change(output[key])
        return output

    candidate.register_forward_hook(hook)
    return candidate


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("name", "ours"), [("llama", 1.0), ("granite", 0.25)])
def test_a_scale_of_logits_is_named(compare: Compare, name: str, ours: float, style: str, dtype: torch.dtype):
    candidate = with_logits(name, style, lambda logits: logits * 5.0)
    (finding,) = (one for one in compare(build(name), candidate.to(dtype), inputs(name)).findings if not one.is_honest)
    assert (finding.cause, finding.module, finding.reference_value) == ("head.scale", "", pytest.approx(ours))
    assert finding.candidate_value == pytest.approx(5 * ours, rel=2**-8)
    assert finding.share == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("style", STYLES)
def test_a_cap_that_is_left_on_is_named(compare: Compare, style: str, dtype: torch.dtype):
    candidate = with_logits("llama", style, lambda logits: 2.0 * torch.tanh(logits / 2.0))
    (finding,) = (
        one for one in compare(build("llama"), candidate.to(dtype), inputs("llama")).findings if not one.is_honest
    )
    assert (finding.cause, finding.module, finding.reference_value) == ("head.softcap", "", "none")
    assert finding.candidate_value == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize(("cap", "value"), [(5.0, 5.0), (None, "none")])
def test_another_cap_is_named(compare: Compare, cap: float | None, value: float | str, dtype: torch.dtype):
    reference, candidate = build("gemma2"), build("gemma2")
    reference.config.final_logit_softcapping, candidate.config.final_logit_softcapping = 2.0, cap
    (finding,) = (
        one for one in compare(reference, candidate.to(dtype), inputs("gemma2")).findings if not one.is_honest
    )
    assert (finding.cause, finding.module, finding.reference_value) == ("head.softcap", "", 2.0)
    assert finding.candidate_value == (value if cap is None else pytest.approx(value, rel=0.01))
    assert "activation" not in finding.message


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize(("name", "head"), [("gemma", "lm_head"), ("gpt2", "lm_head"), ("whisper", "proj_out")])
def test_a_head_that_was_to_be_tied_is_named(compare: Compare, name: str, head: str, dtype: torch.dtype):
    candidate = build(name)
    weight = candidate.get_submodule(head).weight
    noise = weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(99))
    candidate.get_submodule(head).weight = nn.Parameter(noise, requires_grad=False)
    fed = inputs(name)
    narrow = cast(fed, "fp32" if dtype is torch.float32 else "bf16")
    (finding,) = (
        one
        for one in compare(build(name), candidate.to(dtype), fed, candidate_inputs=narrow).findings
        if not one.is_honest
    )
    assert (finding.cause, finding.module) == ("head.untied", head)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("name", ["gemma", "gpt2"])
def test_a_copy_of_the_tied_matrix_is_no_fault(compare: Compare, name: str, dtype: torch.dtype):
    candidate = build(name)
    candidate.lm_head.weight = nn.Parameter(candidate.lm_head.weight.clone(), requires_grad=False)
    report = compare(build(name), candidate.to(dtype), inputs(name))
    assert report.findings == ()
    assert report.verdict is not Verdict.DIVERGED


def test_a_padded_vocabulary_is_no_fault_of_the_head(compare: Compare):
    candidate = build("llama")
    candidate.resize_token_embeddings(320, mean_resizing=False)
    report = compare(build("llama"), candidate, inputs("llama"))
    assert report.findings == ()


def test_centred_logits_have_no_name(compare: Compare):
    """A constant less a token: no probability changes, and no scale or cap says so."""
    candidate = build("llama")
    candidate.lm_head.weight.data -= candidate.lm_head.weight.data.mean(0)
    report = compare(build("llama"), candidate, inputs("llama"))
    assert not [one for one in report.findings if one.cause.startswith("head.")]
