"""Modules that hold others, by what they hold."""

from collections import defaultdict
from collections.abc import Iterable

from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Part


def containers(
    ours: ModuleTable, theirs: ModuleTable, matches: dict[str, Match], held: dict[str, set[str]]
) -> dict[str, Match]:
    """A module that holds exactly the weights of a candidate module; it may be tapped at another point, so not firm."""
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
        if not home or home not in theirs.taps or home in targets or home in used or theirs.below(home) != targets:
            continue
        if all(homes[name] <= inside for name in targets):
            found[module] = Match((Part(home),), "same weights inside", firm=False, confidence=0.6)
            used.add(home)
    return found


def _common_parent(modules: Iterable[str]) -> str:
    paths = [name.split(".") for name in modules]
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
