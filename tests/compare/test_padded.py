"""A hidden size, a vocabulary or feed-forward channels rounded up to what a chip likes, and filled up with zeros."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MethodType

import pytest
import torch
from torch import Tensor, nn

from probe.report import Verdict
from tests.conftest import Compare
from tests.ports import llama
from tests.zoo.architectures import Size, build, inputs

SIZE = Size(hidden=64, layers=3, heads=4, tokens=19)


@dataclass(frozen=True)
class Padding:
    """Channels that each size has more than the reference."""

    hidden: int = 0
    feed_forward: int = 0
    words: int = 0


EACH = [Padding(hidden=16), Padding(feed_forward=32), Padding(words=32)]
ALL = [Padding(16, 32, 32), Padding(hidden=64)]


def padded(model: nn.Module, width: int, room: Callable[[], nn.Module]) -> nn.Module:
    """What `room` makes, with the model's weights in the first rows and columns and zeros in the others.

    Its norms divide by the model's `width`.
    """
    wider = room().eval()
    into(wider, model.state_dict())
    for module in wider.modules():
        if type(module).__name__.endswith("RMSNorm") and len(module.weight) > width:
            module.forward = MethodType(of_the_first(width), module)
    return wider


@torch.no_grad()
def into(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, weight in model.named_parameters():
        weight.zero_()
        halves = 2 if "gate_up" in name or "w13" in name else 1
        axis = weight.dim() - 2 if halves > 1 else 0
        for room, own in zip(weight.chunk(halves, axis), weights[name].chunk(halves, axis), strict=True):
            room[tuple(slice(size) for size in own.shape)] = own


def of_the_first(width: int) -> Callable[[nn.Module, Tensor], Tensor]:
    """An RMS norm whose mean is over `width` channels, however many there are."""

    def forward(norm: nn.Module, x: Tensor) -> Tensor:
        wide = x.float()
        eps = getattr(norm, "variance_epsilon", None) or norm.eps
        mean = wide.square().sum(-1, keepdim=True) / width
        return norm.weight * (wide * torch.rsqrt(mean + eps)).to(x.dtype)

    return forward


def same_names(name: str, reference: nn.Module, padding: Padding) -> nn.Module:
    config = type(reference.config)(
        **reference.config.to_dict()
        | {
            "hidden_size": reference.config.hidden_size + padding.hidden,
            "intermediate_size": reference.config.intermediate_size + padding.feed_forward,
            "vocab_size": reference.config.vocab_size + padding.words,
            "head_dim": SIZE.hidden // SIZE.heads,
        }
    )
    config._attn_implementation = "eager"
    return padded(reference, reference.config.hidden_size, lambda: type(reference)(config))


@pytest.mark.parametrize(
    ("padding", "dtype"), [*((one, torch.float32) for one in (*EACH, *ALL)), *((one, torch.bfloat16) for one in ALL)]
)
@pytest.mark.parametrize("name", ["llama", "mixtral"])
def test_zeros_are_no_difference(compare: Compare, name, padding, dtype):
    reference, fed = build(name, SIZE), inputs(name, SIZE)
    report = compare(reference, same_names(name, reference, padding).to(dtype), fed)
    assert report.verdict in (Verdict.NOISE, Verdict.IDENTICAL), report.first
    assert not [name for name in report.reference_only if "experts.act_fn" not in name and "@" not in name]


def other_names(reference: nn.Module, padding: Padding) -> nn.Module:
    """The fused Llama."""
    config = reference.config
    settings = replace(
        llama.layer_settings(config, None),
        num_channels=config.hidden_size + padding.hidden,
        num_ffn_channels=config.intermediate_size + padding.feed_forward,
    )

    def room() -> nn.Module:
        return llama.FusedLlama(config.vocab_size, [settings] * config.num_hidden_layers, config.rms_norm_eps)

    return padded(llama.convert(reference.state_dict(), config), config.hidden_size, room)


@pytest.mark.parametrize(
    ("padding", "dtype"), [(Padding(hidden=16), torch.float32), (Padding(hidden=64, feed_forward=32), torch.bfloat16)]
)
def test_zeros_are_no_difference_under_other_names(compare: Compare, padding, dtype):
    reference, fed = build("llama", SIZE), inputs("llama", SIZE)
    report = compare(reference, other_names(reference, padding).to(dtype), fed)
    assert report.verdict is Verdict.NOISE, report.first
    judged = {row.reference: row.candidate for row in report.taps if row.ratio is not None}
    for layer in range(SIZE.layers):
        name, other = f"model.layers.{layer}", f"layers.{layer}"
        assert judged[f"{name}.input_layernorm:out"] == f"{other}.attention_norm:out[0:64]"
        assert judged[f"{name}.input_layernorm:in"] == f"{other}.attention_norm:in[0:64]"
        assert judged[f"{name}.self_attn.k_proj:out"] == f"{other}.attention.wqkv:out[64:96]"
        assert judged[f"{name}.self_attn.k_proj:in"] == f"{other}.attention.wqkv:in[0:64]"
        assert judged[f"{name}.mlp.down_proj:out"] == f"{other}.w2:out[0:64]"


def dividing_by_all_channels(model: nn.Module) -> None:
    """A norm's mean over the zeros too."""
    norm = model.model.layers[1].input_layernorm
    norm.forward = MethodType(type(norm).forward, norm)


@torch.no_grad()
def with_words_that_have_more(model: nn.Module) -> None:
    """Numbers where the embedding should be filled up with zeros: norms see them."""
    model.model.embed_tokens.weight[:, SIZE.hidden :] = 1.0


@torch.no_grad()
def with_rows_that_have_more(model: nn.Module) -> None:
    model.model.layers[1].self_attn.o_proj.weight[SIZE.hidden :] = 1.0


BUGS = [
    (dividing_by_all_channels, "model.layers.1.input_layernorm"),
    (with_words_that_have_more, "model.layers.0.input_layernorm"),
    (with_rows_that_have_more, "model.layers.1.post_attention_layernorm"),
]


@pytest.mark.parametrize(("plant", "module"), BUGS)
@pytest.mark.parametrize("name", ["llama", "mixtral"])
def test_what_is_not_zero_is_a_bug_where_it_first_has_an_effect(compare: Compare, name, plant, module):
    reference, fed = build(name, SIZE), inputs(name, SIZE)
    candidate = same_names(name, reference, Padding(hidden=16))
    plant(candidate)
    report = compare(reference, candidate, fed)
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.module == module
