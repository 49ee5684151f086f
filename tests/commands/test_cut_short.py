"""Interrupted, out of space, or with a reader that has seen enough: never 0, never 1, never a file that looks whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.commands.running import TINY, Run, in_new_process

WAITING = f"py:{Path(__file__).with_name('interrupted.py')}"
LITTLE_ROOM = """
import resource, signal, sys
from pathlib import Path
from probe.cli import main

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in map(int, sys.argv[1].split(",")):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    code = main(["dump", *sys.argv[2:], "-q", "-o", "x.h5"])
    print(limit, code, *sorted(path.name for path in Path().glob("x.h5*")), flush=True)
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


def test_without_space_the_dump_s_name_stays_free_and_the_hint_says_what_to_do(reference: Path):
    """From space for nothing, through space for the weights alone, to space for all but the end."""
    size = reference.stat().st_size
    limits = [100, size // 4, size // 2, size - 3000, size]
    outcome = in_new_process(
        "-c", LITTLE_ROOM, ",".join(map(str, limits)), f"{TINY}:build", "--tokens", "1,2,3,4,5", PYTHONDONTWRITEBYTECODE="1"
    )
    failed = [line for line in outcome.out.splitlines() if not line.startswith("x.h5: ")]
    assert failed == [*(f"{limit} 2" for limit in limits[:-1]), f"{size} 0 x.h5"]
    lines = outcome.err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["probe", "hint"] * 4, outcome.err
    assert "File too large" in lines[2]
    assert "make room" in lines[3]


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
