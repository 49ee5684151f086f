"""Arrays in files: known by their keys, opened to see type and shape, and read one at a time."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probe.capture.tensors import from_bits
from probe.dump.dtypes import BITS_ONLY, DTYPES, SMALL_FLOATS, storage
from probe.errors import ProbeError

RAW = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp8": "float8_e4m3fn",
    **{name: name for name in ("float16", *SMALL_FLOATS, *BITS_ONLY)},
}
"""What raw bits may be declared to be."""


class Buffer:
    """Memory for one array at a time, used again for the next: fresh pages cost as much as reading."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, num_bytes: int) -> NDArray[np.uint8]:
        """ProbeError where there is not that much."""
        if len(self._bytes) < num_bytes:
            self._bytes = np.empty(0, np.uint8)
            try:
                if num_bytes > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
                    raise MemoryError
                self._bytes = np.empty(num_bytes, np.uint8)
            except (MemoryError, ValueError):
                raise ProbeError(
                    f"an array of {num_bytes} bytes is more than this machine's memory holds",
                    hint="leave it out with --exclude",
                ) from None
        return self._bytes[:num_bytes]


@dataclass(frozen=True, slots=True)
class Opened:
    """An array of which type and shape are known, and can be stored in a dump."""

    num_bytes: int
    read: Callable[[Buffer], torch.Tensor]
    """The tensor may be a view of the buffer: it is good until that is taken again."""


@dataclass(frozen=True, slots=True)
class Source:
    """An array that nothing but the name is known of."""

    key: str
    where: str
    """The file it lies in, for messages."""
    open: Callable[[str | None, bool], Opened]
    """Called with a dtype of RAW's values, or None, and whether whole numbers without a sign are such raw bits too.
    ProbeError for what cannot be stored."""


def checked(kind: np.dtype[Any], declared: str | None, *, unsigned_too: bool, name: str) -> str:
    """The dtype, as torch says it, that numbers of numpy's `kind` have. ProbeError for what a dump cannot hold."""
    is_void = kind.kind == "V" and kind.names is None and kind.subdtype is None
    is_raw = is_void or (unsigned_too and kind.kind == "u")
    if is_raw and declared is not None and kind.itemsize == storage(declared).itemsize:
        return declared
    if kind.hasobject:
        raise ProbeError(
            f"{name} holds Python objects, which are never unpickled", hint="write numbers, or --exclude it"
        )
    if is_void and kind.itemsize in (1, 2):
        raise ProbeError(
            f"{name} holds raw numbers of {kind.itemsize * 8} bits, and the file does not say of what type",
            hint=f"say it: --dtype {'bf16' if kind.itemsize == 2 else 'fp8'}",
        )
    if kind.name not in DTYPES:
        raise ProbeError(f"{name} is an array of {kind.name}, which a dump cannot hold", hint="--exclude it")
    return kind.name


def as_tensor(raw: NDArray[Any], dtype: str) -> torch.Tensor:
    """An array whose kind was `checked`, bit for bit; shares its memory where that is in this machine's order."""
    if raw.dtype.name == dtype:
        return torch.from_numpy(raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("=")))
    return from_bits(raw.view(storage(dtype)), dtype)


def read_at(path: str, offset: int, into: NDArray[np.uint8]) -> None:
    """ProbeError where the file ends before."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        raw = memoryview(into)  # type: ignore[arg-type]
        while len(raw):
            count = os.preadv(descriptor, [raw[: 1 << 30]], offset)
            if not count:
                raise ProbeError(f"{path} is shorter than it says", hint="was it copied whole?")
            raw, offset = raw[count:], offset + count
    finally:
        os.close(descriptor)
