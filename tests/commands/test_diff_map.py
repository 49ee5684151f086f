"""--map: a table made by hand, right and wrong."""

import json
from pathlib import Path

import pytest

from tests.commands.running import TINY, Refused, Run

TABLE = """
[[pair]]
reference = "embed"
candidate = "table"
[[pair]]
reference = "blocks.{i}.linear"
candidate = "stages.{i}.matrix"
[[pair]]
reference = "blocks.{i}"
candidate = "stages.{i}"
[[pair]]
reference = "head"
candidate = "out"
[[skip]]
reference = "blocks.{i}.norm"
reason = "the port calls a function there"
"""


@pytest.fixture
def port(reference: Path, probe: Run) -> Path:
    """Its names and the numbers in its weights are all its own."""
    assert probe("dump", f"{TINY}:port", "--arg", "gain=1.5", "--inputs", reference, "-o", "port.h5").code == 0
    return Path("port.h5")


def test_a_table_pairs_by_hand_what_nothing_else_could_pair(reference: Path, port: Path, probe: Run):
    alone = probe("diff", reference, port)
    assert (alone.code, "nothing in common" in alone.err) == (2, True)
    Path("table.toml").write_text(TABLE)
    compared = probe("diff", reference, port, "--map", "table.toml", "--json")
    report = json.loads(compared.out)
    assert compared.code == 1
    assert report["first"]["module"] == "blocks.1"
    pairs = {tap["reference"]: tap["candidate"] for tap in report["taps"]}
    assert pairs["blocks.2.linear:out"] == "stages.2.matrix:out"
    assert pairs["head:out"] == "out:out"
    assert not any("norm" in name for name in pairs)


def test_what_a_table_leaves_out_is_said(reference: Path, port: Path, probe: Run):
    Path("table.toml").write_text(TABLE)
    words = ["diff", reference, port, "--map", "table.toml"]
    skipped = json.loads(probe(*words, "--json").out)["compared"]["skipped"]
    assert {"tap": "blocks.0.norm:in", "reason": "the port calls a function there"} in skipped
    assert "left out by the table: blocks.0.norm:in (the port calls a function" in " ".join(probe(*words).out.split())


def test_a_table_overrides_what_was_inferred(reference: Path, probe: Run):
    Path("table.toml").write_text('[[pair]]\nreference = "blocks.0.linear"\ncandidate = "blocks.2.linear"\n')
    compared = probe("diff", reference, reference, "--map", "table.toml", "--json")
    pairs = {tap["reference"]: tap["candidate"] for tap in json.loads(compared.out)["taps"]}
    assert pairs["blocks.0.linear:out"] == "blocks.2.linear:out"
    assert pairs["blocks.1.linear:out"] == "blocks.1.linear:out"
    assert compared.code == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "cannot read table.toml: No such file or directory"),
        ("[[pair]\n", "table.toml is no TOML: "),
        ("", "table.toml is empty"),
        ("[[pairs]]\n", "table.toml has an unknown table 'pairs'"),
        ('[[pair]]\nreference = "blocks.0"\n', "table.toml, pair 1 ('blocks.0'): candidate is missing, or no text"),
        ('[[pair]]\ncandidate = "blocks.0"\n', "table.toml, pair 1: reference is missing, or no text"),
        ('[[pair]]\nreference = 3\ncandidate = "blocks.0"\n', "table.toml, pair 1: reference is missing, or no text"),
        (
            '[[pair]]\nreference = "layers.{i}"\ncandidate = "blocks.{i}"\n',
            "table.toml, pair 1 ('layers.{i}'): the reference has no module 'layers.{i}'",
        ),
        (
            '[[pair]]\nreference = "head"\ncandidate = "tail"\n',
            "table.toml, pair 1 ('head'): the candidate has no module 'tail'",
        ),
        (
            '[[pair]]\nreference = "head"\ncandidate = "head[0-3]"\n',
            "table.toml, pair 1 ('head'): 'head': cannot read the channels [0-3]",
        ),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_by_row(text: str | None, error: str, reference: Path, refused: Refused):
    if text is not None:
        Path("table.toml").write_text(text)
    assert refused("diff", reference, reference, "--map", "table.toml").error.startswith(error)
