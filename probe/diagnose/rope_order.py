"""rope.order: queries and keys are turned first and normed afterwards, where the reference norms first.

It shows at attention where the norms are in the program. Where a norm's output is a tap, the norm is given turned
channels, and attention, which begins at that tap, turns nothing more: that is a rotation that moved, not one missing.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from probe.diagnose.case import Case
from probe.diagnose.edits import result
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.rotation import LAYOUTS, Layout, Turn, joined, pairs
from probe.diagnose.rotation_table import table_between
from probe.diagnose.spin import Spin, spin_of
from probe.replay.program import Edit, Leaf, Program, Result

EVEN = 0.02
"""Relative: by how much the rows of a normed tensor differ in length, whose eps is small against their mean square."""
ORDERS = "norm, then turn", "turn, then norm"
MESSAGE = (
    "queries and keys are turned by their position before their norm where the reference norms them first: "
    "look at the order of the norm and the rotary embedding"
)


def exchanged(turns: tuple[Turn, ...]) -> Iterator[Hypothesis]:
    """With the norms in the program: each row is divided by its weight, turned, and multiplied again."""
    edits = {turn.call: edit for turn in turns if (edit := _before_weight(turn)) is not None}
    if edits:
        yield _hypothesis(Plan(edits))


def _before_weight(turn: Turn) -> Edit | None:
    """None where what was turned is no root-mean-square norm's output."""
    turned = Program(Result(turn.call))
    straight = turn.undone(turned.value(turned.result))
    for weight in weights(turned, straight.shape[-1]):
        if is_normed(straight / weight):
            return result(partial(_exchanged, turn, weight))
    return None


def _exchanged(turn: Turn, weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    normed = turn.undone(values) / weight
    return (joined(pairs(normed, turn.layout) * turn.table, turn.layout) * weight).to(values.dtype)


def turned_input(case: Case) -> Iterator[Hypothesis]:
    """At the norm itself: its input, or its output, is that of channels turned by position times frequency."""
    end = case.program.result
    if isinstance(end, Leaf) or case.exact.dim() < 3 or case.exact.shape[-1] % 2 or not case.exact.is_floating_point():
        return
    for weight in _factors(case):
        for layout in LAYOUTS:
            table = table_between(case.exact / weight, case.candidate / weight, layout)
            spin = None if table is None else spin_of(table.numbers, table.narrow)
            if spin is not None:
                yield _hypothesis(Plan({end.call: result(partial(_turned, spin, layout, weight))}))


def _factors(case: Case) -> Iterator[torch.Tensor]:
    """Behind a norm, what it multiplies by; before it, 1."""
    if case.error.pair.reference.name.partition(":")[2].startswith("in"):
        yield torch.ones(case.exact.shape[-1], dtype=torch.float64)
    for weight in weights(case.program, case.exact.shape[-1]):
        if is_normed(case.exact / weight):
            yield weight


def _turned(spin: Spin, layout: Layout, weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """A norm's output as it is of a turned input."""
    return (joined(pairs(values / weight, layout) * spin.table, layout) * weight).to(values.dtype)


def is_moved(case: Case, turns: tuple[Turn, ...]) -> bool:
    """Whether all that is turned comes from norms whose inputs or outputs are at fault themselves."""
    return all(_norm_before(case, turn) is not None for turn in turns)


def normed_late(case: Case, turns: tuple[Turn, ...]) -> Iterator[Hypothesis]:
    """With the norms' outputs as taps, which the candidate had before it normed at all."""
    norms = {turn.call: norm for turn in turns if (norm := _norm_before(case, turn)) is not None}
    if norms:
        yield _hypothesis(Plan({call: result(norm.forward) for call, norm in norms.items()}))


def _norm_before(case: Case, turn: Turn) -> nn.Module | None:
    """The module whose output is turned, if its only weights are one-dimensional and it has a tap at fault."""
    at_fault = {name.partition(":")[0] for name in case.suspects}
    for leaf in Program(Result(turn.call)).leaves:
        name, _, port = leaf.name.partition(":")
        if port.startswith("out") and name in at_fault:
            module = case.model.get_submodule(name)
            if {weight.dim() for weight in module.parameters()} == {1}:
                return module
    return None


def weights(program: Program, width: int) -> Iterator[torch.Tensor]:
    """What a norm may multiply its channels by."""
    for leaf in program.leaves:
        if leaf.is_weight and leaf.tensor.shape == (width,):
            yield leaf.tensor.double()
            yield 1 + leaf.tensor.double()


def is_normed(rows: torch.Tensor) -> bool:
    sizes = rows.double().square().mean(-1).sqrt()
    return bool((sizes - 1).abs().amax() <= EVEN)


def _hypothesis(plan: Plan) -> Hypothesis:
    return Hypothesis(
        "rope.order",
        lambda _: plan,
        lambda _: MESSAGE,
        reference_value=ORDERS[0],
        candidate_value=lambda _: ORDERS[1],
    )
