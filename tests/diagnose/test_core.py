"""Attention's core is found by its calls, in one form whether they are fused or not."""

import pytest
import torch
from torch import Tensor, nn

from probe.diagnose.core import cores
from probe.replay.program import Program
from probe.replay.tracing import Tracing, begin_at
from probe.replay.unfused import Unfused

B, T, S, D = 2, 5, 7, 4


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    mask = torch.ones(T, S, dtype=torch.bool).tril(S - T)
    return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)


def by_hand(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scores = query @ key.repeat_interleave(2, 1).transpose(2, 3) / D**0.5
    hidden = ~torch.ones(T, S, dtype=torch.bool).tril(S - T)
    return nn.functional.softmax(scores.masked_fill(hidden, -1e9), dim=3) @ value.repeat_interleave(2, 1)


def by_letters(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    query, key, value = query.transpose(1, 2), *(x.repeat_interleave(2, 1).transpose(1, 2) for x in (key, value))
    scores = torch.einsum("bthd,bshd->bhts", query, key) / D**0.5
    weights = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), float("-inf")).softmax(-1)
    return torch.einsum("bhts,bshd->bthd", weights, value).transpose(1, 2)


def program_of(attention, inputs: list[Tensor]) -> Program:
    tracing = Tracing(nn.Module(), lambda: ("attention", 0))
    given = [tensor.clone() for tensor in inputs]
    for name, tensor in zip("qkv", given, strict=True):
        begin_at(tensor, name)
    with tracing, Unfused():
        made = attention(*given)
    return Program(tracing.value_of(made))


@pytest.fixture
def inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (B, 4, T, D), (B, 2, S, D), (B, 2, S, D)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("attention", [fused, by_hand, by_letters])
def test_queries_keys_and_values_are_found_whoever_wrote_it(attention, inputs: list[Tensor]):
    program = program_of(attention, inputs)
    assert torch.allclose(program.value(program.result), fused(*inputs))
    (core,) = cores(program)
    query, key, value = inputs
    wide = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)
    for operand, expected in ((core.query, query), (core.key, wide[0]), (core.values, wide[1])):
        operand.axes.changed(core.of(operand.value), lambda seen, expected=expected: _equal(seen, expected))


def test_a_query_that_sees_nothing_gets_zeros_from_the_parts_too(inputs: list[Tensor]):
    blind = torch.ones(T, S, dtype=torch.bool)
    blind[2] = False

    def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=blind, enable_gqa=True)

    program = program_of(attention, inputs)
    assert torch.allclose(program.value(program.result), attention(*inputs))
    assert not program.value(program.result)[:, :, 2].any()


def test_a_router_is_no_attention(inputs: list[Tensor]):
    weight = nn.Parameter(torch.ones(D, D, dtype=torch.float64))
    program = program_of(lambda query, key, value: (query @ weight.T).softmax(-1) @ value.new_ones(D, D), inputs)
    assert not list(cores(program))


def _equal(seen: Tensor, expected: Tensor) -> Tensor:
    assert torch.equal(seen, expected)
    return seen
