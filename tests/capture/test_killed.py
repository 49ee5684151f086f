"""A recording process that is killed or interrupted at any moment leaves a file that can be read, or none."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probe.dump import Dump
from probe.errors import ProbeError
from tests.dump.small import in_new_process

RUNNING = """
import os, sys, time
import torch
from torch import nn
import probe

class Counting(nn.Module):
    '''Step k returns k, then 2 k.'''
    def __init__(self):
        super().__init__()
        self.same, self.twice = nn.Identity(), nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.twice.weight, 2)

    def forward(self, k):
        return self.twice(self.same(k * torch.ones(64, 1)))

model = Counting()
with probe.record(model, sys.argv[1], gradients=True):
    for step in range(int(sys.argv[2])):
        model(torch.tensor(float(step))).sum().backward()
        if step == 20:
            os.write(1, b"!")
    time.sleep(1000)
"""
INTERRUPTED = """
import faulthandler, random, signal, sys, traceback
from pathlib import Path
import torch
from torch import nn
import probe

faulthandler.dump_traceback_later(300, exit=True)
folder, draw = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
signal.signal(signal.SIGALRM, signal.default_int_handler)
model, x = nn.Sequential(*[nn.Linear(32, 32) for _ in range(12)]), torch.randn(8, 32)
expected = model(x)
with probe.record(model, folder / "x.h5", gradients=True):  # all that is imported, is by now
    model(x).sum().backward()
(folder / "x.h5").unlink()
places = set()
for trial in range(30):
    signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.0005, 0.06))
    try:
        with probe.record(model, folder / "x.h5", gradients=trial % 2 == 0):
            for _ in range(100):
                model(x).sum().backward()
    except KeyboardInterrupt as interruption:
        places.add(traceback.extract_tb(interruption.__traceback__)[-1].filename)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()), places
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters()), places
    assert torch.equal(model(x), expected)
    for path in folder.iterdir():
        if path.stat().st_size:  # else it was interrupted between making the file and knowing of it
            with probe.open(path) as dump:
                assert dump.complete == (path.name == "x.h5"), path
                for tap in dump.taps[-5:]:
                    dump.read(tap)
        path.unlink()
with probe.record(model, folder / "x.h5"):
    model(x)
print(len(places))
"""


def started(path: Path, num_steps: int) -> "subprocess.Popen[bytes]":
    """Running, and past its first steps."""
    running = subprocess.Popen([sys.executable, "-c", RUNNING, str(path), str(num_steps)], stdout=subprocess.PIPE)
    assert running.stdout is not None
    assert os.read(running.stdout.fileno(), 1) == b"!"
    return running


def assert_right_as_far_as_it_goes(path: Path) -> int:
    """Every value is what that step computed, and nothing is missing before the last tap; how many there are."""
    with Dump(path) as dump:
        assert not dump.complete
        for tap in dump.taps:
            wanted = tap.step * (2 if tap.name in ("twice:out", ":out") else 1)
            assert (dump.read(tap) == wanted).all(), (tap.step, tap.name)
        whole = [tap.step for tap in dump.taps if tap.name == ":out"]
        assert whole == list(range(len(whole)))
        return len(dump.taps)


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_any_moment_all_that_is_there_is_right(tmp_path: Path, seed: int) -> None:
    with started(tmp_path / "x.h5", 10**6) as running:
        time.sleep(random.Random(seed).uniform(0, 1.5))
        running.kill()
    assert [file.name for file in tmp_path.iterdir()] == ["x.h5.partial"]
    assert_right_as_far_as_it_goes(tmp_path / "x.h5.partial")


def test_what_ran_is_in_the_file_while_the_run_thinks_about_something_else(tmp_path: Path) -> None:
    """Nothing more is computed: the last taps come into the file all the same, and so survive a kill."""
    with started(tmp_path / "x.h5", 40) as running:
        deadline, found = time.monotonic() + 60, 0
        while found < 40 * 6 and time.monotonic() < deadline:
            try:
                with Dump(tmp_path / "x.h5.partial") as dump:
                    found = len(dump.taps)
            except ProbeError:
                found = 0  # it is being written to just now
        running.kill()
    assert running.returncode == -signal.SIGKILL
    assert assert_right_as_far_as_it_goes(tmp_path / "x.h5.partial") == 40 * 6


@pytest.mark.parametrize("seed", range(2))
def test_interrupted_at_any_moment_nothing_is_left_but_what_ran(tmp_path: Path, seed: int) -> None:
    ended = in_new_process(INTERRUPTED, tmp_path, seed)
    assert (ended.returncode, ended.stderr) == (0, "") or "Exception ignored in" in ended.stderr, ended.stderr
    assert ended.returncode == 0
    assert int(ended.stdout) > 3
