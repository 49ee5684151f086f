"""What users do inside the block: hooks that fail, threads, forks, copies of the model, a recording in a recording."""

import copy
import ctypes
import io
import pickle
import threading

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import probe
from probe.errors import ProbeError
from tests.capture.models import built, fed
from tests.dump.small import everything, in_new_process

FORKED = """
import os, sys
from pathlib import Path
import torch
from torch import nn
import probe

model, path, x = nn.Linear(4, 4), Path(sys.argv[1]), torch.ones(4)
expected = model(x)
with probe.record(model, path):
    for _ in range(3):
        model(x)
    child = os.fork()
    if child == 0:
        for _ in range(50):
            assert torch.equal(model(x), expected)
        sys.exit(3)  # through the block, and past whatever libraries do at exit
    status = os.waitpid(child, 0)[1]
    for _ in range(9):
        model(x)
with probe.open(path) as dump:
    assert all((dump.read(tap) == expected.detach().numpy()).all() for tap in dump.taps if tap.name == ":out")
    print(os.waitstatus_to_exitcode(status), len(dump.steps), dump.complete)
"""


class Doubling(nn.Module):
    """Waits for the other thread in the middle, so that the two calls lie side by side."""

    def __init__(self, barrier):
        super().__init__()
        self.first, self.second, self.barrier = nn.Linear(4, 4), nn.Linear(4, 4), barrier

    def forward(self, x):
        y = self.first(x)
        self.barrier.wait()
        return self.second(y)


@pytest.mark.parametrize("place", ["register_forward_pre_hook", "register_forward_hook"])
def test_an_exception_of_a_users_hook_passes_through(tmp_path, place):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))

    def fail(*arguments):
        raise ZeroDivisionError("mine")

    getattr(model[1], place)(fail)
    with pytest.raises(ZeroDivisionError, match="mine"), probe.record(model, tmp_path / "x.h5"):
        model(fed())
    with probe.open(tmp_path / "x.h5.partial") as dump:
        assert not dump.complete
        assert [tap.name for tap in dump.taps][:3] == [":in", "0:in", "0:out"]


def test_an_exception_that_is_caught_leaves_the_next_calls_where_they_belong(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with probe.record(model, tmp_path / "x.h5"):
        with pytest.raises(RuntimeError):
            model(torch.ones(3))
        model(fed())
    with probe.open(tmp_path / "x.h5") as dump:
        assert [tap.name for tap in dump.taps if tap.step == 1] == [":in", "0:in", "0:out", "1:in", "1:out", ":out"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_death_of_the_writing_thread_ends_the_recording_and_never_the_run(tmp_path):
    """A real one, as a debugger would bring about: wherever the thread is."""
    model, x = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), fed()
    expected = model(x)

    def run():
        with probe.record(model, tmp_path / "x.h5"):
            model(x)
            writers = [thread for thread in threading.enumerate() if thread.name == "probe-writer"]
            for thread in writers:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
            for thread in writers:
                thread.join(30)
            results.extend(model(x) for _ in range(3000))

    results = []
    with pytest.raises(ProbeError, match=r"recording into .* failed after"):
        run()
    assert len(results) == 3000
    assert all(torch.equal(result, expected) for result in results)
    assert list(tmp_path.iterdir()) == []


def test_a_forked_process_that_leaves_through_the_block_leaves_the_file_alone(tmp_path):
    ended = in_new_process(FORKED, tmp_path / "x.h5")
    assert (ended.returncode, ended.stdout) == (0, "3 12 True\n"), ended.stderr


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_that_load_the_data_are_no_trouble(tmp_path):
    model, data = nn.Linear(4, 4), [torch.full((4,), float(n)) for n in range(6)]
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        for batch in DataLoader(data, batch_size=2, num_workers=2, persistent_workers=True):
            model(batch).sum().backward()
    assert everything(tmp_path / "x.h5") == 3 * 2
    with probe.open(tmp_path / "x.h5") as dump:
        assert [dump.read(tap)[0, 0] for tap in dump.taps if tap.name == ":in"] == [0, 2, 4]


def test_two_threads_have_a_step_each_and_nothing_is_mixed_up(tmp_path):
    model = Doubling(threading.Barrier(2, timeout=60))
    inputs = [fed(), fed() * 3]
    with probe.record(model, tmp_path / "x.h5"):
        threads = [threading.Thread(target=model, args=(x,)) for x in inputs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.steps == [0, 1]
        names = [":in", "first:in", "first:out", "second:in", "second:out", ":out"]
        for step in (0, 1):
            assert [tap.name for tap in dump.taps if tap.step == step] == names
            x = torch.from_numpy(dump.read(dump.tap(":in", step)).copy())
            expected = model.second(model.first(x)).detach()
            assert torch.equal(torch.from_numpy(dump.read(dump.tap("second:out", step)).copy()), expected)
        fed_to = {dump.read(dump.tap(":in", step)).tobytes() for step in (0, 1)}
    assert fed_to == {x.numpy().tobytes() for x in inputs}


def test_a_recording_within_a_recording_of_the_same_model(tmp_path):
    model = built("block").eval()
    expected = model(fed())
    with probe.record(model, tmp_path / "outer.h5"):
        with probe.record(model, tmp_path / "inner.h5"):
            assert torch.equal(model(fed()), expected)
        assert torch.equal(model(fed()), expected)
    with probe.open(tmp_path / "outer.h5") as outer, probe.open(tmp_path / "inner.h5") as inner:
        assert (len(outer.steps), len(inner.steps)) == (2, 1)
        names = [[tap.name for tap in dump.taps if tap.step == 0 and "@" not in tap.name] for dump in (inner, outer)]
        assert names[0] == names[1]
        assert all(
            (inner.bits(tap) == outer.bits(outer.tap(tap.name))).all() for tap in inner.taps if tap.name in names[1]
        )


def test_the_same_file_twice_is_refused_and_the_first_recording_goes_on(tmp_path):
    model = nn.Linear(4, 4)
    with probe.record(model, tmp_path / "x.h5"):
        model(fed())
        with pytest.raises(ProbeError, match="another run is writing"), probe.record(model, tmp_path / "x.h5"):
            pytest.fail("the block must not run")
        model(fed())
    assert everything(tmp_path / "x.h5") == 4


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, pickled, saved])
def test_a_copy_of_the_model_made_in_the_block_is_not_recorded_and_works_for_ever(tmp_path, copied):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        expected = model(fed())
        other = copied(model)
        if copied is not copy.copy:  # which shares its modules with the model
            assert torch.equal(other(fed()), expected)
    assert torch.equal(other(fed()), expected)
    assert everything(tmp_path / "x.h5") == 6
    with probe.record(other, tmp_path / "other.h5"):
        other(fed())
    assert everything(tmp_path / "other.h5") == 6
