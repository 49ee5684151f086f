"""What the two models were fed, argument by argument: which of one side stands for which of the other.

B sentences of T tokens. An input may lie flattened, without its padding, or be missing because the model makes its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from probe.align.layouts import number_kind
from probe.dump import Dump
from probe.dump.dtypes import decode

Numbers = NDArray[Any]
TOKEN_NAMES = ("input_ids", "tokens", "idx", "ids", "input_tokens", "token_ids", "x")


class Role(StrEnum):
    TOKENS = "tokens"
    POSITIONS = "positions"
    MASK = "mask"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Fed:
    """One argument of forward in one step."""

    name: str
    numbers: Numbers
    role: Role


@dataclass(frozen=True, slots=True)
class BothFed:
    """The same argument on both sides; None on the side that was not fed it."""

    role: Role
    reference: Fed | None
    candidate: Fed | None

    @property
    def name(self) -> str:
        """`input_ids`, or `input_ids / tokens` where the two have other names."""
        return " / ".join(dict.fromkeys(side.name for side in (self.reference, self.candidate) if side))


def fed(dump: Dump, step: int = 0) -> list[Fed]:
    """In the order of forward's parameters."""
    numbers = {name: decode(bits, dtype) for name, (bits, dtype) in dump.inputs(step).items()}
    roles = {name: role_of(name, value) for name, value in numbers.items()}
    if Role.TOKENS not in roles.values():  # another name than those known: the first whole numbers
        first = next((n for n, r in roles.items() if r is Role.OTHER and numbers[n].dtype.kind in "iu"), None)
        if first is not None:
            roles[first] = Role.TOKENS
    return [Fed(name, value, roles[name]) for name, value in numbers.items()]


def role_of(name: str, numbers: Numbers) -> Role:
    if "mask" in name:
        return Role.MASK
    if numbers.dtype.kind not in "iu":
        return Role.OTHER
    if name.startswith("pos") or "position" in name:
        return Role.POSITIONS
    return Role.TOKENS if name in TOKEN_NAMES else Role.OTHER


def side_by_side(reference: list[Fed], candidate: list[Fed]) -> Iterator[BothFed]:
    """By name; what has no namesake by its role, the first by the first. What neither pairs has one side only.

    Where nothing pairs so, the first arguments of both: a model has to be fed something.
    """
    theirs = {argument.name: argument for argument in candidate}
    pairs = [(argument, theirs[argument.name]) for argument in reference if argument.name in theirs]
    for role in (Role.TOKENS, Role.POSITIONS, Role.MASK):
        if any(mine.role is role for mine, _ in pairs):
            continue
        mine = next((argument for argument in reference if argument.role is role), None)
        other = next((argument for argument in candidate if argument.role is role), None)
        if mine and other:
            pairs.append((mine, other))
    if not pairs and reference and candidate:
        pairs = [(reference[0], candidate[0])]
    yield from (BothFed(mine.role, mine, other) for mine, other in pairs)
    names = {side.name for pair in pairs for side in pair}
    yield from (BothFed(one.role, one, None) for one in reference if one.name not in names)
    yield from (BothFed(one.role, None, one) for one in candidate if one.name not in names)


def tokens(dump: Dump, step: int = 0) -> Numbers | None:
    """The token ids of a step, in the shape in which they were fed."""
    return next((argument.numbers for argument in fed(dump, step) if argument.role is Role.TOKENS), None)


def is_float(numbers: Numbers) -> bool:
    return number_kind(str(numbers.dtype)) == "float"
