"""The values of one dataset, read past HDF5 at their place in the file: at once, or in blocks of memory's choice."""

from collections.abc import Iterator

import h5py
import numpy as np

from probe.dump import plain
from probe.dump.dtypes import Bits, storage
from probe.dump.squeezed import Squeezed, checked, is_squeezed

Place = int | Squeezed
"""Where bytes begin in the file, or the pieces in which they are compressed."""


def placed(found: h5py.Dataset, dtype: str, shape: tuple[int, ...]) -> Place:
    """ValueError where the dataset is not what the table says."""
    return checked(found, dtype, shape) if is_squeezed(found) else plain.place(found, dtype, shape)


def values_at(descriptor: int, place: Place, dtype: str, shape: tuple[int, ...]) -> Bits:
    bits = np.empty(shape, storage(dtype))
    if isinstance(place, Squeezed):
        flat, start = bits.reshape(-1), 0
        for piece in place.blocks(descriptor):
            flat[start : start + len(piece)] = piece
            start += len(piece)
    else:
        plain.read_at(descriptor, place, bits)
    return bits


def blocks_at(descriptor: int, place: Place, dtype: str, count: int, length: int) -> Iterator[Bits]:
    """`count` elements, flat, `length` at a time. A yielded block is overwritten by the next one."""
    kind = storage(dtype)
    buffer = np.empty(min(length, count), kind)
    if isinstance(place, Squeezed):
        yield from _refilled(place.blocks(descriptor), buffer)
        return
    for start in range(0, count, length):
        part = buffer[: min(length, count - start)]
        plain.read_at(descriptor, place + start * kind.itemsize, part)
        yield part


def _refilled(pieces: Iterator[Bits], buffer: Bits) -> Iterator[Bits]:
    """Pieces of any length, as blocks of the buffer's."""
    filled = 0
    for whole in pieces:
        piece = whole
        while len(piece):
            part = piece[: len(buffer) - filled]
            buffer[filled : filled + len(part)] = part
            filled, piece = filled + len(part), piece[len(part) :]
            if filled == len(buffer):
                yield buffer
                filled = 0
    if filled:
        yield buffer[:filled]
