"""What torch calls did, written down and run again."""

import torch
from torch import nn

from probe.replay.program import Program
from probe.replay.tracing import Tracing, begin_at


def traced(function, *inputs: torch.Tensor) -> Program:
    for index, tensor in enumerate(inputs):
        begin_at(tensor, f"input {index}")
    tracing = Tracing(nn.Identity(), lambda: ("", 0))
    with tracing:
        result = function(*inputs)
    return Program(tracing.value_of(result))


def norm(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def test_a_program_gives_the_same_numbers_again():
    x = torch.randn(3, 5, dtype=torch.float64)
    program = traced(norm, x)
    assert torch.equal(program.value(program.result), norm(x))
    assert [leaf.name for leaf in program.leaves] == ["input 0"]


def test_one_call_changed():
    x = torch.randn(3, 5, dtype=torch.float64)
    program = traced(norm, x)
    (mean,) = [call for call in program.calls if call.name == "mean"]
    changed = program.run({mean: lambda function, args, kwargs: function(*args, **kwargs) * 4})
    torch.testing.assert_close(changed, norm(x) / 2, rtol=1e-5, atol=0)
    assert torch.equal(program.run({}), norm(x)), "an edit must not outlive its run"


def test_another_tensor_in_the_place_of_a_leaf():
    x, y = torch.randn(2, 3, 5, dtype=torch.float64)
    program = traced(norm, x)
    assert torch.equal(program.run({}, {program.leaves[0]: y}), norm(y))


def test_what_is_written_into_a_tensor_does_not_reach_its_earlier_values():
    def adding(x: torch.Tensor) -> torch.Tensor:
        before = x * 2
        doubled = before + 0
        before += 1
        before[0] = 7
        return doubled * before

    x = torch.randn(3, 5, dtype=torch.float64)
    expected = adding(x.clone())
    program = traced(adding, x)
    assert torch.equal(program.value(program.result), expected)
    assert torch.equal(program.value(program.result), expected)


def test_parts_of_what_a_call_returns():
    def parts(x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, -1)
        values, places = second.topk(2)
        return first[:, :2] * values + places

    x = torch.randn(3, 8, dtype=torch.float64)
    program = traced(parts, x)
    assert torch.equal(program.value(program.result), parts(x))
