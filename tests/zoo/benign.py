"""Differences that are no bugs: what an honest port may do, and must not be blamed for."""

import copy
from dataclasses import dataclass

import torch

from tests.zoo.bug import Site
from tests.zoo.decoder.convert import INPUT as DECODERS
from tests.zoo.draw import draw
from tests.zoo.honest import (
    Change,
    all_quantized,
    best_then_softmax,
    cast_after_weight,
    cast_before_weight,
    compiled,
    flash_like,
    gelu_table,
    heads_permuted,
    in_blocks,
    mask_of,
    norms_folded,
    positions_shifted,
    rope_layout,
    sdpa,
)
from tests.zoo.pairs import DTYPES, Pair, cast
from tests.zoo.plants import num_layers, together, with_function, wrap
from tests.zoo.ported import FIXED, PLAIN, PORTS, SAME_CODE, ported, renamings
from tests.zoo.views import VIEWS


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
