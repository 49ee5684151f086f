"""Below the floor: rotary frequencies that the reference stretches for long contexts, in a prompt that is short."""

import pytest
import torch
from torch import Tensor, nn

from probe.locate import ABOVE_FLOOR
from probe.report import Verdict
from tests.conftest import Compare

HEADS, CHANNELS = 4, 64


def frequencies(stretch: float) -> Tensor:
    """theta 5e5; those with a wavelength of more than 2,000 tokens are divided by `stretch`."""
    plain = 5e5 ** (-torch.arange(CHANNELS // 2) / (CHANNELS // 2))
    return torch.where(2 * torch.pi / plain > 2000, plain / stretch, plain)


class Attention(nn.Module):
    def __init__(self, stretch: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        size = HEADS * CHANNELS
        self.q, self.k, self.v, self.out = (nn.Linear(size, size, bias=False) for _ in range(4))
        for matrix in (self.q, self.k):
            nn.init.normal_(matrix.weight, std=size**-0.5)
        self.stretch = stretch

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (matrix(x).unflatten(-1, (HEADS, CHANNELS)).transpose(1, 2) for matrix in (self.q, self.k, self.v))
        angles = torch.arange(x.shape[1])[:, None] * frequencies(self.stretch)
        cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)

        def turned(z: Tensor) -> Tensor:
            first, second = z.float().chunk(2, -1)
            return (z.float() * cos + torch.cat([-second, first], -1) * sin).type_as(z)

        scores = turned(q) @ turned(k).transpose(2, 3) / CHANNELS**0.5
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -1e4)
        weights = scores.float().softmax(-1).type_as(v)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


def x(tokens: int) -> dict[str, Tensor]:
    return {"x": torch.randn(1, tokens, HEADS * CHANNELS, generator=torch.Generator().manual_seed(1))}


def low(tokens: int, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: value.to(dtype) for name, value in x(tokens).items()}


@pytest.mark.parametrize(("dtype", "tokens"), [(torch.bfloat16, 48), (torch.float16, 24)])
@pytest.mark.parametrize("stretch", [1.0, 8.0])
def test_frequencies_that_are_not_stretched_are_found_in_a_short_prompt(
    compare: Compare, dtype: torch.dtype, tokens: int, stretch: float
):
    candidate = Attention(stretch).to(dtype)
    report = compare(Attention(8.0), candidate, x(tokens), candidate_inputs=low(tokens, dtype))
    functional = stretch == 8.0  # of an honest port they agree too: its masked scores are -1e4, and minus infinity here
    assert max(tap.ratio for tap in report.taps if functional or "@" not in tap.reference) < ABOVE_FLOOR
    assert [one.cause for one in report.findings] == ["rope.scaling"] * (stretch == 1)
    assert [one.candidate_value for one in report.findings] == ["plain"] * (stretch == 1)
    assert report.verdict is (Verdict.DIVERGED if stretch == 1 else Verdict.NOISE)


def test_a_prompt_that_is_too_short_says_how_many_tokens_would_do(compare: Compare):
    dtype = torch.bfloat16
    report = compare(Attention(8.0), Attention(1.0).to(dtype), x(3), candidate_inputs=low(3, dtype))
    assert report.findings == ()
    (note,) = report.notes
    assert "rope.scaling is another usual one in the model itself" in note
    assert "times as many tokens would show it" in note
