"""Weights that are wrong in ports with names, fusion and layouts of their own."""

import pytest
import torch

from tests.align.auditing import Auditor, suspicious
from tests.ports.styles import STYLES
from tests.zoo.architectures import Size
from tests.zoo.weight_bugs import change, fresh, swap


def reversed_rows(weight: torch.Tensor) -> torch.Tensor:
    return weight.flip(0)


@pytest.mark.parametrize(
    ("style", "weight", "how", "kind"),
    [
        ("llama, fused", "layers.1.attention.wo.weight", fresh, "never loaded"),
        ("llama, fused", "layers.1.w2.weight", torch.zeros_like, "never loaded"),
        ("gpt2, nanoGPT", "transformer.h.1.ln_2.weight", torch.ones_like, "never loaded"),
        ("gpt2, [in, out]", "stack.1.attend.key.kernel", lambda w: 2 * w, "scaled"),
        ("gpt2, [in, out]", "stack.1.attend.key.offset", torch.zeros_like, "partly loaded"),
        ("mixtral, a module an expert", "layers.1.feed_forward.experts.1.w2.weight", reversed_rows, "inconsistent"),
        ("mixtral, a module an expert", "layers.1.feed_forward.experts.1.w2.weight", torch.zeros_like, "partly loaded"),
        ("gemma3, JAX, 1 + w folded", "transformer.layer_1.pre_ffw_norm.scale", lambda w: w - 1, "inconsistent"),
    ],
)
@pytest.mark.parametrize("layers", [2, 3])
def test_one_wrong_weight_is_told(style: str, weight: str, how, kind: str, layers: int, tmp_path):
    [port] = [one for one in STYLES if one.name == style]
    reference = port.reference(Size(layers=layers))
    candidate = port.candidate(reference)
    change(weight, how, candidate)
    found = suspicious(Auditor(tmp_path)(reference, candidate, *port.fed()))
    assert kind in {finding.kind for finding in found}, [finding.message for finding in found]
    assert all(".1." in name for finding in found for name in finding.weights) or layers == 2


@pytest.mark.parametrize(
    ("style", "weight", "share"),
    [
        ("llama, sharded", "layers.1.attention.query.1.weight", "50%"),
        ("llama, sharded", "layers.1.attention.merge.0.weight", "50%"),
        ("llama, sharded", "layers.0.mlp.down.1.weight", "50%"),
        ("llama, sharded", "head.1.weight", "50%"),
        ("mixtral, a module an expert", "layers.1.feed_forward.experts.1.w2.weight", "25%"),
        ("mixtral, a module an expert", "layers.0.feed_forward.experts.3.w1.weight", "12%"),
    ],
)
@pytest.mark.parametrize("factor", [2.0, 1.05])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_one_shard_or_expert_that_is_scaled(style: str, weight: str, share: str, factor: float, dtype, tmp_path):
    [port] = [one for one in STYLES if one.name == style]
    reference = port.reference(Size(layers=2))
    candidate = port.candidate(reference)
    change(weight, lambda w: factor * w, candidate)
    [found] = suspicious(Auditor(tmp_path)(reference, candidate.to(dtype), *port.fed()))
    assert found.kind == "scaled"
    assert f"is the reference's times {factor:g} in {share} of its rows or columns alone" in found.message


@pytest.mark.parametrize("layers", [(0, 1), (1, 2)], ids=str)
def test_norms_of_two_layers_that_are_exchanged_under_a_port_s_own_names(layers: tuple[int, int], tmp_path):
    """The mapping follows the values; all else of those layers does not."""
    [port] = [one for one in STYLES if one.name == "qwen3, a matrix a head"]
    reference = port.reference(Size(layers=3))
    candidate = port.candidate(reference)
    first, second = (f"blocks.{layer}.norm_1.weight" for layer in layers)
    swap(first, second, candidate)
    [found] = suspicious(Auditor(tmp_path)(reference, candidate, *port.fed()))
    assert found.kind == "other layer's"
    assert f"{first} holds model.layers.{layers[1]}.input_layernorm.weight" in found.message
    assert f"{second} holds model.layers.{layers[0]}.input_layernorm.weight" in found.message
