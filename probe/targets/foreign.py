"""What an exception of somebody else's code says: in one line, and whose line of code raised it."""

import importlib
import traceback
from pathlib import Path

import torch

LONGEST = 400
"""Characters of a message; torch lists every missing weight in one."""
HERE = Path(__file__).parent.parent
NOT_MEANT = (
    *(str(HERE / folder) for folder in ("targets", "commands", "capture")),
    torch.__path__[0],
    importlib.__path__[0],
    "<",
)
"""How the names of files begin whose lines tell a user nothing about their own code."""


def message(error: BaseException) -> str:
    """The exception's text without line ends; its class where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def raised_at(error: BaseException) -> str:
    """` (port.py, line 12)`, of the user's code as deep as it was; empty where none of it was reached."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(NOT_MEANT)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
