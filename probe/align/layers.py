"""Layers run in their order: where weights are those of another layer, what the layers are given says which is meant.

A stack of three layers of which two hold each other's weights looks, by its weights, like one that runs in another
order. What goes into the first of the two is still right, and tells.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probe.align.evidence import Options
from probe.align.given import is_given_the_same
from probe.align.model import ModuleTable
from probe.align.part import Part
from probe.align.rule import Rule, follow, rule_of
from probe.tap import template


@dataclass(frozen=True, slots=True)
class Shuffled:
    """A kind of module in a stack of layers whose weights are found at one place, in other layers than their own."""

    rule: Rule | None
    """Every layer at its own number; None where it cannot be said of this kind."""
    is_in_order: bool | None
    """Whether the layers are meant so, whatever their weights say; None where nothing tells."""


def shuffled(
    layers: Mapping[str, Sequence[str]],
    winners: Mapping[str, Rule | None],
    options: Options,
    ours: ModuleTable,
    theirs: ModuleTable,
) -> dict[str, Shuffled]:
    """The kinds in `layers` that have no winner, where their stack is shuffled; one kind tells of its whole stack."""
    rules: dict[str, Rule | None] = {}
    verdicts: dict[str, set[bool]] = defaultdict(set)
    for kind, modules in layers.items():
        winner = winners[kind]
        if winner:
            if any(_is_of_another_layer(module, winner, options) for module in modules):
                verdicts[_stack(kind)].add(True)
        elif rule := _in_order(modules, options):
            rules[kind] = rule
            verdicts[_stack(kind)] |= _told(modules, rule, options, ours, theirs)
    return {
        kind: Shuffled(rules.get(kind), (True in told) if len(told := verdicts[_stack(kind)]) == 1 else None)
        for kind in layers
        if not winners[kind] and _stack(kind) in verdicts
    }


def _is_of_another_layer(module: str, winner: Rule, options: Options) -> bool:
    """Whether its weights are where the others' are, but for the layer's number."""
    found = [rule_of(module, option) for option in options.get(module, ())]
    return winner not in found and any([part for part, _ in rule] == [part for part, _ in winner] for rule in found)


def _in_order(modules: Sequence[str], options: Options) -> Rule | None:
    """The rule by which as many layers of one place follow each other on both sides; None where there is none."""
    found = [(module, rule_of(module, option)) for module in modules for option in options.get(module, ())]
    places: dict[tuple[tuple[Part, tuple[int, ...]], ...], list[tuple[int, list[int]]]] = defaultdict(list)
    for module, rule in found:
        if all(rule_shift for _, rule_shift in rule):
            place = tuple((part, shift[1:]) for part, shift in rule if shift)
            places[place].append((template(module)[1][0], [shift[0] for _, shift in rule if shift]))
    if not places:
        return None
    votes = Counter({place: len(at) for place, at in places.items()}).most_common(2)
    place, count = votes[0]
    if count < max(2, len(modules) / 2) or (len(votes) > 1 and votes[1][1] == count):
        return None
    shifts = []
    for number in range(len(place)):
        numbers = sorted({layer for layer, _ in places[place]})
        others = sorted({layer + by[number] for layer, by in places[place]})
        differences = {other - layer for layer, other in zip(numbers, others, strict=False)}
        if len(numbers) != len(others) or len(differences) != 1:
            return None
        shifts.append(differences.pop())
    return tuple((part, (by, *rest)) for (part, rest), by in zip(place, shifts, strict=True))


def _told(modules: Sequence[str], rule: Rule, options: Options, ours: ModuleTable, theirs: ModuleTable) -> set[bool]:
    """Of the first module whose weights are elsewhere: whether it is given what the one at its own number is given."""
    for module in sorted((module for module in modules if options.get(module)), key=ours.order.__getitem__):
        own = follow(rule, module)
        if own in options[module]:
            continue
        at_own = is_given_the_same(ours, module, theirs, own[0].module)
        others = [option[0].module for option in options[module]]
        elsewhere = any(is_given_the_same(ours, module, theirs, other) for other in others)
        return {at_own} if at_own != elsewhere else set()
    return set()


def _stack(kind: str) -> str:
    return kind.partition("{i}")[0]
