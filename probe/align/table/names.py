"""Names in a table: `model.layers.{i}.self_attn.{q,k,v}_proj`, and which names of a dump they stand for."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import product

MOST = 4096
"""Rows that the alternatives of one row may stand for."""
_GROUP = re.compile(r"\{([^{}]*,[^{}]*)\}")
_INDEX = re.compile(r"\{([a-z])\}")
_SHIFTED = re.compile(r"\{([a-z])([+-][0-9]{1,6})?\}")
_DIGITS = re.compile(r"[0-9]+")


def alternatives(reference: str, candidates: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """A row for each of `{q,k,v}`, chosen in parallel on both sides. ValueError says why they are not parallel."""
    ours = [_choices(group) for group in _GROUP.findall(reference)]
    if not ours and not any(map(_GROUP.search, candidates)):
        return [(reference, candidates)]
    if math.prod(map(len, ours)) > MOST:
        raise ValueError(f"its alternatives stand for more than {MOST} rows")
    chosen = []
    for text in candidates:
        theirs = [_choices(group) for group in _GROUP.findall(text)]
        if theirs and [len(group) for group in theirs] != [len(group) for group in ours]:
            raise ValueError(f"{text!r} has other numbers of alternatives than the reference")
        chosen.append(theirs or [[None] * len(group) for group in ours])
    if candidates and all(None in group for theirs in chosen for group in theirs):
        raise ValueError("the reference has alternatives and the candidate none: all would be the same tap")
    rows = []
    for picks in product(*(range(len(group)) for group in ours)):
        texts = (_filled(text, groups, picks) for text, groups in zip(candidates, chosen, strict=True))
        rows.append((_filled(reference, ours, picks), tuple(texts)))
    return rows


def _choices(group: str) -> list[str | None]:
    return [choice.strip() for choice in group.split(",")]


def _filled(text: str, groups: list[list[str | None]], picks: tuple[int, ...]) -> str:
    for group, pick in zip(groups, picks, strict=True):
        choice = group[pick]
        if choice is not None:
            found = _GROUP.search(text)
            assert found
            text = text[: found.start()] + choice + text[found.end() :]
    return text


def num_indices(name: str) -> int:
    return len(_INDEX.findall(name))


def with_indices(text: str, indices: dict[str, str]) -> str:
    """`{i}` and `{i+1}` filled in. ValueError names a letter that the reference does not have, or a stray brace."""

    def number(found: re.Match[str]) -> str:
        letter, shift = found.groups()
        if letter not in indices:
            raise ValueError(f"{{{letter}}} in {text!r} is not in the reference")
        return str(int(indices[letter]) + int(shift)) if shift else indices[letter]

    filled = _SHIFTED.sub(number, text)
    if "{" in filled or "}" in filled:
        raise ValueError(f"cannot read the braces in {text!r}: {{i}}, {{i+1}} and {{q,k,v}} are known")
    return filled


class Names:
    """Names of one dump, to be looked up by templates without a look at each of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._alike: dict[str, list[str]] = defaultdict(list)
        self.all = dict.fromkeys(names)
        for name in self.all:
            self._alike[_DIGITS.sub("#", name)].append(name)

    def matching(self, template: str) -> list[tuple[str, dict[str, str]]]:
        """Names that the template stands for, each with what `{i}` is there. ValueError says what is unreadable."""
        if "{" not in template and "}" not in template:
            return [(template, {})] if template in self.all else []
        pattern = _pattern(template)
        alike = self._alike.get(_DIGITS.sub("#", _INDEX.sub("0", template)), ())
        return [(name, found.groupdict()) for name in alike if (found := pattern.fullmatch(name))]


def _pattern(template: str) -> re.Pattern[str]:
    """A number is never beside another one here, so that no name can be read in two ways."""
    if len(template) > 1000:
        raise ValueError("is longer than 1000 characters")
    if re.search(r"[0-9}]\{[a-z]\}|\{[a-z]\}[0-9]", template):
        raise ValueError("a {i} stands right beside another number: which digits are whose?")
    seen: set[str] = set()
    parts = []
    for at, part in enumerate(_INDEX.split(template)):
        if at % 2 == 0:
            if "{" in part or "}" in part:
                raise ValueError("cannot read its braces: {i} and {q,k,v} are known")
            parts.append(re.escape(part))
        else:
            parts.append(f"(?P={part})" if part in seen else f"(?P<{part}>[0-9]+)")
            seen.add(part)
    return re.compile("".join(parts))
