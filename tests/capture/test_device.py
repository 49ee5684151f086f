"""Tensors of a device are recorded as they were when they were seen, and the model does not wait for them."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.capture.device import SideStreams, departing, has_streams
from probe.capture.tensors import to_bits
from probe.dump.detail import Detail
from tests.capture.test_links import CHANGES, MODES, Changing
from tests.conftest import NO_ACCELERATOR


@pytest.mark.parametrize(("kind", "streams"), [("cpu", False), ("mps", False), ("cuda", True), ("xpu", True)])
def test_a_kind_of_device_has_streams_or_is_copied_from_synchronously(kind, streams):
    assert has_streams(torch.device(kind)) == streams


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
def test_a_recording_is_the_same_wherever_its_tensors_are(tmp_path, device, mode):
    model = nn.Sequential(*[nn.Tanh() for _ in range(30)]).to(device)
    x = torch.randn(3, 500, 70, device=device)
    for tensor, path in ((x, tmp_path / "device.h5"), (x.transpose(0, 2), tmp_path / "strided.h5")):
        with mode(), probe.record(model, path):
            expected = model(tensor)
        with probe.open(path) as dump:
            assert dump.tap(":out").statistics.maximum == expected.max().item()
            assert dump.bits(dump.tap(":out")).tobytes() == to_bits(expected).tobytes()


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_in_place_at_once_was_recorded_before(tmp_path, device, mode, change):
    """Large, so that the copy to the host is still under way when the next kernel changes the tensor."""
    x = torch.randn(2, 3000, 300, device=device)
    before = x.clone()
    model = Changing(CHANGES[change])
    with mode(), probe.record(model, tmp_path / "x.h5"):
        model(x)
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.bits(dump.tap("first:in")).tobytes() == to_bits(before).tobytes()


@pytest.mark.gpu
def test_the_models_thread_waits_for_no_copy(device):
    """The model's own stream is held up: `departing` must return before the copy is made."""
    streams, source = SideStreams(), torch.randn(1 << 20, device=device)
    streams.fetch(departing(source), lambda tensor: [tensor])
    matrix = torch.randn(4096, 4096, device=device)
    for _ in range(50):
        matrix = matrix @ matrix
    departure = departing(source)
    assert not departure.made.query()
    (there,) = streams.fetch(departure, lambda tensor: [tensor])
    assert there.numpy().tobytes() == to_bits(source).tobytes()


@pytest.mark.gpu
def test_a_model_on_a_device_gives_what_it_gives_alone(tmp_path, device):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(inplace=True), nn.Linear(256, 64)).to(device)
    x = torch.randn(32, 64, device=device)
    expected = model(x)
    with probe.record(model, tmp_path / "x.h5"):
        found = model(x)
    assert torch.equal(expected, found)
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump["0:out"].min() < 0 <= dump["1:out"].min()


HOWS = {"whole": {}, "statistics": {"stats_only": True}, "sketch": {"sketch": 16}}


@pytest.fixture
def no_waiting():
    """Within this block, torch raises where the model's thread would wait for the device."""

    @contextmanager
    def block():
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return block


@pytest.mark.gpu
@pytest.mark.parametrize("how", HOWS)
def test_nothing_that_is_recorded_makes_the_models_thread_wait(tmp_path, device, no_waiting, how):
    if device.type != "cuda":
        pytest.skip(f"{NO_ACCELERATOR} that says where it is waited for, as CUDA does")
    model = nn.Sequential(*[nn.Linear(300, 300) for _ in range(10)]).to(device)
    x = torch.randn(7, 300, device=device)
    with torch.no_grad(), probe.record(model, tmp_path / "x.h5", functional="none", **HOWS[how]), no_waiting():
        model(x)
    with probe.open(tmp_path / "x.h5") as dump:
        assert len(dump.taps) == 22


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("how", HOWS)
def test_what_is_computed_on_a_device_is_what_the_host_computes(tmp_path, device, how, dtype):
    torch.manual_seed(0)
    x = torch.randn(2, 9, 300, dtype=dtype)
    x[0, 1, 2], x[0, 3, 4], x[1, 0, 5] = torch.nan, torch.inf, torch.finfo(dtype).min
    model = nn.Sequential(nn.Identity(), nn.Flatten(0))
    dumps = []
    for name, tensor in (("host", x), ("device", x.to(device))):
        with torch.no_grad(), probe.record(model, tmp_path / f"{name}.h5", **HOWS[how]):
            model(tensor)
        dumps.append(probe.open(tmp_path / f"{name}.h5"))
    host, there = dumps
    with host, there:
        for tap in host.taps:
            one, other = tap.statistics, there.tap(tap.name).statistics
            assert (one.num_nan, one.num_inf) == (other.num_nan, other.num_inf)
            for figure in ("minimum", "maximum", "mean", "std", "l2"):
                assert getattr(other, figure) == pytest.approx(getattr(one, figure), rel=1e-5, nan_ok=True)
            if how == "sketch":
                rows = [dump.sketch_rows(dump.tap(tap.name), Detail(16)) for dump in dumps]
                np.testing.assert_allclose(rows[1], rows[0], rtol=1e-4, atol=1e-5 * np.abs(rows[0]).max())
            else:
                assert one.hash == other.hash
