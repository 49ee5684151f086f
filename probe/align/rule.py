"""Where one layer's module went, said so that it holds for every layer."""

from dataclasses import replace

from probe.align.part import Option, Part
from probe.tap import template

LETTERS = "ijklmnopqrstuvwxyz"

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
