"""The tensors of a .safetensors file, bfloat16 and fp8 as they are."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from probe.capture.tensors import dtype_name, why_not_stored
from probe.dump.dtypes import storage
from probe.errors import ProbeError
from probe.targets.importing.source import Buffer, Opened, Source

REFUSED = (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""All that safetensors raises, whatever is wrong with a file or a tensor's type."""


def safetensors_sources(path: Path) -> list[Source]:
    """By name: a file of this kind keeps no other order. ProbeError for what is none."""
    try:
        opened: Any = safe_open(path, framework="pt")
        names = list(opened.keys())
    except REFUSED as error:
        raise ProbeError(f"{path} is no safetensors file, or damaged: {error}", hint="was it copied whole?") from None
    return [Source(name, str(path), partial(_open, opened, path, name)) for name in names]


def _open(opened: Any, path: Path, name: str, declared: str | None, unsigned_too: bool) -> Opened:
    where = f"{name!r} of {path}"
    try:
        tensor = opened.get_tensor(name)  # a view of the file, of which nothing is read yet
    except REFUSED as error:
        raise ProbeError(f"{where} cannot be read: {error}", hint="--exclude it") from None
    reason = why_not_stored(tensor)
    if reason:
        raise ProbeError(f"{where} cannot be stored in a dump: {reason}", hint="--exclude it")
    num_bytes = tensor.numel() * tensor.element_size()
    return Opened(num_bytes, partial(_read, opened, name, num_bytes, declared if unsigned_too else None))


def _read(opened: Any, name: str, num_bytes: int, declared: str | None, buffer: Buffer) -> torch.Tensor:
    mapped: torch.Tensor = opened.get_tensor(name)
    tensor = torch.from_numpy(buffer.take(num_bytes)).view(mapped.dtype).view(mapped.shape).copy_(mapped)
    if declared is not None and dtype_name(tensor.dtype) == f"uint{8 * storage(declared).itemsize}":
        return tensor.view(getattr(torch, declared))
    return tensor
