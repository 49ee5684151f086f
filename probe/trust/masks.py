"""Attention masks in their many forms: which keys can be seen at all.

B sentences of T tokens.
"""

import numpy as np

from probe.trust.fed import Numbers, is_float


def seen_keys(mask: Numbers) -> Numbers:
    """[..., T]: whether any query sees a key.

    True and 1 stand for seen, and in an additive mask 0. [T, T] and [B, 1, T, T] say it of every query.
    """
    additive = is_float(mask) and mask.max(initial=-np.inf) <= 0
    seen = mask > -1 if additive else mask > 0
    if seen.ndim > 2:
        return np.asarray(seen.reshape(len(seen), -1, seen.shape[-1]).any(axis=1))
    square = seen.ndim == 2 and seen.shape[0] == seen.shape[1]
    if square and seen.diagonal().all() and not np.triu(seen, 1).any():
        return np.asarray(seen.any(axis=0, keepdims=True))
    return np.asarray(seen)


def mask_difference(mine: Numbers, other: Numbers) -> str | None:
    """[B, T] of ones and zeros, [B, 1, T, T] of zeros and minus infinity: the keys that can be seen are compared."""
    keys, other_keys = seen_keys(mine), seen_keys(other)
    if keys.shape[-1:] != other_keys.shape[-1:]:
        return f"covers {keys.shape[-1]} tokens in the reference and {other_keys.shape[-1]} in the candidate"
    try:
        keys, other_keys = np.broadcast_arrays(keys, other_keys)
    except ValueError:
        return f"has shape {mine.shape} in the reference and {other.shape} in the candidate"
    unequal = int((keys != other_keys).sum())
    inverted = unequal == keys.size and mine.dtype != other.dtype  # torch's key_padding_mask is True where it hides
    if not unequal or inverted:
        return None
    return f"hides {int((~keys).sum())} tokens in the reference and {int((~other_keys).sum())} in the candidate"
