"""Feed-forward blocks, mixtures of experts and the residual stream: what was planted is named, noise is not."""

import torch
from torch import nn

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs


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
