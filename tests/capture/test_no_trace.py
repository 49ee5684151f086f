"""No hook is left behind, however the block ends."""

import pytest
import torch
from torch import nn

import probe
from probe.errors import ProbeError
from tests.capture.models import MODELS, built, fed

HOOKS = [name for name in vars(nn.Linear(1, 1)) if "hooks" in name]


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.error = error

    def forward(self, x):
        self.linear(x)
        raise self.error


def assert_bare(model):
    assert "_forward_hooks" in HOOKS
    for name, module in model.named_modules():
        left = {hooks: getattr(module, hooks) for hooks in HOOKS if getattr(module, hooks)}
        assert left == {}, name


@pytest.mark.parametrize("name", MODELS)
def test_a_finished_run_leaves_no_hook(tmp_path, name):
    model = built(name)
    with probe.record(model, tmp_path / "x.h5"):
        assert any(module._forward_hooks for module in model.modules())
        model(fed())
    assert_bare(model)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), ProbeError("mine")])
def test_an_exception_of_the_model_passes_through_and_leaves_none(tmp_path, error):
    model = nn.Sequential(nn.Linear(4, 4), Failing(error))
    with pytest.raises(type(error)) as caught, probe.record(model, tmp_path / "x.h5"):
        model(fed())
    assert caught.value is error
    assert_bare(model)
    assert [file.name for file in tmp_path.iterdir()] == ["x.h5.partial"]
    with probe.open(tmp_path / "x.h5.partial") as dump:
        assert not dump.complete
        assert [tap.name for tap in dump.taps] == [":in", "0:in", "0:out", "1:in", "1.linear:in", "1.linear:out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_in_the_block_leaves_none(tmp_path, error):
    model = nn.Linear(4, 4)

    def stop_after_a_run():
        with probe.record(model, tmp_path / "x.h5"):
            model(fed())
            raise error

    with pytest.raises(error):
        stop_after_a_run()
    assert_bare(model)


def test_a_refusal_to_begin_leaves_none(tmp_path):
    model = nn.Linear(4, 4)
    (tmp_path / "x.h5").write_text("mine")
    for keywords in ({}, {"include": ["nothing*"]}):
        with pytest.raises(ProbeError), probe.record(model, tmp_path / "x.h5", **keywords):
            pytest.fail("the block must not run")
    assert_bare(model)
    assert (tmp_path / "x.h5").read_text() == "mine"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_while_recording_stops_the_model_and_leaves_none(tmp_path, interruption):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))

    def interrupt(num_taps, num_bytes):
        if num_taps == 3:
            raise interruption

    with pytest.raises(interruption), probe.record(model, tmp_path / "x.h5", progress=interrupt):
        model(fed())
    assert_bare(model)
    with probe.open(tmp_path / "x.h5.partial") as dump:
        assert len(dump.taps) == 3


def test_a_failure_of_the_recorder_leaves_none(tmp_path):
    model = nn.Linear(4, 4)

    def fail(num_taps, num_bytes):
        raise ZeroDivisionError

    with pytest.raises(ProbeError, match="failed after 1 taps"), probe.record(model, tmp_path / "x.h5", progress=fail):
        model(fed())
    assert_bare(model)


def test_hooks_of_others_stay_and_see_what_they_always_saw(tmp_path):
    model, seen = nn.Linear(4, 4), []
    model.register_forward_hook(lambda module, args, output: output * 2)
    model.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    model.register_forward_hook(lambda module, args, output: seen.append(output.clone()))
    expected = model(fed())
    with probe.record(model, tmp_path / "x.h5"):
        assert torch.equal(model(fed()), expected)
    assert torch.equal(model(fed()), expected)
    assert len(seen) == 3
    with probe.open(tmp_path / "x.h5") as dump:
        assert torch.equal(torch.from_numpy(dump[":out"]), expected)
        assert torch.equal(torch.from_numpy(dump[":in"]), fed() + 1)
