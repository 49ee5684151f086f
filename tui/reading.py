"""The two dumps of an app, read by one thread of their own: HDF5 files belong to the thread that opened them."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from probe.dump import Dump
from probe.errors import ProbeError

if TYPE_CHECKING:
    from probe.align.opened import Opened

Answer = TypeVar("Answer")


class Files:
    """The dumps of an app. `ask` has a question answered in the thread that reads them."""

    def __init__(self, reference: Path, candidate: Path | None, table: Path | None = None) -> None:
        self._paths = [path for path in (reference, candidate) if path is not None]
        self._table = table
        self._identity = [_identity(path) for path in self._paths]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="probe-reader")
        self._recorded: list[Dump] = []
        """As they lie in the files."""
        self._opened: Opened | None = None
        """As they are compared."""

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

    def opened(self) -> "Opened":
        """Within `ask` alone. ProbeError where a dump has changed since."""
        for path, identity in zip(self._paths, self._identity, strict=True):
            if _identity(path) != identity:
                raise ProbeError(f"{path} has changed or gone since it was opened", hint="leave (q), and open it anew")
        if self._opened is None:
            from probe.align.opened import Opened, side_by_side  # not needed for the first screen

            self._recorded = [Dump(path) for path in self._paths]
            if len(self._recorded) == 2:
                self._opened = side_by_side(self._recorded[0], self._recorded[1], self._table)
            else:
                self._opened = Opened(tuple(self._recorded))
        return self._opened

    @property
    def shipped(self) -> str:
        """The table that came with probe and is in use; "" where none is. Within `ask` alone."""
        given = str(self._table) if self._table is not None and not self._table.exists() else ""
        return self.opened().chosen or given

    def _close(self) -> None:
        for dump in self._recorded:
            dump.close()


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
