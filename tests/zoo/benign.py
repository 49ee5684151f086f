"""Differences that are no bugs: what an honest port may do, and must not be blamed for."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.bug import Site
from tests.zoo.draw import draw
from tests.zoo.pairs import DECODERS, DTYPES, FIXED, PLAIN, PORTS, SAME_CODE, Pair, cast, ported, renamings
from tests.zoo.planted.attention import core
from tests.zoo.planted.ropes import head_dim
from tests.zoo.plants import change_weight, num_layers, together, with_argument, with_function, wrap
from tests.zoo.roles import VIEWS
from tests.zoo.weight_bugs import interleaved, quantized

Change = Callable[[Site], None]


@dataclass(frozen=True)
class Benign:
    """One honest difference."""

    name: str
    fits: tuple[str, ...]
    change: Change | None = None
    """To a copy of the reference, all of its layers."""
    styles: tuple[str, ...] = (SAME_CODE,)
    dtypes: tuple[str, ...] = ("fp32",)
    """The candidate's."""
    reference_dtypes: tuple[str, ...] = ("fp32",)
    quantized: bool = False
    """Whether `linear.quantized` may be said of it."""


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


NARROW = ("bf16", "fp16")
ALL = ("fp32", *NARROW)
SDPA = ("llama", "qwen3", "gemma3", "gpt2", "bert", "mixtral", "whisper-decoder", "vit")
BENIGN = [
    Benign("sdpa", SDPA, sdpa, dtypes=ALL),
    Benign(
        "another dtype",
        ("llama", "gemma2", "gpt2", "bert", "mixtral", "whisper-decoder", "qwen3", "vit", "phi3"),
        None,
        dtypes=NARROW,
    ),
    Benign("both narrow", ("qwen2", "gemma3", "phi3"), sdpa, dtypes=NARROW, reference_dtypes=NARROW),
    Benign(
        "flash-like attention",
        ("llama", "qwen2", "mistral", "granite"),
        with_function("attn", "eager_attention_forward", flash_like),
        dtypes=ALL,
    ),
    Benign("compiled", ("llama", "gpt2"), compiled),
    Benign(
        "sums in parts",
        ("llama", "qwen3", "gpt2", "granite"),
        together(wrap("o", in_blocks), wrap("down", in_blocks)),
        dtypes=("fp32", "bf16"),
    ),
    Benign("rope layout", ("llama", "mistral", "granite", "gemma"), rope_layout, dtypes=("fp32", "bf16")),
    Benign("positions shifted", ("llama", "qwen2", "gemma", "phi3"), positions_shifted, dtypes=("fp32", "bf16")),
    Benign("head groups permuted", ("llama", "mistral", "gemma"), heads_permuted, dtypes=("fp32", "bf16")),
    Benign("1 + w folded", ("gemma",), norms_folded, dtypes=ALL),
    Benign(
        "norm casts before its weight",
        ("gemma", "gemma2", "gemma3"),
        together(wrap("attn_norm", cast_before_weight), wrap("mlp_norm", cast_before_weight)),
        dtypes=NARROW,
        reference_dtypes=("bf16", "fp16"),
    ),
    Benign(
        "norm casts after its weight",
        ("llama", "qwen2", "qwen3"),
        together(wrap("attn_norm", cast_after_weight), wrap("mlp_norm", cast_after_weight)),
        dtypes=NARROW,
        reference_dtypes=("bf16", "fp16"),
    ),
    Benign("FP16 table of GELU", ("gpt2", "bert"), wrap("act", gelu_table), dtypes=("fp16", "fp32")),
    Benign("the best, then softmax", ("mixtral",), wrap("router", best_then_softmax), dtypes=("fp32", "bf16")),
    Benign("int8 weights", ("llama", "gemma", "qwen3"), all_quantized(8), dtypes=("fp32", "bf16"), quantized=True),
    Benign("int4 weights", ("llama", "granite"), all_quantized(4), dtypes=("fp32", "bf16"), quantized=True),
    Benign("-1e9 for -inf", ("llama", "gpt2", "gemma2"), mask_of(-1e9), dtypes=("fp32", "bf16")),
    Benign("a port", tuple(view for view in VIEWS if view != "whisper-encoder"), None, (*PORTS, *DECODERS), dtypes=ALL),
]


def benign_pair(
    one: Benign, view: str, part: str, seed: int, style: str, dtype: str, reference_dtype: str, plain: bool = False
) -> Pair:
    """A candidate that is not wrong; `plain` as of tests/zoo/pairs.py."""
    drawn = draw(VIEWS[view][0], part, seed, **FIXED.get(style, {}))
    candidate = copy.deepcopy(drawn.reference)
    layers = tuple(range(num_layers(Site(candidate, view, (), drawn.generator))))
    if one.change:
        one.change(Site(candidate, view, layers, drawn.generator))
    if style != SAME_CODE:
        candidate = ported(candidate, view, style)
    renamed = renamings(style)
    fed = {renamed.get(name, name): value for name, value in drawn.inputs.items()}
    reference = ported(drawn.reference, view, PLAIN) if plain else drawn.reference
    reference = reference.to(DTYPES[reference_dtype])
    inputs = cast(drawn.inputs, reference_dtype)
    narrow, nothing = candidate.to(DTYPES[dtype]), torch.zeros(0)
    told = (0.0, 0.0, nothing, None, one.quantized)
    return Pair((), view, style, dtype, reference, narrow, inputs, cast(fed, dtype), (), *told)
