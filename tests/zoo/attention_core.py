"""What attention's core is given, and plants that change it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tests.zoo.bug import Plant
from tests.zoo.plants import with_function


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
