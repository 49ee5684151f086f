"""What another runtime computed is in a dump as it was handed over, and compares with what a model recorded."""

import pytest
import torch
from torch import nn

import probe
from probe.capture.arrays import ArrayRecorder
from probe.capture.selection import Selection
from probe.capture.tensors import to_bits
from probe.dump.detail import chosen_detail
from probe.errors import ProbeError

ABOUT = {"target": None, "environment": {"dtype": "float32"}, "config": {"size": 4}}


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


@pytest.fixture
def x():
    return torch.randn(2, 4)


def written(path, layer, x, **how):
    """The layer's call, told as arrays."""
    with torch.no_grad(), ArrayRecorder(path, weights=layer.named_parameters(), about=ABOUT, **how) as arrays:
        arrays.feed(0, {"input": x})
        arrays.add(0, "", "Linear", "in", x)
        arrays.add(0, "", "Linear", "out", layer(x))
    return path


def test_arrays_make_the_dump_that_hooks_make(tmp_path, layer, x):
    with torch.no_grad(), probe.record(layer, tmp_path / "hooks.h5"):
        layer(x)
    with probe.open(written(tmp_path / "arrays.h5", layer, x)) as ours, probe.open(tmp_path / "hooks.h5") as theirs:
        assert ours.complete
        assert ours.taps == theirs.taps
        assert ours.weights == theirs.weights
        assert ours.attribute("config") == {"size": 4}
        for tap in ours.taps:
            assert ours.bits(tap).tobytes() == theirs.bits(tap).tobytes()
        assert ours.inputs(0).keys() == {"input"}
    assert probe.diff(tmp_path / "hooks.h5", tmp_path / "arrays.h5", reference=layer).verdict == "identical"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float16, torch.int8])
def test_every_dtype_keeps_its_bits(tmp_path, dtype):
    x = torch.randn(300, 500).to(dtype)
    with ArrayRecorder(tmp_path / "x.h5", about=ABOUT) as arrays:
        arrays.add(0, "layer", "f", "out", x)
        arrays.add(0, "next", "g", "in", x)
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.bits(dump.tap("layer:out")).tobytes() == to_bits(x).tobytes()
        assert dump.tap("next:in").dtype == str(dtype).removeprefix("torch.")
    assert (tmp_path / "x.h5").stat().st_size < 2 * x.nbytes  # one tensor is stored once


def test_what_is_asked_for_is_kept(tmp_path, layer, x):
    some = written(tmp_path / "some.h5", layer, x, selection=Selection(["*:out"], []))
    with probe.open(some) as dump:
        assert [tap.name for tap in dump.taps] == [":out"]
    less = written(tmp_path / "less.h5", layer, x, detail=chosen_detail(None, stats_only=True, tokens_slice=None))
    with probe.open(less) as dump, probe.open(some) as whole:
        assert not dump.has_values(dump.tap(":out"))
        assert dump.tap(":out").statistics == whole.tap(":out").statistics


def test_weights_need_not_all_be_there_at_once(tmp_path):
    """Each is gone when the next one is made, maybe at the same address: it is not taken for a tied one."""
    weights = ((f"layers.{i}.weight", torch.full((64, 64), float(i))) for i in range(20))
    with ArrayRecorder(tmp_path / "x.h5", weights=weights, about=ABOUT) as arrays:
        arrays.add(0, "layers.0", "f", "out", torch.ones(2))
    with probe.open(tmp_path / "x.h5") as dump:
        assert [(weight.tied_to, weight.statistics.maximum) for weight in dump.weights] == [("", i) for i in range(20)]


def test_a_block_that_fails_leaves_what_was_there(tmp_path, layer, x):
    def run():
        with ArrayRecorder(tmp_path / "x.h5", about=ABOUT) as arrays:
            arrays.add(0, "", "f", "out", x)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    with probe.open(tmp_path / "x.h5.partial") as dump:
        assert [tap.name for tap in dump.taps] == [":out"]
        assert not dump.complete


def test_two_tensors_of_one_name_are_refused(tmp_path, x):
    with ArrayRecorder(tmp_path / "x.h5", about=ABOUT) as arrays:
        arrays.add(0, "a", "f", "out", x)
        with pytest.raises(ProbeError, match="two tensors of step 0 are called a:out"):
            arrays.add(0, "a", "f", "out", x)


def test_nothing_added_is_an_error_and_no_file(tmp_path):
    with pytest.raises(ProbeError, match="nothing was recorded"), ArrayRecorder(tmp_path / "x.h5", about=ABOUT):
        pass
    assert not list(tmp_path.iterdir())
