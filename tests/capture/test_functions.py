"""What is called between modules: by which module, under which name, and with which tensors."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

import probe
from tests.capture.models import MODELS, built, fed


class Gated(nn.Module):
    """An activation, a norm and a product that are no modules, and one of each that is."""

    def __init__(self):
        super().__init__()
        self.up, self.act, self.norm = nn.Linear(4, 4), nn.SiLU(), nn.LayerNorm(4)
        self.matrix = nn.Parameter(torch.eye(4))

    def forward(self, x):
        y = functional.silu(self.up(x)) * self.act(x)
        return functional.silu(functional.layer_norm(self.norm(y), (4,)) @ self.matrix)


def recorded(path, model, *args, functional="all", **kwargs):
    with torch.no_grad(), probe.record(model, path, functional=functional):
        model(*args, **kwargs)
    with probe.open(path) as dump:
        return {tap.name: torch.from_numpy(dump[tap.name]) for tap in dump.taps if tap.is_functional}, dump.taps


def test_functions_are_children_of_the_module_whose_code_calls_them(tmp_path):
    model, x = Gated(), fed()
    values, taps = recorded(tmp_path / "x.h5", model, x)
    assert list(values) == [
        "@silu:in",
        "@silu:out",
        "@layer_norm:in",
        "@layer_norm:out",
        "@matmul:in",
        "@matmul:out",
        "@silu.1:in",
        "@silu.1:out",
    ]
    with torch.no_grad():
        assert torch.equal(values["@silu:in"], model.up(x))
        assert torch.equal(values["@silu:out"], functional.silu(model.up(x)))
        assert torch.equal(values["@silu.1:out"], model(x))
    first = next(tap for tap in taps if tap.name == "@silu:in")
    assert (first.module, first.owner, first.module_class, first.port) == ("@silu", "", "silu", "in")


def test_what_a_module_merely_is_adds_nothing(tmp_path):
    leaves = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU(), nn.ReLU(inplace=True), nn.Softmax(-1))
    values, taps = recorded(tmp_path / "x.h5", leaves, fed())
    assert not values
    assert len(taps) == 12


class Late(nn.Module):
    """What the function returned is written into before the module returns something else."""

    def forward(self, x):
        y = functional.relu(x)
        y += 1
        return y * 2


def test_a_call_that_turns_out_to_be_more_than_the_module_is_recorded_as_it_was(tmp_path):
    values, _ = recorded(tmp_path / "x.h5", Late(), fed())
    assert torch.equal(values["@relu:in"], fed())
    assert torch.equal(values["@relu:out"], fed().relu())


def test_a_second_call_of_a_module_has_its_number(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Late()

        def forward(self, x):
            return self.inner(self.inner(x))

    values, _ = recorded(tmp_path / "x.h5", Twice(), fed())
    assert list(values) == ["inner.@relu:in", "inner.@relu:out", "inner.@relu@1:in", "inner.@relu@1:out"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_run_is_what_it_is_without_functions_and_no_mode_is_left(tmp_path, name, context):
    model = built(name).eval()
    with context():
        with probe.record(model, tmp_path / "none.h5", functional="none"):
            expected = torch.utils._pytree.tree_leaves(model(fed()))
        with probe.record(model, tmp_path / "x.h5", functional="all"):
            returned = torch.utils._pytree.tree_leaves(model(fed()))
    tensors = [(a, b) for a, b in zip(expected, returned, strict=True) if isinstance(a, torch.Tensor)]
    assert all(torch.equal(a, b) for a, b in tensors)
    assert not _get_current_function_mode_stack()


def test_autocast_is_what_it_was(tmp_path):
    model, x = Gated(), fed()
    with torch.autocast("cpu", torch.bfloat16):
        expected = model(x)
        with probe.record(model, tmp_path / "x.h5", functional="all"):
            returned = model(x)
    assert expected.dtype == returned.dtype
    assert torch.equal(expected, returned)


class Above(TorchFunctionMode):
    """A mode of the model's own."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_modes_of_the_models_own_keep_their_place(tmp_path):
    seen = []

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.late = nn.MultiheadAttention(4, 2), Late()

        def forward(self, x):
            with Above():
                y, _ = self.attention(x, x, x)
                seen.extend(type(mode).__name__ for mode in _get_current_function_mode_stack())
            return self.late(x) + y

    values, _ = recorded(tmp_path / "x.h5", Own(), fed())
    assert seen == ["FunctionCalls", "Above"]
    assert list(values) == ["late.@relu:in", "late.@relu:out"]


class Failing(nn.Module):
    def forward(self, x):
        return functional.silu(functional.softmax(x, 7))


def test_the_functions_own_exception_passes_and_no_mode_is_left(tmp_path):
    model = Failing()
    with (
        pytest.raises(IndexError, match="Dimension out of range"),
        probe.record(model, tmp_path / "x.h5", functional="all"),
    ):
        model(fed())
    assert not _get_current_function_mode_stack()


def test_after_an_exception_that_the_model_catches_all_is_seen_again(tmp_path):
    class Trying(nn.Module):
        def __init__(self):
            super().__init__()
            self.failing, self.late = nn.MultiheadAttention(4, 2), Late()

        def forward(self, x):
            try:
                return self.failing(x, x, x, attn_mask=x)
            except RuntimeError:
                return functional.silu(self.late(x)) + 1

    values, _ = recorded(tmp_path / "x.h5", Trying(), fed())
    assert list(values) == ["late.@relu:in", "late.@relu:out", "@silu:in", "@silu:out"]
    assert not _get_current_function_mode_stack()


def test_gradients_are_those_of_an_unwatched_run(tmp_path):
    model, x = Gated(), fed()
    model(x).sum().backward()
    expected = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    with probe.record(model, tmp_path / "x.h5", functional="all"):
        model(x).sum().backward()
    assert all(torch.equal(weight.grad, grad) for weight, grad in zip(model.parameters(), expected, strict=True))


def test_a_compiled_part_runs_whole_and_is_not_looked_into(tmp_path):
    torch._dynamo.reset()
    model = nn.Sequential(torch.compile(Late(), backend="eager", fullgraph=True), Late())
    expected = model(fed())
    values, _ = recorded(tmp_path / "x.h5", model, fed())
    assert torch.equal(model(fed()), expected)
    assert list(values) == ["1.@relu:in", "1.@relu:out"]


def test_none_records_no_functions_and_include_chooses_among_them(tmp_path):
    assert not recorded(tmp_path / "x.h5", Gated(), fed(), functional="none")[0]
    with probe.record(model := Gated(), tmp_path / "y.h5", functional="all", include=["@silu*"]):
        model(fed())
    with probe.open(tmp_path / "y.h5") as dump:
        assert {tap.module for tap in dump.taps} == {"@silu", "@silu.1"}
