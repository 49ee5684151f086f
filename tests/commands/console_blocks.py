"""The ```console blocks of a Markdown page: their commands, and the output that the page shows below each.

A block fenced as ```console no-run holds commands that cannot run on their own (they name the reader's files).
"""

import re
from dataclasses import dataclass

BLOCK = re.compile(r"^```console(?P<how>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = "$ "
FIGURE = re.compile(r"\d[\d,]*\.\d+(e[-+]\d+)?|\d{1,3}(,\d{3})+|(?<=about )\d+(?= times)")
"""Figures that another processor rounds otherwise: 2.1e-01, 97.2, 602,579. Layer numbers are none."""


@dataclass(frozen=True, slots=True)
class Command:
    """One line that a reader would type."""

    line: str
    shown: tuple[str, ...]
    """The lines below it, without trailing blanks; empty where the page shows none."""


@dataclass(frozen=True, slots=True)
class Block:
    commands: tuple[Command, ...]
    runs: bool


def console_blocks(markdown: str) -> list[Block]:
    """AssertionError for a fence that says anything but "no-run", and for output that stands above any command."""
    return [Block(_commands(found["text"]), _runs(found["how"])) for found in BLOCK.finditer(markdown)]


def trimmed(text: str) -> tuple[str, ...]:
    """The lines of an output, without trailing blanks and without empty lines at its end."""
    return tuple(line.rstrip() for line in text.rstrip().splitlines())


def alike(lines: tuple[str, ...]) -> list[str]:
    """Lines with every figure as #, and any space as one: what must be the same on every machine."""
    return [" ".join(FIGURE.sub("#", line).split()) for line in lines]


def _runs(how: str) -> bool:
    assert how.strip() in ("", "no-run"), f"a console block is run, or says no-run, and not {how.strip()!r}"
    return not how.strip()


def _commands(text: str) -> tuple[Command, ...]:
    assert text.startswith(PROMPT), f"a console block begins with a command: {text!r}"
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return tuple(Command(line, trimmed(shown)) for line, _, shown in (part.partition("\n") for part in parts))
