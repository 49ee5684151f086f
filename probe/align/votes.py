"""The layers vote on where a kind of module went: weights in the wrong place are a bug, not a hint to be followed."""

from collections import Counter, defaultdict
from dataclasses import replace

from probe.align.evidence import Options
from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Option, Part
from probe.tap import template

LETTERS = "ijklmnopqrstuvwxyz"


def agreed(
    options: Options, ours: ModuleTable, theirs: ModuleTable, taken: dict[str, Match]
) -> tuple[dict[str, Match], list[str]]:
    """One option a module, and remarks. Where the other layers agree on a place, it is that one, whatever this layer's
    weights say."""
    layers: dict[str, list[str]] = defaultdict(list)
    for module in ours.weights:
        if module not in taken:
            layers[template(module)[0]].append(module)
    matches: dict[str, Match] = {}
    remarks = []
    for modules in layers.values():
        votes = Counter(
            rule for module in modules for rule in {rule_of(module, option) for option in options.get(module, ())}
        )
        winner = _winner(votes, len(modules))
        for module in modules:
            own = options.get(module, [])
            agreed = follow(winner, module) if winner else None
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


def rule_of(module: str, option: Option) -> Rule:
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


def follow(rule: Rule, module: str) -> Option:
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
