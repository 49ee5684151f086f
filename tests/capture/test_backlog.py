"""Work is done in order by another thread, whose failures and whose death hold nobody up."""

import threading
from functools import partial

import pytest

from probe.capture.backlog import MOST_WAITING, Backlog
from tests.dump.small import in_new_process

FORKED = """
import os, sys, warnings
from pathlib import Path
import torch
from torch import nn
import probe
from probe.errors import ProbeError

warnings.simplefilter("ignore")
model, path, x = nn.Linear(4, 4), Path(sys.argv[1]), torch.ones(4)
expected = model(x)
try:
    with probe.record(model, path):
        model(x)
        child = os.fork()
        if child:
            status = os.waitpid(child, 0)[1]
        for _ in range(9):
            assert torch.equal(model(x), expected)
except ProbeError as error:
    os._exit(7 if child == 0 and "forked" in str(error) else 8)
with probe.open(path) as dump:
    print(os.waitstatus_to_exitcode(status), len(dump.steps), dump.complete)
"""


@pytest.fixture
def backlog():
    made = Backlog(1 << 16)
    yield made
    made.close()


def test_work_is_done_in_its_order_and_no_more_waits_than_there_is_room_for(backlog):
    seen, waiting, most = [], 0, 0

    def done(number):
        nonlocal waiting
        waiting -= 1
        seen.append(number)

    for number in range(2000):
        backlog.make_room(1 << 12)
        waiting += 1
        most = max(most, waiting)
        backlog.add(partial(done, number), 1 << 12)
    backlog.drain()
    assert seen == list(range(2000))
    assert 1 < most <= 16 + 1  # one is done, and its room given back a moment later


def test_what_is_larger_than_all_room_waits_until_it_is_alone(backlog):
    done = []
    for number in range(3):
        backlog.make_room(1 << 20)
        assert len(done) == number
        backlog.add(lambda number=number: done.append(number), 1 << 20)
    backlog.drain()


def test_work_without_memory_is_bounded_too(backlog):
    """Not one piece is done before the gate opens: who adds more than may wait has to wait."""
    gate, num_added = threading.Event(), 0
    backlog.add(gate.wait)

    def add():
        nonlocal num_added
        for _ in range(2 * MOST_WAITING):
            backlog.add(int)
            num_added += 1

    adding = threading.Thread(target=add)
    adding.start()
    adding.join(0.5)
    assert num_added <= MOST_WAITING
    gate.set()
    adding.join()
    assert num_added == 2 * MOST_WAITING


def test_after_a_failure_nothing_more_is_done_and_nobody_waits(backlog):
    done = []
    backlog.add(lambda: 1 / 0)
    for _ in range(100):
        backlog.make_room(1 << 14)
        backlog.add(lambda: done.append(1), 1 << 14)
    backlog.drain()
    assert isinstance(backlog.trouble, ZeroDivisionError)
    assert done == []


def test_even_what_ends_a_thread_ends_only_the_work(backlog):
    backlog.add(lambda: (_ for _ in ()).throw(SystemExit))
    backlog.drain()
    backlog.make_room(1)
    backlog.add(int, 1)
    backlog.drain()
    assert isinstance(backlog.trouble, SystemExit)


def test_in_a_forked_process_the_model_runs_on_and_the_file_is_left_to_its_parent(tmp_path):
    ended = in_new_process(FORKED, tmp_path / "x.h5")
    assert (ended.returncode, ended.stdout) == (0, "7 10 True\n"), ended.stderr
