"""`probe --print-completion SHELL`: a script for the shell, made of the parser by shtab. It runs no probe at a TAB."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from probe.commands.arguments import file
from probe.errors import ProbeError

OPTION = "--print-completion"
SHELLS = ("bash", "zsh", "tcsh")
TCSH_AFTERWARDS = "'p/*/()/'", "'p/*/f/'"
"""shtab lets tcsh complete one word after a command: so the second of two dumps is a file too."""


class PrintCompletion(argparse.Action):
    """Prints the script of the shell that is named, and ends, as --version does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        print(completion(parser, str(values)))
        sys.stdout.flush()
        parser.exit()


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script. What the command line takes as a file is completed as one."""
    try:
        import shtab
    except ImportError:
        raise ProbeError(f"{OPTION} needs shtab", hint="pip install shtab") from None
    for action in _actions(parser):
        if action.type is file:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
    script: str = shtab.complete(parser, shell)
    return script.replace(*TCSH_AFTERWARDS)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of the parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
