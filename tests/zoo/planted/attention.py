"""Attention's core: scale, softcap, heads, sinks, the number for what is masked."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tests.zoo.attention_core import Call, core
from tests.zoo.bug import Bug
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


def sinks_dropped(original: Any, module: Any, owner: Any, *given: Any, **named: Any) -> Any:
    sinks = owner.sinks.data.clone()
    owner.sinks.data.fill_(-1e4)
    try:
        return original(owner, *given, **named)
    finally:
        owner.sinks.data.copy_(sinks)


AT = ("attn",)
BUGS = [
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
