"""Channels in another order under equal names, which another module undoes: noise."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from transformers.models.llama import modeling_llama
from transformers.models.phi3 import modeling_phi3

from probe.report import Verdict
from tests.compare.reordering import (
    SIZE,
    Change,
    blocks,
    interleaved,
    layers,
    llama_heads,
    permute_inputs,
    permute_outputs,
    rows_for_another_rotary_layout_in_a_fused_matrix,
    shuffled,
)
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs

WIDER = Size(hidden=96, layers=2, heads=6, tokens=11)


def llama_mlp(model: nn.Module) -> None:
    for seed, layer in enumerate(layers(model)):
        order = shuffled(layer.mlp.down_proj.in_features, seed)
        permute_outputs(layer.mlp.gate_proj, order)
        permute_outputs(layer.mlp.up_proj, order)
        permute_inputs(layer.mlp.down_proj, order)


def gpt2_heads(model: nn.Module) -> None:
    hidden = model.config.n_embd
    for seed, layer in enumerate(layers(model)):
        channels = blocks(hidden, shuffled(model.config.n_head, seed))
        permute_outputs(layer.attn.c_attn, torch.cat([channels, channels + hidden, channels + 2 * hidden]))
        permute_inputs(layer.attn.c_proj, channels)


def gpt2_mlp(model: nn.Module) -> None:
    for seed, layer in enumerate(layers(model)):
        order = shuffled(4 * model.config.n_embd, seed)
        permute_outputs(layer.mlp.c_fc, order)
        permute_inputs(layer.mlp.c_proj, order)


def bert_heads(model: nn.Module) -> None:
    order = shuffled(model.config.num_attention_heads, 3)
    channels = blocks(model.config.hidden_size, order)
    for layer in layers(model):
        attention = layer.attention.self
        for projection in (attention.query, attention.key, attention.value):
            permute_outputs(projection, channels)
        permute_inputs(layer.attention.output.dense, channels)


def bert_mlp(model: nn.Module) -> None:
    order = shuffled(model.config.intermediate_size, 4)
    for layer in layers(model):
        permute_outputs(layer.intermediate.dense, order)
        permute_inputs(layer.output.dense, order)


@torch.no_grad()
def mixtral_experts(model: nn.Module) -> None:
    for seed, layer in enumerate(layers(model)):
        order = shuffled(model.config.num_local_experts, seed)
        for stack in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj, layer.mlp.gate.weight):
            stack.copy_(stack[order])


def values_within_heads(model: nn.Module) -> None:
    """Of BERT: each head's values in another order, which its scores know nothing of."""
    head_dim = model.config.hidden_size // model.config.num_attention_heads
    for seed, layer in enumerate(layers(model)):
        within = torch.cat([shuffled(head_dim, seed) + start for start in range(0, model.config.hidden_size, head_dim)])
        permute_outputs(layer.attention.self.value, within)
        permute_inputs(layer.attention.output.dense, within)


def pairwise_rotary(model: nn.Module) -> None:
    """Of Llama: channels 2i and 2i + 1 of a head are rotated together, not i and i + D / 2."""
    for layer in layers(model):
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            permute_outputs(projection, interleaved(projection.out_features, model.config.head_dim))
    rotate_pairs(model)


def pairwise_rotary_of_a_fused_matrix(model: nn.Module) -> None:
    """Of Phi-3: values stay as they are."""
    rows_for_another_rotary_layout_in_a_fused_matrix(model)
    rotate_pairs(model)


def rotate_pairs(model: nn.Module) -> None:
    """In a class of its own: within one class, weights of two layouts would be suspicious."""
    model.__class__ = type("Ported", (type(model),), {})
    for layer in layers(model):
        layer.self_attn.forward = with_pairs_rotated(layer.self_attn.forward)


def with_pairs_rotated(forward: Callable[..., object]) -> Callable[..., object]:
    def rotate(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        def rotated(x: Tensor) -> Tensor:
            first, second = x[..., 0::2], x[..., 1::2]
            c, s = (half[:, None, :, : x.shape[-1] // 2] for half in (cos, sin))
            return torch.stack([first * c - second * s, second * c + first * s], -1).flatten(-2)

        return rotated(q), rotated(k)

    def run(*args: object, **kwargs: object) -> object:
        with (
            patch.object(modeling_llama, "apply_rotary_pos_emb", rotate),
            patch.object(modeling_phi3, "apply_rotary_pos_emb", rotate),
        ):
            return forward(*args, **kwargs)

    return run


UNDONE: list[tuple[str, Change]] = [
    ("llama", llama_heads),
    ("llama", llama_mlp),
    ("llama", pairwise_rotary),
    ("phi3", pairwise_rotary_of_a_fused_matrix),
    ("qwen2", llama_heads),
    ("gpt2", gpt2_heads),
    ("gpt2", gpt2_mlp),
    ("bert", bert_heads),
    ("bert", bert_mlp),
    ("bert", values_within_heads),
    ("mixtral", mixtral_experts),
]


@pytest.mark.parametrize(("size", "dtype"), [(SIZE, torch.float32), (WIDER, torch.bfloat16)], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("name", "change"), UNDONE)
def test_what_another_module_undoes_is_noise(compare: Compare, name, change, size, dtype):
    reference, candidate, fed = build(name, size), build(name, size), inputs(name, size)
    change(candidate)
    report = compare(reference, candidate.to(dtype), fed)
    assert report.verdict is Verdict.NOISE, report.first
    assert not [note for note in report.notes if not note.startswith("rounding hides")]
    assert not [found.message for found in report.weights if found.suspicious]
