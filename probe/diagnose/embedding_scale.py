"""The scale of embeddings: another one, or the reference's rounded to a narrower dtype."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from probe.diagnose.case import Case
from probe.diagnose.edits import constant_of, is_same
from probe.diagnose.factor import another_factor
from probe.diagnose.hypothesis import Hypothesis, changed
from probe.diagnose.tried import explains, fitted
from probe.diagnose.values import MULTIPLY
from probe.replay.program import Program, Result, Value

FELT = 0.1
"""Of the result: what twice the rows change, at least. An eps as large as a hundredth of their mean square changes
less through a norm."""


def scale(case: Case) -> Iterator[Hypothesis]:
    """embed.rounding: the reference's scale as bfloat16 or float16 has it; embed.scale: another one, fitted."""
    for rows, module in looked_up(case):
        if not is_felt(case, rows):
            continue
        ours = scale_after(case.program, rows)
        rounding = _rounding(rows, module, ours, roundings(ours))
        if rounding.values and explains(case, fitted(case, rounding).after):
            yield rounding
        else:
            yield _scale(rows, module, ours, case.program.value(rows).shape[-1])


def rounding(case: Case) -> Iterator[Hypothesis]:
    """embed.rounding alone: below the floor nothing can be fitted."""
    for rows, module in looked_up(case):
        ours = scale_after(case.program, rows)
        values = roundings(ours)
        if values and is_felt(case, rows):
            yield _rounding(rows, module, ours, values)


def looked_up(case: Case) -> Iterator[tuple[Value, str]]:
    """Rows of tables, and whose they are: looked up in the program, or before it, where nothing else goes into it."""
    for call in case.program.calls:
        if call.name == "embedding":
            yield Result(call), call.module
    taps = [leaf for leaf in case.program.leaves if leaf.name and leaf.tensor.is_floating_point()]
    modules = [leaf.name.partition(":")[0].partition("@")[0] for leaf in taps if ":" in leaf.name]
    if all(isinstance(_module(case, name), nn.Embedding) for name in modules):
        yield from zip([leaf for leaf in taps if ":" in leaf.name], modules, strict=True)


def is_felt(case: Case, rows: Value) -> bool:
    """Whether twice the rows make another result. A norm of them takes any scale away: what it leaves is its eps."""
    twice = changed(rows, partial(_times, 2.0)).run(case)
    return float(torch.linalg.vector_norm(twice - case.exact)) > FELT * float(torch.linalg.vector_norm(case.exact))


def _module(case: Case, name: str) -> nn.Module | None:
    return dict(case.model.named_modules()).get(name)


def scale_after(program: Program, rows: Value) -> float:
    """What the looked-up rows are multiplied by; 1 where by nothing."""
    for call in program.calls:
        if call.name in MULTIPLY and any(is_same(value, rows) for value in call.inputs):
            return constant_of(call, program) or 1.0
    return 1.0


def roundings(scale: float) -> dict[torch.dtype, float]:
    """By dtype, by how much rounding changes a scale, where it does."""
    with torch._C.DisableTorchFunction():  # a replay's mode would compute in float64
        rounded = {kind: float(torch.tensor(scale, dtype=kind)) for kind in (torch.bfloat16, torch.float16)}
    return {kind: value / scale for kind, value in rounded.items() if value != scale}


def _rounding(rows: Value, module: str, ours: float, values: dict[torch.dtype, float]) -> Hypothesis:
    def message(kind: torch.dtype) -> str:
        name = str(kind).removeprefix("torch.")
        return f"the embedding's scale {ours:.6g} is rounded to {name}: {ours * values[kind]:.6g}; keep it in float32"

    return Hypothesis(
        "embed.rounding",
        lambda kind: changed(rows, partial(_times, values[kind])),
        message,
        tuple(values),
        reference_value=ours,
        candidate_value=lambda kind: ours * values[kind],
        usual=tuple(values),
        module=module,
    )


def _times(factor: float, rows: Tensor) -> Tensor:
    return rows * factor


def _scale(rows: Value, module: str, ours: float, size: int) -> Hypothesis:
    """`size` channels: their root is what most models have."""
    return another_factor(
        "embed.scale",
        rows,
        ours,
        lambda value: (
            f"embeddings are multiplied by {value:.6g} where the reference has {ours:.6g}: "
            "look for a scale that is left out, or applied twice"
        ),
        likely=(size**0.5,),
        module=module,
    )


FAMILIES = [scale]
