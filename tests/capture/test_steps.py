"""Each call of the model is a step with its own inputs, and each call of a module has its place in it."""

import torch
from torch import nn

import probe
from tests.capture.models import Shared, fed


def recorded(path, model, *args, **kwargs):
    with torch.no_grad(), probe.record(model, path):
        model(*args, **kwargs)
    return probe.open(path)


class Fed(nn.Module):
    def forward(self, input_ids, past=None, *others, flag=True, **rest):
        return input_ids


def test_inputs_come_in_forwards_order_whatever_way_they_were_passed(tmp_path):
    a, b, c, d, e = (torch.full((2,), number) for number in range(5))
    with recorded(tmp_path / "x.h5", Fed(), a, (b, {"k": c}), d, flag=e, mask=[a, b]) as dump:
        inputs = {name: int(bits[0]) for name, (bits, _) in dump.inputs().items()}
    assert inputs == {"input_ids": 0, "past": 1, "past.1.k": 2, "others": 3, "flag": 4, "mask": 0, "mask.1": 1}
    assert next(iter(inputs)) == "input_ids"


def test_each_call_of_the_model_is_a_step_with_its_own_inputs(tmp_path):
    model = Shared()
    with probe.record(model, tmp_path / "x.h5"):
        for number in range(3):
            model(fed() * number)
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.steps == [0, 1, 2]
        for step in dump.steps:
            assert torch.equal(torch.from_numpy(dump.inputs(step)["x"][0]), fed() * step)
            of_step = [tap for tap in dump.taps if tap.step == step]
            assert [tap.order for tap in of_step] == list(range(8))
            assert of_step[-1].name == ":out"
        assert dump.inputs(3) == {}


def test_a_part_that_ran_before_the_model_itself_is_of_its_first_step(tmp_path):
    """As an encoder does, which generate() calls before the model: both use the shared embedding."""
    model = nn.ModuleDict({"shared": nn.Linear(4, 4)})
    model.forward = lambda x: model["shared"](x)
    with probe.record(model, tmp_path / "x.h5"):
        model["shared"](fed())
        model(fed())
        model(fed())
    with probe.open(tmp_path / "x.h5") as dump:
        outputs = [(tap.step, tap.name) for tap in dump.taps if tap.port == "out"]
        assert outputs == [(0, "shared:out"), (0, "shared@1:out"), (0, ":out"), (1, "shared:out"), (1, ":out")]
        assert [tap.order for tap in dump.taps if tap.step == 0] == [0, 1, 2, 3, 4, 5]


def test_a_call_that_failed_and_was_caught_leaves_the_others_in_their_places(tmp_path):
    class Trying(nn.Module):
        def __init__(self):
            super().__init__()
            self.bad, self.good = nn.Linear(3, 3), nn.Linear(4, 4)

        def forward(self, x):
            try:
                self.bad(x)
            except RuntimeError:
                return self.good(x)

    with recorded(tmp_path / "x.h5", Trying(), fed()) as dump:
        assert [tap.name for tap in dump.taps] == [":in", "bad:in", "good:in", "good:out", ":out"]
