"""Other positions, more words and small outputs are no bugs; what is not compared is said."""

import pytest
import torch
from torch import nn

from probe.errors import ProbeError
from probe.report import Status, Verdict
from tests.compare.copies import SIZE, two
from tests.conftest import Compare
from tests.zoo.architectures import VOCABULARY


@pytest.mark.parametrize("num_sentences", [1, 2])
def test_learned_positions_further_on_are_another_input(compare: Compare, num_sentences: int):
    """What rotary embeddings do not mind; put in by the replay, it would agree with itself from there on."""
    reference, candidate, fed = two("gpt2")
    ids, positions = fed["input_ids"].repeat(num_sentences, 1), torch.arange(SIZE.tokens)[None]
    mine, other = ({"input_ids": ids, "position_ids": positions + shift} for shift in (0, 7))
    with pytest.raises(ProbeError, match=r"position_ids is 7 more .* and transformer\.wpe looks them up"):
        compare(reference, candidate, mine, candidate_inputs=other)


@pytest.mark.parametrize("counting", [False, True])
def test_every_position_further_on_by_as_much(compare: Compare, counting: bool):
    """Rotary embeddings are relative; words that count up as positions do are no positions that are looked up."""
    reference, candidate, fed = two()
    if counting:
        fed = {"input_ids": 3 + torch.arange(SIZE.tokens)[None]}
    positions = torch.arange(SIZE.tokens)[None]
    report = compare(
        reference, candidate, fed | {"position_ids": positions}, candidate_inputs=fed | {"position_ids": positions + 7}
    )
    assert report.verdict is Verdict.NOISE, report.first


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_logits_of_a_padded_vocabulary_are_not_passed_over(compare: Compare, name: str):
    """What has more words is not compared, and that is said above the verdict."""
    reference, candidate, fed = two(name)
    candidate.resize_token_embeddings(VOCABULARY + 32, mean_resizing=False)
    report = compare(reference, candidate, fed)
    assert report.verdict is not Verdict.DIVERGED, report.first
    paired = any(row.reference == ":out.logits" for row in report.taps)
    said = [check.message for check in report.trust if check.status is Status.WARN]
    assert paired or "the model's result has other channels, :out.logits [1, 19, 256]" in said[0]


class Tiny(nn.Module):
    """Outputs far below any absolute tolerance."""

    def __init__(self, scale: float, odd: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.head = nn.Linear(16, 32), nn.Linear(32, 16, bias=False)
        with torch.no_grad():
            self.head.weight.mul_(scale)
            self.head.weight[:4].mul_(odd)

    def forward(self, x_TC: torch.Tensor) -> torch.Tensor:
        return self.head(self.inner(x_TC).tanh())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("scale", [1e-6, 1e-20], ids=str)
def test_outputs_near_zero_are_judged_by_their_own_size(compare: Compare, dtype: torch.dtype, scale: float):
    """meta-pytorch/tritonbench 1145: beside an absolute tolerance of 1e-5 anything passes."""
    fed = {"x_TC": torch.randn(9, 16, generator=torch.Generator().manual_seed(0))}
    small = {"x_TC": fed["x_TC"].to(dtype)}
    honest = compare(Tiny(scale), Tiny(scale).to(dtype), fed, candidate_inputs=small)
    assert honest.verdict is (Verdict.IDENTICAL if dtype is torch.float32 else Verdict.NOISE)
    wrong = compare(Tiny(scale), Tiny(scale, odd=1.3).to(dtype), fed, candidate_inputs=small)
    assert wrong.verdict is Verdict.DIVERGED
    assert wrong.first.module == "head"
