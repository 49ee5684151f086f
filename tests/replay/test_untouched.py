"""A replay leaves the model, its weights and its inputs as they were, and says where it cannot run."""

from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from tests.conftest import Compare
from tests.replay.stacks import INPUTS, Block, Stack, stack


def test_replay_changes_neither_the_model_nor_its_inputs(tmp_path: Path):
    reference, candidate = stack(), stack(b1={"eps": 1e-3})
    before = {name: value.clone() for name, value in reference.state_dict().items()}
    x = INPUTS["x"].clone()
    for name, model in (("r", reference), ("c", candidate)):
        with torch.no_grad(), probe.record(model, tmp_path / f"{name}.h5"):
            model(x)
    expected = reference(x)
    probe.diff(tmp_path / "r.h5", tmp_path / "c.h5", reference=reference)
    assert all(torch.equal(before[name], value) for name, value in reference.state_dict().items())
    assert torch.equal(reference(x), expected)
    assert torch.equal(x, INPUTS["x"])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in reference.modules())


class HandsOutItsWeight(nn.Module):
    """A module that is given a weight, as weight norm's parametrization is."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.weight = nn.Identity(), nn.Parameter(torch.randn(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.inner(self.weight)


def test_a_weight_that_passes_through_a_module_is_not_written_to(compare: Compare):
    torch.manual_seed(0)
    reference = HandsOutItsWeight()
    candidate = HandsOutItsWeight()
    candidate.load_state_dict(reference.state_dict())
    before = reference.weight.detach().clone()
    compare(reference, candidate.bfloat16(), {"x": torch.ones(8)}, candidate_inputs={"x": torch.ones(8).bfloat16()})
    assert torch.equal(reference.weight, before)


class Refuses(Stack):
    """Runs once, and never again."""

    runs = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        if self.runs > 1:
            raise RuntimeError("only once")
        return super().forward(x)


def test_a_model_that_cannot_be_replayed_is_compared_without(compare: Compare):
    torch.manual_seed(0)
    report = compare(Refuses(Block()), stack(), INPUTS)
    assert not report.replayed
    assert any("only once" in check.message for check in report.trust)


def test_another_model_than_the_recorded_one_is_refused(compare: Compare):
    with pytest.raises(probe.ProbeError, match="is not the one that was recorded"):
        compare(stack(), stack(), INPUTS, reference=Stack(Block(), Block(), Block(), Block()))
