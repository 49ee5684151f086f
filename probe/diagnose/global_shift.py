"""Positions that are later for every token, where rotations alone use them: attention sees only differences of them."""

from collections.abc import Iterator

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis
from probe.diagnose.rope_positions import moved
from probe.diagnose.rope_tables import angles
from probe.diagnose.turns import sides

SHIFTS = (*range(1, 257), *range(-1, -17, -1))
"""A prompt before the tokens, rows for padding, a table that begins at 1."""
HARMLESS = "harmless: nothing but rotations uses them, and those see differences alone"


def in_tables(case: Case) -> Iterator[Hypothesis]:
    """input.positions: of cosines and sines that are handed to others."""
    spun = [] if sides(case.program) else angles(case.program)
    if spun and case.since is None:  # else older keys stay where they are
        yield Hypothesis(
            "input.positions",
            lambda shift: moved(spun, lambda positions: positions + shift),
            message,
            SHIFTS,
            reference_value=0,
            harmless=True,
        )


def message(shift: int) -> str:
    return (
        f"positions are {abs(shift)} {'later' if shift > 0 else 'earlier'} than the reference's everywhere; {HARMLESS}"
    )


def shift_of(case: Case) -> int | None:
    """Of whole numbers that are themselves the tap, handed to a module without weights: by how much all are moved."""
    module = case.model.get_submodule(case.error.pair.reference.module)
    shifts = set((case.candidate - case.exact)[case.counts].tolist())
    return None if len(shifts) != 1 or any(True for _ in module.parameters()) else int(shifts.pop())


FAMILIES = [in_tables]
