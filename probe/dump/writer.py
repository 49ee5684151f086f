"""Writing a dump: one tap at a time, under a temporary name until it is whole.

Equal hashes mean equal tensors between dumps of one version alone: `probe.dump` says what each has.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from probe.dump.claim import cannot_write, claimed
from probe.dump.dtypes import Bits, file_type
from probe.dump.growing import GrowingTable, new_file
from probe.dump.names import link_name
from probe.dump.room import Room
from probe.dump.squeezed import piece_shape, squeezed, squeezed_plan
from probe.dump.statistics import statistics
from probe.dump.table import TAPS, WEIGHTS, Row, tap_row, weight_row
from probe.dump.weight import Sketches, Weight
from probe.errors import ProbeError
from probe.tap import Statistics, Tap

FORMAT = "probe-dump"
VERSION = 2
FLUSH_SECONDS = 1.0
"""Without a flush now and then, HDF5 cannot open the file of a writer that was killed."""
INDEX_BYTES = 256
"""More than HDF5 keeps of one compressed piece."""
LARGEST_WRITE = 1 << 30
"""Linux writes at most 2 GiB a call."""


class DumpWriter:
    """A dump being written: `add` taps, then leave the `with` block.

    The file is `<path>.partial` until the block ends without an error, and `path` from then on. Any OSError of `add`
    (no space left) leaves the file as it was after the last whole tap.
    """

    def __init__(self, path: Path, *, force: bool = False, compress: bool = False) -> None:
        """ProbeError if `path` exists and `force` is not given, is being written to, or cannot be. `compress` taps
        where that makes them smaller."""
        self.path = path
        self._compress = compress
        self._force = force
        self.partial, self._descriptor = claimed(path, force=force)
        self._file: h5py.File = None
        self._steps: dict[int, h5py.Group] = {}
        self._rows: list[Row] = []
        self._links: list[tuple[Tap, Tap]] = []
        """Taps to be, and those whose tensors they are."""
        self.num_taps = 0
        self.num_bytes = 0
        try:
            file = new_file(self.partial, self._descriptor)
            self._room = Room(file, self._descriptor)
            self._file = file
            self._room.take(0)
            self._set_text("format", FORMAT)
            self._file.attrs.update(version=VERSION, complete=False)
            self._taps = GrowingTable(self._file, self._room, "taps", TAPS)
            self.flush()
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError):
                raise cannot_write(path, error) from None
            raise

    def describe(self, **attributes: object) -> None:
        """Set the file's attributes, each as JSON."""
        for name, value in attributes.items():
            self._set_text(name, json.dumps(value, default=str))

    def add_input(self, step: int, name: str, bits: Bits, dtype: str) -> None:
        self._write(self._inputs(step), name, np.ascontiguousarray(bits), dtype, bits.shape)

    def add_past(self, step: int, num_tokens: int) -> None:
        """How many tokens the model held in its cache before this step."""
        self._room.take(0, name="past")
        self._inputs(step).attrs.create("past", num_tokens, dtype="i8")

    def add(self, tap: Tap, bits: Bits) -> Tap:
        """Store one tap's bits (any shape; C order), and return the tap with the statistics measured on the way."""
        flat = np.ascontiguousarray(bits).reshape(-1)
        measured = tap.measured(statistics(flat, tap.dtype))
        self.add_measured(measured, flat)
        return measured

    def add_measured(self, tap: Tap, flat: Bits) -> None:
        """Store the bits of a tap whose statistics are known: one axis, C order."""
        self._store_tap(tap, tap.dtype, tap.shape, flat)
        self._append(tap)
        self.num_bytes += flat.nbytes

    def add_row(self, tap: Tap) -> None:
        """A tap's row in the table alone; its statistics are known."""
        self._append(tap)

    def add_sketch(self, tap: Tap, sketch: Bits) -> None:
        """Store a tap's sketch, float32 or float64; its statistics are known."""
        flat = sketch.reshape(-1)
        self._store_tap(tap, str(flat.dtype), sketch.shape, flat)
        self._append(tap)
        self.num_bytes += flat.nbytes

    def link(self, tap: Tap, stored: Tap) -> None:
        """Record `tap`, whose tensor is the one already recorded as `stored`."""
        self._links.append((tap, stored))
        self._append(tap.measured(stored.statistics))

    def add_weights(self, weights: list[Weight], sketches: Sketches, values: Mapping[str, tuple[Bits, str]]) -> None:
        """`values`: bits and dtype of the parameters that are stored in full."""
        GrowingTable(self._file, self._room, "weights", WEIGHTS, [weight_row(weight) for weight in weights])
        group = self._file.create_group("weight_sketches")
        stored = self._file.create_group("weight_values")
        tables: dict[str, tuple[Bits, str]] = {
            "norms": (sketches.norms, "float32"),
            "directions": (sketches.directions, "float16"),
        }
        for folder, arrays in ((group, tables), (stored, values)):
            for name, (bits, dtype) in arrays.items():
                self._write(folder, name, np.ascontiguousarray(bits), dtype, bits.shape)

    def _set_text(self, name: str, text: str) -> None:
        raw = text.encode()
        self._room.take(len(raw))
        self._file.attrs.create(name, raw, dtype=h5py.string_dtype("utf-8", len(raw)))

    def _inputs(self, step: int) -> h5py.Group:
        folder = self._file.get(f"inputs/{step}")
        return folder if folder is not None else self._file.create_group(f"inputs/{step}", track_order=True)

    def _step(self, step: int) -> h5py.Group:
        if step not in self._steps:
            self._steps[step] = self._file.create_group(f"steps/{step}", track_order=True)
        return self._steps[step]

    def _write(self, group: h5py.Group, name: str, bits: Bits, dtype: str, shape: tuple[int, ...]) -> Statistics:
        """Bits go to the place that HDF5 gave the dataset by a plain write, which needs no interpreter."""
        flat = bits.reshape(-1)
        self._store(group, name, dtype, shape, flat)
        return statistics(flat, dtype)

    def _store(self, group: h5py.Group, name: str, dtype: str, shape: tuple[int, ...], flat: Bits) -> None:
        self._room.take(flat.nbytes, name=name)
        link = link_name(name)
        created = h5py.h5d.create(group.id, link, file_type(dtype), _space(shape), dcpl=_contiguous())
        try:
            if flat.nbytes:
                self._put(flat, created.get_offset())
        except OSError:
            group.id.unlink(link)
            raise

    def _store_tap(self, tap: Tap, dtype: str, shape: tuple[int, ...], flat: Bits) -> None:
        made = squeezed(flat, shape) if self._compress else None
        group = self._step(tap.step)
        if made is None:
            self._store(group, tap.name, dtype, shape, flat)
            return
        self._room.take(sum(len(raw) + INDEX_BYTES for _, raw in made), name=tap.name)
        plan = squeezed_plan(piece_shape(shape, flat.itemsize))
        created = h5py.h5d.create(group.id, link_name(tap.name), file_type(dtype), _space(shape), dcpl=plan)
        for corner, raw in made:
            created.write_direct_chunk(corner, raw)

    def _put(self, flat: Bits, offset: int) -> None:
        raw = memoryview(flat.view(np.uint8))  # type: ignore[arg-type]
        while len(raw):
            written = os.pwrite(self._descriptor, raw[:LARGEST_WRITE], offset)
            raw, offset = raw[written:], offset + written

    def _append(self, tap: Tap) -> None:
        self._rows.append(tap_row(tap))
        self.num_taps += 1
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Flush what was added, unless that has just been done: to be called now and then where a run takes long."""
        if self._rows and time.monotonic() - self._last_flush > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Bring the table and HDF5's own bookkeeping to the file, so that a kill from here on loses nothing before."""
        self._flush()
        self._last_flush = time.monotonic()

    def _flush(self) -> None:
        while self._links:
            tap, stored = self._links[0]
            self._room.take(0, name=tap.name)
            source = self._step(stored.step)
            self._step(tap.step).id.links.create_hard(link_name(tap.name), source.id, link_name(stored.name))
            del self._links[0]
        if self._rows:
            self._taps.append(self._rows)
            self._rows.clear()
        self._room.flush()

    def finish(self) -> None:
        """Mark the dump as complete and give it its name. ProbeError, and no file, where that cannot be done."""
        try:
            self.flush()
            self._file.attrs.modify("complete", True)
        except OSError as error:
            self.discard()
            raise cannot_write(self.path, error) from None
        self._close_file()
        if self.path.exists() and not self._force:
            self._release()
            raise ProbeError(
                f"{self.path} was made by somebody else meanwhile", hint=f"this recording is {self.partial}"
            )
        self.partial.replace(self.path)
        self._release()

    def keep_partial(self) -> None:
        """Leave what was written so far under the temporary name: readable, and not complete. Nothing is done to what
        is finished or discarded."""
        if self._descriptor < 0:
            return
        try:
            if self._file:
                with suppress(OSError):
                    self.flush()
                    self._file.attrs.modify("complete", False)
            self._close_file()
        finally:
            self._release()

    def discard(self) -> None:
        """Remove what was written."""
        try:
            self._close_file()
            self.partial.unlink(missing_ok=True)
        finally:
            self._release()

    def _close_file(self) -> None:
        if self._file:
            self._room.close()

    def _release(self) -> None:
        """Let others have the temporary name. A second time it does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.keep_partial()


@cache
def _contiguous() -> h5py.h5p.PropDCID:
    """A dataset that has its place in the file as soon as it is made."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    return plan


@lru_cache(maxsize=64)
def _space(shape: tuple[int, ...]) -> h5py.h5s.SpaceID:
    return h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
