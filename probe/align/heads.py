"""Heads of attention, however a model arranges them: beside the sentences, grouped by the key that they share.

B sentences, H heads, T queries, S keys, D channels.
"""

import math
from collections.abc import Mapping

from probe.align.mapping import Numbers

Values = Mapping[str, Numbers]
"""What attention was given and computed, by port."""
HEADED = ("in.query", "out.scores", "out.probabilities")
"""Ports of [.., H, T, D] or [.., H, T, S]."""


def arranged(given: Values, num_sentences: int) -> dict[str, Numbers]:
    """Queries, keys, scores and probabilities as [B, H, .., ..], however a model arranges its heads (grouped by the key
    that they share, or together with the sentences), and masks that have as many; others are as they were."""
    found = dict(given)
    for port in (*HEADED, "in.key"):
        if port in found and found[port].ndim >= 2:
            found[port] = _with_heads(found[port], num_sentences)
    whole = (num_sentences, num_heads(found))
    for port, numbers in given.items():
        if port.startswith("in.mask") and numbers.ndim > 2 and math.prod(numbers.shape[:-2]) == math.prod(whole):
            found[port] = numbers.reshape(*whole, *numbers.shape[-2:])
    return found


def num_heads(given: Values) -> int:
    """Of the queries; 1 where nothing tells."""
    shown = (numbers for port, numbers in given.items() if port in HEADED or port.startswith("in.mask"))
    return max((numbers.shape[-3] for numbers in shown if numbers.ndim > 2), default=1)


def of_head(given: Values, head: int) -> dict[str, Numbers]:
    """What concerns one head of the queries, its axis kept; a key or a mask may be that of several."""
    total = num_heads(given)
    found = {}
    for port, numbers in given.items():
        own = numbers.shape[-3] if numbers.ndim > 2 else 0
        at = min(head * own // total, own - 1)
        found[port] = numbers[..., at : at + 1, :, :] if own else numbers
    return found


def _with_heads(numbers: Numbers, num_sentences: int) -> Numbers:
    count = math.prod(numbers.shape[:-2])
    if not num_sentences or count % num_sentences:
        return numbers
    return numbers.reshape(num_sentences, count // num_sentences, *numbers.shape[-2:])
