"""A table that rows are appended to while a run goes on, and the HDF5 file that survives a killed run."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from probe.dump.room import Room
from probe.dump.table import Columns, Row, row_type

CHUNK_BYTES = 1 << 14


def new_file(path: Path, descriptor: int) -> h5py.File:
    """An empty file that can be read up to the last flush, wherever its writer is killed.

    HDF5 would write a part of its bookkeeping between two flushes, and so leave nothing readable: it may not. Format
    1.8 has checksums over that bookkeeping, and no mark of an open writer that would keep readers out.

    `descriptor` is of `path`, which is there already, with nothing in it. HDF5 is not asked to empty it: ext4 keeps
    who closes a file that was emptied waiting until all of its new content is on the way to the disk.
    """
    os.write(descriptor, _empty_image())
    file = h5py.File(path, "r+", libver=("v108", "v108"), locking=False)
    cache = file.id.get_mdc_config()
    cache.evictions_enabled = False
    cache.incr_mode = cache.decr_mode = cache.flash_incr_mode = 0
    file.id.set_mdc_config(cache)
    return file


def _empty_image() -> bytes:
    """The bytes of an HDF5 file with an empty root."""
    image = io.BytesIO()
    h5py.File(image, "w", libver=("v108", "v108")).close()
    return image.getvalue()


class GrowingTable:
    """A dataset of rows under checksums. It is made anew, wider, when a text comes that it has no room for."""

    def __init__(self, file: h5py.File, room: Room, name: str, columns: Columns, rows: Sequence[Row] = ()) -> None:
        self._file = file
        self._room = room
        self._name = name
        self._columns = columns
        first = np.array(list(rows), row_type(columns, rows))
        room.take(first.nbytes)
        self._table = self._create(first)

    def append(self, rows: Sequence[Row]) -> None:
        kind = row_type(self._columns, rows, self._table.dtype)
        added = np.array(list(rows), kind)
        if kind != self._table.dtype:
            added = np.concatenate([self._table[()].astype(kind), added])
            self._room.take(added.nbytes)
            del self._file[self._name]
            self._table = self._create(added)
            return
        self._room.take(added.nbytes)
        first = len(self._table)
        self._table.resize((first + len(added),))
        self._table[first:] = added

    def _create(self, rows: NDArray[np.void]) -> h5py.Dataset:
        chunk = (max(1, CHUNK_BYTES // rows.dtype.itemsize),)
        return self._file.create_dataset(self._name, data=rows, maxshape=(None,), chunks=chunk, fletcher32=True)
