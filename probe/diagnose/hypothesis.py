"""A bug that the candidate may have, as a small change of the reference's own computation."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from probe.diagnose.case import Case
from probe.diagnose.causes import CAUSES
from probe.diagnose.wire import Wire
from probe.replay.program import Call, Edit, Leaf, Program, Value

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Plan:
    """What to change in a program."""

    edits: Mapping[Call, Edit] = field(default_factory=dict)
    leaves: Mapping[Leaf, torch.Tensor] = field(default_factory=dict)
    """Weights, in the shape and the orientation that the reference has them in, and what stands in their place."""
    terms: tuple[tuple[float, "Plan"], ...] = ()
    """Where a program, whose sizes are written down, cannot be run with the edits: plans, and by what each one's result
    is multiplied before all are added up."""
    taps: Mapping[Leaf, Change] = field(default_factory=dict)
    """Taps that the program starts from, and what the candidate made of them on the way."""
    wires: tuple[Wire, ...] = ()
    """What the changes take from other taps."""
    place: Change | None = None
    """What becomes of the place's own tensor, where another one is handed over."""

    @property
    def given(self) -> dict[Leaf, torch.Tensor]:
        """What the program starts from instead."""
        return {**self.leaves, **{leaf: change(leaf.tensor) for leaf, change in self.taps.items()}}

    def run(self, case: Case) -> torch.Tensor:
        return (self if case.planted is None else self.joined(case.planted))._run(case.program)

    def _run(self, program: Program) -> torch.Tensor:
        if self.terms:
            return torch.stack([factor * term._run(program) for factor, term in self.terms]).sum(0)
        made = program.run(self.edits, self.given)
        return made if self.place is None else self.place(made)

    @property
    def modules(self) -> list[str]:
        """Whose weights and calls are changed; the first is the one at fault."""
        names = [leaf.name.rpartition(".")[0] for leaf in self.leaves if leaf.is_weight]
        return [*names, *(call.module for call in self.edits)]

    def joined(self, other: "Plan") -> "Plan":
        """Both changes; where both change one call, this one's edit sees the other's as its function."""
        edits = {**other.edits, **self.edits}
        for call in self.edits.keys() & other.edits.keys():
            edits[call] = _nested(self.edits[call], other.edits[call])
        taps = {**other.taps, **self.taps}
        for leaf in self.taps.keys() & other.taps.keys():
            taps[leaf] = _chained(self.taps[leaf], other.taps[leaf])
        ours = tuple((factor, term.joined(replace(other, terms=()))) for factor, term in self.terms)
        theirs = tuple((factor, replace(self, terms=()).joined(term)) for factor, term in other.terms)
        return Plan(
            edits,
            {**other.leaves, **self.leaves},
            ours or theirs,
            taps,
            self.wires + other.wires,
            self.place or other.place,
        )


def changed(value: Value, change: Change) -> Plan:
    """What a call returned, or a tap that the program starts from, changed wherever it is used."""
    if isinstance(value, Leaf):
        return Plan(taps={value: change})
    return Plan({value.call: lambda function, args, kwargs: change(function(*args, **kwargs))})


@dataclass(frozen=True)
class Hypothesis:
    """One cause, with what is not known about it."""

    cause: str
    """One of CAUSES."""
    plan: Callable[[Any], Plan]
    """How it is planted, given one of `values`."""
    message: Callable[[Any], str]
    """Given the value: what the reference has, what the candidate has, what to look for in a converter."""
    values: tuple[Any, ...] = (None,)
    """What to try: one after the other, or, where `scale` says so, a rising grid whose best is refined."""
    scale: Literal["", "linear", "log", "integer"] = ""
    """How a value is refined between its neighbours on the grid."""
    reference_value: float | str | None = None
    candidate_value: Callable[[Any], float | str | None] = lambda value: value
    usual: tuple[Any, ...] = ()
    """Values that people confuse; they are tried beneath the floor too, where nothing can be fitted."""
    module: str = ""
    """The module at fault; "" takes it from what the plan changes."""
    harmless: bool = False
    """Nothing that follows depends on it."""
    leaning: Callable[[Any, float], Plan] | None = None
    """Of a plan that rounds: the same, with numbers that grow by so much of themselves before; see between.py."""
    members: tuple["Hypothesis", ...] = ()
    """Where it is the same in several layers, each layer's own: see probe.diagnose.in_layers."""

    def __post_init__(self) -> None:
        assert self.cause in CAUSES, self.cause


UNFIT = (RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, AttributeError, AssertionError)
"""What a family or a hypothesis raises on a program such as it was never made for."""

Family = Callable[[Case], Iterable[Hypothesis]]
"""Every hypothesis of one kind that fits a place; none where its pattern is not there."""


def computed(case: Case, program: Program, plan: Plan) -> torch.Tensor | None:
    """None where the plan cannot be run, or has another shape or no numbers as its result."""
    if plan.terms:
        return None
    try:
        changed = program.run(plan.edits, plan.given)
    except UNFIT:
        return None
    return changed if changed.shape == case.exact.shape and changed.is_floating_point() else None


def planned(hypothesis: Hypothesis, value: Any) -> Plan | None:
    """None where the value has no place in the program."""
    try:
        return hypothesis.plan(value)
    except UNFIT:
        return None


def hypotheses_of(family: Family, case: Case) -> list[Hypothesis]:
    """A program such as the family has never seen has none of its hypotheses."""
    try:
        return list(family(case))
    except UNFIT:
        return []


def _nested(outer: Edit, inner: Edit) -> Edit:
    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return outer(lambda *given, **named: inner(function, given, named), args, kwargs)

    return edit


def _chained(outer: Change, inner: Change) -> Change:
    return lambda tensor: outer(inner(tensor))
