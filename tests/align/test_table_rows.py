"""What each kind of row does, on a small model and a port that keeps nothing where it was."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.align.mapping import Mapping, candidate_values
from probe.align.table.apply import Applied, pairs_of_table
from probe.align.table.merge import merged
from probe.align.table.read import parse_table
from probe.dump import Dump
from probe.report import Verdict


class Config:
    def to_dict(self) -> dict[str, object]:
        return {"hidden": 12, "text": {"heads": 4}}


class Attention(nn.Module):
    """Heads [B, H, T, D] out of q, k, v [B, T, H D]."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(12, 12, bias=False) for _ in range(3))
        self.split = nn.Identity()

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        q_BHTD = self.split(self.q(x_BTC).unflatten(-1, (4, 3)).transpose(1, 2))
        return q_BHTD.transpose(1, 2).flatten(2) + self.k(x_BTC) * self.v(x_BTC)


class Ours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.config = Config()
        self.embed = nn.Embedding(9, 12)
        self.layers = nn.ModuleList(Attention() for _ in range(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x_BTC = self.embed(ids) * 2.0
        for layer in self.layers:
            x_BTC = layer(x_BTC)
        return x_BTC


class Fused(nn.Module):
    """k and v in two halves each of one matrix, v first; q in two matrices."""

    def __init__(self, layer: Attention) -> None:
        super().__init__()
        self.vk = nn.Linear(12, 24, bias=False)
        self.vk.weight = nn.Parameter(torch.cat([layer.v.weight, layer.k.weight]).detach())
        self.q_low, self.q_high = nn.Linear(12, 6, bias=False), nn.Linear(12, 6, bias=False)
        self.q_low.weight, self.q_high.weight = (nn.Parameter(half.detach()) for half in layer.q.weight.chunk(2))

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        v_BTC, k_BTC = self.vk(x_BTC).chunk(2, dim=-1)
        return torch.cat([self.q_low(x_BTC), self.q_high(x_BTC)], dim=-1) + k_BTC * v_BTC


class Theirs(nn.Module):
    """Layers are counted from 1; the embedding is 2 w + 1 in its table."""

    def __init__(self, ours: Ours) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 12)
        self.table.weight = nn.Parameter(2 * ours.embed.weight.detach() + 1)
        self.blocks = nn.ModuleList([nn.Identity(), *(Fused(layer) for layer in ours.layers)])

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x_BTC = self.table(ids) - 1
        for block in self.blocks:
            x_BTC = block(x_BTC)
        return x_BTC


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dump, Dump]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("rows")
    ours = Ours()
    for model, name in ((ours, "ours"), (Theirs(ours), "theirs")):
        with torch.no_grad(), probe.record(model, folder / f"{name}.h5"):
            model(torch.arange(8).reshape(2, 4))
    return probe.open(folder / "ours.h5"), probe.open(folder / "theirs.h5")


SIZES = '[sizes]\nd = "hidden // text.heads"\nw = "d * text.heads"\n'
VALUE, KEY = "blocks.{i+1}.vk[0:w]", "blocks.{i+1}.vk[w:2*w]"


def row(reference: str, candidate: str | list[str], more: str = "") -> str:
    return f"[[pair]]\nreference = '{reference}'\ncandidate = {candidate!r}\n{more}\n"


def applied(sides: tuple[Dump, Dump], text: str) -> Applied:
    return pairs_of_table(parse_table(text, "t.toml"), *sides)


