"""Ports in many styles are aligned with no table: every firm pair holds the same numbers, and little is left over.

What fails today is marked strictly, so that whoever mends it hears of it.
"""

import math
import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import nn

from probe.align.pairs import align
from tests.align.oracle import Runs, record, runs
from tests.ports.styles import STYLES, Style
from tests.zoo.architectures import Size

LAYER = r"(\b(?:layers|blocks|stack|layer|h)\.|\blayer_)"
"""What stands before a layer's number, in reference and ports."""
TWO_LAYERS = Size(layers=2)


def styles(*architectures: str) -> list[ParameterSet]:
    """Styles of these architectures, or all."""
    chosen = [style for style in STYLES if not architectures or style.architecture in architectures]
    return [pytest.param(style, id=re.sub(r"\W+", "_", style.name)) for style in chosen]


@pytest.fixture(scope="module", params=styles())
def clean(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return runs(request.param, tmp_path_factory.mktemp("clean"))


def test_no_pair_is_wrong(clean: Runs):
    assert not clean.wrong()


def test_what_has_a_counterpart_is_paired(clean: Runs):
    unpaired = clean.unpaired()
    assert len(unpaired) <= 0.01 * len(clean.with_counterpart()), sorted(unpaired)


def test_no_pair_is_wrong_the_other_way_round(clean: Runs):
    """The port as the reference: what was fused is to be cut, what was joined to be taken apart."""
    assert not clean.the_other_way_round().wrong()


@pytest.mark.parametrize("style", styles())
def test_no_pair_is_wrong_in_another_size_and_in_any_step(tmp_path: Path, style: Style):
    size = Size(hidden=96, layers=2, heads=8)
    assert not runs(style, tmp_path, size=size, seed=9, tokens=[(2, 13), (3, 6)]).wrong()


@pytest.mark.parametrize("style", styles("qwen3", "gemma3", "llama"))
def test_no_pair_is_wrong_where_there_are_as_many_tokens_as_heads_and_sentences(tmp_path: Path, style: Style):
    """In the styles that move axes."""
    assert not runs(style, tmp_path, size=TWO_LAYERS, tokens=[(4, 4)]).wrong()


@pytest.mark.parametrize("style", styles("qwen3", "gemma3"))
def test_no_pair_is_wrong_where_there_are_as_many_tokens_as_key_heads(tmp_path: Path, style: Style):
    assert not runs(style, tmp_path, size=TWO_LAYERS, tokens=[(2, 2)]).wrong()


@pytest.mark.parametrize("style", styles("qwen3", "gemma3", "gpt2", "mixtral", "bert", "gemma2", "llama"))
def test_nothing_is_wrong_or_missing_in_a_single_token(tmp_path: Path, style: Style):
    """Not even its id, which is all that a model is fed."""
    found = runs(style, tmp_path, size=TWO_LAYERS, tokens=[(1, 1)])
    assert not found.wrong()
    assert not found.unpaired()


@pytest.mark.parametrize("style", styles("gpt2", "whisper", "bert"))
def test_no_pair_is_wrong_in_a_single_sentence(tmp_path: Path, style: Style):
    """In the styles with a table of positions, whose input then has the shape of the token ids."""
    assert not runs(style, tmp_path, size=TWO_LAYERS, tokens=[(1, 13)]).wrong()


@torch.no_grad()
def untrained(model: nn.Module) -> None:
    """Norms and biases at their initial values: they tell nothing apart."""
    offset_norms = "Gemma" in type(model).__name__
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            weight.fill_(0.0 if name.endswith("bias") or offset_norms else 1.0)


@pytest.mark.parametrize("style", styles())
def test_no_pair_is_wrong_where_norms_are_untrained(tmp_path: Path, style: Style):
    assert not runs(style, tmp_path, size=TWO_LAYERS, seed=1, prepared=untrained).wrong()


@torch.no_grad()
def alike(model: nn.Module) -> None:
    """Every layer a copy of the first."""
    weights = dict(model.named_parameters())
    for name, weight in weights.items():
        first = re.sub(LAYER + r"\d+\.", r"\g<1>0.", name)
        weight.copy_(weights[first])


@pytest.mark.parametrize("style", styles())
def test_no_pair_is_wrong_where_all_layers_are_copies(tmp_path: Path, style: Style):
    assert not runs(style, tmp_path, seed=2, prepared=alike).wrong()


@pytest.mark.parametrize("style", styles())
def test_no_pair_is_wrong_and_none_is_missing_in_bfloat16(tmp_path: Path, style: Style):
    found = runs(style, tmp_path, size=TWO_LAYERS, seed=3, dtype=torch.bfloat16)
    assert not found.wrong(tolerance=0.1)
    assert not found.unpaired()


@torch.no_grad()
def layer_lost(port: nn.Module) -> None:
    """The second layer's matrices were never loaded."""
    generator = torch.Generator().manual_seed(7)
    lost = [weight for name, weight in port.named_parameters() if re.search(LAYER + r"1\.", name) and weight.dim() > 1]
    assert lost
    for weight in lost:
        weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(weight[0].numel()))


