"""A tensor that was recorded before is stored once, and only as long as it is the same tensor."""

import h5py
import pytest
import torch
from torch import nn

import probe
from tests.capture.models import Keywords, fed


class Changing(nn.Module):
    """Hands one tensor to two layers, and does something to it in between."""

    def __init__(self, change):
        super().__init__()
        self.first = nn.Identity()
        self.second = nn.Identity()
        self.change = change

    def forward(self, x):
        x = x.clone()
        self.first(x)
        self.change(x)
        return self.second(x).clone()


def same_object(path, first, second):
    with h5py.File(path, locking=False) as file:
        return file["steps/0"][first] == file["steps/0"][second]


def recorded(path, model, *inputs):
    with probe.record(model, path):
        model(*inputs)
    with probe.open(path) as dump:
        return {tap.name: torch.from_numpy(dump.read(tap)) for tap in dump.taps}


def into_data(x):
    x.data = x.detach() + 1


CHANGES = {
    "added to": lambda x: x.add_(1),
    "written by index": lambda x: x.__setitem__((0, 0, 0), 5.0),
    "through a view": lambda x: x.view(-1)[3:].mul_(2),
    "through a base": lambda x: x.transpose(0, 1).zero_(),
    "as out=": lambda x: torch.add(x.clone(), 1, out=x),
    "through data": into_data,
    "transposed in place": lambda x: x.transpose_(1, 2),
    "reshaped in place": lambda x: x.unsqueeze_(0),
}
MODES = [torch.enable_grad, torch.no_grad, torch.inference_mode]


def test_an_input_that_is_another_layers_output_is_one_object_of_the_file(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    taps = recorded(tmp_path / "x.h5", model, fed())
    assert list(taps) == [":in", "0:in", "0:out", "1:in", "1:out", "2:in", "2:out", ":out"]
    for first, second in ((":in", "0:in"), ("0:out", "1:in"), ("1:out", "2:in"), ("2:out", ":out")):
        assert same_object(tmp_path / "x.h5", first, second)
    assert not same_object(tmp_path / "x.h5", "0:in", "0:out")


@pytest.mark.parametrize("mode", MODES)
def test_linking_saves_the_space(tmp_path, mode):
    model = nn.Sequential(*[nn.Identity() for _ in range(30)])
    with mode():
        recorded(tmp_path / "x.h5", model, torch.randn(100_000))
    assert (tmp_path / "x.h5").stat().st_size < 2 * 400_000 + 100_000  # the tap, and the input of the run


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_tensor_changed_in_place_is_stored_anew(tmp_path, mode, change):
    with mode():
        taps = recorded(tmp_path / "x.h5", Changing(CHANGES[change]), fed())
        changed = fed().clone()
        CHANGES[change](changed)
    assert not same_object(tmp_path / "x.h5", "first:in", "second:in")
    assert torch.equal(taps["first:in"], fed())
    assert torch.equal(taps["second:in"], changed)


@pytest.mark.parametrize("mode", MODES)
def test_a_tensor_left_alone_is_linked(tmp_path, mode):
    with mode():
        recorded(tmp_path / "x.h5", Changing(lambda x: None), fed())
    for name in ("first:out", "second:in", "second:out"):
        assert same_object(tmp_path / "x.h5", "first:in", name)


def test_equal_values_of_two_tensors_are_two_objects(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).eval()
    recorded(tmp_path / "x.h5", nn.Sequential(model, nn.Softplus(threshold=-99)), fed())
    assert not same_object(tmp_path / "x.h5", "0.0:out", "1:out")


def test_a_tensor_of_an_earlier_step_is_linked_across_steps(tmp_path):
    model, x = nn.Linear(4, 4), fed()
    with probe.record(model, tmp_path / "x.h5"):
        model(x)
        model(x)
        x.add_(1)
        model(x)
    with h5py.File(tmp_path / "x.h5", locking=False) as file:
        assert file["steps/0/:in"] == file["steps/1/:in"] != file["steps/2/:in"]


def test_a_tensor_that_takes_the_place_of_a_dead_one_is_not_mistaken_for_it(tmp_path):
    """Python gives the id of an object that died to the next one."""

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()

        def forward(self):
            for number in range(50):
                self.inner(torch.full((3,), number))
            return torch.zeros(1)

    taps = recorded(tmp_path / "x.h5", Loop())
    assert [int(taps[f"inner@{n}:in" if n else "inner:in"][0]) for n in range(50)] == list(range(50))


def test_a_tensor_passed_by_two_keywords_is_two_taps_and_one_object(tmp_path):
    model, x = Keywords(), torch.randn(4)
    with probe.record(model, tmp_path / "x.h5"):
        model(x=x, mask=x, scale=1.0)
    assert same_object(tmp_path / "x.h5", ":in.x", ":in.mask")
