"""Tokens and positions that are not the reference's: known by the rows that the candidate has, or themselves a tap."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from probe.diagnose.case import Case
from probe.diagnose.global_shift import message, shift_of
from probe.diagnose.hypothesis import Hypothesis, Plan, changed
from probe.diagnose.lookups import Lookup, counting, lookups, other_ids, role_in
from probe.diagnose.other_ids import Difference, of_masks, of_positions, of_tokens
from probe.trust.fed import Role

SHIFTS = (1, -1, 2, -2, 3, -3, 4, -4)
"""Of positions, where the rows themselves cannot be seen."""
CAUSES = {Role.TOKENS: "input.tokens", Role.POSITIONS: "input.positions", Role.MASK: "input.mask"}
WORDS = {Role.TOKENS: of_tokens, Role.POSITIONS: of_positions, Role.MASK: of_masks}


def rows(case: Case) -> Iterator[Hypothesis]:
    """input.tokens, input.positions: other rows of the same table."""
    for lookup in lookups(case.program):
        own = case.program.value(lookup.ids)
        theirs = other_ids(case, lookup)
        if theirs is None and lookup.role is Role.POSITIONS:
            yield _shifted(lookup, own)
        elif (
            theirs is not None
            and bool(((theirs != own) & counting(case, theirs.shape)).any())
            and _is_something(lookup, theirs)
        ):
            seen = WORDS[lookup.role](own.expand(theirs.shape), theirs, counting(case, theirs.shape))
            yield _hypothesis(lookup.role, Plan({lookup.call: lookup.at(theirs)}), seen, lookup.module)


def handed_on(case: Case) -> Iterator[Hypothesis]:
    """input.tokens, input.positions, input.mask: whole numbers that are themselves the tap at fault."""
    role = role_in(case.program, case.program.result)
    if role in CAUSES:
        theirs = case.candidate.clone()
        seen = WORDS[role](case.exact, theirs, case.counts)
        plan = changed(case.program.result, partial(_instead, theirs))
        shift = shift_of(case) if role is Role.POSITIONS else None
        if shift is not None:
            seen = Difference(0, shift, message(shift))
        yield _hypothesis(role, plan, seen, case.error.module, harmless=shift is not None)


def _instead(theirs: Tensor, _: Tensor) -> Tensor:
    return theirs


def _is_something(lookup: Lookup, ids: Tensor) -> bool:
    """Zeros are no row of anybody's, but a table that was never loaded."""
    return bool(lookup.table.tensor.detach()[ids].any())


def _hypothesis(role: Role, plan: Plan, seen: Difference, module: str, *, harmless: bool = False) -> Hypothesis:
    return Hypothesis(
        CAUSES[role],
        lambda _: plan,
        lambda _: seen.message,
        reference_value=seen.reference,
        candidate_value=lambda _: seen.candidate,
        module=module,
        harmless=harmless,
    )


def _shifted(lookup: Lookup, own: Tensor) -> Hypothesis:
    size = len(lookup.table.tensor)

    def moved(shift: int) -> Tensor:
        return torch.remainder(own + shift, size)

    return Hypothesis(
        "input.positions",
        lambda shift: Plan({lookup.call: lookup.at(moved(shift))}),
        lambda shift: of_positions(own, own + shift, torch.ones_like(own, dtype=torch.bool)).message,
        SHIFTS,
        reference_value=0,
        module=lookup.module,
    )


FAMILIES = [rows, handed_on]
