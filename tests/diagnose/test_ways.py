"""Which legal arithmetic the candidate has: told where it gives the candidate's numbers bit for bit, and harmless."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.bug import Site
from tests.zoo.draw import look_trained
from tests.zoo.honest import cast_after_weight, cast_before_weight, gelu_table
from tests.zoo.plants import with_function, wrap

SIZE = Size(hidden=96, layers=2, tokens=40)


def trained(name: str, attention: str = "eager") -> nn.Module:
    model = build(name, SIZE, attention=attention)
    look_trained(model, torch.Generator().manual_seed(5))
    return model


def everywhere(model: nn.Module, name: str) -> Site:
    return Site(model, name, (0, 1), torch.Generator())


def at_once(forward: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor) -> Tensor:
    """GELU by tanh as one kernel, where GPT-2 has it in eight steps."""
    return nn.functional.gelu(x, approximate="tanh")


HARMLESS = [
    ("llama", wrap("attn_norm", cast_after_weight), "rounds after it multiplied by the weight", "input_layernorm"),
    ("gemma", wrap("attn_norm", cast_before_weight), "rounds before it multiplies by the weight", "input_layernorm"),
    ("gpt2", wrap("act", at_once), "rounds once after several steps", "mlp.act"),
]


@pytest.mark.parametrize(("name", "change", "words", "module"), HARMLESS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_another_moment_to_round_is_told_and_is_harmless(
    compare: Compare, name: str, change: Callable[[Site], None], words: str, module: str, dtype: torch.dtype
):
    reference, candidate = trained(name), trained(name)
    change(everywhere(candidate, name))
    report = compare(reference, candidate.to(dtype), inputs(name, SIZE))
    (finding,) = report.findings
    assert finding.cause == "precision.compute"
    assert finding.message.startswith(f"harmless: the candidate {words}")
    assert len(finding.modules) == SIZE.layers
    assert finding.module.endswith(module)
    assert (report.verdict, report.first) == (Verdict.NOISE, None)


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert"])
def test_fused_attention_is_told_though_its_sums_are_its_own(compare: Compare, name: str):
    report = compare(trained(name), trained(name, "sdpa").to(torch.bfloat16), inputs(name, SIZE))
    (finding,) = report.findings
    assert "as fused attention does" in finding.message
    assert report.verdict is Verdict.NOISE


@pytest.mark.parametrize(
    ("name", "attention"),
    [("llama", "eager"), ("gemma3", "eager"), ("gpt2", "eager"), ("bert", "eager"), ("llama", "sdpa")],
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_reference_in_another_dtype_has_no_way_of_its_own(
    compare: Compare, name: str, attention: str, dtype: torch.dtype
):
    report = compare(trained(name, attention), trained(name, attention).to(dtype), inputs(name, SIZE))
    assert report.findings == ()


def capped_in_float32(original: Any, module: Any, owner: Any, q: Tensor, k: Tensor, v: Tensor, mask: Any, **named: Any):
    """As a kernel does it: nothing is rounded between the two products."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    scores = (q.float() @ k.float().transpose(2, 3)) * named["scaling"]
    scores = named["softcap"] * torch.tanh(scores / named["softcap"]) + mask
    return (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).contiguous(), None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_cap_that_rounds_nothing_is_not_taken_for_none(compare: Compare, dtype: torch.dtype):
    reference, candidate = trained("gemma2"), trained("gemma2")
    with_function("attn", "eager_attention_forward", capped_in_float32)(everywhere(candidate, "gemma2"))
    report = compare(reference, candidate.to(dtype), inputs("gemma2", SIZE))
    assert [one.cause for one in report.findings] == ["precision.compute"]
    assert report.verdict is Verdict.NOISE


def in_bfloat16(model: nn.Module) -> nn.Module:
    """Weights that went through a checkpoint in bfloat16."""
    for weight in model.parameters():
        weight.data.copy_(weight.data.bfloat16())
    return model


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_weights_kept_in_bfloat16_are_harmless(compare: Compare, name: str):
    report = compare(trained(name), in_bfloat16(trained(name)), inputs(name, SIZE))
    assert {one.cause for one in report.findings} == {"precision.storage"}
    assert {one.candidate_value for one in report.findings} == {"bfloat16"}
    assert report.verdict is Verdict.NOISE


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_a_table_of_float16_is_harmless(compare: Compare, name: str):
    candidate = trained(name)
    wrap("act", gelu_table)(everywhere(candidate, name))
    report = compare(trained(name), candidate, inputs(name, SIZE))
    (finding,) = report.findings
    assert (finding.cause, finding.candidate_value) == ("precision.compute", "float16")
    assert len(finding.modules) == SIZE.layers
    assert (report.verdict, report.first) == (Verdict.NOISE, None)


def test_activations_kept_in_bfloat16_are_harmless(compare: Compare):
    candidate = trained("llama")
    for layer in candidate.model.layers:
        layer.mlp.register_forward_hook(lambda module, args, out: out.bfloat16().float())
    report = compare(trained("llama"), candidate, inputs("llama", SIZE))
    assert {(one.cause, one.candidate_value) for one in report.findings} == {("precision.storage", "bfloat16")}
    assert report.verdict is Verdict.NOISE
