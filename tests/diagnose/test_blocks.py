"""Feed-forward blocks, mixtures of experts and the residual stream: what was planted is named, noise is not."""

import pytest
import torch
from torch import nn

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair


def test_an_activation_in_one_call_and_one_written_out_are_told(compare: Compare):
    for name, module, theirs in (
        ("llama", "model.layers.1.mlp.act_fn", "GELU (erf)"),
        ("gpt2", "transformer.h.1.mlp.act", "GELU (erf)"),
    ):
        reference, candidate = build(name), build(name)
        parent, _, own = module.rpartition(".")
        setattr(candidate.get_submodule(parent), own, nn.GELU())
        (finding,) = compare(reference, candidate, inputs(name)).findings
        assert (finding.cause, finding.module, finding.candidate_value) == ("mlp.activation", module, theirs)
        assert finding.share is not None
        assert finding.share > 0.99


def test_noise_after_an_activation_is_no_other_activation(compare: Compare):
    reference, candidate = build("llama"), build("llama")
    noise = 1e-3 * torch.randn(candidate.config.intermediate_size, generator=torch.Generator().manual_seed(0))
    candidate.model.layers[1].mlp.act_fn.register_forward_hook(lambda module, args, output: output * (1 + noise))
    assert [one.cause for one in compare(reference, candidate, inputs("llama")).findings] == ["unknown"]


def test_a_router_that_does_not_normalize_is_told(compare: Compare):
    reference, candidate = build("qwen3-moe", norm_topk_prob=True), build("qwen3-moe", norm_topk_prob=False)
    (finding,) = compare(reference, candidate, inputs("qwen3-moe")).findings
    assert finding.cause == "moe.router_normalization"
    assert finding.modules == tuple(f"model.layers.{index}.mlp.gate" for index in range(3))


def test_a_residual_multiplier_is_fitted(compare: Compare):
    reference, candidate = build("granite"), build("granite")
    for layer in candidate.model.layers:
        layer.residual_multiplier = 0.31
    (finding,) = compare(reference, candidate, inputs("granite")).findings
    assert (finding.cause, finding.module) == ("residual.scale", "model.layers.0")
    assert abs(float(finding.candidate_value or 0) - 0.31) < 1e-3


PLANTED = [
    ("gate and up swapped", "llama", "mlp.gate_up_swapped"),
    ("halves of gate_up swapped", "phi3", "mlp.gate_up_swapped"),
    ("ReLU", "bert", "mlp.activation"),
    ("residual multiplier of another model", "granite", "residual.scale"),
    ("one after the other", "gpt-neox", "residual.order"),
    ("activations clipped", "llama", "quant.activation"),
]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("bug", "view", "cause"), PLANTED)
def test_what_a_block_does_otherwise_is_told_where_it_does_so(compare: Compare, bug, view, cause, dtype):
    planted = pair(bug_named(bug), view, scope="layer", dtype=dtype)
    findings = compare(planted.reference, planted.candidate, planted.inputs).findings
    named = [one for one in findings if not one.cause.startswith("precision.")]
    assert {one.cause for one in named} == {cause}
    assert all(set(one.modules) & set(planted.places[0]) for one in named)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_heads_permuted_and_undone_by_the_matrix_behind_them_are_no_bug(compare: Compare, dtype):
    reference, candidate = build("bert"), build("bert")
    with torch.no_grad():
        for layer in candidate.encoder.layer:
            attention = layer.attention.self
            for matrix in (attention.query, attention.key, attention.value):
                size = attention.attention_head_size
                matrix.weight.copy_(matrix.weight.roll(size, 0))
                matrix.bias.copy_(matrix.bias.roll(size, 0))
            layer.attention.output.dense.weight.copy_(layer.attention.output.dense.weight.roll(size, 1))
    report = compare(reference, candidate.to(dtype), inputs("bert"))
    assert [one.cause for one in report.findings if not one.cause.startswith("precision.")] == []
