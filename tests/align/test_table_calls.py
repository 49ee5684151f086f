"""Modules that run more than once in a step, and runs of more than one step."""

from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.align.table.apply import pairs_of_table
from probe.align.table.read import parse_table
from probe.dump import Dump


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lin(torch.tanh(self.lin(x)))


class Apart(nn.Module):
    """The same computation, with a module for each call."""

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self.low, self.high = nn.Linear(4, 4), nn.Linear(4, 4)
        for linear in (self.low, self.high):
            linear.load_state_dict(shared.lin.state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.high(torch.tanh(self.low(x)))


@pytest.fixture
def sides(tmp_path: Path) -> dict[str, Dump]:
    """Each in two steps."""
    torch.manual_seed(0)
    shared = Shared()
    for name, model in (("shared", shared), ("apart", Apart(shared))):
        with torch.no_grad(), probe.record(model, tmp_path / f"{name}.h5"):
            for step in (1.0, 2.0):
                model(torch.full((2, 4), step))
    return {name: probe.open(tmp_path / f"{name}.h5") for name in ("shared", "apart")}


def paired(ours: Dump, theirs: Dump, *rows: tuple[str, str]) -> set[tuple[int, str, str]]:
    text = "".join(f'[[pair]]\nreference = "{ours}"\ncandidate = "{theirs}"\n' for ours, theirs in rows)
    applied = pairs_of_table(parse_table(text, "t"), ours, theirs)
    assert not applied.problems
    assert all(pair.sources[0].tap.step == step for (step, _), pair in applied.pairs.items())
    return {(step, name, pair.candidate_name) for (step, name), pair in applied.pairs.items()}


def test_a_row_speaks_for_every_call_and_every_step(sides):
    found = paired(sides["shared"], sides["shared"], ("lin", "lin"))
    names = {"lin:in", "lin:out", "lin@1:in", "lin@1:out"}
    assert found == {(step, name, name) for step in (0, 1) for name in names}


def test_calls_of_one_module_may_be_modules_of_the_other_side(sides):
    rows = ("lin@0:out", "low:out"), ("lin@1:out", "high:out")
    expected = {(step, *names) for step in (0, 1) for names in (("lin:out", "low:out"), ("lin@1:out", "high:out"))}
    assert paired(sides["shared"], sides["apart"], *rows) == expected
    rows = ("low:out", "lin@0:out"), ("high:out", "lin@1:out")
    backwards = {(step, theirs, ours) for step, ours, theirs in expected}
    assert paired(sides["apart"], sides["shared"], *rows) == backwards


def test_one_call_is_more_specific_than_all(sides):
    found = paired(sides["shared"], sides["apart"], ("lin:out", "low:out"), ("lin@1:out", "high:out"))
    assert found == paired(sides["shared"], sides["apart"], ("lin@0:out", "low:out"), ("lin@1:out", "high:out"))


def test_a_call_without_a_port_is_refused(sides):
    table = parse_table('[[pair]]\nreference = "lin@1"\ncandidate = "high"\n', "t")
    problems = pairs_of_table(table, sides["shared"], sides["apart"]).problems
    assert "name its port too" in problems[0].message
