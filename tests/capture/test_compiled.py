"""Compiled and scripted parts run as they would; what cannot be seen of them is said."""

import warnings

import pytest
import torch
from torch import nn

import probe
from probe.errors import ProbeError
from tests.capture.models import fed

# torch's own: dynamo looks at .grad of what it is given, and hides the warning except where warnings are errors.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


class Model(nn.Module):
    def __init__(self, inner=None):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True)) if inner is None else inner

    def forward(self, x):
        return self.inner(self.linear(x))


@pytest.fixture(autouse=True)
def _compile_anew():
    torch._dynamo.reset()


def eager(module, *, fullgraph):
    return torch.compile(module, backend="eager", fullgraph=fullgraph)


def taps_and_skipped(path):
    with probe.open(path) as dump:
        return [tap.name for tap in dump.taps], (dump.attribute("notes") or {}).get("skipped", {})


@pytest.mark.parametrize("fullgraph", [False, True])
@pytest.mark.parametrize("ran_before", [False, True])
def test_a_compiled_model_runs_as_ever_and_its_ends_are_recorded(tmp_path, fullgraph, ran_before):
    model = Model()
    expected = model(fed())
    compiled = eager(model, fullgraph=fullgraph)
    if ran_before:
        compiled(fed())
    with probe.record(compiled, tmp_path / "x.h5"):
        assert torch.equal(compiled(fed()), expected)
    assert torch.equal(compiled(fed()), expected)
    names, skipped = taps_and_skipped(tmp_path / "x.h5")
    assert (names[0], names[-1]) == (":in", ":out")
    assert "torch.compile leaves no module calls inside" in skipped[":*"]
    with probe.open(tmp_path / "x.h5") as dump:
        assert list(dump.inputs()) == ["x"]
        assert torch.equal(torch.from_numpy(dump[":out"]), expected)


@pytest.mark.parametrize("fullgraph", [False, True])
def test_a_compiled_part_is_recorded_at_its_ends(tmp_path, fullgraph):
    model = Model()
    expected = model(fed())
    model.inner = eager(model.inner, fullgraph=fullgraph)
    with probe.record(model, tmp_path / "x.h5"):
        assert torch.equal(model(fed()), expected)
    names, skipped = taps_and_skipped(tmp_path / "x.h5")
    assert names == [":in", "linear:in", "linear:out", "inner:in", "inner:out", ":out"]
    assert list(skipped) == ["inner:*"]


@pytest.mark.parametrize("fullgraph", [False, True])
def test_a_part_compiled_in_place_is_left_out_and_said_to_be(tmp_path, fullgraph):
    model = Model()
    expected = model(fed())
    model.inner.compile(backend="eager", fullgraph=fullgraph)
    with probe.record(model, tmp_path / "x.h5"):
        assert torch.equal(model(fed()), expected)
    names, skipped = taps_and_skipped(tmp_path / "x.h5")
    assert names == [":in", "linear:in", "linear:out", ":out"]
    assert list(skipped) == ["inner:*"]


def test_the_model_that_was_compiled_can_be_recorded_itself(tmp_path):
    model = Model()
    compiled = eager(model, fullgraph=True)
    with (
        pytest.raises(ProbeError, match="no module of the model ran") as caught,
        probe.record(model, tmp_path / "x.h5"),
    ):
        compiled(fed())
    assert "not a compiled or wrapped copy" in caught.value.hint
    with probe.record(model, tmp_path / "x.h5"):
        model(fed())
    names, skipped = taps_and_skipped(tmp_path / "x.h5")
    assert "inner.0:out" in names
    assert skipped == {}


@pytest.mark.parametrize("how", ["scripted", "frozen", "traced"])
def test_torchscript_inside_a_model_runs_as_ever(tmp_path, how):
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = torch.jit.trace(inner, fed()) if how == "traced" else torch.jit.script(inner)
        made = torch.jit.freeze(made) if how == "frozen" else made
    model = Model(made).eval()
    expected = model(fed())
    with probe.record(model, tmp_path / "x.h5"):
        assert torch.equal(model(fed()), expected)
    names, skipped = taps_and_skipped(tmp_path / "x.h5")
    assert names[:3] == [":in", "linear:in", "linear:out"]
    assert names[-1] == ":out"
    assert skipped["inner:*"] == "TorchScript runs without hooks"


def test_a_model_inside_vmap_runs_as_ever(tmp_path):
    model = Model(nn.Softmax(-1))
    expected = torch.func.vmap(model)(fed())
    with pytest.raises(ProbeError, match="which has no values of its own"), probe.record(model, tmp_path / "x.h5"):
        assert torch.equal(torch.func.vmap(model)(fed()), expected)
    assert list(tmp_path.iterdir()) == []
