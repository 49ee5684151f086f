"""Modules whose weights tell nothing, by the order in which they ran."""

from collections import defaultdict

from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Part


def by_order(ours: ModuleTable, theirs: ModuleTable, matches: dict[str, Match]) -> dict[str, Match]:
    """Modules whose weights tell nothing (all ones, never loaded), between neighbours that are known."""
    found: dict[str, Match] = {}
    if not any(module in matches for module in ours.weights):
        return found  # no neighbour is known: these may be two unrelated models
    used = {part.module for match in matches.values() for part in match.parts}
    gaps: dict[str | None, list[str]] = defaultdict(list)
    last: str | None = None
    for module in (name for name in ours.taps if name in ours.weights and ours.is_alone(name)):
        if module in matches:
            last = matches[module].parts[0].module
        else:
            gaps[last].append(module)
    other_gaps: dict[str | None, list[str]] = defaultdict(list)
    last = None
    for module in (name for name in theirs.taps if name in theirs.weights and theirs.is_alone(name)):
        if module in used:
            last = module
        else:
            other_gaps[last].append(module)
    for anchor, modules in gaps.items():
        for shapes in {tuple(sorted(ours.weights[module])) for module in modules}:
            mine = [module for module in modules if tuple(sorted(ours.weights[module])) == shapes]
            sizes = sorted(shape for _, shape in shapes)
            others = [m for m in other_gaps[anchor] if sorted(shape for _, shape in theirs.weights[m]) == sizes]
            sure = _confidence(len(mine), len(others), ours.num_matrices(mine[0]) > 0)
            found |= {m: Match((Part(o),), "order", confidence=sure) for m, o in zip(mine, others, strict=False)}
    return found


def _confidence(num_ours: int, num_theirs: int, has_matrix: bool) -> float:
    """One for one is sure enough. Several norms may all be ones; several matrices that are not found are a puzzle."""
    if num_ours != num_theirs:
        return 0.3
    if num_ours == 1:
        return 0.8
    return 0.4 if has_matrix else 0.6
