"""How the tests run `probe`, and what comes out."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TINY = f"py:{Path(__file__).with_name('tiny.py')}"


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a user reads whose request makes no sense."""

    error: str
    """What follows `probe: error: `."""
    hint: str


Run = Callable[..., Outcome]
"""Called with the words of a command line."""
Refused = Callable[..., Refusal]
"""The same, of one that must be refused."""


def in_new_process(*arguments: str, **environment: str) -> Outcome:
    """`python ...`, for what this process cannot show: what is imported, how the exit code reaches the shell."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
