"""What inference is not sure of is a question in the table, and no row until a person takes the comment away."""

import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.align.table.check import check
from probe.align.table.edit import edited
from probe.align.table.propose import infer, table_text
from probe.align.table.read import parse_table
from probe.dump import Dump


class Model(nn.Module):
    """Norms of ones between two matrices: nothing tells them apart but their order."""

    def __init__(self, matrices: list[torch.Tensor], names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        for name in names:
            width = 16
            setattr(self, name, nn.Linear(width, width, bias=False) if "norm" not in name else nn.LayerNorm(width))
        for module, matrix in zip((m for m in self.children() if isinstance(m, nn.Linear)), matrices, strict=True):
            module.weight = nn.Parameter(matrix)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.names:
            x = getattr(self, name)(x)
        return x


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Dump, Dump]:
    torch.manual_seed(0)
    matrices = [torch.randn(16, 16) for _ in range(2)]
    x = torch.randn(3, 16)
    for side, names in (("r", ("first", "norm", "last")), ("c", ("one", "norm_a", "norm_b", "two"))):
        model = Model(matrices, names)
        with torch.no_grad(), probe.record(model, tmp_path / f"{side}.h5"):
            model(x)
    return probe.open(tmp_path / "r.h5"), probe.open(tmp_path / "c.h5")


def test_an_unsure_row_is_a_question(sides):
    text = table_text(infer(*sides), *sides)
    rows = {row["reference"]: row["candidate"] for row in tomllib.loads(text)["pair"]}
    assert rows["first"] == "one"
    assert "norm" not in rows
    assert "# ---- asked: " in text
    assert "# Is norm the same as norm_a?" in text


def test_its_comment_taken_away_it_is_a_row(sides):
    text = table_text(infer(*sides), *sides)
    begin = text.index('# [[pair]]\n# reference = "norm"')
    answered = text[:begin] + "\n".join(line.removeprefix("# ") for line in text[begin:].split("\n", 3)[:3]) + "\n"
    assert {"reference": "norm", "candidate": "norm_a"} in tomllib.loads(answered)["pair"]
    assert not check(parse_table(answered, "t"), *sides).problems


def test_a_question_is_put_once(sides):
    text = table_text(infer(*sides), *sides)
    assert edited(text, "t", *sides).text == text
    answered = edited('[[pair]]\nreference = "norm"\ncandidate = "norm_b"\n', "t", *sides)
    assert "# Is norm " not in answered.text
