"""Tensors of a device are recorded as they were when they were seen, and the model does not wait for them."""

import pytest
import torch
from torch import nn

import probe
from probe.capture.device import SideStreams, has_streams
from probe.capture.tensors import to_bits
from tests.capture.test_links import CHANGES, MODES, Changing


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
    """The side stream is held up by work of its own: `send` must return before that is done."""
    streams, source = SideStreams(), torch.randn(1 << 20, device=device)
    memory = torch.empty(source.nbytes, dtype=torch.uint8, pin_memory=True)
    streams.send(source, memory).wait()
    module = getattr(torch, device.type)
    with module.stream(streams._streams[source.device]):
        matrix = torch.randn(4096, 4096, device=device)
        for _ in range(50):
            matrix = matrix @ matrix
    departure = streams.send(source, memory)
    assert not departure.done.query()
    departure.wait()
    assert memory.numpy().tobytes() == to_bits(source).tobytes()


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