def test_no_pair_is_wrong_where_a_layer_was_never_loaded(clean: Runs, tmp_path: Path):
    assert not clean.with_bug(tmp_path, spoiled=layer_lost).wrong()


@torch.no_grad()
def layers_swapped(port: nn.Module) -> None:
    """The second and the third layer hold each other's weights."""
    weights = dict(port.named_parameters())
    seconds = [name for name in weights if re.search(LAYER + r"1\.", name)]
    assert seconds
    for name in seconds:
        third = weights[re.sub(LAYER + r"1\.", r"\g<1>2.", name)]
        kept = weights[name].clone()
        weights[name].copy_(third)
        third.copy_(kept)


@pytest.mark.parametrize("style", styles("qwen3", "gpt2", "gemma3", "mixtral", "bert", "gemma2", "llama"))
@pytest.mark.parametrize("num_layers", [3, 5])
def test_no_pair_is_wrong_where_layers_were_swapped_in_either_side(tmp_path: Path, style: Style, num_layers: int):
    """Of three layers, weights alone do not say which two are in the wrong place; what they are given does."""
    found = runs(style, tmp_path, size=Size(layers=num_layers), seed=5)
    bug = found.with_bug(tmp_path, spoiled=layers_swapped)
    assert not bug.wrong()
    assert len(bug.unpaired()) <= 0.1 * len(bug.with_counterpart())
    model = deepcopy(found.models[0])
    layers_swapped(model)
    spoiled = record(model, [style.fed(seed=5)[0]], tmp_path / "reversed.h5")
    assert not replace(found.the_other_way_round(), mapping=align(found.clean, spoiled)).wrong()


@torch.no_grad()
def embedding_not_scaled(model: nn.Module) -> None:
    """In a reference that scales inside its embedding."""
    for module in model.modules():
        if hasattr(module, "embed_scale"):
            module.embed_scale.fill_(1.0)


@pytest.mark.parametrize("style", styles("gemma3", "gemma2"))
def test_what_follows_a_forgotten_scale_is_firm(tmp_path: Path, style: Style):
    """The port is the reference: that the candidate's next tap has the port's numbers from before is the bug itself."""
    found = runs(style, tmp_path, size=TWO_LAYERS)
    lost = deepcopy(found.models[0])
    embedding_not_scaled(lost)
    bug = record(lost, [style.fed()[0]], tmp_path / "bug.h5")
    first_norms = [
        pair for pair in align(found.clean, bug).pairs if re.search("0.pre_attention_norm:in$", pair.reference.name)
    ]
    assert first_norms
    assert all(pair.firm for pair in first_norms)


SIBLINGS = {
    "input_layernorm": "post_attention_layernorm",
    "ln_1": "ln_2",
    "attention.output.LayerNorm": "output.LayerNorm",
    "self_attn_layer_norm": "final_layer_norm",
}


@torch.no_grad()
def norms_swapped(model: nn.Module) -> None:
    """In every layer, the norm before attention and the one after it hold each other's weights."""
    weights = dict(model.named_parameters())
    for name, weight in weights.items():
        for first, second in SIBLINGS.items():
            if f".{first}." in name:
                other = weights[name.replace(first, second)]
                kept = weight.clone()
                weight.copy_(other)
                other.copy_(kept)


def test_no_pair_is_wrong_where_norms_are_swapped_in_every_layer(clean: Runs, tmp_path: Path):
    """Their weights say the wrong thing in one voice; order says the right one."""
    assert not clean.with_bug(tmp_path, misread=norms_swapped).wrong()


@torch.no_grad()
def norms_rolled(model: nn.Module) -> None:
    """In every layer, each norm holds the weights of the one before it, and the first those of the last."""
    layers: dict[tuple[str, str, torch.Size], list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        layer = re.match(r".*?" + LAYER + r"\d+\.", name)
        if layer and weight.dim() == 1 and re.search("norm|ln_", name, re.IGNORECASE):
            layers.setdefault((layer[0], name.rpartition(".")[2], weight.shape), []).append(weight)
    assert layers
    for weights in layers.values():
        kept = [weight.clone() for weight in weights]
        for weight, before in zip(weights, kept[-1:] + kept[:-1], strict=True):
            weight.copy_(before)


def test_no_pair_is_wrong_where_norms_are_rolled_in_every_layer(clean: Runs, tmp_path: Path):
    """Nearly every norm but the first is given wrong numbers by the one before; its matrices say which it is."""
    found = clean.with_bug(tmp_path, misread=norms_rolled)
    assert not found.wrong()
    of_matrices = {name for name in found.unpaired() if not re.search("q_norm|k_norm", name)}
    assert len(of_matrices) <= 0.1 * len(found.with_counterpart())


@torch.no_grad()
def four_bits(port: nn.Module) -> None:
    """Rows of matrices rounded to 15 levels."""
    for weight in port.parameters():
        if weight.dim() > 1:
            scale = weight.abs().amax(-1, keepdim=True) / 7
            weight.copy_((weight / scale).round() * scale)


def test_no_pair_is_wrong_where_weights_are_quantised_to_four_bits(clean: Runs, tmp_path: Path):
    assert not clean.with_bug(tmp_path, spoiled=four_bits).wrong()
