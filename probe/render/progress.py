"""What is under way, on stderr, once it takes more than a second; and notes, there too."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from probe.render.printable import printable

PATIENCE = 1.0
"""Seconds that pass before a progress line appears."""


def say(line: str, *, quiet: bool = False) -> None:
    """Talk goes to stderr: stdout is for results."""
    if not quiet:
        print(printable(line), file=sys.stderr, flush=True)


class Progress:
    """Call it with what is being done, how much is done, of how much (0: unknown)."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._begun = time.monotonic()
        self._shown: Any = None
        self._task: Any = None
        self._quiet = quiet or not sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._quiet or time.monotonic() - self._begun < PATIENCE:
            return
        if self._shown is None and not self._start(what):
            return
        self._shown.update(self._task, description=what, completed=done, total=total or None)

    def _start(self, what: str) -> bool:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        except ImportError:  # recording runs in environments that have no rich
            self._quiet = True
            return False
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._shown = Progress(*columns, console=Console(stderr=True), transient=True)
        self._shown.start()
        self._task = self._shown.add_task(what, total=None)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.stop()
