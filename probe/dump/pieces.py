"""One tap in several steps that go on from each other, and the tensor that it is along all their tokens."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from probe.dump.dtypes import LARGEST, UNIT_ROUNDOFF, Bits, decode
from probe.tap import Statistics, Tap

MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Pieces:
    """What the steps had, and where it goes."""

    joined: Tap
    """Of the first step's name and order."""
    taps: tuple[Tap, ...]
    """One a step, in order; one alone where that is all of it."""
    axis: int = 0
    """Along which the tokens lie."""
    rows: tuple[int, ...] = ()
    """Tokens of each step."""
    keys: int | None = None
    """The last axis, where it is that of what each step sees."""
    batch: int = 1
    """Sentences that lie one after the other along `axis`."""


def of_one_tap(taps: Sequence[Tap | None], rows: Sequence[int], num_sentences: int) -> Pieces | str:
    """The tap of the whole sequence, or in words why there is none. `rows`: tokens of each step."""
    there = [tap for tap in taps if tap is not None]
    first = there[0]
    if len(there) == 1 and taps[0] is first:
        return Pieces(first, (first,))
    if len(there) < len(taps):
        return f"{len(there)} of {len(taps)} steps have it"
    if len({(tap.dtype, len(tap.shape)) for tap in there}) > 1:
        return "its dtype or its number of axes differs between steps"
    moving = [axis for axis in range(len(first.shape)) if len({tap.shape[axis] for tap in there}) > 1]
    along = [axis for axis in range(len(first.shape)) if _sizes(there, axis) == list(rows)]
    last = len(first.shape) - 1
    axis = _usual(along, len(first.shape)) if along else None
    if axis is not None and axis < last and _hides(there):
        fixed_length = axis == last - 1 > 1 and first.shape[last] > sum(rows)
        if set(moving) - {axis} == {last} or fixed_length:
            return _joined(there, rows, axis, last)
    if len(moving) == 1 and _sizes(there, moving[0]) == list(accumulate(rows)):
        return Pieces(there[-1]._replace(order=first.order), (there[-1],))
    if axis is not None:
        return _joined(there, rows, axis) if set(moving) <= {axis} else "each step sees other keys"
    if len(moving) == 1 and _sizes(there, moving[0]) == [num_sentences * size for size in rows]:
        return _joined(there, rows, moving[0], batch=num_sentences)
    same = not moving and len({tap.statistics.hash for tap in there}) == 1
    return Pieces(first, (first,)) if same else NO_TOKENS


NO_TOKENS = "no axis of it is that of the tokens"


def _sizes(taps: Sequence[Tap], axis: int) -> list[int]:
    return [tap.shape[axis] for tap in taps]


def _usual(axes: Sequence[int], num_axes: int) -> int:
    """Where steps are of equal size, several axes may be it: of [B, T, C] and [B, H, T, D] the last but one."""
    return num_axes - 2 if num_axes - 2 in axes else axes[-1]


def _hides(taps: Sequence[Tap]) -> bool:
    """Whether it is a mask or probabilities, in which there is a value for what a step cannot see yet."""
    if taps[0].dtype == "bool" or any(tap.statistics.num_inf for tap in taps):
        return True
    low = min(tap.statistics.minimum for tap in taps)
    high = max(tap.statistics.maximum for tap in taps)
    return low <= -0.99 * LARGEST.get(taps[0].dtype, math.inf) or (low >= 0 and high <= 1)


def _joined(taps: list[Tap], rows: Sequence[int], axis: int, keys: int | None = None, batch: int = 1) -> Pieces:
    shape = list(taps[0].shape)
    shape[axis] = batch * sum(rows)
    if keys is not None:
        shape[keys] = sum(rows)
    tap = taps[0]._replace(shape=tuple(shape), statistics=pooled(taps))
    return Pieces(tap, tuple(taps), axis, tuple(rows), keys, batch)


def pooled(taps: Sequence[Tap]) -> Statistics:
    """Statistics of all elements together. The hash is of the pieces' hashes: equal for equal pieces."""
    known = [(tap.statistics, tap.num_elements - tap.statistics.num_nan - tap.statistics.num_inf) for tap in taps]
    known = [(statistics, count) for statistics, count in known if count > 0]
    count = sum(number for _, number in known)
    squares = sum(statistics.l2**2 for statistics, _ in known)
    mean = sum(statistics.mean * number for statistics, number in known) / count if count else math.nan
    digest = 0
    for tap in taps:
        digest = (digest * 0x9E3779B97F4A7C15 + tap.statistics.hash) & MASK
    return Statistics(
        minimum=min((statistics.minimum for statistics, _ in known), default=math.nan),
        maximum=max((statistics.maximum for statistics, _ in known), default=math.nan),
        mean=mean,
        std=math.sqrt(max(squares / count - mean * mean, 0.0)) if count else math.nan,
        l2=math.sqrt(squares),
        num_nan=sum(tap.statistics.num_nan for tap in taps),
        num_inf=sum(tap.statistics.num_inf for tap in taps),
        hash=digest,
    )


def assembled(pieces: Pieces, bits: Callable[[Tap], Bits]) -> Bits:
    """The whole sequence's bits, in the joined tap's shape."""
    if len(pieces.taps) == 1:
        return bits(pieces.taps[0])
    parts = [bits(tap) for tap in pieces.taps]
    if pieces.keys is not None:
        hidden = _hidden(parts, pieces.joined.dtype)
        ends = accumulate(pieces.rows)
        parts = [_placed(part, end, sum(pieces.rows), hidden) for part, end in zip(parts, ends, strict=True)]
    if pieces.batch > 1:
        axis = pieces.axis
        split = [part.reshape(*part.shape[:axis], pieces.batch, -1, *part.shape[axis + 1 :]) for part in parts]
        return np.concatenate(split, axis + 1).reshape(pieces.joined.shape)
    return np.concatenate(parts, pieces.axis)


def _hidden(parts: Sequence[Bits], dtype: str) -> Bits:
    """The bits that stand for a key that is not seen: the lowest number of a mask, or minus infinity where all of it is
    0; 0 of probabilities, and False."""
    decoded = [decode(part.reshape(-1), dtype) for part in parts]
    if dtype in UNIT_ROUNDOFF and not any(numbers.any() for numbers in decoded):
        infinity = np.array(-np.inf, np.float32)
        return (infinity.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else infinity.astype(dtype)
    lowest = [(float(numbers.min()), number) for number, numbers in enumerate(decoded) if numbers.size]
    low, number = min(lowest)
    bits = parts[number].reshape(-1)[int(decoded[number].argmin())]
    return bits if low < 0 else np.zeros_like(bits)


def _placed(part: Bits, end: int, width: int, hidden: Bits) -> Bits:
    """A step's keys, along the last axis, at their place among all: those of a window are the last ones up to `end`,
    and a cache of fixed length is not filled beyond it."""
    seen = part[..., :end]
    placed = np.full((*part.shape[:-1], width), hidden)
    placed[..., end - seen.shape[-1] : end] = seen
    return placed
