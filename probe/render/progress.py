"""What is under way, on stderr, once it takes more than a second; and notes, there too."""

import sys
from typing import TYPE_CHECKING, Any, Self

from probe.printable import printable

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE = 1.0
"""Seconds that pass before a progress line appears."""


def say(line: str, *, quiet: bool = False) -> None:
    """Talk goes to stderr: stdout is for results."""
    if not quiet:
        print(printable(line), file=sys.stderr, flush=True)


class Progress:
    """Call it with what is being done, how much is done, of how much (0: unknown)."""

    def __init__(self, *, quiet: bool = False) -> None:
        from threading import Timer  # not before a command begins its work

        self._shown: Any = None
        self._task: Any = None
        self._what = ""
        self._timer = Timer(PATIENCE, self._show)
        self._timer.daemon = True
        self._quiet = quiet or not sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        self._what = what
        if self._shown is not None:
            self._shown.update(self._task, description=what, completed=done, total=total or None)

    def _show(self) -> None:
        """From its own thread: what takes long may be a single step, as loading a model is."""
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        except ImportError:  # recording runs in environments that have no rich
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        shown = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = shown.add_task(self._what, total=None)
        shown.start()
        self._shown = shown

    def __enter__(self) -> Self:
        if not self._quiet:
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()
        if self._shown is not None:
            self._shown.stop()
