"""The tensors of a .safetensors file, bfloat16 and fp8 as they are."""

import json
import struct
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from probe.capture.tensors import dtype_name, why_not_stored
from probe.dump.dtypes import storage
from probe.errors import ProbeError
from probe.targets.importing.source import Buffer, Opened, Source, read_at

HEADER = struct.Struct("<Q")
"""Before the header: its length."""
REFUSED = (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, struct.error)
"""All that safetensors raises, whatever is wrong with a file or a tensor's type."""


def safetensors_sources(path: Path) -> list[Source]:
    """By name: a file of this kind keeps no other order. ProbeError for what is none."""
    try:
        opened: Any = safe_open(path, framework="pt")  # which holds the file's header against its length
        names = list(opened.keys())
        with path.open("rb") as stream:
            (length,) = HEADER.unpack(stream.read(HEADER.size))
            places = {
                name: told["data_offsets"] for name, told in json.loads(stream.read(length)).items() if name in names
            }
    except REFUSED as error:
        raise ProbeError(f"{path} is no safetensors file, or damaged: {error}", hint="was it copied whole?") from None
    begin = HEADER.size + length
    return [Source(name, str(path), partial(_open, opened, path, name, begin + places[name][0])) for name in names]


def _open(opened: Any, path: Path, name: str, offset: int, declared: str | None, unsigned_too: bool) -> Opened:
    where = f"{name!r} of {path}"
    try:
        mapped: torch.Tensor = opened.get_tensor(name)  # a view of the file, of which nothing is read
    except REFUSED as error:
        raise ProbeError(f"{where} cannot be read: {error}", hint="--exclude it") from None
    reason = why_not_stored(mapped)
    if reason:
        raise ProbeError(f"{where} cannot be stored in a dump: {reason}", hint="--exclude it")
    is_raw = (
        unsigned_too and declared is not None and dtype_name(mapped.dtype) == f"uint{8 * storage(declared).itemsize}"
    )
    kind = getattr(torch, declared) if is_raw and declared else mapped.dtype
    num_bytes = mapped.numel() * mapped.element_size()
    return Opened(num_bytes, partial(_read, str(path), offset, num_bytes, kind, mapped.shape))


def _read(
    path: str, offset: int, num_bytes: int, kind: torch.dtype, shape: tuple[int, ...], buffer: Buffer
) -> torch.Tensor:
    """By a read of its own: what is mapped stays in memory for as long as the file is open."""
    if not num_bytes:
        return torch.empty(shape, dtype=kind)
    raw = buffer.take(num_bytes)
    read_at(path, offset, raw)
    return torch.from_numpy(raw).view(kind).view(shape)
