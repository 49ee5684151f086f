"""The members of an .npz archive, which are .npy files: stored as they are, or deflated."""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import torch

from probe.errors import ProbeError
from probe.targets.importing.npy import Layout, read_layout, read_stored
from probe.targets.importing.source import Buffer, Opened, Source

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Before a member's bytes: a signature, and the lengths of its name and of what follows that."""
LARGEST_RATIO = 1032
"""Bytes that deflate makes of one, at most (zlib's own technical details)."""
PIECE = 1 << 20
ENCRYPTED = 1
"""The bit of a member's flags."""
NOT_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, struct.error, ValueError)
"""All that zipfile raises, whatever is wrong with an archive."""


def npz_sources(path: Path) -> list[Source]:
    """In the archive's own order. ProbeError for what is no archive."""
    with _refusing(path), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    return [Source(member.filename.removesuffix(".npy"), str(path), partial(_open, path, member)) for member in members]


def _open(path: Path, member: zipfile.ZipInfo, declared: str | None, unsigned_too: bool) -> Opened:
    name = f"{member.filename!r} of {path}"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ProbeError(f"{name} is compressed in a way that numpy does not use", hint="write it with numpy.savez")
    is_stored = member.compress_type == zipfile.ZIP_STORED
    if member.file_size > member.compress_size * (1 if is_stored else LARGEST_RATIO):
        raise ProbeError(f"{name} is said to be longer than its bytes can be", hint="was it copied whole?")
    with _inside(path, member) as (stream, start):
        layout = read_layout(stream, member.file_size, name)
    dtype = layout.dtype(declared, name, unsigned_too=unsigned_too)
    if is_stored:
        return Opened(layout.num_bytes, partial(read_stored, str(path), start, layout, dtype))
    return Opened(layout.num_bytes, partial(_inflated, path, member, layout, dtype, name))


def _inflated(
    path: Path, member: zipfile.ZipInfo, layout: Layout, dtype: str, name: str, buffer: Buffer
) -> torch.Tensor:
    """zipfile holds the bytes against the archive's checksum."""
    raw = buffer.take(layout.num_bytes)
    left = memoryview(raw)  # type: ignore[arg-type]
    with _inside(path, member) as (stream, _):
        stream.read(layout.offset)
        while len(left) and (piece := stream.read(min(PIECE, len(left)))):
            left[: len(piece)] = piece
            left = left[len(piece) :]
        if len(left) or stream.read(1):
            raise ProbeError(f"{name} is not as long as it says", hint="was it copied whole?")
    return layout.tensor(raw, dtype)


@contextmanager
def _inside(path: Path, member: zipfile.ZipInfo) -> Iterator[tuple[IO[bytes], int]]:
    """A member's own bytes, and where they begin in the archive, whose table of contents is not read again."""
    with _refusing(path), path.open("rb") as file:
        file.seek(member.header_offset)
        signature, *lengths = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        if signature != b"PK\x03\x04" or member.flag_bits & ENCRYPTED:
            raise zipfile.BadZipFile(f"{member.filename!r} cannot be read")
        start = member.header_offset + LOCAL_HEADER.size + sum(lengths)
        file.seek(start)
        yield zipfile.ZipExtFile(file, "r", member), start  # type: ignore[misc]


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProbeError(f"cannot read {path}: {os.strerror(error.errno or 0)}", hint="may you read it?") from None
    except NOT_ZIP as error:
        raise ProbeError(f"{path} is no npz archive, or damaged: {error}", hint="was it copied whole?") from None
