"""stdout as people read it: wide and plain in a pipe, coloured on a terminal."""

import os
import sys

from rich.console import Console
from rich.text import Text

WIDTH = 110
"""Columns of prose at most."""
LABEL = 10
"""Columns of a label before its text."""
WIDE = 10_000
"""Columns in a pipe: there no name in a table is ever broken."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """rich would exit 1 where a reader (head, less) has seen enough; that means "diverged"."""
        raise BrokenPipeError


def console() -> Console:
    """No escape sequence leaves it where NO_COLOR is set, or where stdout is no terminal. In a notebook it is text."""
    terminal = sys.stdout.isatty()
    coloured = terminal and not os.environ.get("NO_COLOR")
    return _Console(
        width=None if terminal else WIDE,
        color_system="auto" if coloured else None,
        highlight=False,
        force_jupyter=False,
    )


def prose(out: Console, text: Text, label: str = "", *, indent: int = 0) -> None:
    """A paragraph, behind a label or indented; its further lines start where its first one does."""
    begin = LABEL if label else indent
    lead = Text(label.ljust(begin), style=text.style)
    for line in text.wrap(out, min(out.width, WIDTH) - begin):
        line.rstrip()
        out.print(lead + line)
        lead = Text(" " * begin)
