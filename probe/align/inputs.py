"""Norms whose weights are elsewhere in every layer: what is around them tells them apart, where weights mislead.

Two norms that hold each other's weights look, by their weights, like two norms that run in another order. What goes
into the first of them is still right, and says which one it is; what each is wired to says it of all.
"""

from collections import defaultdict
from dataclasses import replace

from probe.align.given import is_given_the_same
from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Part
from probe.align.rule import Rule, follow, rule_of
from probe.align.same_tensor import FAR
from probe.align.wiring import Wiring
from probe.tap import template


def told_by_inputs(
    matches: dict[str, Match], ours: ModuleTable, theirs: ModuleTable
) -> tuple[dict[str, Match], list[str]]:
    """`matches`, with those put right that wires, or the first layer's inputs, contradict; and remarks on them.

    What another module's match is put in the place of is left without one: its order may tell.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for module in ours.weights:
        if module in matches and not ours.num_matrices(module) and matches[module].reason.startswith("weights"):
            groups[template(module)[0]].append(module)
    wiring = Wiring(matches, ours, theirs)
    corrected: dict[str, Match] = {}
    remarks = []
    for modules in groups.values():
        rule = wiring.rule(modules, matches) or _by_input(modules[0], matches, ours, theirs)
        if rule is None:
            continue
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


def _by_input(module: str, matches: dict[str, Match], ours: ModuleTable, theirs: ModuleTable) -> Rule | None:
    """Where it belongs that is given what `module` is, if the one that holds its weights is given something else."""
    if is_given_the_same(ours, module, theirs, matches[module].parts[0].module, within=FAR):
        return None
    shapes = sorted(shape for _, shape in ours.weights[module])
    alike = (name for name in theirs.weights if sorted(shape for _, shape in theirs.weights[name]) == shapes)
    place = next((name for name in alike if is_given_the_same(ours, module, theirs, name)), None)
    return rule_of(module, (Part(place),)) if place and ours.given(module) else None
