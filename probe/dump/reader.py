"""Reading a dump. Its text and its structure may be hostile: nothing is followed out of the file, nothing executed."""

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import finalize

import h5py
import numpy as np

from probe.dump import plain
from probe.dump.detail import Detail, sketch_dtype
from probe.dump.dtypes import UNIT_ROUNDOFF, Bits, decode, dtype_of, storage
from probe.dump.names import clean, link_name, linked_name
from probe.dump.squeezed import Squeezed, checked, is_squeezed
from probe.dump.table import REPETITION, TAPS, WEIGHTS, tap_of, weight_of
from probe.dump.tap_sketch import TapSketch, sketch_of, sketch_of_values
from probe.dump.weight import NUM_PROJECTIONS, Sketches, Weight
from probe.dump.writer import FORMAT, VERSION
from probe.errors import NotKept, ProbeError
from probe.tap import Tap

ROWS = 1 << 18
"""Numbers that are sketched at once."""


class Dump:
    """One recorded run. Tables are read when first asked for, values one tap at a time."""

    def __init__(self, path: Path | str) -> None:
        """ProbeError where `path` is no dump, or one that this version cannot read."""
        self.path = Path(path)
        self._descriptor = _opened(self.path)
        self._release = finalize(self, os.close, self._descriptor)
        self._places: dict[tuple[int, str], int | Squeezed] = {}
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            refusal = _not_hdf5(self.path, self._descriptor, error)
            self._release()
            raise refusal from None
        try:
            with self._reading("its attributes"):
                self._check_format()
        except ProbeError:
            self.close()
            raise

    def _check_format(self) -> None:
        try:
            found = plain.attribute(self._file, "format")
        except ValueError:  # another tool's attribute of this name
            found = None
        if found != FORMAT.encode():
            raise ProbeError(
                f"{self.path} is an HDF5 file, but not a dump of probe",
                hint="record one with 'probe dump', or with probe.record(model, path)",
            )
        version = int(plain.attribute(self._file, "version") or 0)
        if version != VERSION:
            raise ProbeError(
                f"{self.path} is dump version {version}, and this probe reads version {VERSION}",
                hint="update probe (pip install -U layer-probe)" if version > VERSION else "record it again",
            )
        self.complete = bool(plain.attribute(self._file, "complete"))

    def attribute(self, name: str) -> Any:
        """A JSON attribute of the file (target, environment, config, notes), or None."""
        with self._reading(f"its attribute {name!r}"):
            text = plain.attribute(self._file, name)
            return None if text is None else json.loads(text)

    @property
    def environment(self) -> dict[str, Any]:
        """Package versions, device, dtype, flags: see probe.capture.environment."""
        found = self.attribute("environment")
        return found if isinstance(found, dict) else {}

    @property
    def dtype(self) -> str:
        """What the run computed in: as it says, or else what most numbers of its taps are stored in."""
        told = self.environment.get("dtype")
        sizes: Counter[str] = Counter()
        for tap in self.taps:
            if tap.dtype in UNIT_ROUNDOFF:
                sizes[tap.dtype] += tap.num_elements
        return told if isinstance(told, str) else max(sizes, key=sizes.__getitem__, default="float32")

    @cached_property
    def detail(self) -> Detail:
        """How much of each tensor was kept."""
        with self._reading("its attribute 'detail'"):
            return Detail.of_json(self.attribute("detail"))

    def has_values(self, tap: Tap) -> bool:
        """Whether `read`, `bits` and `blocks` have something to give."""
        return self.detail.has_values and not self.detail.is_sketched(tap.shape, tap.dtype)

    def sketch(self, tap: Tap, detail: Detail) -> TapSketch:
        """A tap as `detail` sketches it, whether this dump has its sketch or its values. NotKept where it has none."""
        if self.has_values(tap):
            return sketch_of_values(self.blocks(tap, tap.shape[-1] * max(1, ROWS // tap.shape[-1])), tap, detail)
        return sketch_of(self.sketch_rows(tap, detail))

    def sketch_rows(self, tap: Tap, detail: Detail) -> Bits:
        """[..., K + 1]: what was recorded of a tap as `detail` says. NotKept where that is something else."""
        if not self.detail.has_values or self.detail != detail:
            raise NotKept(f"{self.path} has no such sketch of {tap.name!r}")
        shape, dtype = detail.sketch_shape(tap.shape), sketch_dtype(tap.dtype)
        with self._reading(f"the sketch of {tap.name!r}"):
            stored = _found(plain.group(self._file, "steps", str(tap.step)), link_name(tap.name))
            return self._at(_placed(stored, dtype, shape), dtype, shape)

    @cached_property
    def taps(self) -> list[Tap]:
        """Those of the forward run, in order of execution."""
        return [tap for tap in self._all_taps if not tap.is_gradient]

    @cached_property
    def gradients(self) -> list[Tap]:
        """Those of backward passes, in the order in which they arose."""
        return [tap for tap in self._all_taps if tap.is_gradient]

    @cached_property
    def _all_taps(self) -> list[Tap]:
        with self._reading("its table /taps"):
            return [tap_of(row) for row in plain.rows(_found(self._file, b"taps"), TAPS)]

    @cached_property
    def module_taps(self) -> list[Tap]:
        """Of `taps` those of modules: what two models are aligned by. The others are of functions that they call."""
        return [tap for tap in self.taps if not tap.is_functional]

    @cached_property
    def repetition(self) -> dict[tuple[int, str], tuple[float, float]]:
        """By step and tap: how far the run was from its own repetition, and from one that was given the recorded
        tensors (probe.capture.repeat); empty where it was not run again, or did not differ."""
        taps = self.taps
        with self._reading("its table /repetition"):
            table = plain.dataset(self._file, b"repetition")
            rows = [] if table is None else plain.rows(table, REPETITION).tolist()
            if rows and len(rows) != len(taps):
                raise ValueError("it has not as many rows as /taps")
        return {(tap.step, tap.name): (float(row[0]), float(row[1])) for tap, row in zip(taps, rows, strict=False)}

    @cached_property
    def weights(self) -> list[Weight]:
        num_sketches = len(self.sketches.norms)
        with self._reading("its table /weights"):
            table = plain.dataset(self._file, b"weights")
            if table is None:
                return []
            return [weight_of(row, num_sketches) for row in plain.rows(table, WEIGHTS)]

    @cached_property
    def sketches(self) -> Sketches:
        """Rows and columns of all `weights`; see Weight.first_row."""
        with self._reading("/weight_sketches"):
            folder = plain.group(self._file, "weight_sketches")
            if folder is None:
                return Sketches(np.zeros(0, np.float32), np.zeros((0, NUM_PROJECTIONS), np.float16))
            norms, directions = (_found(folder, name.encode()) for name in ("norms", "directions"))
            shape = (*norms.shape, NUM_PROJECTIONS)
            return Sketches(self._bits(norms, "float32", norms.shape), self._bits(directions, "float16", shape))

    @cached_property
    def _by_name(self) -> dict[tuple[int, str], Tap]:
        return {(tap.step, tap.name): tap for tap in self._all_taps}

    def tap(self, name: str, step: int = 0) -> Tap:
        """ProbeError, with near misses, where there is no such tap."""
        try:
            return self._by_name[step, clean(name)]
        except KeyError:
            if step not in self.steps:
                hint = f"it has steps {self.steps[0]} to {self.steps[-1]}" if self.steps else None
                raise ProbeError(f"{self.path} has no step {step}", hint=hint) from None
            if step not in self.steps:
                hint = f"it has steps {self.steps[0]} to {self.steps[-1]}" if self.steps else None
                raise ProbeError(f"{self.path} has no step {step}", hint=hint) from None
            near = [tap.name for tap in self._all_taps if tap.step == step and name.partition(":")[0] in tap.name]
            hint = f"did you mean {', '.join(near[:5])}?" if near else f"'probe show {self.path}' lists the taps"
            raise ProbeError(f"{self.path} has no tap {name!r} in step {step}", hint=hint) from None

    def __getitem__(self, name: str) -> Bits:
        """`dump["model.layers.0:out"]`: the values of step 0 as numbers (bfloat16 and fp8 as float32)."""
        return self.read(self.tap(name))

    def read(self, tap: Tap) -> Bits:
        """A tap's values as numbers, in its shape."""
        return decode(self.bits(tap), tap.dtype)

    def bits(self, tap: Tap) -> Bits:
        """A tap's values as stored, in its shape: bfloat16 as uint16, fp8 as uint8."""
        with self._reading(f"the tap {tap.name!r}"):
            return self._at(self._place(tap), tap.dtype, tap.shape)

    def blocks(self, tap: Tap, length: int) -> Iterator[Bits]:
        """A tap's values as numbers, flat, `length` elements at a time: memory stays flat whatever the tap's size.

        A yielded block is overwritten by the next one.
        """
        kind = storage(tap.dtype)
        with self._reading(f"the tap {tap.name!r}"):
            offset = self._place(tap)
            buffer = np.empty(min(length, tap.num_elements), kind)
        if isinstance(offset, Squeezed):
            yield from self._squeezed_blocks(tap, offset, buffer)
            return
        for start in range(0, tap.num_elements, length):
            part = buffer[: min(length, tap.num_elements - start)]
            with self._reading(f"the tap {tap.name!r}"):
                plain.read_at(self._descriptor, offset + start * kind.itemsize, part)
            yield decode(part, tap.dtype)

    def _squeezed_blocks(self, tap: Tap, squeezed: Squeezed, buffer: Bits) -> Iterator[Bits]:
        pieces, filled = squeezed.blocks(self._descriptor), 0
        while True:
            with self._reading(f"the tap {tap.name!r}"):
                piece = next(pieces, None)
            if piece is None:
                break
            while len(piece):
                part = piece[: len(buffer) - filled]
                buffer[filled : filled + len(part)] = part
                filled, piece = filled + len(part), piece[len(part) :]
                if filled == len(buffer):
                    yield decode(buffer, tap.dtype)
                    filled = 0
        if filled:
            yield decode(buffer[:filled], tap.dtype)

    def inputs(self, step: int = 0) -> dict[str, tuple[Bits, str]]:
        """What the model was fed in a step: bits and dtype by the name of forward's parameter, in forward's order."""
        found = {}
        with self._reading(f"/inputs/{step}"):
            folder = plain.group(self._file, "inputs", str(step))
            for link in folder.id if folder is not None else ():
                values = _found(folder, link)
                dtype = dtype_of(values.id.get_type())
                found[linked_name(link)] = (self._bits(values, dtype, values.shape), dtype)
        return found

    @cached_property
    def past(self) -> dict[int, int]:
        """How many tokens the model held in its cache before each step; 0 where it says nothing of one."""
        found = {}
        for step in self.steps:
            with self._reading(f"/inputs/{step}"):
                folder = plain.group(self._file, "inputs", str(step))
                found[step] = 0 if folder is None else plain.count(folder, "past")
        return found

    @cached_property
    def steps(self) -> list[int]:
        return sorted({tap.step for tap in self.taps})

    def weight_value(self, name: str, dtype: str) -> Bits | None:
        """A one-dimensional parameter as numbers; None where its values were not recorded."""
        with self._reading(f"the weight {name!r}"):
            folder = plain.group(self._file, "weight_values")
            values = None if folder is None else plain.dataset(folder, link_name(name))
            return None if values is None else decode(self._bits(values, dtype, values.shape), dtype)

    def _place(self, tap: Tap) -> int | Squeezed:
        """Where the tap's bytes begin in the file, or the pieces in which they are compressed."""
        place = self._places.get((tap.step, tap.name))
        if place is None:
            if not self.has_values(tap):
                kept = "its sketch" if self.detail.has_values else "its statistics"
                raise NotKept(f"{self.path} holds of {tap.name!r} {kept} alone", hint="record it in full (--include)")
            values = _found(plain.group(self._file, "steps", str(tap.step)), link_name(tap.name))
            place = self._places[tap.step, tap.name] = _placed(values, tap.dtype, tap.shape)
        return place

    def _bits(self, dataset: h5py.Dataset, dtype: str, shape: tuple[int, ...]) -> Bits:
        return self._at(plain.place(dataset, dtype, shape), dtype, shape)

    def _at(self, place: int | Squeezed, dtype: str, shape: tuple[int, ...]) -> Bits:
        bits = np.empty(shape, storage(dtype))
        if isinstance(place, Squeezed):
            flat, start = bits.reshape(-1), 0
            for piece in place.blocks(self._descriptor):
                flat[start : start + len(piece)] = piece
                start += len(piece)
        else:
            plain.read_at(self._descriptor, place, bits)
        return bits

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """What turns out to be damaged within this block is a ProbeError that names the file and `what`."""
        try:
            yield
        except plain.REFUSED as error:
            raise ProbeError(f"{self.path} is damaged: {what}: {error}", hint="copy it or record it again") from None

    def close(self) -> None:
        self._file.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _found(folder: h5py.Group | None, link: bytes) -> h5py.Dataset:
    values = None if folder is None else plain.dataset(folder, link)
    if values is None:
        raise ValueError("it is missing")
    return values


def _placed(found: h5py.Dataset, dtype: str, shape: tuple[int, ...]) -> int | Squeezed:
    return checked(found, dtype, shape) if is_squeezed(found) else plain.place(found, dtype, shape)


def _opened(path: Path) -> int:
    """A descriptor of a plain file: what else there is (a pipe) could keep a reader waiting for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise ProbeError(f"cannot read {path}: {error}", hint="check the name, and the file's permissions") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ProbeError(f"{path} is no file", hint="give the dump itself, not its folder")
    return descriptor


def _missing(path: Path) -> ProbeError:
    partial = path.with_name(path.name + ".partial")
    if partial.is_file():
        return ProbeError(f"{path}: no such file", hint=f"{partial} is a run that did not end: it can be read too")
    known = sorted(path.parent.glob("*.h5")) if path.parent.is_dir() else []
    found = f"; {path.parent} holds {', '.join(p.name for p in known[:5])}" if known else ""
    return ProbeError(f"{path}: no such file{found}", hint="record one with 'probe dump TARGET -o FILE'")


def _not_hdf5(path: Path, descriptor: int, error: OSError) -> ProbeError:
    """HDF5's own message, in words a user can act on."""
    if "truncated" in str(error):
        return ProbeError(f"{path} is truncated: part of the file is missing", hint="copy it again, or record it again")
    if os.pread(descriptor, 8, 0) == b"\x89HDF\r\n\x1a\n":
        return ProbeError(f"{path} is a damaged HDF5 file", hint="copy it again, or record it again")
    return ProbeError(
        f"{path} is not an HDF5 file",
        hint="record one with 'probe dump TARGET -o FILE'",
    )
