"""The order of a tensor's channels, carried from where weights tell it to taps that no weight speaks of.

A container returns its last matrix's output; an activation keeps the order of what it is given; attention's weights
[B, H, T, S] have its heads in the order in which its last matrix takes them. And whole numbers that a module returns
whose outputs are in another order are names of these: those of one side say nothing on the other.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from probe.align.layouts import number_kind
from probe.align.mapping import Pair, Source
from probe.align.permutation import Ranges, ranges
from probe.tap import Tap

Key = tuple[int, int, str]
"""Step, hash and dtype: of one tensor."""
Order = tuple[Ranges, int]
"""Ranges of the last axis, or of so many axes counted as one."""


def with_orders_carried(
    pairs: Sequence[Pair], taps: Iterable[Tap], weighted: Collection[str], reordered: Collection[str]
) -> list[Pair]:
    """`pairs`, in the reference's order of execution, of whose `taps` `reordered` modules have some.

    `weighted` are modules with weights in them.
    """
    if not reordered:
        return list(pairs)
    labels = {_key(tap) for tap in taps if tap.module in reordered and not tap.is_input and _is_int(tap)}
    carried = _Carried(pairs, weighted, reordered)
    return [
        carried.ordered(pair) for pair in pairs if not _is_int(pair.reference) or _key(pair.reference) not in labels
    ]


class _Carried:
    """Orders that are known so far, in the order of execution."""

    def __init__(self, pairs: Sequence[Pair], weighted: Collection[str], reordered: Collection[str]) -> None:
        self._weighted = weighted
        self._known: dict[tuple[Key, Key], Order] = {}
        """Of one tensor, by both sides' keys."""
        self._given: dict[tuple[int, str, int], set[Order | None]] = defaultdict(set)
        """Of what a call was given."""
        self._taken: dict[tuple[int, str], set[Ranges]] = defaultdict(set)
        """Of what modules inside a module were given."""
        for pair in pairs:
            if pair.reference.module in reordered and (order := _order(pair)):
                self._known.setdefault(_keys(pair), order)

    def ordered(self, pair: Pair) -> Pair:
        order = self._of(pair)
        self._learn(pair.reference, order)
        if order is None or not pair.is_plain:
            return pair
        self._known[_keys(pair)] = order
        return replace(pair, sources=(Source(pair.sources[0].tap, *order),))

    def _of(self, pair: Pair) -> Order | None:
        tap = pair.reference
        if tap.is_input or _keys(pair) in self._known:
            return self._known.get(_keys(pair))
        if tap.module not in self._weighted:
            given = self._given[tap.step, tap.module, tap.call]
            return next(iter(given)) if len(given) == 1 else None
        taken = self._taken[tap.step, tap.module]
        return _of_heads(tap.shape, *taken) if len(taken) == 1 and len(tap.shape) == 4 else None

    def _learn(self, tap: Tap, order: Order | None) -> None:
        if tap.is_input and not _is_int(tap):
            self._given[tap.step, tap.module, tap.call].add(order)
        if order and (tap.is_input or len(tap.shape) == 3):
            for module in _around(tap.module) if tap.is_input else [tap.module]:
                self._taken[tap.step, module].add(order[0])


def _of_heads(shape: tuple[int, ...], channels: Ranges) -> Order | None:
    """The order of [B, H, T, S] in which channels [H D] are; None where heads are not kept together."""
    num_heads, size = shape[1], shape[2] * shape[3]
    places = np.concatenate([np.arange(*run) for run in channels])
    if len(places) % num_heads:
        return None
    heads = places.reshape(num_heads, -1) * num_heads // len(places)
    if (heads != heads[:, :1]).any():
        return None
    return tuple((start * size, stop * size) for start, stop in ranges(heads[:, 0])), 3


def _around(module: str) -> Iterator[str]:
    """ "a.b" and "a" of "a.b.c"."""
    while module := module.rpartition(".")[0]:
        yield module


def _order(pair: Pair) -> Order | None:
    source = pair.sources[0]
    return (source.columns, source.num_merged) if source.columns and len(pair.sources) == 1 else None


def _is_int(tap: Tap) -> bool:
    return number_kind(tap.dtype) == "int"


def _key(tap: Tap) -> Key:
    return tap.step, tap.statistics.hash, tap.dtype


def _keys(pair: Pair) -> tuple[Key, Key]:
    return _key(pair.reference), _key(pair.sources[0].tap)
