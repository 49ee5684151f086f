"""What is recorded: the values at the moment of the call, under names that say whose they are."""

import pytest
import torch
from torch import nn

import probe
from tests.capture.containers import Pair, returning
from tests.capture.models import InPlace, Keywords, Nested, Shared, fed


def recorded(path, model, *args, **kwargs):
    with torch.no_grad(), probe.record(model, path):
        model(*args, **kwargs)
    return probe.open(path)


def names(dump):
    return [tap.name for tap in dump.taps]


def test_the_value_before_an_in_place_rectifier_is_the_linear_layers(tmp_path):
    model, x = InPlace(), fed()
    linear = model.linear(x).detach()
    with recorded(tmp_path / "x.h5", model, x.clone()) as dump:
        assert torch.equal(torch.from_numpy(dump["linear:out"]), linear)
        assert torch.equal(torch.from_numpy(dump["relu:in"]), linear)
        assert torch.equal(torch.from_numpy(dump["relu:out"]), linear.relu())
        assert bool((linear < 0).any())


def test_an_input_is_recorded_as_it_was_before_the_module_wrote_into_it(tmp_path):
    x = fed()
    with recorded(tmp_path / "x.h5", InPlace(), x) as dump:
        assert torch.equal(torch.from_numpy(dump[":in"]), fed())
        assert torch.equal(torch.from_numpy(dump.inputs()["x"][0]), fed())
    assert torch.equal(x, fed() + 1)


def test_a_module_called_again_has_a_number(tmp_path):
    with recorded(tmp_path / "x.h5", Shared(), fed()) as dump:
        calls = [(tap.module, tap.call, tap.name) for tap in dump.taps if tap.port == "out"]
    assert calls == [
        ("first", 0, "first:out"),
        ("first", 1, "first@1:out"),
        ("first", 2, "first@2:out"),
        ("", 0, ":out"),
    ]


def test_taps_know_their_class_port_shape_and_dtype(tmp_path):
    with recorded(tmp_path / "x.h5", nn.Sequential(nn.Linear(4, 3)).bfloat16(), fed(torch.bfloat16)) as dump:
        found = [(t.name, t.module_class, t.port, t.shape, t.dtype, t.order) for t in dump.taps]
    assert found == [
        (":in", "Sequential", "in", (2, 5, 4), "bfloat16", 0),
        ("0:in", "Linear", "in", (2, 5, 4), "bfloat16", 1),
        ("0:out", "Linear", "out", (2, 5, 3), "bfloat16", 2),
        (":out", "Sequential", "out", (2, 5, 3), "bfloat16", 3),
    ]


OUTPUTS = {
    "a tensor": [":out"],
    "a tuple": [":out", ":out.1"],
    "a list": [":out", ":out.2"],
    "a dict": [":out.y", ":out.3"],
    "a named tuple": [":out", ":out.1"],
    "a model output": [":out.logits", ":out.states.0", ":out.states.1"],
    "a frozen dataclass": [":out.values"],
    "nested containers": [":out.0.a.0", ":out.0.a.1.0", ":out.1.0.0"],
    "nothing": [],
    "a number": [],
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_tensor_of_an_output_has_a_port(tmp_path, kind):
    with recorded(tmp_path / "x.h5", returning(kind), fed()) as dump:
        assert [name for name in names(dump) if name.startswith(":out")] == OUTPUTS[kind]


def test_a_state_that_comes_first_does_not_take_the_name_of_what_follows(tmp_path):
    with recorded(tmp_path / "x.h5", Nested(), fed()) as dump:
        swapped = [tap for tap in dump.taps if tap.name.startswith("swap:out")]
        assert [tap.port for tap in swapped] == ["out.0.0", "out.0.1", "out.1"]
        first, second, third = (torch.from_numpy(dump.read(tap)) for tap in swapped)
        assert torch.equal(first * 2, second)
        assert torch.equal(first * 3, third)
        assert [tap.port for tap in dump.taps if tap.module == "lstm"] == ["in", "out", "out.1.0", "out.1.1"]


def test_keywords_are_ports_and_inputs_have_the_names_of_the_parameters(tmp_path):
    x, mask, scale = fed(), torch.ones(4), torch.tensor(2.0)
    with recorded(tmp_path / "x.h5", Keywords(), x=x, mask=mask, scale=scale) as dump:
        assert names(dump)[:3] == [":in.x", ":in.mask", ":in.scale"]
        inputs = {name: torch.from_numpy(bits) for name, (bits, _) in dump.inputs().items()}
    assert list(inputs) == ["x", "mask", "scale"]
    assert all(torch.equal(inputs[name], value) for name, value in {"x": x, "mask": mask, "scale": scale}.items())


def test_a_pair_by_name_keeps_its_places(tmp_path):
    model = returning("a tensor")
    model.pack = lambda y: Pair(first=None, second=y)
    with recorded(tmp_path / "x.h5", model, fed()) as dump:
        assert names(dump)[-1] == ":out.1"
