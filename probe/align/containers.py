"""Modules that hold others, by what they hold."""

from collections import defaultdict
from collections.abc import Iterable

from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Part
from probe.align.rule import Rule, follow, rule_of
from probe.tap import template

REASON = "same weights inside"


def containers(
    ours: ModuleTable, theirs: ModuleTable, matches: dict[str, Match], held: dict[str, set[str]]
) -> dict[str, Match]:
    """A module that holds exactly the weights of a candidate module; it may be tapped at another point, so not firm.

    In a layer that holds weights which were not found it is the one that the other layers say.
    """
    sure = {module: match for module, match in matches.items() if match.is_sure}
    images = {module: {part.module for part in sure[module].parts} for module in ours.weights if module in sure}
    images = {module: homes for module, homes in held.items() if module in ours.weights} | images
    homes: dict[str, set[str]] = defaultdict(set)
    for module, targets in images.items():
        for name in targets:
            homes[name].add(module)
    found: dict[str, Match] = {}
    used: set[str] = set()
    for module in ours.taps:
        inside = ours.below(module)
        if module in matches or not module or not inside or not inside <= images.keys():
            continue
        targets = set().union(*(images[name] for name in inside))
        home = _common_parent(targets)
        is_one_of_them = home in targets and theirs.is_alone(home)
        if home not in theirs.taps or is_one_of_them or home in used or theirs.below(home) != targets:
            continue
        if all(homes[name] <= inside for name in targets):
            found[module] = _inside(home)
            used.add(home)
    return found | _of_other_layers(found, ours, theirs, matches, used)


def _of_other_layers(
    found: dict[str, Match], ours: ModuleTable, theirs: ModuleTable, matches: dict[str, Match], used: set[str]
) -> dict[str, Match]:
    rules: dict[str, set[Rule]] = defaultdict(set)
    for module, match in found.items():
        rules[template(module)[0]].add(rule_of(module, match.parts))
    more: dict[str, Match] = {}
    for module in ours.taps:
        kind = rules.get(template(module)[0], set())
        if len(kind) == 1 and module not in matches and module not in found:
            home = follow(next(iter(kind)), module)[0].module
            if home in theirs.taps and home not in used:
                more[module] = _inside(home)
                used.add(home)
    return more


def _inside(home: str) -> Match:
    return Match((Part(home),), REASON, firm=False, confidence=0.6)


def _common_parent(modules: Iterable[str]) -> str:
    paths = [name.split(".") for name in modules]
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
