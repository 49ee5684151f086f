"""Teacher forcing: each error at its own place, none inherited, the model untouched."""

from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.replay.origins import responsible
from probe.report import Verdict
from tests.conftest import Compare


class Block(nn.Module):
    """A residual block: a norm, two projections, an activation that is no module."""

    def __init__(self, eps: float = 1e-5, *, residual: float = 1.0, tanh: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(32, eps)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)
        self.residual, self.tanh = residual, tanh

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = nn.functional.gelu(self.up(self.norm(x)), approximate="tanh" if self.tanh else "none")
        return self.residual * x + self.down(inner)


class Stack(nn.Module):
    def __init__(self, *blocks: Block) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def stack(**changes: dict[str, object]) -> Stack:
    """Four equal-seeded blocks; `b2={"eps": 1e-3}` changes the third."""
    torch.manual_seed(0)
    return Stack(*(Block(**changes.get(f"b{index}", {})) for index in range(4)))  # type: ignore[arg-type]


INPUTS = {"x": torch.randn(7, 32, generator=torch.Generator().manual_seed(5))}


@pytest.mark.parametrize(
    ("changes", "modules"),
    [
        ({"b2": {"eps": 1e-4}}, ["blocks.2.norm"]),
        ({"b1": {"residual": 0.9}}, ["blocks.1"]),
        ({"b3": {"tanh": True}}, ["blocks.3"]),
        (
            {"b0": {"eps": 1e-4}, "b2": {"tanh": True}, "b3": {"residual": 1.1}},
            ["blocks.0.norm", "blocks.2", "blocks.3"],
        ),
        ({"b0": {"tanh": True, "residual": 0.5, "eps": 1e-3}}, ["blocks.0.norm", "blocks.0"]),
    ],
)
def test_every_bug_shows_at_its_own_place_and_nowhere_else(compare: Compare, changes, modules):
    report = compare(stack(), stack(**changes), INPUTS)
    found = [module for finding in report.findings for module in finding.modules]
    assert list(dict.fromkeys(found)) == modules


def test_an_error_that_only_came_in_is_no_error_of_its_own(compare: Compare):
    report = compare(stack(), stack(b0={"eps": 1e-2}), INPUTS)
    later = [row for row in report.taps if row.reference.startswith("blocks.3")]
    assert later
    assert all(row.rel_l2 > 1e-5 for row in later)
    assert all(row.ratio is not None and row.ratio < 2 for row in later)


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


def test_a_nan_in_one_run_is_a_divergence_at_the_first_tap_that_has_it(compare: Compare):
    candidate = stack()
    with torch.no_grad():
        candidate.blocks[1].up.bias[3] = torch.nan
    report = compare(stack(), candidate, INPUTS)
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.tap == "blocks.1.up:out"


@pytest.mark.parametrize(
    ("modules", "caller", "found"),
    [
        ({"layers.0.attn"}, "layers.0.attn", "layers.0.attn"),
        ({"layers.0.attn", "rotary"}, "layers.0.attn", "layers.0.attn"),
        ({"layers.0.attn.self"}, "layers.0.attn.output", "layers.0.attn.self"),
        ({"layers.0.mlp", "layers.0.mlp.act"}, "layers.0.mlp", "layers.0.mlp"),
        ({"layers.0.mlp.act"}, "layers.0.mlp", "layers.0.mlp.act"),
        ({"layers.1"}, "layers.10", "layers.1"),
        (set(), "layers.3.norm", "layers.3.norm"),
        ({""}, "", ""),
    ],
)
def test_the_deepest_module_that_holds_the_code_is_responsible(modules, caller, found):
    assert responsible(frozenset(modules), caller) == found


class Linears(nn.Module):
    """A port of a Stack whose blocks are no modules: only its projections can be paired."""

    def __init__(self, source: Stack) -> None:
        super().__init__()
        self.ups = nn.ModuleList(block.up for block in source.blocks)
        self.downs = nn.ModuleList(block.down for block in source.blocks)
        self.source = [(block.norm.weight, block.norm.bias, block.norm.eps, block.residual) for block in source.blocks]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for up, down, (weight, bias, eps, residual) in zip(self.ups, self.downs, self.source, strict=True):
            inner = nn.functional.layer_norm(x, (32,), weight, bias, eps)
            x = residual * x + down(nn.functional.gelu(up(inner)))
        return x


def test_an_error_in_a_residual_that_cannot_be_paired_is_found_once(compare: Compare):
    report = compare(stack(), Linears(stack(b1={"residual": 0.9})), INPUTS)
    assert report.verdict is Verdict.DIVERGED
    assert len(report.findings) == 1
    assert compare(stack(), Linears(stack()), INPUTS).verdict is not Verdict.DIVERGED
