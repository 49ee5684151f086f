"""What a terminal sees: colour where it is wanted, and never what a stranger's dump would have it obey."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.running import TINY, Run

HOSTILE = "\x1b]0;owned\x07\x1b[31m\u202e[bold]"
SHOWN = "\\x1b]0;owned\\x07\\x1b[31m\\u202e[bold]"
GLOB = HOSTILE.replace("[", "?").replace("]", "?")
FACTORY = f"""
import torch
from tests.commands.tiny import Block, Model, build as plain

def build(gain=1.0, at=1):
    model = plain(gain, at)
    block = Block(1.0, None)
    for parameter in block.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    model.blocks.add_module({HOSTILE!r}, block)
    return model.eval()

class Fed(Model):
    def forward(self, input_ids, **more):
        return super().forward(input_ids)

def fed():
    return Fed([]).eval(), {{"input_ids": torch.ones(1, 2, dtype=torch.long), {HOSTILE!r}: torch.ones(2)}}
"""


def on_a_terminal(*words: object, **environment: str) -> str:
    """What `probe` sends to a terminal of 200 columns."""
    watching, terminal = pty.openpty()
    command = [sys.executable, "-m", "probe", *map(str, words)]
    environment = {"TERM": "xterm-256color", "COLUMNS": "200"} | environment
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=os.environ | environment) as running:
        os.close(terminal)
        sent = b""
        while part := _read(watching):
            sent += part
    os.close(watching)
    assert running.returncode in (0, 1), sent
    return sent.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # the other side has hung up: Linux's end of a terminal
        return b""


def test_a_terminal_gets_colour_and_a_pipe_none(reference: Path, faulty: Path, probe: Run):
    words = ["diff", reference, faulty, "--no-replay"]
    assert "\x1b[" in on_a_terminal(*words)
    assert "\x1b" not in probe(*words).out


@pytest.mark.parametrize(("flag", "environment"), [([], {"NO_COLOR": "1"}), (["--no-color"], {})])
def test_without_colour_a_terminal_gets_no_escape_sequence(
    flag: list[str], environment: dict[str, str], reference: Path, faulty: Path
):
    for words in (["diff", reference, faulty, "--no-replay"], ["show", reference], ["show", reference, "head:out"]):
        assert "\x1b" not in on_a_terminal(*words, *flag, **environment)


@pytest.fixture
def hostile(probe: Run) -> Path:
    """A dump in which a module's name is made of terminal escapes, reversed writing and markup."""
    Path("hostile.py").write_text(FACTORY)
    assert probe("dump", "py:hostile.py:build", "--tokens", "1,2", "-o", "hostile.h5").code == 0
    return Path("hostile.h5")


def assert_not_obeyed(text: str) -> None:
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def assert_shown(text: str) -> None:
    assert SHOWN in text
    assert_not_obeyed(text)


def test_a_name_of_terminal_escapes_is_shown_and_not_obeyed(hostile: Path, probe: Run):
    assert_shown(probe("show", hostile).out)
    assert_shown(probe("show", hostile, f"blocks.{HOSTILE}:out").out)


def test_the_same_name_in_a_diff_is_shown_and_not_obeyed(hostile: Path, probe: Run):
    """As a tap near the first divergence, and as one that has no counterpart."""
    gain, excluded = ["--arg", "gain=1.5", "--arg", "at=2"], ["--exclude", f"blocks.{GLOB}*"]
    for name, words in {"gain.h5": gain, "excluded.h5": excluded}.items():
        assert probe("dump", "py:hostile.py:build", *words, "--inputs", hostile, "-o", name).code == 0
        for how in ([], ["--no-replay"]):
            assert_shown(probe("diff", hostile, name, *how).out)


def test_an_error_and_its_hint_that_quote_a_dump_are_shown_and_not_obeyed(hostile: Path, probe: Run):
    outcome = probe("show", hostile, f"blocks.{HOSTILE}")
    assert outcome.code == 2
    for line in outcome.err.splitlines():
        assert_shown(line)


def test_a_note_that_quotes_a_dump_is_shown_and_not_obeyed(hostile: Path, probe: Run):
    assert probe("dump", "py:hostile.py:fed", "-o", "fed.h5").code == 0
    outcome = probe("dump", f"{TINY}:build", "--inputs", "fed.h5", "-o", "x.h5")
    assert outcome.code == 0
    assert outcome.err.startswith("note: ")
    assert_shown(outcome.err)
