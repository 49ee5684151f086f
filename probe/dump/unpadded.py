"""A padded batch read as if its padding had been removed, so that it compares with one that is padded elsewhere.

B sentences of T tokens, N of them no padding. [B, T, ...] is read as [N, ...], sentence by sentence; taps whose tokens
lie along another axis, or flattened with their padding (maybe sorted by expert), are left out.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from probe.dump.dtypes import Bits, decode
from probe.dump.reader import Dump
from probe.dump.statistics import statistics
from probe.dump.view import View
from probe.tap import Tap

Mask = NDArray[np.bool_]
MASK = "attention_mask"


class Unpadded(View):
    """A dump without the padding of its steps."""

    def __init__(self, recorded: Dump, kept: dict[int, Mask]) -> None:
        """`kept`: [B, T] of each step that is padded: which tokens are no padding."""
        super().__init__(recorded)
        self._kept = kept

    @cached_property
    def taps(self) -> list[Tap]:
        """Statistics are those of what is left, so every padded tap is read once."""
        return [self._unpadded(tap) for tap in self._recorded.taps if self._is_padded(tap) is not None]

    def _is_padded(self, tap: Tap) -> bool | None:
        """None where its tokens cannot be told from padding."""
        kept = self._kept.get(tap.step)
        if kept is None:
            return False
        if tap.shape[:2] == kept.shape:
            return True
        along_another = tap.shape[:1] == kept.shape[:1] and kept.shape[1] in tap.shape[1:]
        flattened = tap.shape and tap.shape[0] and tap.shape[0] % kept.size == 0
        return None if along_another or flattened else False

    def _unpadded(self, tap: Tap) -> Tap:
        if not self._is_padded(tap):
            return tap
        bits = self.bits(tap)
        return tap._replace(shape=bits.shape, statistics=statistics(np.ascontiguousarray(bits).reshape(-1), tap.dtype))

    def bits(self, tap: Tap) -> Bits:
        recorded = self._recorded.tap(tap.name, tap.step)
        bits = self._recorded.bits(recorded)
        return bits[self._kept[tap.step]] if self._is_padded(recorded) else bits

    def blocks(self, tap: Tap, length: int) -> Iterator[Bits]:
        flat = np.ascontiguousarray(self.bits(tap)).reshape(-1)
        for start in range(0, len(flat), length):
            yield decode(flat[start : start + length], tap.dtype)

    def inputs(self, step: int = 0) -> dict[str, tuple[Bits, str]]:
        kept = self._kept.get(step)
        return {
            name: (bits[kept] if kept is not None and bits.shape[:2] == kept.shape else bits, dtype)
            for name, (bits, dtype) in self._recorded.inputs(step).items()
            if kept is None or name != MASK
        }


def unpadded_like(candidate: Dump, reference: Dump) -> Dump:
    """The candidate without its padding, where it is padded elsewhere than the reference and keeps as many tokens."""
    kept: dict[int, Mask] = {}
    for step in reference.steps if candidate.detail.is_whole else ():
        ours, theirs = kept_tokens(reference, step), kept_tokens(candidate, step)
        if ours is None or theirs is None or len(ours) != len(theirs) or np.array_equal(ours, theirs):
            continue
        if np.array_equal(ours.sum(1), theirs.sum(1)):
            kept[step] = theirs
    return Unpadded(candidate, kept) if kept else candidate


def kept_tokens(dump: Dump, step: int = 0) -> Mask | None:
    """The attention mask [B, T] that a step was fed; True where a token is no padding. None where there was none."""
    bits, _ = dump.inputs(step).get(MASK, (None, ""))
    return bits.astype(bool) if bits is not None and bits.ndim == 2 else None
