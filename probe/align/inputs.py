"""Norms whose weights are elsewhere in every layer: what they are given tells them apart, where weights mislead.

Two norms that hold each other's weights look, by their weights, like two norms that run in another order. What goes
into the first of them is still right, and says which one it is.
"""

from collections import defaultdict
from dataclasses import replace

from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Part
from probe.align.same_tensor import distance
from probe.align.votes import follow, rule_of
from probe.tap import Tap, template


def told_by_inputs(
    matches: dict[str, Match], ours: ModuleTable, theirs: ModuleTable
) -> tuple[dict[str, Match], list[str]]:
    """`matches`, with those put right that the first layer's inputs contradict; and remarks on them.

    What another module's match is put in the place of is left without one: its order may tell.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for module in ours.weights:
        if module in matches and not ours.num_matrices(module) and matches[module].reason.startswith("weights"):
            groups[template(module)[0]].append(module)
    corrected: dict[str, Match] = {}
    remarks = []
    for modules in groups.values():
        first, held = modules[0], matches[modules[0]].parts[0].module
        place = _by_input(first, held, ours, theirs)
        if place is None:
            continue
        rule = rule_of(first, (Part(place),))
        for module in modules:
            parts = follow(rule, module)
            if parts[0].module in theirs.taps:
                own = matches[module].parts[0].module
                corrected[module] = replace(matches[module], parts=parts, reason="inputs", confidence=0.8)
                remarks.append(f"{parts[0]} does not hold the weights of {module}; they are those of {own}")
    taken = {match.parts[0].module for match in corrected.values()}
    misled = {m for modules in groups.values() for m in modules if matches[m].parts[0].module in taken}
    kept = {module: match for module, match in matches.items() if module not in misled}
    return kept | corrected, remarks


def _by_input(module: str, held: str, ours: ModuleTable, theirs: ModuleTable) -> str | None:
    """The module that is given what `module` is, if `held`, which holds its weights, is given something else."""
    given = _input(ours, module)
    if given is None or _is_near(given, _input(theirs, held)):
        return None
    shapes = sorted(shape for _, shape in ours.weights[module])
    alike = (name for name in theirs.weights if sorted(shape for _, shape in theirs.weights[name]) == shapes)
    return next((name for name in alike if _is_near(given, _input(theirs, name))), None)


def _input(table: ModuleTable, module: str) -> Tap | None:
    return next((tap for tap in table.taps.get(module, ()) if tap.is_input), None)


def _is_near(given: Tap, other: Tap | None) -> bool:
    return other is not None and other.num_elements == given.num_elements and distance(given, other) < 1
