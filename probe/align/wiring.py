"""Norms by what they are wired to: the matrix that is given a norm's output says which norm it is.

One run alone shows who feeds whom, by tensors that are the same there; the two runs' numbers are not compared.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Part
from probe.align.rule import Rule, rule_of
from probe.align.same_tensor import Key, tensor_key
from probe.tap import Tap

Wire = tuple[str, bool]
"""A module with a matrix, and whether it is given what the norm returns, or returns what the norm is given."""


class Wiring:
    """Which norms of either side are wired to the same matrices."""

    def __init__(self, matches: Mapping[str, Match], ours: ModuleTable, theirs: ModuleTable) -> None:
        self._ours, self._theirs = ours, theirs
        self._wires = {
            norm: {(wire, at_input) for matrix, at_input in wires if (wire := _whole(matches.get(matrix), at_input))}
            for norm, wires in _wires(ours).items()
        }
        self._their_wires = _wires(theirs)

    def rule(self, modules: Sequence[str], matches: Mapping[str, Match]) -> Rule | None:
        """Where norms of one kind belong, if most of those that are wired to something say so and weights say else."""
        votes: Counter[Rule] = Counter()
        is_contradicted = False
        for module in modules:
            held = matches[module].parts[0].module
            place = self._place(module)
            if place and (place == held or self._their_wires.get(held)):
                votes[rule_of(module, (Part(place),))] += 1
                is_contradicted |= place != held
        best = votes.most_common(1)
        return best[0][0] if is_contradicted and 2 * best[0][1] > votes.total() else None

    def _place(self, module: str) -> str | None:
        """The one norm of its shape that shares a wire with it."""
        shapes = _shapes(self._ours, module)
        wires = self._wires.get(module, set())
        alike = [name for name, others in self._their_wires.items() if wires & others]
        alike = [name for name in alike if _shapes(self._theirs, name) == shapes]
        return alike[0] if len(alike) == 1 else None


def _wires(table: ModuleTable) -> dict[str, set[Wire]]:
    """Per module without a matrix of its own the matrices right before and behind it."""
    given: dict[Key, list[str]] = defaultdict(list)
    returned: dict[Key, list[str]] = defaultdict(list)
    for module in table.weights:
        if table.num_matrices(module) == 1:
            for keys, tap in ((given, _first(table, module, True)), (returned, _first(table, module, False))):
                if tap and (key := tensor_key(tap)):
                    keys[key].append(module)
    wires: dict[str, set[Wire]] = {}
    for module in table.weights:
        if not table.num_matrices(module):
            behind, before = (_first(table, module, is_input) for is_input in (False, True))
            feeds = given.get(key, []) if behind and (key := tensor_key(behind)) else []
            fed_by = returned.get(key, []) if before and (key := tensor_key(before)) else []
            wires[module] = {(name, True) for name in feeds} | {(name, False) for name in fed_by}
    return wires


def _first(table: ModuleTable, module: str, is_input: bool) -> Tap | None:
    return next((tap for tap in table.taps[module] if tap.is_input == is_input), None)


def _whole(match: Match | None, at_input: bool) -> str | None:
    """The matrix that stands for another; at its output, only if it returns nothing else."""
    if match is None or not match.is_sure:
        return None
    is_cut = not at_input and (len(match.parts) > 1 or match.parts[0].columns is not None)
    return None if is_cut else match.parts[0].module


def _shapes(table: ModuleTable, module: str) -> list[tuple[int, ...]]:
    return sorted(shape for _, shape in table.weights[module])
