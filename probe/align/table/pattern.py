"""What an einops pattern makes of a shape: "b t (h d) -> b h t d". Shapes alone; no tensor is touched."""

import math
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Group = tuple[str, ...]
"""The axes inside one pair of parentheses, or one axis alone; () is an axis of size 1."""
_TOKEN = re.compile(r"\s*(\.\.\.|[A-Za-z_][A-Za-z0-9_]*|1|\(|\))")


def result_shape(pattern: str, shape: Shape, sizes: Mapping[str, int], wanted: Shape) -> tuple[Shape, dict[str, int]]:
    """The shape that `pattern` brings `shape` to, and the sizes it takes. ValueError says, in words, why it cannot.

    `sizes` of axes are given; the others follow from `shape`, and where that does not tell them, from `wanted`.
    """
    left, right = _sides(pattern)
    if ("...",) in left:
        rest = tuple((f"...{number}",) for number in range(len(shape) - len(left) + 1))
        left, right = _filled(left, rest), _filled(right, rest)
    names = [name for group in left for name in group]
    if len(set(names)) != len(names) or sorted(names) != sorted(name for group in right for name in group):
        raise ValueError(f"the two sides of {pattern!r} do not hold the same axes, each of them once")
    if len(left) != len(shape):
        raise ValueError(f"{pattern!r} is for {len(left)} axes, and the candidate has {len(shape)}: {shape}")
    known = {name: size for name, size in sizes.items() if name in names}
    if len(right) == len(wanted):
        alone = {group[0]: size for group, size in zip(right, wanted, strict=True) if len(group) == 1}
        known = {name: size for name, size in alone.items() if _is_within_group(name, left)} | known
    for group, size in zip(left, shape, strict=True):
        _solve(group, size, known, pattern)
    taken = {name: known[name] for group in left if len(group) > 1 for name in group}
    return tuple(math.prod(known[name] for name in group) for group in right), taken


def channel_order(pattern: str, sizes: Mapping[str, int]) -> NDArray[np.int64] | None:
    """Where each channel of the last axis comes from, if the pattern does nothing but to put these in another order;
    `sizes` are those of its axes."""
    left, right = _sides(pattern)
    if left[:-1] != right[:-1] or left[-1] == right[-1] or sorted(left[-1]) != sorted(right[-1]):
        return None
    channels = np.arange(math.prod(sizes[name] for name in left[-1])).reshape([sizes[name] for name in left[-1]])
    return channels.transpose([left[-1].index(name) for name in right[-1]]).reshape(-1)


def _solve(group: Group, size: int, known: dict[str, int], pattern: str) -> None:
    """Adds the one size of `group` that is not known yet."""
    unknown = [name for name in group if name not in known]
    product = math.prod(known[name] for name in group if name in known)
    written = " ".join(group) or "1"
    if len(unknown) > 1:
        raise ValueError(f"the sizes of {' and '.join(unknown)} in {pattern!r} are not known; give them: sizes = {{}}")
    if unknown and product and size % product == 0:
        known[unknown[0]] = size // product
    elif unknown or product != size:
        given = ", ".join(f"{name} = {known[name]}" for name in group if name in known)
        raise ValueError(f"an axis of {size} is not ({written}){f' with {given}' if given else ''}")


def _is_within_group(name: str, groups: tuple[Group, ...]) -> bool:
    return any(name in group and len(group) > 1 for group in groups)


def _filled(groups: tuple[Group, ...], rest: tuple[Group, ...]) -> tuple[Group, ...]:
    at = groups.index(("...",)) if ("...",) in groups else len(groups)
    return (*groups[:at], *rest, *groups[at + 1 :])


def _sides(pattern: str) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    left, arrow, right = pattern.partition("->")
    if not arrow or "->" in right or len(pattern) > 200:
        raise ValueError(f"{pattern[:60]!r} is no einops pattern such as 'b t (h d) -> b h t d'")
    return _groups(left, pattern), _groups(right, pattern)


def _groups(side: str, pattern: str) -> tuple[Group, ...]:
    groups: list[Group] = []
    inside: list[str] | None = None
    at = 0
    while side[at:].strip():
        found = _TOKEN.match(side, at)
        token = found[1] if found else ""
        misplaced = (token == ")") if inside is None else token in ("(", "...")
        if not found or misplaced:
            raise ValueError(f"cannot read the einops pattern {pattern!r}: names, 1, '...' and parentheses are known")
        at = found.end()
        if token == "(":
            inside = []
        elif token == ")":
            groups.append(tuple(inside or ()))
            inside = None
        elif inside is not None:
            inside += [token] if token != "1" else []
        else:
            groups.append((token,) if token != "1" else ())
    if inside is not None:
        raise ValueError(f"a parenthesis stays open in {pattern!r}")
    return tuple(groups)
