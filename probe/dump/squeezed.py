"""Compressed values: HDF5's own shuffle and deflate filters, which every HDF5 tool reads, done here and not by HDF5.

So nothing in a file decides what is loaded or how much memory is taken: no plugin is ever looked for, and a piece that
would become larger than its place is refused. A piece is a run of consecutive numbers in C order.
"""

import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import h5py
import numpy as np

from probe.dump.dtypes import Bits, file_type, storage

PIECE_BYTES = 1 << 18
LEAST_BYTES = 1 << 16
"""A smaller tensor is not compressed: HDF5's index of the pieces alone takes some four thousand."""
LEVEL = 1
WORTH = 0.95
"""Of its bytes: what does not get smaller than this is stored as it is."""
MOST_TIMES = 256
"""What gets smaller than by this factor is stored as it is too, so that a reader may refuse what claims to."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk of a dataset."""

    corner: Shape
    start: int
    """Number of its first element, in C order."""
    count: int
    """Elements of it that are inside the tensor; the rest of a chunk at an edge is padding."""


def piece_shape(shape: Shape, itemsize: int) -> Shape:
    """The last axes whole, a part of the one before, 1 of those before that."""
    room, made = PIECE_BYTES // itemsize, []
    for size in reversed(shape):
        part = max(1, min(size, room))
        made.append(part)
        room = room // size if part == size else 1
    return tuple(reversed(made))


def pieces(shape: Shape, piece: Shape) -> Iterator[Piece]:
    """In C order."""
    start = 0
    for corner in product(*(range(0, size, step) for size, step in zip(shape, piece, strict=True))):
        inside = zip(shape, piece, corner, strict=True)
        count = math.prod(min(step, size - at) for size, step, at in inside)
        yield Piece(corner, start, count)
        start += count


def squeezed(flat: Bits, shape: Shape) -> list[tuple[Shape, bytes]] | None:
    """Chunks of a tensor and where each lies; None where that is not worth it."""
    if flat.nbytes < LEAST_BYTES:
        return None
    piece = piece_shape(shape, flat.itemsize)
    whole, made, total = math.prod(piece), [], 0
    for one in pieces(shape, piece):
        part = np.zeros(whole, flat.dtype)
        part[: one.count] = flat[one.start : one.start + one.count]
        made.append((one.corner, zlib.compress(_shuffled(part), LEVEL)))
        total += len(made[-1][1])
    return made if flat.nbytes / MOST_TIMES < total < WORTH * flat.nbytes else None


def _shuffled(part: Bits) -> bytes:
    """All first bytes, then all second ones: signs and exponents lie together."""
    return np.ascontiguousarray(part.view(np.uint8).reshape(len(part), part.itemsize).T).tobytes()


def squeezed_plan(piece: Shape) -> h5py.h5p.PropDCID:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk(piece)
    plan.set_shuffle()
    plan.set_deflate(LEVEL)
    return plan


@dataclass(frozen=True, slots=True)
class Squeezed:
    """A dataset of compressed pieces that was found to be what a dump has."""

    dataset: h5py.Dataset
    shape: Shape
    kind: np.dtype[np.generic]
    piece: Shape

    def blocks(self, descriptor: int) -> Iterator[Bits]:
        """Piece by piece, flat. ValueError where one is not what it should be."""
        size = math.prod(self.piece) * self.kind.itemsize
        for one in pieces(self.shape, self.piece):
            stored = self.dataset.id.get_chunk_info_by_coord(one.corner)
            if stored.byte_offset is None or stored.filter_mask or not 0 < stored.size <= size + 1024:
                raise ValueError("a piece of it is missing, or stored otherwise than probe stores it")
            raw = os.pread(descriptor, stored.size, stored.byte_offset)
            yield _unshuffled(_inflated(raw, size), self.kind)[: one.count]


def _inflated(raw: bytes, size: int) -> bytes:
    try:
        found = zlib.decompressobj().decompress(raw, size + 1)
    except zlib.error as error:
        raise ValueError(f"a piece of it is damaged: {error}") from None
    if len(found) != size:
        raise ValueError("a piece of it is not of the size that it should be")
    return found


def _unshuffled(raw: bytes, kind: np.dtype[np.generic]) -> Bits:
    rows = np.frombuffer(raw, np.uint8).reshape(kind.itemsize, -1)
    return np.ascontiguousarray(rows.T).reshape(-1).view(kind)


def is_squeezed(found: h5py.Dataset) -> bool:
    plan = found.id.get_create_plist()
    filters = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
    return plan.get_layout() == h5py.h5d.CHUNKED and filters == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE]


def checked(found: h5py.Dataset, dtype: str, shape: Shape) -> Squeezed:
    """ValueError where it is of another type, shape or cut, or claims more than so large a file can hold."""
    kind = storage(dtype)
    if not found.id.get_type().equal(file_type(dtype)):
        raise ValueError(f"it is not of the type that its table gives, {dtype}")
    if found.shape != shape:
        raise ValueError(f"it has shape {found.shape} where its table says {shape}")
    piece = piece_shape(shape, kind.itemsize)
    num_bytes = math.prod(shape) * kind.itemsize
    if num_bytes < LEAST_BYTES or found.chunks != piece:
        raise ValueError("it is cut otherwise than probe cuts it")
    if num_bytes > MOST_TIMES * min(found.id.get_storage_size(), int(found.file.id.get_filesize())):
        raise ValueError("it claims to be more than its compressed bytes can be")
    return Squeezed(found, shape, kind, piece)
