"""Tables of embeddings: never loaded."""

from collections.abc import Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.edits import result
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.unloaded import NEVER, never
from probe.replay.program import Call, Leaf, Program, Result
from probe.report import WeightFinding

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
                yield _never_loaded(call, leaf, table, said)


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


def _never_loaded(call: Call, leaf: Leaf, table: torch.Tensor, said: WeightFinding) -> Hypothesis:
    what, message = never(said, leaf.name)
    return Hypothesis(
        "embed.missing_weight",
        lambda _: Plan({call: lambda function, args, kwargs: function(args[0], table.to(args[1].dtype), *args[2:])}),
        lambda _: message,
        reference_value=what,
        candidate_value=lambda _: "another table",
        module=leaf.name.rpartition(".")[0],
    )


FAMILIES = [zeros, never_loaded]
