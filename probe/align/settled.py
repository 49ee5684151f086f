"""Containers that are tapped at one point on both sides: the first layer's numbers tell it of all layers.

What two modules hold says nothing of what they return: before a residual is added or after, before a norm or after.
The first one, before much can have gone wrong, does. What they are given is taken for the same: where that is not so,
replay sees that nothing which follows comes of it.
"""

from collections.abc import Sequence
from dataclasses import replace

from probe.align.containers import REASON
from probe.align.fit import is_ambiguous
from probe.align.mapping import Pair
from probe.align.same_tensor import distance, is_measured, tensor_key
from probe.tap import Tap, template

Kind = tuple[str, str, str, str]


def with_settled_containers(pairs: Sequence[Pair]) -> list[Pair]:
    """`pairs`; containers are firm at their first input, and where their first layer holds the same numbers."""
    same: dict[Kind, bool] = {}
    for pair in pairs:
        if pair.reason == REASON and is_measured(pair) and tensor_key(pair.reference):
            same.setdefault(_kind(pair), distance(pair.reference, pair.sources[0].tap) < 1)
    return [replace(pair, firm=True) if _is_settled(pair, same) else pair for pair in pairs]


def _is_settled(pair: Pair, same: dict[Kind, bool]) -> bool:
    if pair.firm or pair.reason != REASON or is_ambiguous(pair.reference.shape, pair.sources[0].tap.shape):
        return False
    return is_measured(pair) and (pair.reference.port == "in" or same.get(_kind(pair), False))


def _kind(pair: Pair) -> Kind:
    return *_place(pair.reference), *_place(pair.sources[0].tap)


def _place(tap: Tap) -> tuple[str, str]:
    return template(tap.module)[0], tap.port