def worst(sides: tuple[Dump, Dump], text: str) -> dict[str, float]:
    """Of each pair that the table makes: the largest difference between its two sides."""
    found = applied(sides, text)
    assert not found.problems
    return {
        pair.reference.name: float(np.abs(sides[0].read(pair.reference) - candidate_values(pair, sides[1], None)).max())
        for pair in found.pairs.values()
    }


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        (SIZES + row("layers.{i}.v", VALUE), ["layers.{}.v:out"]),
        (SIZES + row("layers.{i}.k", "blocks.{i+1}.vk[w:]"), ["layers.{}.k:out"]),
        (SIZES + row("layers.{i}.{k,v}", "blocks.{i+1}.vk[{w:2*w,:w}]"), ["layers.{}.k:out", "layers.{}.v:out"]),
        (row("layers.{i}.q", ["blocks.{i+1}.q_low", "blocks.{i+1}.q_high"]), ["layers.{}.q:out"]),
        (row("layers.{i}.q:out", ["blocks.{i+1}.q_low:out", "blocks.{i+1}.q_high:out"]), ["layers.{}.q:out"]),
        (row("layers.{i}", "blocks.{i+1}"), ["layers.{}:out"]),
        (row("layers.{i}:out", "blocks.{i+1}"), ["layers.{}:out"]),
        (
            row(
                "layers.{i}.split:in",
                ["blocks.{i+1}.q_low:out", "blocks.{i+1}.q_high:out"],
                "layout = 'b t (h d) -> b h t d'\nsizes = {h = 'text.heads'}",
            ),
            ["layers.{}.split:in"],
        ),
    ],
)
def test_a_row_pairs_equal_numbers_in_every_layer(sides, text: str, outputs: list[str]):
    errors = worst(sides, text)
    for name in outputs:
        for layer in (0, 1):
            assert errors[name.format(layer)] < 1e-5


def test_a_constant_is_compared_with_and_without_it_the_numbers_differ(sides):
    assert worst(sides, row("embed", "table", "scale = 0.5\noffset = -0.5"))["embed:out"] < 1e-6
    assert worst(sides, row("embed", "table"))["embed:out"] > 0.5


def test_the_wrong_channels_or_axes_are_seen_in_the_numbers(sides):
    assert worst(sides, SIZES + row("layers.{i}.v", KEY))["layers.0.v:out"] > 0.1
    moved = row("layers.{i}.q", ["blocks.{i+1}.q_high", "blocks.{i+1}.q_low"])
    assert worst(sides, moved)["layers.1.q:out"] > 0.1


def test_inputs_follow_a_module_s_row_and_a_tap_s_row_brings_none(sides):
    assert {"layers.0.q:in", "layers.1.q:in"} < worst(sides, row("layers.{i}.q", ["blocks.{i+1}.q_low"] * 2)).keys()
    assert worst(sides, row("layers.{i}:out", "blocks.{i+1}:out")).keys() == {"layers.0:out", "layers.1:out"}


def test_the_more_specific_row_counts_wherever_it_stands(sides):
    general, special = row("layers.{i}", "blocks.{i+1}"), row("layers.1", "blocks.1")
    tap = row("layers.1:in", "table:out")
    for text in (general + special + tap, tap + special + general):
        pairs = {pair.reference.name: pair.candidate_name for pair in applied(sides, text).pairs.values()}
        assert pairs["layers.0:out"] == "blocks.1:out"
        assert pairs["layers.1:out"] == "blocks.1:out"
        assert pairs["layers.1:in"] == "table:out"


def test_a_skip_takes_a_module_s_taps_or_one_out_of_every_other_list(sides):
    text = row("layers.{i}", "blocks.{i+1}")
    text += '[[skip]]\nreference = "layers.{i}:in"\nreason = "no"\n[[skip]]\nreference = "layers.0"\nreason = "never"\n'
    found = applied(sides, text)
    assert {key[1]: one.reason for key, one in found.skipped.items()} == {
        "layers.0:out": "never",
        "layers.0:in": "no",
        "layers.1:in": "no",
    }
    mapping = merged(found, Mapping((), (), ()), *sides)
    assert "layers.0:in" not in {tap.name for tap in mapping.reference_only}
    assert [pair.reference.name for pair in mapping.pairs if pair.reference.module.startswith("layers")] == [
        "layers.1:out"
    ]


