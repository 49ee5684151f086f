"""Channels in another order under equal names, which nothing undoes: a bug, at its place."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

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
from tests.zoo.architectures import build, inputs


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
    report = compare(reference, candidate, fed, replay=False)
    assert [found.kind for found in report.weights if found.suspicious] != []
