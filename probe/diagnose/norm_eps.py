"""norm.eps: fitted to the candidate's output."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from probe.diagnose.case import Case
from probe.diagnose.edits import constant
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.norm_site import TORCH, argument, key
from probe.diagnose.norm_written import ROOTS
from probe.diagnose.values import ADD, bare
from probe.replay.program import Call, Leaf, Result, Value

GRID = (0.0, 1e-14, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
LARGEST = GRID[-1]
"""What is more is no eps."""
USUAL = (1e-6, 1e-5, 1e-12, 1e-8)
_LENGTHS = {"sqrt", "sqrt_", "std", "norm", "vector_norm"}
_AT_LEAST = {"clamp", "clamp_min", "clamp_"}


@dataclass(frozen=True)
class Epsilon:
    """Where an eps stands in a program."""

    call: Call
    argument: int | str
    value: float


def epsilons(case: Case) -> Iterator[Epsilon]:
    """The eps of torch's own norms, and small numbers added to what a root is taken of, or to a root."""
    for call in case.program.calls:
        if call.name in TORCH:
            value = argument(call, "eps")
            default = float(torch.finfo(_dtype(case)).eps) if call.name == "rms_norm" else 1e-5
            yield Epsilon(call, key(call, "eps"), default if value is None else float(value))
        elif call.name in ROOTS and call.inputs:
            yield from _added(bare(call.inputs[0]))
        elif call.name in ADD | _AT_LEAST and call.inputs:
            root = bare(call.inputs[0])
            if isinstance(root, Result) and root.call.name in _LENGTHS:
                yield from _added(Result(call))


def _added(value: Value) -> Iterator[Epsilon]:
    """A small number that a value is the sum of, or may not be less than."""
    if not isinstance(value, Result) or value.call.name not in ADD | _AT_LEAST:
        return
    given: dict[int | str, Any] = dict(enumerate(value.call.args))
    given |= {name: number for name, number in value.call.kwargs.items() if name == "min"}
    numbers = {place: number for place, one in given.items() if (number := _number(one)) is not None}
    small = [(place, number) for place, number in numbers.items() if 0 <= number <= LARGEST]
    if len(small) == 1:
        yield Epsilon(value.call, *small[0])


def _number(given: object) -> float | None:
    """A number, or a tensor of one element that is no activation."""
    if isinstance(given, Leaf) and given.tensor.numel() == 1 and ":" not in given.name:
        return float(given.tensor)
    return float(given) if isinstance(given, (int, float)) and not isinstance(given, bool) else None


def _dtype(case: Case) -> torch.dtype:
    """The reference's own, where torch takes its eps from that."""
    with torch._C.DisableTorchFunction():  # a replay answers with the precision that it computes in
        return next((p.dtype for p in case.model.parameters() if p.is_floating_point()), torch.float32)


def eps(case: Case) -> Iterator[Hypothesis]:
    return map(_eps, epsilons(case))


def _eps(place: Epsilon) -> Hypothesis:
    return Hypothesis(
        "norm.eps",
        lambda value: Plan({place.call: constant(place.argument, value)}),
        lambda value: (
            f"eps is {value:.3g} where the reference has {place.value:.3g}: "
            f"look for a norm that is built without the config's eps{_same_as(place.value, value)}"
        ),
        tuple(sorted({*GRID, place.value})),
        scale="log",
        reference_value=place.value,
        usual=tuple(value for value in USUAL if abs(value - place.value) > 0.01 * value),
    )


def _same_as(ours: float, theirs: float) -> str:
    """x / sqrt(mean(x^2) + eps) is the same function with k x for x and k^2 eps for eps."""
    if ours <= 0 or theirs <= 0 or any(abs(theirs - usual) <= 0.01 * usual for usual in USUAL):
        return ""
    factor = (ours / theirs) ** 0.5
    return f"; residual.scale explains any input as well: what the norm is given is multiplied by {factor:.3g}"
