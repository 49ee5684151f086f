"""Reading a dump. Its text and its structure may be hostile: nothing is followed out of the file, nothing executed."""

import json
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from probe.dump.dtypes import Bits, decode, file_type, storage
from probe.dump.table import TAPS, WEIGHTS, Sketches, Weight, link_name, tap_of, weight_of
from probe.dump.writer import FORMAT, VERSION
from probe.errors import ProbeError
from probe.tap import Tap


class Dump:
    """One recorded run. Tables are read when first asked for, values one tap at a time."""

    def __init__(self, path: Path | str) -> None:
        """ProbeError where `path` is no dump, or one that this version cannot read."""
        self.path = Path(path)
        if not self.path.is_file():
            known = sorted(self.path.parent.glob("*.h5")) if self.path.parent.is_dir() else []
            found = f"; {self.path.parent} holds {', '.join(p.name for p in known[:5])}" if known else ""
            raise ProbeError(f"{path}: no such file{found}", hint="record one with 'probe dump TARGET -o FILE'")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise ProbeError(*_why_unreadable(self.path, error)) from None
        attributes = self._file.attrs
        if attributes.get("format") != FORMAT:
            self._file.close()
            raise ProbeError(
                f"{path} is an HDF5 file, but not a dump of probe",
                hint="record one with 'probe dump', or with probe.record(model, path)",
            )
        version = int(attributes.get("version", 0))
        if version != VERSION:
            self._file.close()
            raise ProbeError(
                f"{path} is dump version {version}, and this probe reads version {VERSION}",
                hint="update probe (pip install -U layer-probe)" if version > VERSION else "record it again",
            )
        self.complete = bool(attributes.get("complete", False))
        self._descriptor = os.open(self.path, os.O_RDONLY)

    def attribute(self, name: str) -> Any:
        """A JSON attribute of the file (target, environment, config, notes), or None."""
        text = self._file.attrs.get(name)
        try:
            return None if text is None else json.loads(text)
        except (TypeError, ValueError):
            raise self._damaged(f"its attribute {name!r} is no JSON") from None

    @property
    def environment(self) -> dict[str, Any]:
        """Package versions, device, dtype, flags: see probe.capture.environment."""
        return dict(self.attribute("environment") or {})

    @cached_property
    def taps(self) -> list[Tap]:
        """In order of execution."""
        return [tap_of(row) for row in self._table("taps", TAPS)]

    @cached_property
    def weights(self) -> list[Weight]:
        return [weight_of(row) for row in self._table("weights", WEIGHTS)] if "weights" in self._file else []

    @cached_property
    def sketches(self) -> Sketches:
        """Rows and columns of all `weights`; see Weight.first_row."""
        group = self._file["weight_sketches"]
        return Sketches(group["norms"][()], group["directions"][()])

    @cached_property
    def _by_name(self) -> dict[tuple[int, str], Tap]:
        return {(tap.step, tap.name): tap for tap in self.taps}

    def tap(self, name: str, step: int = 0) -> Tap:
        """ProbeError, with near misses, where there is no such tap."""
        try:
            return self._by_name[step, name]
        except KeyError:
            near = [tap.name for tap in self.taps if tap.step == step and name.partition(":")[0] in tap.name]
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
        return self._bits(self._dataset(f"steps/{tap.step}", tap.name), tap.dtype)

    def blocks(self, tap: Tap, length: int) -> Iterator[Bits]:
        """A tap's values as numbers, flat, `length` elements at a time: memory stays flat whatever the tap's size.

        A yielded block is overwritten by the next one.
        """
        dataset = self._dataset(f"steps/{tap.step}", tap.name)
        if not tap.num_elements:
            return
        kind = storage(tap.dtype)
        offset = self._offset(dataset)
        if offset is None:
            flat = self._bits(dataset, tap.dtype).reshape(-1)
            yield from (decode(flat[at : at + length], tap.dtype) for at in range(0, len(flat), length))
            return
        buffer = np.empty(min(length, tap.num_elements), kind)
        for start in range(0, tap.num_elements, length):
            part = buffer[: min(length, tap.num_elements - start)]
            self._read_at(offset + start * kind.itemsize, part)
            yield decode(part, tap.dtype)

    def inputs(self, step: int = 0) -> dict[str, tuple[Bits, str]]:
        """What the model was fed in a step: bits and dtype by the name of forward's parameter."""
        group = self._file.get(f"inputs/{step}")
        if not isinstance(group, h5py.Group):
            return {}
        found = {}
        for link in group:
            dataset = self._dataset(f"inputs/{step}", link, quoted=True)
            dtype = _dtype_of(dataset)
            found[link.replace("%2F", "/").replace("%25", "%")] = (self._bits(dataset, dtype), dtype)
        return found

    @property
    def steps(self) -> list[int]:
        return sorted({tap.step for tap in self.taps})

    def weight_value(self, name: str, dtype: str) -> Bits | None:
        """A one-dimensional parameter as numbers; None where its values were not recorded."""
        if link_name(name) not in self._file.get("weight_values", ()):
            return None
        return decode(self._bits(self._dataset("weight_values", name), dtype), dtype)

    def _table(self, name: str, rows: np.dtype[np.void]) -> Any:
        table = self._file.get(name)
        if not isinstance(table, h5py.Dataset) or table.dtype.names != rows.names:
            raise self._damaged(f"its table /{name} is missing or has other columns")
        try:
            return table[()]
        except OSError:
            raise self._damaged(f"its table /{name} cannot be read") from None

    def _dataset(self, folder: str, name: str, *, quoted: bool = False) -> h5py.Dataset:
        """Hard links only: a soft or external link could lead anywhere."""
        link = name.encode() if quoted else link_name(name)
        group = self._file.get(folder)
        try:
            info = group.id.links.get_info(link)
        except (AttributeError, KeyError, RuntimeError):
            raise self._damaged(f"the values of {name!r} are missing") from None
        if info.type != h5py.h5l.TYPE_HARD:
            raise self._damaged(f"{name!r} is a link to somewhere else")
        found = group[link]
        if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
            raise self._damaged(f"{name!r} is no plain dataset")
        return found

    def _offset(self, dataset: h5py.Dataset) -> int | None:
        """Where a contiguous dataset's bytes begin in the file."""
        return dataset.id.get_offset() if dataset.chunks is None and dataset.id.get_storage_size() else None

    def _bits(self, dataset: h5py.Dataset, dtype: str) -> Bits:
        kind = storage(dtype)
        if not dataset.id.get_type().equal(file_type(dtype)):
            raise self._damaged(f"{dataset.name!r} is not of the type that its table gives, {dtype}")
        try:
            bits = np.empty(dataset.shape, kind)
            offset = self._offset(dataset)
            if offset is not None:
                self._read_at(offset, bits.reshape(-1))
            elif bits.size:
                dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, bits, mtype=file_type(dtype))
        except (OSError, MemoryError) as error:
            raise self._damaged(f"{dataset.name!r} cannot be read: {error}") from None
        return bits

    def _read_at(self, offset: int, into: Bits) -> None:
        raw = memoryview(into.view(np.uint8))  # type: ignore[arg-type]
        while len(raw):
            count = os.preadv(self._descriptor, [raw[: 1 << 30]], offset)
            if not count:
                raise self._damaged("it is shorter than its tables say")
            raw, offset = raw[count:], offset + count

    def _damaged(self, what: str) -> ProbeError:
        return ProbeError(f"{self.path} is damaged: {what}", hint="record it again")

    def close(self) -> None:
        self._file.close()
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _dtype_of(dataset: h5py.Dataset) -> str:
    from probe.dump.dtypes import NUMPY_FLOATS, NUMPY_OTHERS, SMALL_FLOATS

    stored = dataset.id.get_type()
    for name in (*SMALL_FLOATS, *NUMPY_FLOATS, *NUMPY_OTHERS):
        if stored.equal(file_type(name)):
            return name
    raise ProbeError(f"{dataset.name!r} has a type that no dump has", hint="record it again")


def _why_unreadable(path: Path, error: OSError) -> tuple[str, str]:
    """HDF5's own message, in words a user can act on."""
    if isinstance(error, PermissionError):
        return f"{path} cannot be read: permission denied", "check the file's permissions"
    if "truncated" in str(error):
        return f"{path} is truncated: part of the file is missing", "copy it again, or record it again"
    with path.open("rb") as opened:
        signature = opened.read(8)
    if signature == b"\x89HDF\r\n\x1a\n":
        return f"{path} is a damaged HDF5 file", "copy it again, or record it again"
    return (
        f"{path} is not an HDF5 file",
        "record one with 'probe dump TARGET -o FILE'; to read arrays of other tools see 'probe import'",
    )
