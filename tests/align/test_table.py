"""The mapping table: its rows come before what is inferred, and a wrong row is told by its number."""

from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.align.pairs import align
from probe.align.table import apply_table
from probe.errors import ProbeError
from probe.report import Verdict


class Ours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


class Theirs(nn.Module):
    """The same computation, in names and weights that tell nothing: each matrix is split into a sum."""

    def __init__(self, ours: Ours) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Sum(layer) for layer in ours.layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            x = torch.relu(step(x))
        return x


class Sum(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        part = torch.randn(8, 8)
        self.first = nn.Parameter(part)
        self.second = nn.Parameter(layer.weight.detach() - part)
        self.bias = nn.Parameter(layer.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.first + self.second).T + self.bias


@pytest.fixture
def dumps(tmp_path: Path):
    torch.manual_seed(0)
    ours = Ours()
    theirs = Theirs(ours)
    for name, model in (("ours", ours), ("theirs", theirs)):
        with torch.no_grad(), probe.record(model, tmp_path / f"{name}.h5"):
            model(torch.ones(2, 8))
    return tmp_path / "ours.h5", tmp_path / "theirs.h5", ours


def table(dumps, text: str) -> Path:
    path = dumps[0].with_name("map.toml")
    path.write_text(text)
    return path


GOOD = '[[pair]]\nreference = "layers.{i}"\ncandidate = "steps.{i}"\n'


def test_a_row_pairs_what_nothing_else_could(dumps):
    with pytest.raises(ProbeError, match="nothing in common"):
        probe.diff(*dumps[:2], reference=dumps[2])
    report = probe.diff(*dumps[:2], reference=dumps[2], table=table(dumps, GOOD))
    assert {row.reference: row.candidate for row in report.taps}["layers.1:out"] == "steps.1:out"
    assert report.verdict in (Verdict.NOISE, Verdict.IDENTICAL)


def test_a_skipped_module_is_not_compared(dumps):
    text = GOOD + '[[skip]]\nreference = "layers.2"\nreason = "another point"\n'
    with probe.open(dumps[0]) as ours, probe.open(dumps[1]) as theirs:
        mapping = apply_table(table(dumps, text), align(ours, theirs), ours, theirs)
    skipped = {one.tap.name: one.reason for one in mapping.skipped}
    assert skipped == {"layers.2:in": "another point", "layers.2:out": "another point"}
    others = {tap.name for tap in mapping.reference_only} | {pair.reference.name for pair in mapping.pairs}
    assert "layers.1:out" in others
    assert not skipped.keys() & others


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("this is no TOML", "no TOML"),
        ("", "is empty"),
        ("[[pairs]]\n", "unknown table 'pairs'"),
        ("[[pair]]\ncandidate = 'steps.0'\n", "pair 1: reference is missing"),
        ("[[pair]]\nreference = 'layers.0'\n", "pair 1 ('layers.0'): candidate is missing"),
        ("[[pair]]\nreference = 'blocks.{i}'\ncandidate = 'steps.{i}'\n", "the reference has no module 'blocks.{i}'"),
        (GOOD + "[[pair]]\nreference = 'layers.0'\ncandidate = 'nowhere'\n", "pair 2 ('layers.0'): the candidate has"),
        ("[[pair]]\nreference = 'layers.0'\ncandidate = 'steps.0[8'\n", "cannot read 'steps.0[8'"),
    ],
)
def test_a_wrong_row_is_told_by_its_number(dumps, text, said):
    with pytest.raises(ProbeError) as raised:
        probe.diff(*dumps[:2], reference=dumps[2], table=table(dumps, text))
    assert said in str(raised.value)
    assert raised.value.hint


def test_a_missing_table_is_an_error(dumps):
    with pytest.raises(ProbeError, match="cannot read"):
        probe.diff(*dumps[:2], reference=dumps[2], table=dumps[0].with_name("none.toml"))
