"""Channels in another order under equal names: noise where another module undoes it, and else a bug, at its place."""

from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from transformers.models.llama import modeling_llama
from transformers.models.phi3 import modeling_phi3

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs

SIZE = Size(hidden=64, layers=2, heads=4, tokens=19)
WIDER = Size(hidden=96, layers=2, heads=6, tokens=11)
Change = Callable[[nn.Module], None]


def layers(model: nn.Module) -> Iterator[nn.Module]:
    """Its decoder's, or encoder's."""
    yield from next(module for module in model.modules() if isinstance(module, nn.ModuleList))


@torch.no_grad()
def permute_outputs(module: nn.Module, order: Tensor) -> None:
    axis = 1 if "Conv1D" in type(module).__name__ else 0
    module.weight.copy_(module.weight.index_select(axis, order))
    if getattr(module, "bias", None) is not None:
        module.bias.copy_(module.bias[order])


@torch.no_grad()
def permute_inputs(module: nn.Module, order: Tensor) -> None:
    axis = 0 if "Conv1D" in type(module).__name__ else 1
    module.weight.copy_(module.weight.index_select(axis, order))


def blocks(num_channels: int, order: Tensor) -> Tensor:
    """Channels of as many heads as `order` has, head after head in that order."""
    return torch.arange(num_channels).reshape(len(order), -1)[order].reshape(-1)


def shuffled(count: int, seed: int) -> Tensor:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order if (order != torch.arange(count)).any() else order.flip(0)


def llama_heads(model: nn.Module) -> None:
    order = shuffled(model.config.num_key_value_heads, 1)
    for layer in layers(model):
        attention = layer.self_attn
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            permute_outputs(projection, blocks(projection.out_features, order))
        permute_inputs(attention.o_proj, blocks(attention.o_proj.in_features, order))


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


def rows_for_another_rotary_layout_in_a_fused_matrix(model: nn.Module) -> None:
    for layer in layers(model):
        num_values = layer.self_attn.num_key_value_heads * layer.self_attn.head_dim
        rows = torch.arange(layer.self_attn.qkv_proj.out_features)
        rows[:-num_values] = interleaved(len(rows) - num_values, layer.self_attn.head_dim)
        permute_outputs(layer.self_attn.qkv_proj, rows)


def interleaved(num_channels: int, head_dim: int) -> Tensor:
    return torch.arange(num_channels).reshape(-1, 2, head_dim // 2).transpose(1, 2).reshape(-1)


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
    assert not report.notes
    assert not [found.message for found in report.weights if found.suspicious]


def only(path: str, change: Callable[[nn.Module], Tensor]) -> Change:
    """Outputs of one module of layer 1 alone."""

    def plant(model: nn.Module) -> None:
        module = model.get_submodule(path)
        permute_outputs(module, change(module))

    return plant


def llama_heads_of_queries_and_keys(model: nn.Module) -> None:
    """Alike, but nothing undoes it: each head's values are another's."""
    order = shuffled(model.config.num_key_value_heads, 1)
    for layer in layers(model):
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            permute_outputs(projection, blocks(projection.out_features, order))


def rows_for_another_rotary_layout(model: nn.Module) -> None:
    """Converted for code that rotates pairs, and run by code that rotates halves."""
    for layer in layers(model):
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            permute_outputs(projection, interleaved(projection.out_features, model.config.head_dim))


def gate_in_another_order_than_up(model: nn.Module) -> None:
    for layer in layers(model):
        for seed, projection in enumerate((layer.mlp.gate_proj, layer.mlp.up_proj)):
            permute_outputs(projection, shuffled(projection.out_features, seed))


@torch.no_grad()
def experts_without_their_router(model: nn.Module) -> None:
    for layer in layers(model):
        for stack in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj):
            stack.copy_(stack.roll(1, 0))


@torch.no_grad()
def router_without_its_experts(model: nn.Module) -> None:
    for layer in layers(model):
        layer.mlp.gate.weight.copy_(layer.mlp.gate.weight.roll(1, 0))


def heads_undone_in_another_order(model: nn.Module) -> None:
    llama_heads(model)
    for layer in layers(model):
        permute_inputs(layer.self_attn.o_proj, torch.arange(layer.self_attn.o_proj.in_features).roll(1))


L1 = "model.layers.1"
ATTENTION = "model.layers.0.self_attn"
NOT_UNDONE: list[tuple[str, Change, str]] = [
    (
        "llama",
        only(f"{L1}.self_attn.q_proj", lambda m: blocks(m.out_features, shuffled(4, 1))),
        f"{L1}.self_attn.q_proj",
    ),
    (
        "llama",
        only(f"{L1}.self_attn.v_proj", lambda m: blocks(m.out_features, shuffled(2, 1))),
        f"{L1}.self_attn.v_proj",
    ),
    ("llama", only(f"{L1}.self_attn.q_proj", lambda m: interleaved(m.out_features, 16)), f"{L1}.self_attn.q_proj"),
    ("llama", only(f"{L1}.mlp.gate_proj", lambda m: shuffled(m.out_features, 1)), f"{L1}.mlp.gate_proj"),
    ("llama", llama_heads_of_queries_and_keys, ATTENTION),
    ("llama", rows_for_another_rotary_layout, ATTENTION),
    ("phi3", rows_for_another_rotary_layout_in_a_fused_matrix, ATTENTION),
    ("llama", heads_undone_in_another_order, ATTENTION),
    ("llama", gate_in_another_order_than_up, "model.layers.0.mlp"),
    (
        "bert",
        only("encoder.layer.1.attention.self.value", lambda m: shuffled(m.out_features, 1)),
        "encoder.layer.1.attention.self.value",
    ),
    ("gpt2", only("transformer.h.1.mlp.c_fc", lambda m: shuffled(m.nf, 1)), "transformer.h.1.mlp.c_fc"),
    ("mixtral", experts_without_their_router, "model.layers.0.mlp.experts"),
    ("mixtral", router_without_its_experts, "model.layers.0.mlp.gate"),
]


@pytest.mark.parametrize(("name", "change", "module"), NOT_UNDONE)
def test_what_nothing_undoes_is_a_bug_at_its_place(compare: Compare, name, change, module):
    reference, candidate, fed = build(name, SIZE), build(name, SIZE), inputs(name, SIZE)
    change(candidate)
    report = compare(reference, candidate, fed)
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.module == module


@pytest.mark.parametrize(
    "change", [llama_heads_of_queries_and_keys, rows_for_another_rotary_layout, gate_in_another_order_than_up]
)
def test_weights_whose_order_nothing_undoes_are_suspicious(compare: Compare, change):
    reference, candidate, fed = build("llama", SIZE), build("llama", SIZE), inputs("llama", SIZE)
    change(candidate)
    report = compare(reference, candidate, fed)
    assert [found.kind for found in report.weights if found.suspicious] != []
