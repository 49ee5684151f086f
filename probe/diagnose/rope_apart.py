"""Queries and keys that are turned unlike each other: rows of one of them in another order, or other positions."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.rotation import LAYOUTS, Layout, Turn
from probe.diagnose.spin import Spin
from probe.diagnose.turns import Sides

OFFSETS = (1, -1, 2, -2, 3, -3, 4, -4)
"""Of queries against keys; what both have in common changes no score."""


def rows(found: Sides) -> Iterator[Hypothesis]:
    """rope.layout: rows of queries, or of keys, in the order that another layout wants."""
    for read, written in (LAYOUTS, LAYOUTS[::-1]):
        yield Hypothesis(
            "rope.layout",
            partial(_permuted, found, written, read),
            lambda side: (
                f"rows of {side} are in another order in each head, that of another layout of the rotary embedding: "
                "look for a converter that permutes q alone or k alone"
            ),
            tuple(side for side in found if len(found[side]) == 1),
            reference_value=read,
            candidate_value=partial(_given, written),
        )


def apart(found: Sides) -> Iterator[Hypothesis]:
    """rope.position: queries and keys of one token at different positions."""
    for turn in found["queries"]:
        if turn.spin is not None:
            yield _apart(turn, turn.spin)


def _apart(turn: Turn, spin: Spin) -> Hypothesis:
    return Hypothesis(
        "rope.position",
        lambda offset: Plan({turn.call: turn.at(replace(spin, positions=spin.positions + offset))}),
        lambda offset: (
            f"queries stand {offset:+d} from the position of their own keys: "
            "look for a cache length or an offset that one of the two is given"
        ),
        OFFSETS,
        reference_value=0,
    )


def _given(value: str, _: str) -> str:
    return value


def _permuted(found: Sides, written: Layout, read: Layout, side: str) -> Plan:
    return Plan({turn.call: turn.permuted(written, read) for turn in found[side]})
