"""Attention's core: masks and windows, scale, softcap, order of heads, sinks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tests.zoo.bug import Bug, Plant
from tests.zoo.draw import Inputs
from tests.zoo.plants import set_attribute, with_function

DECODERS = (
    "llama", "mistral", "qwen2", "qwen3", "granite", "gemma", "gemma2", "gemma3", "phi3", "mixtral", "qwen3-moe",
    "qwen2-moe", "gpt2", "gpt-neox", "whisper-decoder",
)  # fmt: skip
GROUPED = (
    "llama", "mistral", "qwen2", "qwen3", "granite", "gemma", "gemma2", "gemma3", "phi3", "mixtral", "qwen3-moe",
    "qwen2-moe", "gpt-oss",
)  # fmt: skip
SCALED = (*DECODERS, "gpt-oss", "bert", "vit", "whisper-encoder")
WINDOWED = ("mistral", "gemma2", "gemma3", "gpt-oss")
ALTERNATING = ("gemma2", "gemma3", "gpt-oss")
PADDED = ("llama", "qwen2", "mistral", "gpt2")


@dataclass(frozen=True)
class Call:
    """What attention's core is given: queries (B, H, T, D), keys and values (B, K, S, D), a mask that is added."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    groups: int | None
    """Query heads a key head."""


def core(change: Callable[[Call], Call], after: Callable[[Tensor], Tensor] = lambda mixed: mixed) -> Plant:
    """`after` changes what it returns, (B, T, H, D)."""

    def replacement(
        original: Any, module: Any, owner: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **more: Any
    ) -> Any:
        present = getattr(owner, "num_key_value_groups", None)
        call = change(Call(query, key, value, mask, present))
        if present is not None:
            owner.num_key_value_groups = call.groups
        try:
            mixed, weights = original(owner, call.query, call.key, call.value, call.mask, **more)
        finally:
            if present is not None:
                owner.num_key_value_groups = present
        return after(mixed), weights

    return with_function("attn", "eager_attention_forward", replacement)


def age(call: Call) -> Tensor:
    """How far behind its query each key is (T, S)."""
    query, key = call.query.shape[2], call.key.shape[2]
    device = call.query.device
    return torch.arange(query, device=device)[:, None] - torch.arange(key, device=device)


def masked(call: Call, hidden: Tensor) -> Call:
    """`hidden` (T, S) in place of the mask."""
    values = torch.zeros(hidden.shape, dtype=call.query.dtype).masked_fill(hidden, torch.finfo(call.query.dtype).min)
    return replace(call, mask=values[None, None])


def window(size: int | None) -> Plant:
    """As if the window were this long; None for no window."""
    return core(lambda call: masked(call, (age(call) < 0) | (age(call) >= (size or call.key.shape[2]))))


def padding_ignored(call: Call) -> Call:
    """Every sentence has the mask of the first, which has no padding: a window stays."""
    assert call.mask is not None
    return replace(call, mask=call.mask[:1])


def everything_seen(call: Call) -> Call:
    return replace(call, mask=None if call.mask is None else torch.zeros_like(call.mask))


def weakly_masked(call: Call) -> Call:
    """A finite number for -inf, and not far below the scores."""
    assert call.mask is not None
    return replace(call, mask=call.mask.clamp(min=-5.0))


def tiled(call: Call) -> Call:
    """Query heads 0, 1, 2, 3 read key heads 0, 1, 0, 1, where they should read 0, 0, 1, 1."""
    assert call.groups
    return replace(
        call, key=call.key.repeat(1, call.groups, 1, 1), value=call.value.repeat(1, call.groups, 1, 1), groups=1
    )


def with_sink(call: Call) -> Call:
    """One more key, that scores 0 and has no value: what "softmax one" does."""
    assert call.mask is not None
    nothing = torch.zeros_like(call.key[:, :, :1])
    mask = torch.cat([call.mask, torch.zeros_like(call.mask[..., :1])], dim=-1)
    return replace(call, key=torch.cat([call.key, nothing], 2), value=torch.cat([call.value, nothing], 2), mask=mask)


def merged_otherwise(mixed: Tensor) -> Tensor:
    """Channels of a head before the heads."""
    return mixed.transpose(2, 3).reshape(mixed.shape)


def is_sliding(config: Any, layer: int) -> bool:
    kinds = getattr(config, "layer_types", None)
    return bool(getattr(config, "sliding_window", None)) if kinds is None else kinds[layer] == "sliding_attention"


