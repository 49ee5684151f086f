"""The legal ways to compute the same in a narrow dtype: what is rounded when, and what is kept in float32.

A port that rounds elsewhere than the reference differs from it in every third element. Once its own way is found, it
agrees bit for bit, and what differs even then is no rounding.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from probe.diagnose.case import Case
from probe.diagnose.core import cores
from probe.diagnose.edits import only
from probe.diagnose.flash import divided_last, in_float32, with_rounded_weights
from probe.diagnose.fusing import fused
from probe.diagnose.hypothesis import Plan
from probe.diagnose.values import CASTS, MULTIPLY
from probe.replay.program import Call, Edit, Leaf, Program, Result, Value
from probe.replay.unfused import came_fused

_WIDE = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Variant:
    """One way."""

    words: str
    """"" where the reference may do the same."""
    plan: Plan


def variants(case: Case, exact: Program, narrow: torch.dtype) -> list[list[Variant]]:
    """Groups of which each may add one to the way; `case` computes in the narrow dtype, `exact` the same in float64."""
    constants = _constant(case)
    groups = [_products(case, constants, narrow), _folded(case, constants, narrow), _kept_wide(case, exact, narrow)]
    return [group for group in groups if group]


def _kept_wide(case: Case, exact: Program, narrow: torch.dtype) -> list[Variant]:
    """What is kept in float32 that the reference rounds: in chains of steps, and in attention."""
    program, found = case.program, list(cores(exact))
    casts = {
        call: only(0)
        for call in program.calls
        if call.name in CASTS and _dtypes(program, call) == (torch.float32, narrow) and isinstance(call.args[0], Result)
    }
    steps = fused(program, narrow)
    chains: list[tuple[str, dict[Call, Edit]]] = [("", {})]
    if steps or casts:
        chains += [
            ("rounds once after several steps", steps),
            ("keeps float32 between matrix products", {**steps, **casts}),
        ]
    attention: list[tuple[str, dict[Call, Edit]]] = [("", {})]
    if found:
        attention += [
            (
                "keeps attention's scores in float32",
                _all(with_rounded_weights(program, core, narrow) for core in found),
            ),
            ("keeps all of attention in float32", _all(in_float32(program, core, narrow) for core in found)),
            (
                "divides by softmax's sum last, as fused attention does",
                _all(divided_last(program, core, narrow) for core in found),
            ),
        ]
    was_fused = all(came_fused(core.softmax, core.mix) for core in found)  # then the reference does the like
    return [
        Variant(" and ".join(words for words in (when, "" if was_fused else where) if words), Plan({**one, **other}))
        for when, one in chains
        for where, other in attention
        if when or where
    ]


def _all(plans: Iterable[dict[Call, Edit]]) -> dict[Call, Edit]:
    return {call: edit for edits in plans for call, edit in edits.items()}


def _dtypes(program: Program, call: Call) -> tuple[torch.dtype, torch.dtype]:
    return program.value(call.inputs[0]).dtype, program.value(Result(call)).dtype


def _constant(case: Case) -> set[int]:
    """Ids of the calls and leaves that stand for weights and numbers alone."""
    found = {id(leaf) for leaf in case.program.leaves if leaf.is_weight}
    for call in case.program.calls:
        if call.inputs and all(_key(value) in found for value in call.inputs):
            found.add(id(call))
    return found


def _key(value: Value) -> int:
    return id(value) if isinstance(value, Leaf) else id(value.call)


def _products(case: Case, constants: set[int], narrow: torch.dtype) -> list[Variant]:
    """Products with a weight: rounded before where the reference rounds after, or after where it rounds before."""
    before: dict[Call, Edit] = {}
    after: dict[Call, Edit] = {}
    for call in case.program.calls:
        if call.name not in MULTIPLY or len(call.inputs) != 2:
            continue
        others = [value for value in call.inputs if _key(value) not in constants]
        if len(others) != 1 or not isinstance(others[0], Result):
            continue
        cast = others[0].call
        dtype = case.program.value(Result(call)).dtype
        if dtype in _WIDE:
            before[call] = _rounding_arguments(narrow)
        elif cast.name in CASTS and case.program.value(cast.inputs[0]).dtype in _WIDE:
            after[cast] = only(0)
            after[call] = lambda function, args, kwargs: function(*args, **kwargs).to(narrow)
    named = [("rounds before it multiplies by the weight", before), ("rounds after it multiplied by the weight", after)]
    return [Variant(words, Plan(edits)) for words, edits in named if edits]


def _rounding_arguments(narrow: torch.dtype) -> Edit:
    return lambda function, args, kwargs: function(
        *(value.to(narrow) if isinstance(value, torch.Tensor) else value for value in args), **kwargs
    )


def _folded(case: Case, constants: set[int], narrow: torch.dtype) -> list[Variant]:
    """What is computed of weights alone, 1 + w for one, is computed once in float32 and stored rounded."""
    used = {_key(value) for call in case.program.calls if id(call) not in constants for value in call.inputs}
    last = [call for call in case.program.calls if id(call) in constants and id(call) in used]
    last = [call for call in last if call.name not in CASTS and _sums(call)]
    if not last:
        return []
    with torch._C.DisableTorchFunction():  # a mode shows parameters rounded
        leaves = {
            leaf: leaf.tensor.detach().clone()
            for leaf in case.program.leaves
            if leaf.is_weight and leaf.tensor.dim() == 1 and leaf.tensor.is_floating_point()
        }
    edits: dict[Call, Edit] = {
        call: lambda function, args, kwargs: function(*args, **kwargs).to(narrow).float() for call in last
    }
    return [Variant("stores 1 + w instead of w", Plan(edits, leaves))]


def _sums(call: Call) -> bool:
    return call.name in {"add", "__add__", "__radd__"}
