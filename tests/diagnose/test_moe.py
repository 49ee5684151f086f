"""Mixtures of experts: each cause with the value that the candidate has, and what is as good as the reference."""

import pytest
import torch
from torch import nn

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair

PLANTED = [
    (
        "router's weights not normalized",
        "mixtral",
        "moe.router_normalization",
        "softmax over all experts, not normaliz",
    ),
    ("sigmoids for softmax", "qwen2-moe", "moe.router_normalization", "sigmoids, normalized"),
    ("softmax before the choice", "gpt-oss", "moe.router_order", "softmax over all experts, not normalized"),
    ("one expert less", "gpt-oss", "moe.top_k", "1.0"),
    ("one expert more", "qwen3-moe", "moe.top_k", "3.0"),
    ("experts rolled", "qwen2-moe", "moe.expert_order", "experts 3, 0, 1, 2"),
    ("router's rows rolled", "mixtral", "linear.row_order", "rolled by 1"),
    ("halves of the experts' gate_up swapped", "qwen3-moe", "mlp.gate_up_swapped", "None"),
    ("shared expert dropped", "qwen2-moe", "moe.shared_expert", "None"),
    ("shared expert's gate left out", "qwen2-moe", "moe.shared_expert", "None"),
]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("bug", "view", "cause", "value"), PLANTED)
def test_the_cause_and_its_value_are_found(compare: Compare, bug, view, cause, value, dtype):
    planted = pair(bug_named(bug), view, scope="layer", dtype=dtype)
    findings = compare(planted.reference, planted.candidate, planted.inputs).findings
    (finding,) = [one for one in findings if not one.cause.startswith("precision.")]
    assert finding.cause == cause
    assert str(finding.candidate_value).startswith(value)
    assert finding.module in planted.places[0]
    assert finding.error_after < 0.05 * finding.error_before
    assert finding.share is not None
    assert finding.share > (0.99 if dtype == "fp32" else 0.5)  # the rest is rounding, and near ties that it decides


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_experts_permuted_together_with_the_routers_rows_are_no_bug(compare: Compare, dtype):
    reference, candidate = build("mixtral"), build("mixtral")
    order = [2, 0, 3, 1]
    with torch.no_grad():
        for layer in candidate.model.layers:
            for weight in (layer.mlp.gate.weight, *layer.mlp.experts.parameters()):
                weight.copy_(weight[order])
    report = compare(reference, candidate.to(dtype), inputs("mixtral"))
    assert [one.cause for one in report.findings if not one.cause.startswith("precision.")] == []


@pytest.mark.parametrize("implementation", ["eager", "grouped_mm"])
def test_one_more_expert_is_told_though_the_reference_runs_some_for_no_token(compare: Compare, implementation):
    fed = {"input_ids": torch.randint(3, 90, (1, 12), generator=torch.Generator().manual_seed(2))}
    models = [build("mixtral", num_local_experts=12, num_experts_per_tok=count) for count in (2, 3)]
    for layer in (layer for model in models for layer in model.model.layers):
        layer.mlp.experts.config._experts_implementation = implementation
        del layer.mlp.experts.act_fn
        layer.mlp.experts.act_fn = nn.functional.silu  # a module's calls would be taps, another one's for each expert
    ours, theirs = (_experts_of(model, fed) for model in models)
    assert any(more > less for more, less in zip(theirs, ours, strict=True))
    (finding,) = compare(*models, fed).findings
    assert (finding.cause, finding.reference_value, finding.candidate_value) == ("moe.top_k", 2, 3)
    assert finding.modules == tuple(f"model.layers.{index}.mlp.gate" for index in range(3))


def _experts_of(model: nn.Module, fed: dict[str, torch.Tensor]) -> list[set[int]]:
    """Of each layer, those that any token is sent to."""
    seen: list[set[int]] = []
    hooks = [
        layer.mlp.gate.register_forward_hook(
            lambda module, args, output: seen.append(set(output[2].flatten().tolist()))
        )
        for layer in model.model.layers
    ]
    model(**fed)
    for hook in hooks:
        hook.remove()
    return seen
