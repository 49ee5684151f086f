"""Interrupted, out of space, or with a reader that has seen enough: never 0, never 1, never a file that looks whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.running import TINY, Run, in_new_process

WAITING = f"py:{Path(__file__).with_name('interrupted.py')}"
LITTLE_ROOM = """
import resource, signal, sys
from probe.cli import main

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def test_ctrl_c_ends_with_130_and_no_traceback():
    listening, ready = os.pipe()
    words = [sys.executable, "-m", "probe", "dump", f"{WAITING}:waiting", "-o", "x.h5"]
    environment = os.environ | {"READY": str(ready)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, pass_fds=[ready], env=environment) as running:
        os.close(ready)
        assert os.read(listening, 1) == b"!"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate()
    os.close(listening)
    assert (running.returncode, err) == (130, "probe: interrupted\n")
    assert not Path("x.h5").exists()


def test_ctrl_c_while_a_model_runs_keeps_what_ran_under_another_name(probe: Run):
    outcome = probe("dump", f"{WAITING}:interrupted", "-o", "x.h5")
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == "what ran until then is in x.h5.partial\nprobe: interrupted\n"
    assert not Path("x.h5").exists()
    assert "linear:out" in probe("show", "x.h5.partial").out


@pytest.mark.parametrize(
    ("room", "error"),
    [(1_000, "cannot write x.h5: "), (2_500_000, "recording into x.h5 failed after ")],
    ids=["for nothing", "for a part"],
)
def test_without_space_the_dump_s_name_stays_free_and_the_hint_says_what_to_do(room: int, error: str, probe: Run):
    words = ["dump", f"{TINY}:build", "--random-tokens", "4000", "-o"]
    outcome = in_new_process("-c", LITTLE_ROOM, str(room), *words, "x.h5", PYTHONDONTWRITEBYTECODE="1")
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    lines = outcome.err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["probe", "hint"]
    assert lines[0].startswith(f"probe: error: {error}")
    assert lines[0].endswith("File too large")
    assert lines[1].startswith("hint: make room")
    assert not Path("x.h5").exists()
    assert probe(*words, "whole.h5").code == 0
    assert Path("whole.h5").stat().st_size > room


def test_a_reader_that_has_seen_enough_is_no_divergence(faulty: Path):
    """`probe show dump | head -1`, and a diff that nobody reads to its end."""
    for words in (["show", faulty], ["diff", "ref.h5", faulty, "--no-replay", "--json"]):
        listening, written = os.pipe()
        os.close(listening)
        done = subprocess.run(
            [sys.executable, "-m", "probe", *words], stdout=written, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(written)
        assert (done.returncode, done.stderr) == (2, "")