def test_a_row_that_is_not_firm_makes_pairs_that_are_not(sides):
    found = applied(sides, row("layers.{i}", "blocks.{i+1}", "firm = false"))
    assert {pair.firm for pair in found.pairs.values()} == {False}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (row("layers.{i}", "blocks.{i+2}"), "the candidate has no module 'blocks.3', for the reference's 'layers.1'"),
        (row("layers.{i}.mlp", "blocks.{i}"), "the reference has no module 'layers.{i}.mlp'"),
        (row("layers.{i}:out.7", "blocks.{i}"), "the reference has no tap 'layers.{i}:out.7'"),
        (row("layers.{i}:out", "blocks.{i+1}:out.7"), "that also blocks.1 has"),
        (row("layers.{i}.q", "blocks.{i+1}.vk"), "the shapes do not fit: (2, 4, 12) in the reference, (2, 4, 24)"),
        (row("layers.{i}.q", "blocks.{i+1}.vk[0:99]"), "there are no channels 0:99 in a tensor with 24"),
        (row("layers.{i}.q", "blocks.{i+1}.vk[6:6]"), "there are no channels 6:6"),
        (row("layers.{i}.q", "blocks.{i+1}.vk[0:size]"), "the size 'size' is neither in [sizes] nor in"),
        (row("layers.{i}.q", "blocks.{i+1}.vk[0:12//0]"), "divides by zero"),
        (row("layers.{i}.q[0:3]", "blocks.{i+1}.vk"), "channels are cut out of the candidate"),
        (row("embed:out", "table:in"), "table:in is int64 where embed:out is float32"),
        (row("layers.{i}", ["table:in", "blocks.1"]), "table:in is int64"),
        (row("layers.{i}.q", "blocks.{i+1}.q_low", "layout = 'b t c -> t b c'"), "makes (4, 2, 6)"),
        (row("layers.{i}.q", "blocks.{i+1}.vk", "layout = 'unpadded'"), "the shapes do not fit"),
        (row("embed", "table") * 2, "'embed' is given already by pair 1 ('embed')"),
        (row("layers.{i}", "blocks.1") + row("layers.{j}", "blocks.2"), "is given already by pair 1"),
    ],
)
def test_a_row_that_does_not_fit_the_dumps_says_why(sides, text: str, said: str):
    problems = applied(sides, text).problems
    assert said in problems[0].message
    assert problems[0].row.startswith("pair ")
    assert problems[0].hint


def test_what_a_row_gives_to_one_tap_inference_does_not_give_to_another(sides, tmp_path: Path):
    path = tmp_path / "self.h5"
    torch.manual_seed(0)
    model = Ours()
    with torch.no_grad(), probe.record(model, path):
        model(torch.arange(8).reshape(2, 4))
    with probe.open(path) as same:
        inferred = probe.align.pairs.align(sides[0], same)
        assert {pair.reference.name for pair in inferred.pairs} >= {"layers.0.k:out", "layers.1.k:out"}
        found = pairs_of_table(parse_table(row("layers.0.k", "layers.1.k"), "t"), sides[0], same)
        mapping = merged(found, inferred, sides[0], same)
    pairs = {pair.reference.name: pair.candidate_name for pair in mapping.pairs}
    assert pairs["layers.0.k:out"] == "layers.1.k:out"
    assert "layers.1.k:out" not in pairs
    assert "layers.1.k:out" in {tap.name for tap in mapping.reference_only}


def test_replay_puts_in_what_the_constants_make_of_the_candidate(tmp_path: Path):
    torch.manual_seed(0)
    ours = Ours()
    for model, name in ((ours, "ours"), (Theirs(ours), "theirs")):
        with torch.no_grad(), probe.record(model, tmp_path / f"{name}.h5"):
            model(torch.arange(8).reshape(2, 4))
    table = tmp_path / "t.toml"
    elsewhere = {}
    for scale in (0.5, 0.6):
        text = row("embed", "table", f"scale = {scale}\noffset = -0.5") + row("layers.{i}", "blocks.{i+1}")
        table.write_text(text)
        report = probe.diff(tmp_path / "ours.h5", tmp_path / "theirs.h5", reference=ours, table=table)
        found = {tap.reference: tap for tap in report.taps}
        assert found["embed:out"].candidate == "table:out"
        assert report.verdict is Verdict.NOISE
        elsewhere[scale] = [note for note in report.notes if note.startswith("embed:out was tapped at another point")]
    assert not elsewhere[0.5]
    assert elsewhere[0.6]  # replay: what follows agrees without that tensor, and not with it
