"""What a model is fed, along its tokens: what belongs to some of them, and what is fed once there are more.

What belongs to tokens has as many places along its last axis as the token ids [B, T]: masks, positions, token types.
"""

from typing import Any

import torch

from probe.errors import ProbeError

Inputs = dict[str, Any]
"""Forward's keyword arguments."""


def belonging(inputs: Inputs, ids: str) -> list[str]:
    """Names of what belongs to the tokens `ids`, themselves first; where they are a decoder's, nothing else's."""
    num_tokens = inputs[ids].shape[-1]
    prefix = "decoder_" if ids.startswith("decoder_") else ""
    names = [name for name in inputs if name != ids and (name.startswith(prefix) or name == "cache_position")]
    return [ids, *(name for name in names if _has_axis(inputs[name], num_tokens, name))]


def part(inputs: Inputs, ids: str, start: int, stop: int) -> Inputs:
    """What belongs to tokens `start` to `stop`, for a model that has seen all before them; all else as it is."""
    num_tokens = inputs[ids].shape[-1]
    found = dict(inputs)
    for name in belonging(inputs, ids):
        value = inputs[name]
        if "mask" not in name:
            found[name] = value[..., start:stop]
        elif value.dim() > 2 and value.shape[-2] == num_tokens:
            found[name] = value[..., start:stop, :stop]
        else:
            found[name] = value[..., :stop]
    return found


def grown(inputs: Inputs, ids: str, tokens: torch.Tensor) -> Inputs:
    """With these tokens [B, t] behind the others: masks show them, positions go on, types are the last one's."""
    found = dict(inputs)
    for name in belonging(inputs, ids):
        value = inputs[name]
        last = value[..., -1:].expand(*value.shape[:-1], tokens.shape[-1])
        if name == ids:
            more = tokens.to(value)
        elif "mask" not in name:
            more = last + torch.arange(1, tokens.shape[-1] + 1).to(value) if "pos" in name else last
        elif value.dim() <= 2:
            more = torch.ones_like(last)
        else:
            raise ProbeError(
                f"{name} has {value.dim()} axes, and says nothing of tokens to come",
                hint="give a mask of one truth a token, or none",
            )
        found[name] = torch.cat([value, more], dim=-1)
    return found


def _has_axis(value: Any, num_tokens: int, name: str) -> bool:
    if not isinstance(value, torch.Tensor) or not value.dim() or value.shape[-1] != num_tokens:
        return False
    return "mask" in name or not value.is_floating_point()
