"""A .npy file as numpy writes it, alone or as a member of an .npz archive.

Nothing is unpickled, and nothing is allocated on a file's word: a header that tells of other than the bytes that are
there is refused.
"""

import io
import math
import struct
import tokenize
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from probe.errors import ProbeError
from probe.targets.importing.source import Buffer, Opened, as_tensor, checked, read_at

NOT_NUMPY = (
    *(ValueError, SyntaxError, tokenize.TokenError, TypeError, EOFError, OverflowError, struct.error),
    *(MemoryError, RecursionError),
)
"""All that numpy raises, whatever is wrong with a header."""
LONGEST_HEADER = 1 << 20
"""Bytes; numpy reads ten thousand."""
E5M2 = (b"'<f1'", b"'|V1'")
"""What stands in a header for float8_e5m2, alone of the types of ml_dtypes: numpy writes it, and does not read it. And
what numpy reads in its place."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a header says."""

    kind: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    """Whether the first axis runs fastest."""
    offset: int
    """Where the numbers begin."""
    named: str = ""
    """A type that numpy lacks, where the header tells of one."""

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.kind.itemsize

    def dtype(self, declared: str | None, name: str, *, unsigned_too: bool) -> str:
        """ProbeError for what a dump cannot hold."""
        return self.named or checked(self.kind, declared, unsigned_too=unsigned_too, name=name)

    def tensor(self, raw: NDArray[np.uint8], dtype: str) -> torch.Tensor:
        flat = raw.view(self.kind)
        return as_tensor(
            flat.reshape(self.shape[::-1]).transpose() if self.fortran else flat.reshape(self.shape), dtype
        )


def open_npy(path: Path, declared: str | None, unsigned_too: bool) -> Opened:
    with path.open("rb") as stream:
        layout = read_layout(stream, path.stat().st_size, str(path))
    dtype = layout.dtype(declared, str(path), unsigned_too=unsigned_too)
    return Opened(layout.num_bytes, partial(read_stored, str(path), 0, layout, dtype))


def read_stored(path: str, start: int, layout: Layout, dtype: str, buffer: Buffer) -> torch.Tensor:
    """`start`: where the header begins in the file."""
    raw = buffer.take(layout.num_bytes)
    read_at(path, start + layout.offset, raw)
    return layout.tensor(raw, dtype)


def read_layout(stream: IO[bytes], size: int, name: str) -> Layout:
    """ProbeError unless a header comes first, and exactly the bytes that it tells of follow, `size` with the header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header that Python 2 wrote
            version = npy_format.read_magic(stream)
            read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}.get(version)
            if read is None:
                raise ValueError(f"version {version} of the format")
            header = _header(stream, 2 if version == (1, 0) else 4)
            shape, fortran, kind = read(io.BytesIO(header.replace(*E5M2)))
        named = "float8_e5m2" if E5M2[0] in header else ""
        layout = Layout(kind, shape, fortran, stream.tell(), named)
    except NOT_NUMPY as error:
        reason = str(error).partition("\n")[0][:200]
        raise ProbeError(
            f"{name} is no array of numpy's: {reason}",
            hint="--exclude it; numbers of a type that numpy lacks are written as their bits: x.view(np.uint8)",
        ) from None
    if kind.hasobject:
        return layout
    are_sizes = all(type(length) is int and length >= 0 for length in shape)
    if not are_sizes or layout.num_bytes != size - layout.offset:
        raise ProbeError(
            f"{name} says that it is {kind} of shape {str(shape)[:60]}, and holds {size - layout.offset} bytes",
            hint="was it copied whole?",
        )
    return layout


def _header(stream: IO[bytes], size: int) -> bytes:
    """With its length before it, of `size` bytes."""
    told = stream.read(size)
    length = int.from_bytes(told, "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    return told + stream.read(length)
