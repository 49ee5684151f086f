"""The values of two dumps, read by one thread of their own: HDF5 files belong to the thread that opened them."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from probe.align.mapping import Mapping, Numbers, Pair, candidate_values
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.errors import ProbeError
from probe.tap import Tap

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Both:
    """What is known of one tap: its rows in the tables, and how to read its values."""

    reference: Tap
    candidate: tuple[Tap, ...]
    pair: Pair | None
    read: Callable[[], tuple[Numbers, Numbers | None]]
    """Both sides in the reference's shape; a lone dump has one. ProbeError where values were not kept."""


class Files:
    """The dumps of an app. `ask` has a question answered in the thread that reads them."""

    def __init__(self, reference: Path, candidate: Path | None, table: Path | None = None) -> None:
        self._paths = [path for path in (reference, candidate) if path is not None]
        self._table = table
        self._identity = [_identity(path) for path in self._paths]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="probe-reader")
        self._opened: list[Dump] = []
        """As they lie in the files."""
        self._dumps: list[Dump] = []
        """As they are compared."""
        self._mapping: Mapping | None = None
        self._chosen = ""
        self._pairs: dict[tuple[int, str], Pair] = {}

    def ask(self, question: Callable[["Files"], Answer]) -> "Future[Answer]":
        """Answered after what was asked before; cancel it where the answer is not wanted any more."""
        try:
            return self._thread.submit(question, self)
        except RuntimeError:
            gone: Future[Answer] = Future()
            gone.set_exception(ProbeError("these files were closed meanwhile"))
            return gone

    def close(self) -> None:
        """When what was asked is answered; nobody waits for that."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def tap(self, step: int, name: str) -> Both:
        """Within `ask` alone. ProbeError where the dump has changed, or has no such tap."""
        dumps = self.opened()
        tap = dumps[0].tap(name, step)
        if len(dumps) == 1:
            return Both(tap, (), None, lambda: (dumps[0].read(tap), None))
        pair = self.pairs.get((step, name))
        if pair is None:
            return Both(tap, (), None, lambda: (dumps[0].read(tap), None))
        kept = kept_tokens(dumps[0], step) if pair.layout.unpadded else None
        others = tuple(source.tap for source in pair.sources)
        return Both(tap, others, pair, lambda: _read(pair, dumps, kept))

    @property
    def pairs(self) -> dict[tuple[int, str], Pair]:
        """By step and reference tap. Within `ask` alone."""
        self.opened()
        return self._pairs

    @property
    def shipped(self) -> str:
        """The table that came with probe and is in use; "" where none is. Within `ask` alone."""
        self.opened()
        return self._chosen or (str(self._table) if self._table is not None and not self._table.exists() else "")

    @property
    def mapping(self) -> Mapping | None:
        self.opened()
        return self._mapping

    def partners(self, module: str) -> list[str]:
        """Within `ask` alone. The module's name in each dump; the reference's where the candidate has none."""
        if len(self.opened()) == 1:
            return [module]
        pairs = (pair for pair in self._pairs.values() if pair.reference.module == module)
        return [module, next((pair.sources[0].tap.module for pair in pairs), module)]

    def opened(self) -> list[Dump]:
        """Within `ask` alone. The reference first."""
        for path, identity in zip(self._paths, self._identity, strict=True):
            if _identity(path) != identity:
                raise ProbeError(f"{path} has changed or gone since it was opened", hint="leave (q), and open it anew")
        if not self._dumps:
            from probe.align.whole import aligned  # not needed for the first screen

            self._opened = [Dump(path) for path in self._paths]
            if len(self._opened) == 2:
                whole = aligned(self._opened[0], self._opened[1], self._table)
                self._dumps, self._mapping = [whole.reference, whole.candidate], whole.mapping
                self._chosen = whole.chosen
                self._pairs = {(pair.reference.step, pair.reference.name): pair for pair in whole.mapping.shown}
            else:
                self._dumps = self._opened
        return self._dumps

    def _close(self) -> None:
        for dump in self._opened:
            dump.close()


def _read(pair: Pair, dumps: list[Dump], kept: NDArray[np.bool_] | None) -> tuple[Numbers, Numbers]:
    return dumps[0].read(pair.reference), candidate_values(pair, dumps[1], kept)


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
