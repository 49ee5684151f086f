"""norm.*: weights that belong elsewhere, lack a 1 or were never loaded; norms left out or of another kind."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs


@dataclass(frozen=True)
class Planted:
    architecture: str
    module: str
    plant: Callable[[nn.Module, nn.Module], None]
    """Given the norm and the model."""
    cause: str
    ours: str | None
    theirs: str | None


def _weight(change: Callable[[Tensor], Tensor], name: str = "weight") -> Callable[[nn.Module, nn.Module], None]:
    def plant(norm: nn.Module, model: nn.Module) -> None:
        weight = norm.get_parameter(name)
        weight.data.copy_(change(weight.data.clone()))

    return plant


def _all_of(other: str) -> Callable[[nn.Module, nn.Module], None]:
    return lambda norm, model: norm.load_state_dict(model.get_submodule(other).state_dict())


def _forward(change: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, nn.Module], None]:
    def plant(norm: nn.Module, model: nn.Module) -> None:
        norm.forward = lambda x: change(norm, x)

    return plant


def _centered(norm: nn.Module, x: Tensor) -> Tensor:
    return type(norm).forward(norm, x - x.mean(-1, keepdim=True))


def _root_mean_square(norm: nn.Module, x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + norm.eps) * norm.weight


TAKEN, KEPT = "the mean is taken off", "the mean is not taken off"
LLAMA, GEMMA, GPT2 = "model.layers.1.post_attention_layernorm", "model.layers.1.input_layernorm", "transformer.h.1.ln_2"
QUERY, BERT = "model.layers.1.self_attn.q_norm", "encoder.layer.1.output.LayerNorm"
PLANTED = {
    "1 not added": Planted("gemma", GEMMA, _weight(lambda w: w - 1), "norm.weight_offset", "1 + w", "w"),
    "1 added twice": Planted("gemma3", QUERY, _weight(lambda w: w + 1), "norm.weight_offset", "1 + w", "2 + w"),
    "1 added to a plain norm": Planted("llama", LLAMA, _weight(lambda w: w + 1), "norm.weight_offset", "w", "1 + w"),
    "still ones": Planted(
        "qwen2", LLAMA, _weight(torch.ones_like), "norm.weight_missing", f"{LLAMA}.weight", "1 everywhere"
    ),
    "still zeros, and 1 is added": Planted(
        "gemma2", GEMMA, _weight(torch.zeros_like), "norm.weight_missing", f"{GEMMA}.weight", "1 everywhere"
    ),
    "bias still zeros": Planted(
        "gpt2", GPT2, _weight(torch.zeros_like, "bias"), "norm.weight_missing", f"{GPT2}.bias", "0 everywhere"
    ),
    "another norm's weights": Planted(
        "bert", BERT, _all_of("encoder.layer.0.output.LayerNorm"), "norm.weight_swapped", BERT, BERT.replace("1", "0")
    ),
    "no query norm": Planted("qwen3", QUERY, _forward(lambda norm, x: x), "norm.missing", QUERY, None),
    "no layer norm": Planted("gpt2", GPT2, _forward(lambda norm, x: x), "norm.missing", GPT2, None),
    "LayerNorm for RMSNorm": Planted("mixtral", LLAMA, _forward(_centered), "norm.kind", KEPT, TAKEN),
    "RMSNorm for LayerNorm": Planted(
        "bert", BERT, _forward(_root_mean_square), "norm.kind", TAKEN, f"{KEPT}, nor is a bias added"
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_wrong_with_a_norm_is_named(compare: Compare, name: str):
    bug = PLANTED[name]
    reference, candidate = build(bug.architecture), build(bug.architecture)
    bug.plant(candidate.get_submodule(bug.module), candidate)
    (finding,) = compare(reference, candidate, inputs(bug.architecture)).findings
    assert (finding.cause, finding.module) == (bug.cause, bug.module)
    assert (finding.reference_value, finding.candidate_value) == (bug.ours, bug.theirs)
    assert finding.share == pytest.approx(1.0, abs=1e-4)


def test_query_and_key_norm_exchanged_are_named_each(compare: Compare):
    reference, candidate = build("qwen3"), build("qwen3")
    attention = candidate.model.layers[1].self_attn
    attention.q_norm, attention.k_norm = attention.k_norm, attention.q_norm
    findings = compare(reference, candidate, inputs("qwen3")).findings
    assert {one.cause for one in findings} == {"norm.weight_swapped"}
    assert [one.candidate_value for one in findings] == [QUERY.replace("q_", "k_") + ".weight", QUERY + ".weight"]


def test_another_matrixs_bias_is_no_norms_weight(compare: Compare):
    reference, candidate = build("bert"), build("bert")
    attention = candidate.encoder.layer[1].attention.self
    attention.query.bias.data.copy_(attention.key.bias.data)
    findings = compare(reference, candidate, inputs("bert")).findings
    assert findings
    assert not [one.cause for one in findings if one.cause.startswith("norm.")]


def test_a_weight_that_is_off_at_random_has_no_name(compare: Compare):
    reference, candidate = build("llama"), build("llama")
    noise = torch.randn(64, generator=torch.Generator().manual_seed(0))
    candidate.model.layers[1].input_layernorm.weight.data += 1e-3 * noise
    assert [one.cause for one in compare(reference, candidate, inputs("llama")).findings] == ["unknown"]
