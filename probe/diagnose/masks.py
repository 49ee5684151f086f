"""A mask in its parts: the future, a window, padding.

Patterns are (..., T, S): true where token T does not see key S. Tokens are the last T of the S.
"""

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Pattern:
    """What is hidden: keys more than `ahead` tokens in the future, keys `window` or more tokens back, and padding."""

    shape: tuple[int, int]
    """T and S."""
    ahead: int | None
    """0 of a causal mask; None where the future is seen."""
    window: int | None
    padding: torch.Tensor
    """(..., 1, S): keys that nobody sees."""
    open: torch.Tensor
    """(..., T, 1): tokens that see everything, as what is padding itself may."""
    shut: torch.Tensor
    """(..., T, 1): tokens that see nothing, for no other reason."""

    def hidden(self) -> torch.Tensor:
        age = ages(*self.shape).to(self.padding.device)
        hidden = self.padding.expand(*self.padding.shape[:-2], *self.shape)
        if self.ahead is not None:
            hidden = hidden | (age < -self.ahead)
        if self.window is not None:
            hidden = hidden | (age >= self.window)
        return (hidden & ~self.open) | self.shut

    def unpadded(self) -> "Pattern":
        open_too, shut = torch.zeros_like(self.open), torch.zeros_like(self.shut)
        return replace(self, padding=torch.zeros_like(self.padding), open=open_too, shut=shut)


def ages(tokens: int, keys: int) -> torch.Tensor:
    """(T, S): how many tokens a key is behind its query; negative in the future."""
    return torch.arange(keys - tokens, keys)[:, None] - torch.arange(keys)


def pattern_of(hidden: torch.Tensor) -> Pattern | None:
    """None of a mask that has other parts: documents, chunks, a prefix."""
    tokens, keys = hidden.shape[-2:]
    age = ages(tokens, keys).to(hidden.device)
    future = age < 0
    is_open = ~hidden.any(-1, keepdim=True) & future.any(-1, keepdim=True)
    is_causal = bool((hidden & future).any()) and bool((hidden | ~future | is_open).all())
    padding = (hidden | is_open).all(-2, keepdim=True) & hidden.any(-2, keepdim=True)
    seen = age.expand(hidden.shape)[~hidden & ~is_open.expand(hidden.shape)]
    oldest = int(seen.max()) if len(seen) else keys
    past = hidden & ~padding & (age > oldest)
    window = oldest + 1 if bool(past.any()) else None
    if window is not None:
        padding = _without_old(padding, num_old=max(keys - tokens - oldest, 0))
    nothing = torch.zeros_like(is_open)
    found = Pattern((tokens, keys), 0 if is_causal else None, window, padding, is_open & hidden.any(), nothing)
    others = (found.hidden() != hidden).any(-1, keepdim=True)
    found = replace(found, shut=others & hidden.all(-1, keepdim=True))
    return found if torch.equal(found.hidden(), hidden) else None


def _without_old(padding: torch.Tensor, num_old: int) -> torch.Tensor:
    """The first keys are too old for every token: they are padding only if the next one is."""
    following = padding[..., num_old : num_old + 1].expand(*padding.shape[:-1], num_old)
    return torch.cat([following, padding[..., num_old:]], -1)
