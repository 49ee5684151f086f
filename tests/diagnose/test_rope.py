"""rope.*: found in the values, whatever form the reference's rotation is written in."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair

TOKENS, HEADS, CHANNELS = 20, 2, 12
Rotate = Callable[[Tensor, Tensor], Tensor]


def by_halves(x: Tensor, angles: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return x * angles.cos().repeat(1, 2) + turned * angles.sin().repeat(1, 2)


def by_complex_numbers(x: Tensor, angles: Tensor) -> Tensor:
    numbers = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(numbers * torch.polar(torch.ones_like(angles), angles)).flatten(-2).type_as(x)


def by_matrices(x: Tensor, angles: Tensor) -> Tensor:
    """Neighbours too; one D by D matrix a token."""
    cos, sin = angles.cos(), angles.sin()
    blocks = torch.stack([cos, -sin, sin, cos], dim=-1).unflatten(-1, (2, 2))
    matrices = torch.stack([torch.block_diag(*block) for block in blocks])
    return torch.einsum("tij,bhtj->bhti", matrices, x)


class Attention(nn.Module):
    def __init__(self, rotate: Rotate, theta: float = 10000.0, query_offset: int = 0, offset: int = 0) -> None:
        super().__init__()
        width = HEADS * CHANNELS
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.rotate, self.theta, self.query_offset, self.offset = rotate, theta, query_offset, offset

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (matrix(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for matrix in (self.q, self.k, self.v))
        half = CHANNELS // 2
        frequencies = self.theta ** (-torch.arange(half) / half)
        places = torch.arange(x.shape[1])[:, None] + self.offset
        q, k = self.rotate(q, (places + self.query_offset) * frequencies), self.rotate(k, places * frequencies)
        mixed = functional.scaled_dot_product_attention(3 * q, k, v, is_causal=True)
        return self.o(mixed.transpose(1, 2).flatten(2))


class Sequence(nn.Module):
    """Two of them, so that one is downstream of the other."""

    def __init__(self, rotate: Rotate, /, **changed: Any) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.second = Attention(rotate), Attention(rotate)
        for name, value in changed.items():
            setattr(self.second, name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.layer_norm(x + self.first(x), x.shape[-1:]))


FORMS = {"halves": by_halves, "complex": by_complex_numbers, "matrices": by_matrices}
WRONG = {
    "rope.theta": ({"theta": 500000.0}, 10000.0, 500000.0),
    "rope.position": ({"query_offset": 2}, 0, 2),
    "rope.missing": ({"rotate": lambda x, angles: x}, "turned", "not turned"),
}


def fed() -> dict[str, Tensor]:
    return {"x": torch.randn(2, TOKENS, HEADS * CHANNELS, generator=torch.Generator().manual_seed(1))}


@pytest.mark.parametrize(
    ("form", "cause"),
    [
        ("halves", "rope.theta"),
        ("complex", "rope.theta"),
        ("matrices", "rope.position"),
        ("complex", "rope.missing"),
    ],
)
def test_a_plain_reference_in_any_form(compare: Compare, form: str, cause: str):
    changed, ours, theirs = WRONG[cause]
    (finding,) = compare(Sequence(FORMS[form]), Sequence(FORMS[form], **changed), fed()).findings
    assert (finding.cause, finding.module) == (cause, "second")
    assert (finding.reference_value, finding.candidate_value) == (ours, theirs)


@pytest.mark.parametrize(("ours", "theirs"), [("halves", "complex"), ("matrices", "halves")])
def test_other_pairs_of_channels(compare: Compare, ours: str, theirs: str):
    report = compare(Sequence(FORMS[ours]), Sequence(FORMS[ours], rotate=FORMS[theirs]), fed())
    (finding,) = report.findings
    assert (finding.cause, finding.module) == ("rope.layout", "second")
    assert {finding.reference_value, finding.candidate_value} == {"halves", "neighbours"}


def test_the_same_rotation_in_another_form_is_no_difference(compare: Compare):
    report = compare(Sequence(by_complex_numbers), Sequence(by_matrices), fed())
    assert report.findings == ()


def test_positions_of_queries_and_keys_that_move_together_are_no_difference(compare: Compare):
    report = compare(Sequence(by_halves), Sequence(by_halves, offset=7), fed())
    assert report.findings == ()


def test_noise_after_a_rotation_is_no_rotation(compare: Compare):
    noise = 0.1 * torch.randn(TOKENS, CHANNELS, generator=torch.Generator().manual_seed(0))
    candidate = Sequence(by_halves, rotate=lambda x, angles: by_halves(x, angles) + noise)
    assert [one.cause for one in compare(Sequence(by_halves), candidate, fed()).findings] == ["unknown"]


def test_a_base_that_is_not_read_shows_in_the_tables_themselves(compare: Compare):
    reference, candidate = build("llama"), build("llama")
    frequencies = candidate.model.rotary_emb.inv_freq
    half = len(frequencies)
    frequencies.copy_(250000.0 ** (-torch.arange(half) / half))
    (finding,) = compare(reference, candidate, inputs("llama")).findings
    assert (finding.cause, finding.module) == ("rope.theta", "model.rotary_emb")
    assert (finding.reference_value, finding.candidate_value) == (10000.0, 250000.0)


PLANTED = [
    ("linear scaling ignored", "rope.scaling", "gemma", "plain decoder"),
    ("llama3 scaling ignored", "rope.scaling", "llama", "fused decoder"),
    ("second half counted from zero", "rope.position", "gpt-neox", "transformers"),
    ("rotated twice", "rope.twice", "gemma2", "plain decoder"),
    ("neighbouring channels turned", "rope.layout", "qwen3", "transformers"),
    ("norm of queries and keys after rotation", "rope.order", "qwen3", "plain decoder"),
    ("norm of queries and keys after rotation", "rope.order", "gemma3", "fused decoder"),
]


@pytest.mark.parametrize(("name", "cause", "view", "style"), PLANTED)
def test_planted_in_transformers_and_in_ports(compare: Compare, name: str, cause: str, view: str, style: str):
    planted = pair(bug_named(name), view, seed=3, style=style)
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    (finding,) = report.findings
    assert finding.cause == cause
    assert finding.module in planted.places[0]