def is_full(config: Any, layer: int) -> bool:
    return not is_sliding(config, layer)


def left_padded(inputs: Inputs, generator: torch.Generator) -> Inputs:
    """Two sentences, the second of which begins late."""
    ids = inputs["input_ids"][:1]
    mask = torch.ones(2, ids.shape[1], dtype=torch.long)
    mask[1, : ids.shape[1] // 3] = 0
    both = torch.cat([ids, ids.flip(1)])
    return {"input_ids": both * mask, "attention_mask": mask}


def sinks_dropped(original: Any, module: Any, owner: Any, *given: Any, **named: Any) -> Any:
    sinks = owner.sinks.data.clone()
    owner.sinks.data.fill_(-1e4)
    try:
        return original(owner, *given, **named)
    finally:
        owner.sinks.data.copy_(sinks)


AT = ("attn",)
BUGS = [
    Bug("window one longer", "attn.window", WINDOWED, AT, code=window(9), has=is_sliding),
    Bug("window one shorter", "attn.window", WINDOWED, AT, code=window(7), has=is_sliding),
    Bug("window lost", "attn.window", WINDOWED, AT, code=window(None), has=is_sliding),
    Bug(
        "window in a full layer",
        "attn.window",
        (*ALTERNATING, "llama", "qwen3"),
        AT,
        code=window(8),
        has=is_full,
        scope="layer",
    ),
    Bug(
        "one token of the future seen",
        "attn.causal",
        DECODERS,
        AT,
        code=core(lambda call: masked(call, age(call) < -1)),
    ),
    Bug(
        "no causal mask",
        "attn.causal",
        ("llama", "qwen2", "gemma", "phi3", "gpt2", "gpt-neox"),
        AT,
        code=core(everything_seen),
    ),
    Bug(
        "causal mask in an encoder",
        "attn.causal",
        ("vit", "whisper-encoder"),
        AT,
        code=core(lambda call: masked(call, age(call) < 0)),
    ),
    Bug("padding seen by BERT", "attn.padding_mask", ("bert",), AT, code=core(everything_seen)),
    Bug("padding on the left seen", "attn.padding_mask", PADDED, AT, code=core(padding_ignored), fed=left_padded),
    Bug(
        "scale a little off",
        "attn.scale",
        SCALED,
        AT,
        code=set_attribute("attn", "scaling", lambda scale: scale * 0.935),
    ),
    Bug(
        "scale of another head size",
        "attn.scale",
        SCALED,
        AT,
        code=set_attribute("attn", "scaling", lambda scale: scale * 2**-0.5),
    ),
    Bug("no scale", "attn.scale", SCALED, AT, code=set_attribute("attn", "scaling", lambda scale: 1.0)),
    Bug(
        "scale of head_dim",
        "attn.scale",
        ("gemma2", "gemma3"),
        AT,
        code=set_attribute("attn", "scaling", lambda scale: 16**-0.5),
        config={"query_pre_attn_scalar": 24},
        scope="all",
    ),
    Bug(
        "softcap of scores off",
        "attn.softcap",
        ("gemma2",),
        AT,
        code=set_attribute("attn", "attn_logit_softcapping", None),
    ),
    Bug(
        "softcap of scores 30 for 50",
        "attn.softcap",
        ("gemma2",),
        AT,
        code=set_attribute("attn", "attn_logit_softcapping", 30.0),
    ),
    Bug("key heads tiled", "attn.kv_repeat", GROUPED, AT, code=core(tiled)),
    Bug(
        "heads rolled before o_proj",
        "attn.head_order",
        SCALED,
        AT,
        code=core(lambda call: call, lambda mixed: mixed.roll(1, 2)),
    ),
    Bug(
        "heads merged in the other order", "attn.head_order", SCALED, AT, code=core(lambda call: call, merged_otherwise)
    ),
    Bug("masked scores at -5", "attn.mask_value", DECODERS, AT, code=core(weakly_masked)),
    Bug(
        "sinks dropped",
        "attn.sink",
        ("gpt-oss",),
        AT,
        code=with_function("attn", "eager_attention_forward", sinks_dropped),
    ),
    Bug("a sink where there is none", "attn.sink", ("llama", "qwen2", "qwen3", "mistral"), AT, code=core(with_sink)),
]
