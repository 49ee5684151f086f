"""The layers vote on where a kind of module went: weights in the wrong place are a bug, not a hint to be followed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from probe.align.evidence import Options
from probe.align.layers import shuffled
from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Option
from probe.align.rule import Rule, follow, rule_of
from probe.tap import template


def agreed(
    options: Options,
    ours: ModuleTable,
    theirs: ModuleTable,
    taken: dict[str, Match],
    is_near: Callable[[str, Option], bool] = lambda module, option: False,
) -> tuple[dict[str, Match], list[str]]:
    """One option a module, and remarks. Where the other layers agree on a place, it is that one, whatever this layer's
    weights say. What has few enough bits has no row that is surely the reference's, and `is_near` as a whole.
    """
    layers: dict[str, list[str]] = defaultdict(list)
    for module in ours.weights:
        if module not in taken:
            layers[template(module)[0]].append(module)
    winners = {kind: _winner(modules, options) for kind, modules in layers.items()}
    stacks = shuffled(layers, winners, options, ours, theirs)
    matches: dict[str, Match] = {}
    remarks = []
    for kind, modules in layers.items():
        stack = stacks.get(kind)
        winner = stack.rule if stack and stack.is_in_order else winners[kind]
        for module in modules:
            own = options.get(module, [])
            agreed = follow(winner, module) if winner else None
            if agreed and all(part.module in theirs.taps for part in agreed):
                matches[module] = (
                    Match(agreed, "weights", confidence=0.99)
                    if agreed in own
                    else Match(agreed, "weights of the other layers", confidence=0.8)
                )
                if agreed not in own and (own or not is_near(module, agreed)):
                    elsewhere = f"; they are those of {_names(own[0])}" if own else ""
                    remarks.append(f"{_names(agreed)} does not hold the weights of {module}{elsewhere}")
            elif own and not winner:
                sure = 0.3 if stack and stack.is_in_order is not False else 0.95 if len(own) == 1 else 0.7
                matches[module] = Match(_nearest(module, own, ours, theirs), "weights", confidence=sure)
    return matches, remarks


def _winner(modules: Sequence[str], options: Options) -> Rule | None:
    """The place that most layers' weights point to; None where they point nowhere in common."""
    votes = Counter(rule for module in modules for rule in {rule_of(module, own) for own in options.get(module, ())})
    best = votes.most_common(2)
    if not best or (len(modules) > 1 and best[0][1] < max(2, len(modules) / 2)):
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
