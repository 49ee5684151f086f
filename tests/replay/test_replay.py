"""Teacher forcing: each error at its own place, none inherited."""

import pytest
import torch
from torch import nn

from probe.replay.origins import responsible
from probe.report import Verdict
from tests.conftest import Compare
from tests.replay.stacks import INPUTS, Stack, stack


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
