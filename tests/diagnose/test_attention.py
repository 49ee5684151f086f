"""Attention's core: each cause with the value that the candidate has, fused and not, in models of several kinds."""

import copy

import pytest
import torch

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair

PLANTED = [
    ("window one longer", "mistral", "sdpa", "attn.window", 9),
    ("one token of the future seen", "gpt-neox", "eager", "attn.causal", "tokens see 1 of the future"),
    ("padding on the left seen", "mistral", "eager", "attn.padding_mask", "seen"),
    ("scale of another head size", "llama", "sdpa", "attn.scale", pytest.approx(32**-0.5, rel=2e-3)),
    ("softcap of scores 30 for 50", "gemma2", "eager", "attn.softcap", pytest.approx(30, rel=1e-3)),
    ("key heads tiled", "qwen3", "sdpa", "attn.kv_repeat", "tiled"),
    ("heads rolled before o_proj", "bert", "sdpa", "attn.head_order", "turned by 1"),
    ("masked scores at -5", "gpt2", "eager", "attn.mask_value", pytest.approx(-5, rel=1e-3)),
    ("sinks dropped", "gpt-oss", "eager", "attn.sink", "none"),
]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("bug", "view", "attention", "cause", "value"), PLANTED)
def test_the_cause_and_its_value_are_found(compare: Compare, bug, view, attention, cause, value, dtype):
    planted = pair(bug_named(bug), view, scope="layer", dtype=dtype)
    planted.reference.set_attn_implementation(attention)
    findings = compare(planted.reference, planted.candidate, planted.inputs).findings
    (finding,) = [one for one in findings if not one.cause.startswith("precision.")]
    assert (finding.cause, finding.candidate_value) == (cause, value)
    assert finding.module in planted.places[0]
    if finding.error_before is not None:  # else it is told below the rounding
        assert finding.error_after < (0.01 if dtype == "fp32" else 0.1) * finding.error_before


def test_another_window_in_the_configuration_is_found_where_the_mask_is_built(compare: Compare):
    fed = inputs("mistral")
    reference, candidate = build("mistral", sliding_window=8), build("mistral", sliding_window=7)
    (finding,) = compare(reference, candidate, fed).findings
    assert (finding.cause, finding.reference_value, finding.candidate_value) == ("attn.window", 8, 7)


def test_scores_that_are_off_in_no_pattern_are_no_cause(compare: Compare):
    reference, candidate = build("llama"), build("llama")
    attention = candidate.model.layers[1].self_attn
    noise = 1e-3 * torch.randn(attention.o_proj.in_features, generator=torch.Generator().manual_seed(0))
    attention.o_proj.register_forward_pre_hook(lambda module, args: (args[0] * (1 + noise),))
    findings = compare(reference, candidate, inputs("llama")).findings
    assert [one.cause for one in findings] == ["unknown"]


def test_fused_attention_is_no_bug(compare: Compare):
    reference, candidate = build("gemma3"), build("gemma3", attention="sdpa")
    assert all(one.cause.startswith("precision.") for one in compare(reference, candidate, inputs("gemma3")).findings)


@pytest.mark.parametrize(("noise", "cause"), [(0.0, "attn.scale"), (0.05, "unknown")])
def test_the_rounding_of_sharper_scores_is_no_error_of_their_own(compare: Compare, noise: float, cause: str):
    """Without the scale, bf16 rounds twice as much as the reference's own scores do; no more than that is let pass."""
    planted = pair(bug_named("no scale"), "qwen3", seed=82951, style="fused decoder", dtype="bf16")
    output = planted.candidate.get_submodule("layers.0.wo")
    factors = 1 + noise * torch.randn(output.in_features, generator=torch.Generator().manual_seed(0))
    output.register_forward_pre_hook(lambda module, args: (args[0] * factors.to(args[0].dtype),))
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    assert [one.cause for one in report.findings if not one.cause.startswith("precision.")] == [cause]


def test_tokens_that_see_nothing_hide_no_error_of_others_in_float16(compare: Compare):
    """Padding on the left asks keys that are all masked by -65504, whose own rounding then decides."""
    bug = bug_named("padding on the left seen")
    planted = pair(bug, "llama", seed=65302, dtype="fp16", reference_dtype="fp16")
    findings = compare(planted.reference, planted.candidate, planted.inputs).findings
    (finding,) = [one for one in findings if not one.cause.startswith("precision.")]
    assert (finding.cause, finding.module) == ("attn.padding_mask", "model.layers.0.self_attn")


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
@pytest.mark.parametrize(("later", "causes"), [(0, []), (1, ["unknown"])])
def test_an_engine_may_answer_nothing_where_nothing_is_seen(
    compare: Compare, dtype: str, later: int, causes: list[str]
):
    """As flash attention does; one token more is an error."""
    drawn = pair(bug_named("padding on the left seen"), "llama", seed=65302, dtype=dtype, reference_dtype=dtype)
    other, padding = copy.deepcopy(drawn.reference), drawn.inputs["attention_mask"] == 0
    padding[1, : int(padding[1].sum()) + later] = True
    for layer in other.model.layers:
        layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args: (args[0].masked_fill(padding[..., None], 0),))
    findings = compare(drawn.reference, other, drawn.inputs).findings
    assert [one.cause for one in findings if not one.cause.startswith("precision.")] == causes
