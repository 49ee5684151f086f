"""Which calls of a program turn queries and keys by their position, found in the values and not in the code."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from probe.diagnose.rotation import LAYOUTS, Turn
from probe.diagnose.rotation_table import table_between
from probe.diagnose.spin import NARROW, spin_of
from probe.replay.program import Call, Leaf, Program, Result, Value


@dataclass(frozen=True)
class Sight:
    """A value that a program computes with."""

    bit: int
    tensor: torch.Tensor


Sides = Mapping[str, tuple[Turn, ...]]


def turns(program: Program) -> tuple[Turn, ...]:
    """Every rotation, in order of execution; of what it turned nothing further is looked for."""
    whole = {id(call) for call, path in _results(program) if not path}
    seen: dict[object, Sight] = {}
    above: dict[int, int] = {}
    found: list[Turn] = []
    turned = 0
    for call in program.calls:
        bits = 0
        for value in call.inputs:
            sight = seen.setdefault(_key(value), Sight(1 << len(seen), program.value(value)))
            bits |= sight.bit | (0 if isinstance(value, Leaf) else above[id(value.call)])
        above[id(call)] = bits
        if bits & turned or id(call) not in whole:
            continue
        after = Result(call)
        befores = [sight.tensor for sight in seen.values() if sight.bit & bits]
        turn = _turn(call, befores, program.value(after))
        if turn is not None:
            found.append(turn)
            turned |= seen.setdefault(_key(after), Sight(1 << len(seen), program.value(after))).bit
    return tuple(found)


def sides(program: Program) -> dict[str, tuple[Turn, ...]]:
    """What is turned: all first, then queries and keys alone where they are told apart."""
    found = turns(program)
    if len(found) != 2:
        return {"queries and keys": found} if found else {}
    queries, keys = found if joins(program, *found) else found[::-1]
    return {"queries and keys": found, "queries": (queries,), "keys": (keys,)}


def joins(program: Program, first: Turn, second: Turn) -> bool:
    """Whether the first turn's tensor comes before the other's in the call where they meet: queries before keys."""
    reach: dict[int, set[int]] = {}
    for call in program.calls:
        sides = [_reached(value, reach, (first.call, second.call)) for value in call.inputs]
        both = [side for side in sides if len(side) == 1]
        if len({next(iter(side)) for side in both}) == 2:
            return both[0] == {id(first.call)}
        reach[id(call)] = set().union(*sides)
    return True


def _reached(value: Value, reach: dict[int, set[int]], ends: tuple[Call, Call]) -> set[int]:
    if isinstance(value, Leaf):
        return set()
    return {id(value.call)} if value.call in ends else reach.get(id(value.call), set())


def _turn(call: Call, befores: list[torch.Tensor], after: torch.Tensor) -> Turn | None:
    """From the first value on that has the same shape and, row by row, the same length up to one factor."""
    if not after.is_floating_point() or after.dim() < 3 or after.shape[-1] % 2 or after.shape[-1] < 4:
        return None
    for before in befores:
        if before.shape != after.shape or not before.is_floating_point() or not _alike(before, after):
            continue
        for layout in LAYOUTS:
            table = table_between(before, after, layout)
            if table is not None:
                return Turn(call, layout, table.numbers, spin_of(table.numbers, table.narrow), table.narrow)
    return None


def _alike(before: torch.Tensor, after: torch.Tensor) -> bool:
    first, second = (torch.linalg.vector_norm(x.double(), dim=-1) for x in (before, after))
    factor = torch.linalg.vector_norm(second) / torch.linalg.vector_norm(first)
    close = torch.linalg.vector_norm(second - factor * first) <= max(NARROW.values()) * torch.linalg.vector_norm(second)
    return bool(close) and not torch.equal(before, after)


def _results(program: Program) -> list[tuple[Call, tuple[object, ...]]]:
    values = (program.result, *(value for call in program.calls for value in call.inputs))
    return [(value.call, value.path) for value in values if isinstance(value, Result)]


def _key(value: Value) -> object:
    return id(value) if isinstance(value, Leaf) else (id(value.call), value.path)
