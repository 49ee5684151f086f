"""From the model's run to the dump: what is small or on a device is copied, and written behind the run's back."""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any
from weakref import ref

import torch

from probe.capture.backlog import Backlog
from probe.capture.device import Computed, Departure, SideStreams, departing, has_streams
from probe.capture.packed import packed_sketch
from probe.capture.sketch import sketch
from probe.capture.store import Store, Stored
from probe.capture.sums import can_be_summed, sums
from probe.capture.tensors import (
    Mark,
    dtype_name,
    is_ordinary,
    mark,
    num_stored_bytes,
    to_bits,
    values_can_be_had,
)
from probe.capture.tokens import kept_part
from probe.dump import DumpWriter
from probe.dump.detail import Detail
from probe.dump.dtypes import BITS_ONLY
from probe.dump.statistics import statistics
from probe.tap import UNMEASURED, Tap

CAPACITY = 64 << 20
"""Bytes of copies of a device's tensors, on the device, that wait to be written."""
SMALL = 1 << 17
"""Bytes: so few are copied, and wait for the writer. More are measured at once and written while the model waits: it
has threads for all of the processor's cores, and is slowed by what is done beside it as much as by waiting for it. HDF5
stays in the writer's thread: what it keeps would lie between the model's own freed tensors, and glibc's malloc would
not use their memory again."""


class Sink:
    """Takes the tensors of a run in their order. ProbeError for one whose values cannot be had."""

    def __init__(self, writer: DumpWriter, detail: Detail, *, lasting: bool = False) -> None:
        """`lasting`: a tensor stays as it is until the next one is added, and nothing else runs: it is written while
        that one is measured."""
        self._writer = writer
        self._store = Store(writer, detail)
        self._detail = detail
        self._lasting = lasting
        self._is_writing = False
        """Whether a lasting tensor may not be written yet."""
        self._backlog = Backlog(CAPACITY, idle=writer.flush_if_due)
        self._streams = SideStreams()
        self._stored: dict[int, tuple[ref[torch.Tensor], Mark, Stored]] = {}
        """By id of a living tensor object: its mark when it was recorded, and as what."""
        self._lock = Lock()
        self.num_taps = self.num_bytes = 0
        """What was taken so far."""

    @property
    def trouble(self) -> BaseException | None:
        """What went wrong behind the run's back, and ended the recording."""
        return self._backlog.trouble

    def later(self, work: Callable[..., object], *arguments: Any) -> None:
        """Do this with the writer when all that came before is written."""
        self._backlog.add(partial(work, *arguments))

    def add_input(self, step: int, name: str, tensor: torch.Tensor) -> None:
        with self._lock:
            self._written(tensor, partial(self._writer.add_input, step, name, dtype=dtype_name(tensor.dtype)))

    def add(self, tap: Tap, tensor: torch.Tensor) -> Tap | None:
        """Store a tensor, or link one that is recorded already and unchanged since: as the tap that is returned.

        torch counts in-place changes, except those of inference tensors, whose bytes are looked at again.
        """
        seen = mark(tensor)
        with self._lock:
            known = self._stored.get(id(tensor))
            before = known[2] if known and known[0]() is tensor and known[1] == seen else None
            if before is not None and not tensor.is_inference():
                self._backlog.add(partial(self._store.link, tap, before))
            else:
                stored = Stored(tap)
                self.num_bytes += self._kept(tensor, stored, before)
                self._stored[id(tensor)] = (ref(tensor), seen, stored)
            self.num_taps += 1
        return before.tap if before is not None else None

    def close(self) -> None:
        """Wait until all is written, and leave the writer to the caller's thread."""
        self._stored.clear()
        self._backlog.close()

    def _written(self, tensor: torch.Tensor, work: Callable[..., object], there: Computed | None = None) -> int:
        """Have `work` done with the tensor's bits as they are now; their number in bytes. `there`: what `work` is to
        be given instead of a tensor of a device that does not hold the model up."""
        self._wait_for_the_last()
        num_bytes = num_stored_bytes(tensor)
        if self._can_depart(tensor):
            self._backlog.make_room(num_bytes)
            departure = departing(tensor)
            self._backlog.add(partial(self._fetched, departure, there or _alone, work), num_bytes)
        elif num_bytes <= SMALL:
            self._backlog.add(partial(work, to_bits(tensor).copy()))
        else:
            self._backlog.add(partial(work, to_bits(tensor)))
            self._backlog.drain()
        return num_bytes

    def _can_depart(self, tensor: torch.Tensor) -> bool:
        """Whether it may be copied on its device, and go its way to the host later."""
        is_usual = is_ordinary(tensor) and dtype_name(tensor.dtype) not in BITS_ONLY
        return has_streams(tensor.device) and is_usual and num_stored_bytes(tensor) <= self._backlog.capacity

    def _fetched(self, departure: Departure, there: Computed, work: Callable[..., object]) -> None:
        work(*map(to_bits, self._streams.fetch(departure, there)))

    def _kept(self, tensor: torch.Tensor, stored: Stored, before: Stored | None) -> int:
        """`before`: what may be the same tensor. The number of bytes that leave the device."""
        tensor = kept_part(tensor, stored.tap.shape, self._detail.tokens)
        if not self._detail.is_sketched(stored.tap.shape, stored.tap.dtype):
            if before is None and tensor.is_cpu and num_stored_bytes(tensor) > SMALL:
                return self._measured(tensor, stored)
            there = _and_sums if can_be_summed(tensor.dtype, tensor.numel()) else _alone
            return self._written(tensor, partial(self._store.whole, stored, before), there)
        if self._can_depart(tensor):
            work = partial(self._store.packed, stored, before, tuple(tensor.shape))
            return self._written(tensor, work, lambda source: [packed_sketch(source, self._detail)])
        with values_can_be_had(tensor):
            made = sketch(tensor, self._detail)
        return self._written(made.rows, partial(self._store.sketch, stored, before, made))

    def _measured(self, tensor: torch.Tensor, stored: Stored) -> int:
        """In this thread, which has the tensor in its processor's cache."""
        bits = to_bits(tensor).reshape(-1)
        if stored.tap.statistics is UNMEASURED:
            stored.tap = stored.tap.measured(statistics(bits, stored.tap.dtype))
        self._wait_for_the_last()
        if self._detail.has_values:
            self._backlog.add(partial(self._writer.add_measured, stored.tap, bits), at_once=self._lasting)
            self._is_writing = True
            if not self._lasting:
                self._wait_for_the_last()
        else:
            self._backlog.add(partial(self._writer.add_row, stored.tap))
        return num_stored_bytes(tensor)

    def _wait_for_the_last(self) -> None:
        if self._is_writing:
            self._backlog.drain()
            self._is_writing = False


def _alone(source: torch.Tensor) -> list[torch.Tensor]:
    return [source]


def _and_sums(source: torch.Tensor) -> list[torch.Tensor]:
    return [source, sums(source)]
