"""What an honest port may do otherwise, as changes of a model's code or weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.attention_core import core
from tests.zoo.bug import Site
from tests.zoo.plants import change_weight, together, with_argument, with_function, wrap
from tests.zoo.rotations import head_dim
from tests.zoo.views import VIEWS
from tests.zoo.weight_bugs import interleaved, quantized

Change = Callable[[Site], None]


def sdpa(site: Site) -> None:
    site.model.set_attn_implementation("sdpa")


def compiled(site: Site) -> None:
    """Norms traced by torch.compile."""
    for module in (*site.modules("attn_norm"), *site.modules("mlp_norm")):
        module.forward = torch.compile(module.forward, backend="aot_eager")


def in_blocks(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    """A linear layer summed in four parts."""
    weight = module.weight.T if isinstance(module, nn.Linear) else module.weight
    parts = zip(x.chunk(4, dim=-1), weight.chunk(4, dim=0), strict=True)
    total = sum(part @ rows for part, rows in parts)
    return total if module.bias is None else total + module.bias


def flash_like(
    original: Any, module: Any, owner: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **named: Any
) -> Any:
    """Softmax over blocks of eight keys with a running maximum."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(repeats, dim=1) for x in (key, value))
    scores = (query @ key.transpose(2, 3)).float() * named.get("scaling", query.shape[-1] ** -0.5)
    scores = scores if mask is None else scores + mask
    top = torch.full_like(scores[..., :1], -3e38)
    total, mixed = torch.zeros_like(top), torch.zeros_like(query, dtype=torch.float32)
    for block, part in zip(scores.split(8, dim=-1), value.float().split(8, dim=2), strict=True):
        higher = torch.maximum(top, block.amax(-1, keepdim=True))
        old, new = (top - higher).exp(), (block - higher).exp()
        total, mixed, top = total * old + new.sum(-1, keepdim=True), mixed * old + new @ part, higher
    return (mixed / total).to(query.dtype).transpose(1, 2).contiguous(), None


def rope_layout(site: Site) -> None:
    """Rows of queries and keys for neighbouring channels, and a rotation of neighbouring channels."""
    with torch.no_grad():
        for role in "qk":
            for matrix in site.modules(role):
                matrix.weight.copy_(interleaved(head_dim(site), matrix.weight.clone()))

    def paired(original: Any, module: Any, q: Tensor, k: Tensor, *given: Any, **named: Any) -> Any:
        halves = (x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2) for x in (q, k))
        q, k = original(*halves, *given, **named)
        return tuple(x.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2) for x in (q, k))

    with_function("attn", "apply_rotary_pos_emb", paired)(site)


def positions_shifted(site: Site) -> None:
    """Everything 7 positions later: scores know differences alone."""

    def later(value: tuple[Tensor, Tensor], module: Any) -> tuple[Tensor, Tensor]:
        cos, sin = value
        far_cos, far_sin = cos[:, 7:8], sin[:, 7:8]
        return cos * far_cos - sin * far_sin, sin * far_cos + cos * far_sin

    with_argument("attn", "position_embeddings", later)(site)


def heads_permuted(site: Site) -> None:
    """Groups of heads in another order, and o_proj's columns with them."""
    groups = site.config.num_key_value_heads
    change_weight("q", lambda w: _blocks(w, groups, 0))(site)
    change_weight("k", lambda w: _blocks(w, groups, 0))(site)
    change_weight("v", lambda w: _blocks(w, groups, 0))(site)
    change_weight("o", lambda w: _blocks(w, groups, 1))(site)


def _blocks(weight: Tensor, count: int, axis: int) -> Tensor:
    return torch.cat(weight.chunk(count, dim=axis)[::-1], dim=axis)


def norms_folded(site: Site) -> None:
    """1 + w in the weight, and a norm that multiplies by it as it is."""

    def plain(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + module.eps)
        return (wide * scale * module.weight.float()).to(x.dtype)

    for role in ("attn_norm", "mlp_norm", "final_norm"):
        together(change_weight(role, lambda w: w + 1), wrap(role, plain))(site)


def cast_before_weight(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    """A norm that rounds before it multiplies by its weight, where Gemma's rounds after."""
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + module.eps)
    return scaled.to(x.dtype) * (1 + module.weight)


def cast_after_weight(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    """A norm that rounds after it multiplied by its weight, where Llama's rounds before."""
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + module.variance_epsilon)
    return (scaled * module.weight.float()).to(x.dtype)


def gelu_table(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    """As ggml's FP16 table: the argument and the value in float16."""
    return forward(x.half().float()).half().to(x.dtype)


def best_then_softmax(forward: Any, module: nn.Module, *args: Any) -> Any:
    """Equal to softmax, the best of it, normalized again."""
    logits, weights, indices = forward(*args)
    return logits, logits.float().gather(1, indices).softmax(-1).to(weights.dtype), indices


def all_quantized(bits: int) -> Change:
    @torch.no_grad()
    def change(site: Site) -> None:
        for role in ("q", "k", "v", "o", "gate", "up", "down"):
            if role in VIEWS[site.view][1]:
                for matrix in site.modules(role):
                    matrix.weight.copy_(quantized(bits, matrix.weight.clone()))

    return change


def mask_of(value: float) -> Change:
    """Another very negative number for -inf."""
    return core(lambda call: replace(call, mask=None if call.mask is None else call.mask.clamp(min=value)))
