"""The real thing: `probe tui` in a terminal, keys sent to it, and what is on the screen read back."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

PATIENCE = 90
"""Seconds to wait for words on the screen, on a busy machine."""


class Terminal:
    """A tmux of its own with one window."""

    def __init__(self, folder, width=110, height=32):
        self._socket = str(folder / "tmux")
        self._run("new-session", "-d", "-x", str(width), "-y", str(height), "sh")

    def _run(self, *words) -> str:
        known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "TMUX")}
        command = ["tmux", "-S", self._socket, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=known)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def wait_for(self, *words: str) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            shown = self.screen()
            unwrapped = shown.replace("\n", "")  # a long line goes on in the next
            if all(word in shown or word in unwrapped for word in words):
                return shown
            time.sleep(0.1)
        raise AssertionError(f"{words} did not come:\n{self.screen()}")

    def close(self) -> None:
        self._run("kill-server")


@pytest.fixture
def terminal(demo, tmp_path) -> Iterator[Terminal]:
    assert shutil.which("tmux"), "tests of the real terminal need tmux: apt install tmux"
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def start(terminal: Terminal, words: str) -> None:
    terminal.type(
        f"PYTHONPATH={os.pathsep.join(filter(None, sys.path))} {sys.executable} -m probe tui {words}; echo code $?",
        "Enter",
    )


def test_it_opens_on_the_answer_and_is_left_by_q(terminal, demo):
    start(terminal, f"dumps/demo-reference.h5 dumps/demo-port.h5 --report {demo.report_path.name}")
    shown = terminal.wait_for("DIVERGED", "attn.window", "window of 17", ">x")
    assert "self_attn" in next(line for line in shown.splitlines() if line.startswith(">x"))
    terminal.type("n")
    terminal.wait_for("model.layers.2.self_attn")
    terminal.type("]")
    terminal.wait_for("worst at")
    terminal.type("?")
    terminal.wait_for("Hide what agrees", "First divergence")
    terminal.type("?")
    terminal.type("q")
    terminal.wait_for("code 1")


def test_the_two_are_compared_first_where_no_report_is_given(terminal):
    start(terminal, "dumps/demo-reference.h5 dumps/demo-port.h5 --no-replay")
    terminal.wait_for("DIVERGED", "places are approximate")
    terminal.type("q")
    terminal.wait_for("code 1")


def test_errors_come_before_the_screen_is_taken(terminal):
    start(terminal, "dumps/demo-reference.h5 nowhere.h5")
    shown = terminal.wait_for("probe: error: ", "code 2")
    assert "nowhere.h5" in shown
    assert "hint: " in shown


def test_a_report_of_other_dumps_is_refused(terminal, demo):
    start(terminal, f"dumps/demo-port.h5 dumps/demo-reference.h5 --report {demo.report_path.name}")
    terminal.wait_for("is a report of dumps/demo-reference.h5", "code 2")


@pytest.mark.parametrize("kind", ["vt100", "xterm-256color"])
def test_a_terminal_without_many_colours_works(terminal, kind):
    terminal.type(f"export TERM={kind} COLORTERM=", "Enter")
    start(terminal, "dumps/demo-port.h5")
    terminal.wait_for("the model itself", "rms", "blocks")
    terminal.type("/")
    terminal.type("-l", "3.ffn")
    terminal.type("q", "C-q")
    terminal.wait_for("code 0")
