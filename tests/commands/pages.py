"""A Markdown page is true where its commands print what it shows."""

import io
import os
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from probe.cli import main
from tests.commands.console_blocks import Command, alike, console_blocks, trimmed


def assert_page_is_true(markdown: str) -> int:
    """How many commands were run, in the working directory. What goes wrong must be what the page shows."""
    commands = [command for block in console_blocks(markdown) if block.runs for command in block.commands]
    for command in commands:
        code, printed = run(command)
        assert code in (0, 1), f"$ {command.line}\nexit code {code}: {printed}"
        assert not command.shown or alike(command.shown) == alike(printed), f"$ {command.line}"
    return len(commands)


def run(command: Command) -> tuple[int, tuple[str, ...]]:
    """The exit code, and what is shown: of `probe` alone, which runs in this process since that has torch already, what
    it prints on stdout; of what a shell is needed for, stdout and stderr as they come."""
    name, *words = shlex.split(command.line)
    if name == "probe" and not set(command.line) & set("|&;<>$`"):
        return in_this_process(words)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command.line],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"},
        check=False,
    )
    return done.returncode, trimmed(done.stdout)


def in_this_process(words: list[str]) -> tuple[int, tuple[str, ...]]:
    shown, said = io.StringIO(), io.StringIO()
    with redirect_stdout(shown), redirect_stderr(said):
        try:
            code = main(words)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 2
    return code, trimmed(shown.getvalue() + (said.getvalue() if code == 2 else ""))
