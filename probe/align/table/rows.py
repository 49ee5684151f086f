"""A mapping table's rows as they were read, before any dump is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from probe.errors import ProbeError


@dataclass(frozen=True, slots=True)
class Row:
    """A [[pair]] or a [[skip]]."""

    kind: Literal["pair", "skip"]
    number: int
    """Counted from 1 among those of its kind, from the top of the file."""
    reference: str
    """A module, or a tap ("...q_proj:out"); {i} is a number, {q,k,v} one of these."""
    candidates: tuple[str, ...] = ()
    """Side by side; each a module or a tap, with channels of its last axis: "wqkv[0:64,128:192]"."""
    layout: str | None = None
    """An einops pattern, candidate -> reference, or "unpadded"."""
    sizes: Mapping[str, int | str] = field(default_factory=dict)
    scale: float = 1.0
    offset: float = 0.0
    """Compared are the candidate's values * scale + offset."""
    firm: bool = True
    """False: shown, but neither judged nor put into the reference's place."""
    reason: str = ""
    """Of a [[skip]]: why this is not compared."""

    def __str__(self) -> str:
        return f"{self.kind} {self.number} ({short(self.reference)!r})"

    def problem(self, message: str, hint: str) -> "Problem":
        return Problem(str(self), short(message, 300), hint)


def short(text: str, longest: int = 90) -> str:
    """What a table holds may be of any length; a line of error is not."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a table, and what to do."""

    row: str
    """ "pair 3 ('model.norm')"; "" for the table as a whole."""
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping table; rows that could not be read are problems."""

    name: str
    """Its path as the user gave it, or "the table nanogpt"."""
    rows: tuple[Row, ...]
    sizes: Mapping[str, int | str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    shipped: bool = False
    """Written for a family of models: a row without a counterpart in this reference is passed over."""

    def error(self, problem: Problem) -> ProbeError:
        where = f"{self.name}, {problem.row}" if problem.row else self.name
        return ProbeError(f"{where}: {problem.message}", hint=problem.hint)
