"""norm.eps: fitted to what the candidate computed."""

import pytest
import torch
from torch import nn

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs

PLACES = {
    "llama": ("model.layers.1.input_layernorm", "variance_epsilon", 1e-6),
    "gemma3": ("model.layers.1.self_attn.k_norm", "eps", 1e-6),
    "gpt2": ("transformer.h.1.ln_2", "eps", 1e-5),
    "bert": ("encoder.layer.1.output.LayerNorm", "eps", 1e-12),
}


def two(name: str) -> tuple[nn.Module, nn.Module, dict[str, torch.Tensor]]:
    return build(name), build(name), inputs(name)


@pytest.mark.parametrize("name", PLACES)
def test_the_value_is_found(compare: Compare, name: str):
    module, attribute, usual = PLACES[name]
    reference, candidate, fed = two(name)
    setattr(candidate.get_submodule(module), attribute, 3e-5)
    (finding,) = compare(reference, candidate, fed).findings
    assert (finding.cause, finding.module, finding.reference_value) == ("norm.eps", module, usual)
    assert finding.candidate_value == pytest.approx(3e-5, rel=0.02)
    assert finding.error_after < 0.2 * finding.error_before


def test_one_bug_in_all_layers_is_one_finding(compare: Compare):
    reference, candidate, fed = two("qwen2")
    for layer in candidate.model.layers:
        layer.input_layernorm.variance_epsilon = 1e-5
    (finding,) = compare(reference, candidate, fed).findings
    assert finding.modules == tuple(f"model.layers.{index}.input_layernorm" for index in range(3))


def test_another_value_in_another_place_is_a_finding_of_its_own(compare: Compare):
    reference, candidate, fed = two("llama")
    candidate.model.layers[0].input_layernorm.variance_epsilon = 1e-4
    candidate.model.layers[2].post_attention_layernorm.variance_epsilon = 1e-3
    findings = compare(reference, candidate, fed).findings
    assert [one.cause for one in findings] == ["norm.eps", "norm.eps"]
    assert [one.module for one in findings] == [
        "model.layers.0.input_layernorm",
        "model.layers.2.post_attention_layernorm",
    ]


def test_noise_of_the_same_size_is_no_eps(compare: Compare):
    """A norm's output is off by as much as a wrong eps would make it, in no direction."""
    reference, candidate, fed = two("llama")
    norm = candidate.model.layers[1].input_layernorm
    noise = 1e-5 * torch.randn(candidate.config.hidden_size, generator=torch.Generator().manual_seed(0))
    norm.register_forward_hook(lambda module, args, output: output * (1 + noise))
    assert [one.cause for one in compare(reference, candidate, fed).findings] == ["unknown"]
