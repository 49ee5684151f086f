"""What probe map writes gives, read again and applied alone, the very pairs that inference found."""

from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.align.mapping import Mapping, Pair, Source
from probe.align.pairs import align
from probe.align.table.apply import pairs_of_table
from probe.align.table.check import check
from probe.align.table.merge import merged, same_pair
from probe.align.table.propose import infer, table_text
from probe.align.table.read import parse_table
from probe.dump import Dump
from tests.ports.llama import convert
from tests.ports.references import prompts, reference
from tests.ports.styles import STYLES
from tests.zoo.architectures import Size, build, inputs

ALONE = Mapping((), (), ())
RE_FOUND = "the same numbers"
"""Pairs of token ids and the like: inference finds them again from their values, whatever the table says."""


def recorded(folder: Path, ours: nn.Module, theirs: nn.Module, fed: dict, other: dict) -> tuple[Dump, Dump]:
    for model, given, name in ((ours, fed, "r"), (theirs, other, "c")):
        with torch.no_grad(), probe.record(model, folder / f"{name}.h5", force=True):
            model(**given)
    return probe.open(folder / "r.h5"), probe.open(folder / "c.h5")


def hashes(pair: Pair) -> list[tuple[int, object]]:
    """Of several taps that hold one tensor, either may stand for it."""
    return [(source.tap.statistics.hash, _cut(source)) for source in pair.sources]


def _cut(source: Source) -> object:
    return source.columns, source.block


def assert_round_trip(sides: tuple[Dump, Dump]) -> str:
    with sides[0] as ours, sides[1] as theirs:
        inferred = align(ours, theirs)
        text = table_text(infer(ours, theirs), ours, theirs)
        table = parse_table(text, "written")
        again = merged(pairs_of_table(table, ours, theirs), ALONE, ours, theirs)
        found = {(pair.reference.step, pair.reference.name): pair for pair in again.pairs}
        wanted = {(pair.reference.step, pair.reference.name): pair for pair in inferred.pairs}
        missing = {key for key in wanted.keys() - found.keys() if wanted[key].reason != RE_FOUND}
        assert not missing
        assert not found.keys() - wanted.keys()
        for key in found.keys() & wanted.keys():
            one, other = wanted[key], found[key]
            assert same_pair(one, other) or (one.firm == other.firm and hashes(one) == hashes(other)), key
        assert not check(table, ours, theirs).problems
    return text


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_the_table_of_a_port_gives_its_pairs_again(style, tmp_path: Path):
    ours = style.reference(Size(layers=3), 1)
    text = assert_round_trip(recorded(tmp_path, ours, style.candidate(ours), *style.fed(1)))
    assert text.count("[[pair]]") < 30  # folded: not a row for every layer


@pytest.mark.parametrize("bug", ["eps", "gate_up_swapped", "norms_swapped"])
def test_a_bug_changes_nothing_of_that(bug: str, tmp_path: Path):
    ours = reference("llama", 2)
    fed = {"input_ids": prompts(2, num_tokens=9)}
    assert_round_trip(recorded(tmp_path, ours, convert(ours.state_dict(), ours.config, bug, 1), fed, fed))


@pytest.mark.parametrize("name", ["bert", "gemma2", "gpt-bigcode", "mixtral", "phi3", "whisper"])
def test_the_table_of_a_model_and_its_like_in_bf16(name: str, tmp_path: Path):
    ours = build(name)
    fed = inputs(name)
    other = {key: value.bfloat16() if value.is_floating_point() else value for key, value in fed.items()}
    assert_round_trip(recorded(tmp_path, ours, build(name).bfloat16(), fed, other))


def test_rows_are_folded_and_say_why_they_are_believed(tmp_path: Path):
    ours = reference("llama", 0)
    fed = {"input_ids": prompts(0, num_tokens=9)}
    text = assert_round_trip(recorded(tmp_path, ours, convert(ours.state_dict(), ours.config), fed, fed))
    row = text[: text.index('reference = "model.layers.{i}.self_attn.k_proj"')]
    assert row.splitlines()[-2] == "# weights; 192 of 192 weight rows agree, 4 places; sure 0.99"
    assert 'candidate = "layers.{i}.attention.wqkv[96:144]"' in text
    assert "# reference only: " in text
    assert "#   model.layers.{i}.self_attn:out.1   (4)" in text


def test_one_layer_that_differs_has_a_row_beside_the_template_of_the_others(tmp_path: Path):
    """Layer 1 is another layer's: its container is not what inference is sure of, the others' are."""
    ours = reference("llama", 0)
    fed = {"input_ids": prompts(0, num_tokens=9)}
    theirs = convert(ours.state_dict(), ours.config, "eps", 1)
    text = assert_round_trip(recorded(tmp_path, ours, theirs, fed, fed))
    assert 'reference = "model.layers.{i}"\n' in text
    assert text.count("[[pair]]") < 24


def test_what_is_the_same_in_all_layers_but_one_is_written_out(tmp_path: Path):
    """A row of a template would speak for the layer that has no counterpart too."""
    torch.manual_seed(0)
    ours = nn.Sequential(*(nn.Linear(16, 16) for _ in range(4)))

    class Port(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
            for index, step in enumerate(self.steps):
                step.load_state_dict(ours[index].state_dict())

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            for step in self.steps:
                input = step(input)
            return input @ ours[3].weight.T.double().float() + ours[3].bias

    fed = {"input": torch.randn(2, 16)}
    text = assert_round_trip(recorded(tmp_path, ours, Port(), fed, fed))
    assert 'reference = "1"' in text
    assert 'reference = "{i}"' not in text
