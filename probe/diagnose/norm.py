"""Norms: another eps, weights that belong elsewhere, were never loaded, or lack the 1 that is added to them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from probe.diagnose.case import Case
from probe.diagnose.edits import constant
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.replay.program import Call, Leaf, Program, Result

EPS = (0.0, 1e-14, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
_ROOTS = {"rsqrt", "sqrt", "pow", "__pow__"}
_SUMS = {"add", "__add__", "__radd__", "add_", "__iadd__"}
_EPS_PLACES = {"layer_norm": 4, "rms_norm": 3, "group_norm": 4, "batch_norm": 7, "native_layer_norm": 4}


@dataclass(frozen=True)
class Epsilon:
    """Where an eps stands in a program."""

    call: Call
    argument: int | str
    value: float


def epsilons(program: Program) -> list[Epsilon]:
    """The eps of torch's own norms, and small constants that are added to what a root is then taken of."""
    found = []
    for call in program.calls:
        place = _EPS_PLACES.get(call.name)
        if place is not None:
            given: int | str = place if len(call.args) > place else "eps"
            value = call.args[place] if len(call.args) > place else call.kwargs.get("eps")
            if value is None and call.name != "rms_norm":
                value = 1e-5
            if isinstance(value, float):
                found.append(Epsilon(call, given, value))
        elif call.name in _ROOTS and call.inputs and isinstance(call.inputs[0], Result):
            added = call.inputs[0].call
            numbers = [i for i, a in enumerate(added.args) if isinstance(a, (int, float)) and 0 <= a <= 1e-2]
            if added.name in _SUMS and len(numbers) == 1:
                found.append(Epsilon(added, numbers[0], float(added.args[numbers[0]])))
    return found


def eps(case: Case) -> Iterator[Hypothesis]:
    """norm.eps: fitted to the candidate's output."""
    return map(_eps, epsilons(case.program))


def _eps(place: Epsilon) -> Hypothesis:
    return Hypothesis(
        "norm.eps",
        lambda value: Plan({place.call: constant(place.argument, value)}),
        lambda value: (
            f"eps is {value:.3g} where the reference has {place.value:.3g}: "
            "look for a norm that is built without the config's eps"
        ),
        tuple(sorted({*EPS, place.value})),
        scale="log",
        reference_value=place.value,
    )


def scales(program: Program) -> list[Leaf]:
    """One-dimensional weights that a program uses, its norms' own."""
    return [leaf for leaf in program.leaves if leaf.is_weight and leaf.tensor.dim() == 1]


def swapped(case: Case) -> Iterator[Hypothesis]:
    """norm.weight_swapped: the weight of another norm of the model."""
    for leaf in scales(case.program):
        others = {
            name: tensor
            for name, tensor in case.model.named_parameters()
            if tensor.shape == leaf.tensor.shape and name != leaf.name and not torch.equal(tensor, leaf.tensor)
        }
        if others:
            yield _swapped(leaf, others)


def _swapped(leaf: Leaf, others: Mapping[str, torch.Tensor]) -> Hypothesis:
    return Hypothesis(
        "norm.weight_swapped",
        lambda name: Plan(leaves={leaf: others[name].detach()}),
        lambda name: f"{name} stands in the place of {leaf.name}: look at the converter's name map",
        tuple(others),
        reference_value=leaf.name,
    )


FAMILIES = [eps, swapped]
