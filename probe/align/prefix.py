"""One model inside another: all names of one side are the other's, behind the name of a wrapper's attribute."""

from collections.abc import Collection, Mapping

ENOUGH = 0.9
"""Share of the modules with weights that must be there behind the prefix."""


def behind_prefix(ours: Collection[str], theirs: Collection[str], weighted: Collection[str]) -> Mapping[str, str]:
    """By reference module the candidate's, where one side's names are those of the other behind one prefix.

    `weighted` are the reference's modules with weights: they say whether one is meant. Empty where names need none.
    """
    named = [module for module in weighted if module]
    if not named or any(module in theirs for module in named):
        return {}
    longer = [(module, other) for module in named for other in theirs if other.endswith(f".{module}")]
    added = {other.removesuffix(module) for module, other in longer}
    taken = {
        module.removesuffix(other) for module in named for other in theirs if other and module.endswith(f".{other}")
    }
    renamings = [
        *({module: prefix + module for module in ours if module} for prefix in sorted(added)),
        *(
            {module: module.removeprefix(prefix) for module in ours if module.startswith(prefix)}
            for prefix in sorted(taken)
        ),
    ]
    for renamed in renamings:
        if sum(renamed.get(module) in theirs for module in named) >= ENOUGH * len(named):
            return {module: other for module, other in renamed.items() if other in theirs}
    return {}
