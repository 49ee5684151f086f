"""`probe map`: writes a table, checks one, adds to one; what it prints, what it refuses, how it ends."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.commands.running import TINY, Refused, Run

PAIR = '[[pair]]\nreference = "{}"\ncandidate = "{}"\n'


def test_without_o_the_table_goes_to_stdout_and_can_be_applied(reference: Path, faulty: Path, probe: Run):
    written = probe("map", reference, faulty)
    assert written.code == 0
    rows = tomllib.loads(written.out)["pair"]
    assert {"reference": "blocks.{i}.linear", "candidate": "blocks.{i}.linear"} in rows
    Path("map.toml").write_text(written.out)
    report = json.loads(probe("diff", reference, faulty, "--map", "map.toml", "--json").out)
    assert report["first"]["module"] == "blocks.1"
    assert (
        report["compared"]["pairs"] == json.loads(probe("diff", reference, faulty, "--json").out)["compared"]["pairs"]
    )


def test_o_writes_a_file_says_what_is_in_it_and_what_comes_next(reference: Path, faulty: Path, probe: Run):
    written = probe("map", reference, faulty, "-o", "map.toml")
    assert written.code == 0
    assert written.out == "map.toml: 6 rows; 24 of the reference's 24 taps of modules have a counterpart\n"
    assert written.err == "next: probe diff ref.h5 faulty.h5 --map map.toml\n"
    assert Path("map.toml").read_text() == probe("map", reference, faulty).out
    assert probe("map", reference, faulty, "-o", "map.toml", "--force", "-q").err == ""
    assert [path.name for path in Path().iterdir() if path.name.startswith(".map")] == []


def test_json_has_each_row_and_why(reference: Path, faulty: Path, probe: Run):
    found = json.loads(probe("map", reference, faulty, "--json").out)
    row = next(row for row in found["rows"] if row["reference"] == "blocks.{i}.linear")
    assert (row["candidate"], row["asked"], row["places"], row["confidence"]) == (["blocks.{i}.linear"], False, 3, 1.0)
    assert "48 of 48 weight rows agree" in row["reason"]
    assert (found["schema"], found["pairs"], found["reference_only"], found["candidate_only"]) == (1, 24, [], [])


def test_a_table_that_fits_is_0_and_one_that_does_not_is_1(reference: Path, faulty: Path, probe: Run):
    Path("map.toml").write_text(probe("map", reference, faulty).out)
    fits = probe("map", "--check", "map.toml", reference, faulty)
    assert (fits.code, fits.err) == (0, "")
    assert fits.out.startswith(" map.toml: fits\n")
    Path("bad.toml").write_text(PAIR.format("embed", "tail") + PAIR.format("head", "head[0:99]"))
    wrong = probe("map", "--check", "bad.toml", reference, faulty)
    assert wrong.code == 1
    assert wrong.out.startswith(" bad.toml: 2 problems\n")
    for words in (
        "pair 1 ('embed'): the candidate has no module 'tail'",
        "there are no channels 0:99",
        "are in no row",
    ):
        assert words in wrong.out
    problems = json.loads(probe("map", "--check", "bad.toml", reference, faulty, "--json").out)["problems"]
    assert [problem["row"] for problem in problems] == ["pair 1 ('embed')", "pair 2 ('head')"]


def test_edit_adds_what_is_lacking_and_keeps_the_rest(reference: Path, faulty: Path, probe: Run):
    hand = "# by hand\n" + PAIR.format("blocks.{i}", "blocks.{i}")
    Path("map.toml").write_text(hand)
    Path("map.toml").chmod(0o600)
    done = probe("map", "--edit", "map.toml", reference, faulty)
    assert (done.code, done.out) == (0, "map.toml: 5 rows added at the end\n")
    assert Path("map.toml").read_text().startswith(hand)
    assert Path("map.toml").stat().st_mode & 0o777 == 0o600
    assert probe("map", "--check", "map.toml", reference, faulty).code == 0
    assert probe("map", "--edit", "map.toml", reference, faulty).out == "map.toml: 0 rows added at the end\n"


def test_a_name_in_a_dump_cannot_leave_its_string_or_its_comment(probe: Run):
    """A module may be called anything; the table stays TOML, and its other rows stay."""
    Path("evil.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Evil(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.embed = nn.Embedding(8, 4)\n"
        "        self.parts = nn.ModuleDict({name: nn.Linear(4, 4) for name in ('a\"\\n[[skip]]', '{i}', 'c\\\\')})\n"
        "    def forward(self, input_ids):\n"
        "        x = self.embed(input_ids)\n"
        "        for part in self.parts.values():\n"
        "            x = part(x)\n"
        "        return x\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    return Evil().eval()\n"
    )
    target = "py:evil.py:build"
    assert probe("dump", target, "--tokens", "1,2", "-o", "evil.h5").code == 0
    written = probe("map", "evil.h5", "evil.h5")
    table = tomllib.loads(written.out)
    assert table.keys() == {"pair"}
    Path("map.toml").write_text(written.out)
    assert probe("map", "--check", "map.toml", "evil.h5", "evil.h5").code == 0
    assert "\\n" not in [row["reference"] for row in table["pair"]]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["-o", "there.toml"], "there.toml exists already"),
        (["-o", "no/folder/x.toml"], "cannot write no/folder/x.toml: No such file or directory"),
        (["--force"], "--force has no effect without -o"),
        (["--check", "there.toml", "-o", "x.toml"], "-o has no effect with --check"),
        (["--edit", "there.toml", "--force"], "--force has no effect with --edit"),
        (["--check", "none.toml"], "cannot read none.toml: No such file or directory"),
        (["--check", "there.toml"], "there.toml is no TOML: "),
        (["--edit", "there.toml"], "there.toml is no TOML: "),
        (["--check", "nosuch"], "there is no table 'nosuch': those that come with probe are fused-llama, "),
        (["--edit", "nanogpt"], "cannot read nanogpt: No such file or directory"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], error: str, reference: Path, refused: Refused):
    Path("there.toml").write_text("[[pair")
    assert refused("map", reference, reference, *words).error.startswith(error)
    assert Path("there.toml").read_text() == "[[pair"


def test_two_models_with_nothing_in_common_make_no_table(reference: Path, probe: Run, refused: Refused):
    assert probe("dump", f"{TINY}:stranger", "--tokens", "1,2,3,4,5", "-o", "other.h5").code == 0
    said = refused("map", reference, "other.h5", "-o", "map.toml")
    assert said.error == "nothing in other.h5 could be paired with ref.h5"
    assert not Path("map.toml").exists()
