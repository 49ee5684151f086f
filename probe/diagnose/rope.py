"""Rotary embeddings at attention: left out, done twice, or with other pairs of channels; and all else about them."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Family, Hypothesis, Plan
from probe.diagnose.rope_angles import of_angles
from probe.diagnose.rope_apart import apart, rows
from probe.diagnose.rope_order import MESSAGE, ORDERS, exchanged, is_moved, normed_late, turned_input
from probe.diagnose.rope_tables import angles
from probe.diagnose.rotation import LAYOUTS, Layout, Turn
from probe.diagnose.turns import Sides, sides
from probe.replay.program import Edit

PAIRS = {"halves": "channels i and i + D/2", "neighbours": "channels 2i and 2i + 1"}


def in_norms(case: Case) -> Iterator[Hypothesis]:
    """A norm's input is turned already."""
    if not sides(case.program):
        yield from turned_input(case)


def in_tables(case: Case) -> Iterator[Hypothesis]:
    """Cosines and sines that are handed to others."""
    if not sides(case.program):
        yield from of_angles(case, angles(case.program))


def rotary(case: Case) -> Iterator[Hypothesis]:
    """All that can be wrong with the rotations of a program, each on both sides or on one."""
    found = sides(case.program)
    if not found:
        return
    both = next(iter(found.values()))
    yield moved(found) if is_moved(case, both) else missing(found)
    yield from (*exchanged(both), *normed_late(case, both))
    yield twice(found)
    for ours in {turn.layout for turn in both}:
        yield layout(found, ours)
    if len(found) > 1:
        yield from rows(found)
        yield from apart(found)
    yield from of_angles(case, both)


def missing(found: Sides) -> Hypothesis:
    """rope.missing"""
    return _of_side(
        found,
        "rope.missing",
        lambda turn: turn.to(turn.unit / turn.unit),
        lambda side: f"{side} are not turned by their position: look for a layer without its rotary embedding",
        ("turned", "not turned"),
    )


def moved(found: Sides) -> Hypothesis:
    """rope.order: what was turned before needs no turning here."""
    ours, theirs = ORDERS
    return replace(
        missing(found),
        cause="rope.order",
        message=lambda _: MESSAGE,
        reference_value=ours,
        candidate_value=lambda _: theirs,
    )


def twice(found: Sides) -> Hypothesis:
    """rope.twice"""
    return _of_side(
        found,
        "rope.twice",
        lambda turn: turn.to(turn.unit * turn.unit),
        lambda side: f"{side} are turned twice: look for a kernel that applies the rotary embedding itself",
        ("once", "twice"),
    )


def layout(found: Sides, ours: Layout) -> Hypothesis:
    """rope.layout: pairs of channels that the weights are not made for."""
    theirs = LAYOUTS[1 - LAYOUTS.index(ours)]
    return _of_side(
        found,
        "rope.layout",
        lambda turn: turn.to(turn.unit, theirs),
        lambda side: (
            f"{side} turn {PAIRS[theirs]} together where the reference turns {PAIRS[ours]}: "
            "permute the rows of q and k in the converter, or set the other rope type"
        ),
        (ours, theirs),
    )


def _of_side(
    found: Sides,
    cause: str,
    edit: Callable[[Turn], Edit],
    message: Callable[[str], str],
    values: tuple[str, str],
) -> Hypothesis:
    return Hypothesis(
        cause,
        lambda side: Plan({turn.call: edit(turn) for turn in found[side]}),
        message,
        tuple(found),
        reference_value=values[0],
        candidate_value=lambda _: values[1],
    )


FAMILIES: list[Family] = [rotary, in_tables, in_norms]
