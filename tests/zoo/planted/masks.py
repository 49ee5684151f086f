"""Who sees whom in attention: windows, the future, padding."""

from dataclasses import replace
from typing import Any

import torch

from tests.zoo.attention_core import Call, age, core, masked
from tests.zoo.bug import Bug, Plant
from tests.zoo.draw import Inputs
from tests.zoo.planted.attention import AT, DECODERS

WINDOWED = ("mistral", "gemma2", "gemma3", "gpt-oss")
ALTERNATING = ("gemma2", "gemma3", "gpt-oss")
PADDED = ("llama", "qwen2", "mistral", "gpt2")


def window(size: int | None) -> Plant:
    """As if the window were this long; None for no window."""
    return core(lambda call: masked(call, (age(call) < 0) | (age(call) >= (size or call.key.shape[2]))))


def padding_ignored(call: Call) -> Call:
    """Every sentence has the mask of the first, which has no padding: a window stays."""
    assert call.mask is not None
    return replace(call, mask=call.mask[:1])


def everything_seen(call: Call) -> Call:
    return replace(call, mask=None if call.mask is None else torch.zeros_like(call.mask))


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
]
