"""What the writing thread does with a tensor's bits: measure them, and store them or link what is stored already."""

import math
from dataclasses import dataclass

from probe.capture.packed import unpacked
from probe.capture.sketch import Sketch
from probe.dump import DumpWriter, tensor_hash
from probe.dump.detail import Detail
from probe.dump.dtypes import Bits
from probe.dump.statistics import from_sums, statistics
from probe.tap import Statistics, Tap


@dataclass(slots=True)
class Stored:
    """One tensor that is on its way into the dump, or there."""

    tap: Tap
    """The tap as which it was recorded first; with its statistics once it is written."""


class Store:
    """As much of each tensor as `detail` says. `before`, everywhere: what it may still be equal to."""

    def __init__(self, writer: DumpWriter, detail: Detail) -> None:
        self._writer = writer
        self._detail = detail

    def link(self, tap: Tap, stored: Stored) -> None:
        """`tap` is the tensor that is stored."""
        if self._detail.has_values:
            self._writer.link(tap, stored.tap)
        else:
            self._writer.add_row(tap.measured(stored.tap.statistics))

    def whole(self, stored: Stored, before: Stored | None, bits: Bits, sums: Bits | None = None) -> None:
        """`sums`: what its device has computed of it; see probe.capture.sums."""
        if before is not None and before.tap.statistics.hash == tensor_hash(bits):
            self._again(stored, before)
            return
        flat = bits.reshape(-1)
        known = from_sums(flat, sums) if sums is not None else None
        stored.tap = stored.tap.measured(known or statistics(flat, stored.tap.dtype))
        if self._detail.has_values:
            self._writer.add_measured(stored.tap, flat)
        else:
            self._writer.add_row(stored.tap)

    def packed(self, stored: Stored, before: Stored | None, shape: tuple[int, ...], bits: Bits) -> None:
        """What `packed_sketch` made of a tensor of this shape."""
        made = unpacked(bits, self._detail.num_projections, shape)
        self.sketch(stored, before, made, made.rows.numpy())

    def sketch(self, stored: Stored, before: Stored | None, made: Sketch, bits: Bits) -> None:
        """`bits`: the sketch's rows."""
        digest = tensor_hash(bits)
        if before is not None and before.tap.statistics.hash == digest:
            self._again(stored, before)
        else:
            unknown = math.nan
            known = Statistics(unknown, unknown, unknown, unknown, made.l2, made.num_nan, made.num_inf, digest)
            stored.tap = stored.tap.measured(known)
            self._writer.add_sketch(stored.tap, bits)

    def _again(self, stored: Stored, before: Stored) -> None:
        self.link(stored.tap, before)
        stored.tap = before.tap
