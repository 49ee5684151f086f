"""Values that one pass leaves on disk for the next, so that memory stays flat whatever the model's size."""

import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import torch


class Scratch:
    """A temporary file of flat tensors, by name; gone when the block ends."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="probe-")  # noqa: SIM115 (closed by __exit__)
        self._places: dict[str, tuple[int, torch.dtype, int]] = {}

    def keep(self, name: str, tensor: torch.Tensor) -> None:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        self._places[name] = (self._file.tell(), flat.dtype, flat.numel())
        self._file.write(flat.view(torch.uint8).numpy().data)

    def chunks(self, name: str, length: int) -> Iterator[torch.Tensor] | None:
        """A kept tensor, `length` elements at a time, each overwritten by the next; None where nothing was kept."""
        place = self._places.get(name)
        return None if place is None else self._read(*place, length)

    def whole(self, name: str) -> torch.Tensor | None:
        """A kept tensor, flat."""
        place = self._places.get(name)
        return None if place is None else next(self._read(*place, max(place[2], 1)), torch.zeros(0, dtype=place[1]))

    def _read(self, start: int, dtype: torch.dtype, count: int, length: int) -> Iterator[torch.Tensor]:
        self._file.flush()
        buffer = bytearray(min(length, count) * dtype.itemsize)
        for at in range(0, count, length):
            part = memoryview(buffer)[: min(length, count - at) * dtype.itemsize]
            os.preadv(self._file.fileno(), [part], start + at * dtype.itemsize)
            yield torch.frombuffer(part, dtype=dtype)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
