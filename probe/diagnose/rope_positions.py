"""Positions that are counted another way: from zero again at some token, or without gaps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.spun import Spun, respun
from probe.locate import ABOVE_FLOOR

VISIBLE = 0.01
"""Of the largest error of a token: what a token's error has to be for it to be the first that is wrong."""


def restarted(case: Case, spun: Sequence[Spun]) -> Iterator[Hypothesis]:
    """rope.position: counted from zero again at some token, as of a chunk that forgets the chunk before."""
    first = first_wrong_token(case)
    if first is not None:
        yield Hypothesis(
            "rope.position",
            lambda token: moved(spun, lambda p: torch.where(p >= token, p - token, p)),
            lambda token: (
                f"positions are counted from zero again at token {token}: "
                "look for a chunk or a cache whose length is not added"
            ),
            tuple(token for token in range(first - 2, first + 3) if token > 0),
            reference_value="counted on",
            candidate_value=lambda token: f"from zero at {token}",
        )
        yield Hypothesis(
            "rope.position",
            lambda token: moved(spun, lambda p: p % token),
            lambda token: (
                f"positions are counted from zero again every {token} tokens: look for chunks without a start"
            ),
            tuple(token for token in range(first - 2, first + 3) if token > 1),
            reference_value="counted on",
            candidate_value=lambda token: f"from zero every {token}",
        )


def counted(spun: Sequence[Spun]) -> Iterator[Hypothesis]:
    """input.positions: those that the reference is handed do not just count, and the candidate's do."""
    spins = [one.spin for one in spun if one.spin is not None]
    if any(bool((_from_zero(spin.positions) != spin.positions).any()) for spin in spins):
        yield Hypothesis(
            "input.positions",
            lambda _: moved(spun, _from_zero),
            lambda _: (
                "positions count every token from 0, where the reference's do not: "
                "look for position_ids that are not used, or padding that counts"
            ),
            reference_value="as handed over",
            candidate_value=lambda _: "0, 1, 2, ...",
        )


def _from_zero(positions: torch.Tensor) -> torch.Tensor:
    """0, 1, 2, ... along the last axis that is longer than 1."""
    axis = max((axis for axis, size in enumerate(positions.shape) if size > 1), default=0)
    shape = [-1 if other == axis else 1 for other in range(positions.dim())]
    counted = torch.arange(positions.shape[axis], device=positions.device)
    return counted.reshape(shape).to(positions).expand(positions.shape)


def first_wrong_token(case: Case) -> int | None:
    """Of a tap with axes (batch, token, channel), or of attention's weights, (batch, head, token, token asked).

    None of any other, or where the first token is wrong already.
    """
    if case.exact.dim() not in (3, 4) or not case.exact.is_floating_point():
        return None
    error_T = _by_token(case, case.candidate)
    rounding_T = torch.zeros_like(error_T) if case.rounded is None else _by_token(case, case.rounded)
    wrong = (error_T > (VISIBLE * error_T.amax()).maximum(ABOVE_FLOOR * rounding_T)).nonzero()
    return int(wrong[0]) if len(wrong) and int(wrong[0]) > 0 else None


def _by_token(case: Case, values: torch.Tensor) -> torch.Tensor:
    """[T]: how far they are from the exact ones."""
    squares = ((values - case.exact) * case.counts).double().nan_to_num().square()
    return squares.movedim(-2, 0).flatten(1).sum(1).sqrt()


def moved(spun: Sequence[Spun], change: Callable[[torch.Tensor], torch.Tensor]) -> Plan:
    return respun(spun, lambda spin: replace(spin, positions=change(spin.positions)))
