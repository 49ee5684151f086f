"""Embeddings: never loaded, and the scale of what is looked up."""

from collections.abc import Iterator, Sequence

import torch

from probe.diagnose.case import Case
from probe.diagnose.edits import constant_of, result
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.linear import NEVER
from probe.diagnose.merge import Part
from probe.diagnose.search import explains, fitted
from probe.replay.local_error import LocalError
from probe.replay.program import Call, Leaf, Program, Result

FACTORS = tuple(2.0**power for power in range(-10, 11))
_TIMES = {"mul", "__mul__", "__rmul__", "multiply", "mul_", "__imul__"}
_LOOKS_UP = {"embedding", "__getitem__", "index_select"}


def tables(program: Program) -> list[tuple[Call, Leaf]]:
    """Where rows of a matrix of the model are looked up."""
    return [
        (call, leaf)
        for call in program.calls
        if call.name in _LOOKS_UP
        for leaf in call.inputs
        if isinstance(leaf, Leaf) and leaf.is_weight and leaf.tensor.dim() == 2
    ]


def zeros(case: Case) -> Iterator[Hypothesis]:
    """embed.missing_weight: all zeros."""
    for call, leaf in tables(case.program):
        yield _zeros(call, leaf)


def _zeros(call: Call, leaf: Leaf) -> Hypothesis:
    return Hypothesis(
        "embed.missing_weight",
        lambda _: Plan({call: result(torch.zeros_like)}),
        lambda _: f"{leaf.name} is all zeros: it was never loaded; look for keys of the checkpoint that nobody read",
        reference_value=leaf.name,
        candidate_value=lambda _: "zeros",
        module=leaf.name.rpartition(".")[0],
    )


def never_loaded(case: Case) -> Iterator[Hypothesis]:
    """embed.missing_weight: another table, of which the audit of weights says that it holds nothing of the reference.

    A token that comes twice must have the same row both times.
    """
    for call, leaf in tables(case.program):
        said = case.audited.get(leaf.name)
        if said is not None and said.kind in NEVER and call.name == "embedding":
            table = _table(case, call, leaf)
            if table is not None:
                yield _never_loaded(call, leaf, table, said.message)


def _table(case: Case, call: Call, leaf: Leaf) -> torch.Tensor | None:
    """The reference's table with the candidate's rows; None where more follows than a constant factor."""
    found = case.program.value(Result(call))
    if found.shape != case.exact.shape:
        return None
    factor = float((found * case.exact).sum() / found.square().sum())
    if not torch.allclose(case.exact, factor * found, rtol=1e-6, atol=1e-9) or not factor:
        return None
    given = call.inputs[0]
    ids = case.program.value(given).reshape(-1)
    counting = case.counts.reshape(len(ids), -1).all(1)
    table = leaf.tensor.detach().double().clone()
    table[ids[counting]] = case.candidate.reshape(len(ids), -1)[counting].double() / factor
    return table


def _never_loaded(call: Call, leaf: Leaf, table: torch.Tensor, said: str) -> Hypothesis:
    return Hypothesis(
        "embed.missing_weight",
        lambda _: Plan({call: lambda function, args, kwargs: function(args[0], table.to(args[1].dtype), *args[2:])}),
        lambda _: f"{said}: look for keys of the checkpoint that nobody read",
        reference_value=leaf.name,
        candidate_value=lambda _: "another table",
        module=leaf.name.rpartition(".")[0],
    )


def scale(case: Case) -> Iterator[Hypothesis]:
    """embed.rounding: the reference's scale as bfloat16 or float16 has it; embed.scale: another one, fitted."""
    for call in case.program.calls:
        if call.name == "embedding":
            ours = scale_after(case.program, call)
            rounding = _rounding(call, ours, _roundings(ours))
            if rounding.values and explains(case, fitted(case, rounding).after):
                yield rounding
            else:
                yield _scale(call, ours)


def scale_after(program: Program, embedding: Call) -> float:
    """What the looked-up rows are multiplied by; 1 where by nothing."""
    for call in program.calls:
        if call.name in _TIMES and any(isinstance(v, Result) and v.call is embedding for v in call.inputs):
            return constant_of(call) or 1.0
    return 1.0


def _roundings(scale: float) -> dict[torch.dtype, float]:
    """By dtype, by how much rounding changes a scale, where it does."""
    with torch._C.DisableTorchFunction():  # a replay's mode would compute in float64
        rounded = {kind: float(torch.tensor(scale, dtype=kind)) for kind in (torch.bfloat16, torch.float16)}
    return {kind: value / scale for kind, value in rounded.items() if value != scale}


def _rounding(call: Call, ours: float, values: dict[torch.dtype, float]) -> Hypothesis:
    def message(kind: torch.dtype) -> str:
        name = str(kind).removeprefix("torch.")
        return f"the embedding's scale {ours:.6g} is rounded to {name}: {ours * values[kind]:.6g}; keep it in float32"

    return Hypothesis(
        "embed.rounding",
        lambda kind: Plan({call: result(lambda rows: rows * values[kind])}),
        message,
        tuple(values),
        reference_value=ours,
        candidate_value=lambda kind: ours * values[kind],
    )


def _scale(call: Call, ours: float) -> Hypothesis:
    return Hypothesis(
        "embed.scale",
        lambda factor: Plan({call: result(lambda rows: rows * factor)}),
        lambda factor: (
            f"embeddings are multiplied by {ours * factor:.6g} where the reference has {ours:.6g}: "
            "look for a scale that is left out, or applied twice"
        ),
        FACTORS,
        scale="log",
        reference_value=ours,
        candidate_value=lambda factor: ours * factor,
    )


def may_be_tapped_elsewhere(part: Part, places: Sequence[LocalError]) -> bool:
    """Whether what follows an embedding of another scale is at fault too: then the candidate scales it later."""
    name = part.place.pair.reference.name
    return part.cause == "embed.scale" and any(other.taps == {name} for other in places)


FAMILIES = [zeros, never_loaded, scale]
