"""Below the floor: an embedding's scale that the candidate rounds to another dtype, or to its own."""

import pytest
import torch
from torch import Tensor, nn

from probe.locate import ABOVE_FLOOR
from probe.report import Verdict
from tests.conftest import Compare

SIZE, WORDS = 88, 50
SCALE = SIZE**0.5
"""9.3808; bfloat16 has 9.375, float16 9.3828."""


class Embedded(nn.Module):
    def __init__(self, kind: torch.dtype | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.out = nn.Embedding(WORDS, SIZE), nn.Linear(SIZE, SIZE)
        self.scale = SCALE if kind is None else float(torch.tensor(SCALE, dtype=kind))

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.out(self.embed(input_ids) * self.scale)


def ids(tokens: int) -> dict[str, Tensor]:
    return {"input_ids": torch.arange(tokens)[None] * 7 % WORDS}


PAIRS = [
    (torch.float16, torch.bfloat16, 9.375),
    (torch.bfloat16, torch.bfloat16, 9.375),
    (torch.bfloat16, torch.float16, 9.3828125),
]


@pytest.mark.parametrize(("dtype", "kind", "scale"), PAIRS)
def test_a_rounded_scale_is_found_where_no_norm_shows_it(
    compare: Compare, dtype: torch.dtype, kind: torch.dtype, scale: float
):
    report = compare(Embedded(), Embedded(kind).to(dtype), ids(40))
    assert max(tap.ratio for tap in report.taps) < ABOVE_FLOOR
    (finding,) = report.findings
    assert (finding.cause, finding.module, finding.candidate_value) == ("embed.rounding", "embed", scale)
    assert report.verdict is Verdict.DIVERGED


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, None])
def test_the_references_own_scale_is_none(compare: Compare, dtype: torch.dtype, kind: torch.dtype | None):
    report = compare(Embedded(kind), Embedded(kind).to(dtype), ids(40))
    assert report.findings == ()
    assert report.verdict is Verdict.NOISE


def test_an_input_that_is_too_short_says_how_many_tokens_would_do(compare: Compare):
    report = compare(Embedded(), Embedded(torch.float16).bfloat16(), ids(1))
    assert report.findings == ()
    (note,) = report.notes
    assert "whether embed.rounding is another usual one in embed: about" in note
    assert "times as many tokens would show it" in note
