"""The legal ways to compute the same in a narrow dtype: where a norm is rounded, and where its weight.

A port that rounds elsewhere than the reference differs from it in every third element. Once its own way is found, it
agrees bit for bit, and what differs even then is no rounding.
"""

from dataclasses import dataclass

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Plan
from probe.replay.program import Call, Edit, Leaf, Result, Value

_CASTS = {"to", "type_as", "type", "bfloat16", "half"}
_PRODUCTS = {"mul", "__mul__", "__rmul__"}
_WIDE = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Variant:
    """One way."""

    words: str
    plan: Plan


def variants(case: Case, narrow: torch.dtype) -> list[Variant]:
    """The reference's own way first; `case` computes in the narrow dtype."""
    constants = _constant(case)
    rounding = [("", {}), *_products(case, constants, narrow)]
    folding = [("", Plan()), *_folded(case, constants, narrow)]
    return [
        Variant(" and ".join(word for word in (when, where) if word), folded.joined(Plan(edits)))
        for when, edits in rounding
        for where, folded in folding
    ]


def _constant(case: Case) -> set[int]:
    """Ids of the calls and leaves that stand for weights and numbers alone."""
    found = {id(leaf) for leaf in case.program.leaves if leaf.is_weight}
    for call in case.program.calls:
        if call.inputs and all(_key(value) in found for value in call.inputs):
            found.add(id(call))
    return found


def _key(value: Value) -> int:
    return id(value) if isinstance(value, Leaf) else id(value.call)


def _products(case: Case, constants: set[int], narrow: torch.dtype) -> list[tuple[str, dict[Call, Edit]]]:
    """Products with a weight: rounded before where the reference rounds after, or after where it rounds before."""
    before: dict[Call, Edit] = {}
    after: dict[Call, Edit] = {}
    for call in case.program.calls:
        if call.name not in _PRODUCTS or len(call.inputs) != 2:
            continue
        others = [value for value in call.inputs if _key(value) not in constants]
        if len(others) != 1 or not isinstance(others[0], Result):
            continue
        cast = others[0].call
        dtype = case.program.value(Result(call)).dtype
        if dtype in _WIDE:
            before[call] = _rounding_arguments(narrow)
        elif cast.name in _CASTS and case.program.value(cast.inputs[0]).dtype in _WIDE:
            after[cast] = lambda function, args, kwargs: args[0]
            after[call] = lambda function, args, kwargs: function(*args, **kwargs).to(narrow)
    named = [("rounds before it multiplies by the weight", before), ("rounds after it multiplied by the weight", after)]
    return [(words, edits) for words, edits in named if edits]


def _rounding_arguments(narrow: torch.dtype) -> Edit:
    return lambda function, args, kwargs: function(
        *(value.to(narrow) if isinstance(value, torch.Tensor) else value for value in args), **kwargs
    )


def _folded(case: Case, constants: set[int], narrow: torch.dtype) -> list[tuple[str, Plan]]:
    """What is computed of weights alone, 1 + w for one, is computed once in float32 and stored rounded."""
    used = {_key(value) for call in case.program.calls if id(call) not in constants for value in call.inputs}
    last = [call for call in case.program.calls if id(call) in constants and id(call) in used]
    last = [call for call in last if call.name not in _CASTS and _sums(call)]
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
    return [("stores 1 + w instead of w", Plan(edits, leaves))]


def _sums(call: Call) -> bool:
    return call.name in {"add", "__add__", "__radd__"}
