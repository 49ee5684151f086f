"""Which candidate module stands for which reference module: by name, by weights, by what repeats, by order."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from probe.align.evidence import Options, WeightEvidence
from probe.align.model import ModuleTable
from probe.align.part import Option, Part
from probe.dump import Dump
from probe.tap import template

SURE = 0.5
LETTERS = "ijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Match:
    """A reference module's counterpart."""

    parts: Option
    reason: str
    firm: bool = True
    confidence: float = 1.0
    """How sure this is, from 0 to 1; below SURE it is asked about and not used."""


def match_modules(reference: Dump, candidate: Dump) -> tuple[dict[str, Match], list[str]]:
    """Per reference module its counterpart, and remarks on weights that contradict it."""
    ours, theirs = ModuleTable(reference), ModuleTable(candidate)
    matches = {"": Match((Part(""),), "root")} if "" in ours.taps and "" in theirs.taps else {}
    for module in ours.taps:
        if module and module in theirs.taps and _same_kind(module, ours, theirs):
            matches[module] = Match((Part(module),), "name")
    remarks: list[str] = []
    if any(module not in matches for module in ours.weights):
        evidence = WeightEvidence(reference, candidate, ours, theirs)
        options = _plausible(evidence.options, ours, theirs)
        by_weights, remarks = _agreed(options, ours, theirs, taken=matches)
        matches |= by_weights
        matches |= _by_order(ours, theirs, matches)
        matches |= _containers(ours, theirs, matches, evidence.homes)
    return matches, remarks


def _same_kind(module: str, ours: ModuleTable, theirs: ModuleTable) -> bool:
    """An equal name means the same thing only for modules of one class, or of the same insides."""
    same_class = ours.taps[module][0].module_class == theirs.taps[module][0].module_class
    return same_class or ours.children(module) == theirs.children(module)


def _plausible(options: Options, ours: ModuleTable, theirs: ModuleTable) -> Options:
    """Without those that never ran or are fed numbers of another kind."""
    plausible: Options = {}
    for module, found in options.items():
        if module in ours.taps:
            kind = ours.input_kind(module)
            plausible[module] = [
                option
                for option in found
                if all(part.module in theirs.taps and theirs.input_kind(part.module) == kind for part in option)
            ]
    return plausible


def _agreed(
    options: Options, ours: ModuleTable, theirs: ModuleTable, taken: dict[str, Match]
) -> tuple[dict[str, Match], list[str]]:
    """One option a module. Where the other layers agree on a place, it is that one, whatever this layer's weights say:
    weights in the wrong place are a bug to be found, not a hint to be followed."""
    layers: dict[str, list[str]] = defaultdict(list)
    for module in ours.weights:
        if module not in taken:
            layers[template(module)[0]].append(module)
    matches: dict[str, Match] = {}
    remarks = []
    for modules in layers.values():
        votes = Counter(
            rule for module in modules for rule in {_rule(module, option) for option in options.get(module, ())}
        )
        winner = _winner(votes, len(modules))
        for module in modules:
            own = options.get(module, [])
            agreed = _follow(winner, module) if winner else None
            if agreed and all(part.module in theirs.taps for part in agreed):
                matches[module] = (
                    Match(agreed, "weights", confidence=0.99)
                    if agreed in own
                    else Match(agreed, "weights of the other layers", confidence=0.8)
                )
                if agreed not in own:
                    elsewhere = f"; they are those of {_names(own[0])}" if own else ""
                    remarks.append(f"{_names(agreed)} does not hold the weights of {module}{elsewhere}")
            elif own and not winner:
                sure = 0.95 if len(own) == 1 else 0.7
                matches[module] = Match(_nearest(module, own, ours, theirs), "weights", confidence=sure)
    return matches, remarks


Rule = tuple[tuple[Part, tuple[int, ...] | None], ...]
"""Per part: it, with the candidate's template for a module, and its indices minus the reference's (None: it has
another number of them, and its full name)."""


def _rule(module: str, option: Option) -> Rule:
    _, indices = template(module)
    rule: list[tuple[Part, tuple[int, ...] | None]] = []
    for part in option:
        name, theirs = template(part.module)
        for letter, index in zip(LETTERS[len(indices) :], theirs[len(indices) :], strict=False):
            name = name.replace("{" + letter + "}", str(index))  # of a shard or an expert: the same in every layer
        if len(theirs) >= len(indices):
            rule.append((replace(part, module=name), tuple(c - r for c, r in zip(theirs, indices, strict=False))))
        else:
            rule.append((part, None))
    return tuple(rule)


def _follow(rule: Rule, module: str) -> Option:
    """What the rule says of one layer."""
    _, indices = template(module)
    parts = []
    for part, shift in rule:
        name = part.module
        if shift is not None:
            for letter, index, by in zip(LETTERS, indices, shift, strict=False):
                name = name.replace("{" + letter + "}", str(index + by))
        parts.append(replace(part, module=name))
    return tuple(parts)


def _winner(votes: Counter[Rule], num_modules: int) -> Rule | None:
    """The place that most layers' weights point to; None where they point nowhere in common."""
    best = votes.most_common(2)
    if not best or (num_modules > 1 and best[0][1] < max(2, num_modules / 2)):
        return None
    if len(best) > 1 and best[1][1] == best[0][1]:
        return None
    return best[0][0]


def _nearest(module: str, options: list[Option], ours: ModuleTable, theirs: ModuleTable) -> Option:
    """Of several equal weights, the one at the same place of its model."""
    place = ours.order[module] / max(len(ours.order), 1)
    return min(options, key=lambda option: abs(theirs.order[option[0].module] / max(len(theirs.order), 1) - place))


def _names(option: Option) -> str:
    return " + ".join(str(part) for part in option)


def _by_order(ours: ModuleTable, theirs: ModuleTable, matches: dict[str, Match]) -> dict[str, Match]:
    """Modules whose weights tell nothing (all ones, never loaded), between neighbours that are known."""
    found: dict[str, Match] = {}
    if not any(module in matches for module in ours.weights):
        return found  # no neighbour is known: these may be two unrelated models
    used = {part.module for match in matches.values() for part in match.parts}
    gaps: dict[str | None, list[str]] = defaultdict(list)
    last: str | None = None
    for module in (name for name in ours.taps if name in ours.weights):
        if module in matches:
            last = matches[module].parts[0].module
        else:
            gaps[last].append(module)
    other_gaps: dict[str | None, list[str]] = defaultdict(list)
    last = None
    for module in (name for name in theirs.taps if name in theirs.weights):
        if module in used:
            last = module
        else:
            other_gaps[last].append(module)
    for anchor, modules in gaps.items():
        for shapes in {tuple(sorted(ours.weights[module])) for module in modules}:
            mine = [module for module in modules if tuple(sorted(ours.weights[module])) == shapes]
            sizes = sorted(shape for _, shape in shapes)
            others = [m for m in other_gaps[anchor] if sorted(shape for _, shape in theirs.weights[m]) == sizes]
            sure = 0.8 if len(mine) == len(others) == 1 else 0.6 if len(mine) == len(others) else 0.3
            found |= {m: Match((Part(o),), "order", confidence=sure) for m, o in zip(mine, others, strict=False)}
    return found


def _containers(
    ours: ModuleTable, theirs: ModuleTable, matches: dict[str, Match], held: dict[str, set[str]]
) -> dict[str, Match]:
    """A module that holds exactly the weights of a candidate module; it may be tapped at another point, so not firm."""
    sure = {module: match for module, match in matches.items() if match.confidence >= SURE}
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
