"""cache.stale: slots that hold another token than they should, or none.

Scores are (..., T, S): T tokens ask, S slots are asked. The reference's slot j holds token j.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from probe.diagnose.axes import Change
from probe.diagnose.case import Case
from probe.diagnose.core import cores
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.operands import Operand
from probe.diagnose.score_edits import before_softmax
from probe.diagnose.scores import Scores
from probe.replay.program import Edit

EMPTY, HIDDEN = -1, -2
"""A slot of zeros; a slot that is not there, or not seen."""
Slots = Callable[[torch.Tensor, int], None]
"""Given [T, S], which token each slot holds when T asks, and the token that was to be written: what they hold instead.
"""


def _stale(held_TS: torch.Tensor, token: int) -> None:
    held_TS[token:, token] = token - 1


def _empty(held_TS: torch.Tensor, token: int) -> None:
    held_TS[token:, token] = EMPTY


def _one_too_early(held_TS: torch.Tensor, token: int) -> None:
    held_TS[token:, token - 1], held_TS[token:, token] = token, EMPTY


def _lost(held_TS: torch.Tensor, token: int) -> None:
    held_TS[token:, token] = HIDDEN


def _overwrites(held_TS: torch.Tensor, token: int) -> None:
    held_TS[token:, token - 1], held_TS[token:, token] = token, HIDDEN


def _all_stale(held_TS: torch.Tensor, token: int) -> None:
    held_TS[token:, token:] = token - 1


def _all_empty(held_TS: torch.Tensor, token: int) -> None:
    held_TS[token:, token:] = EMPTY


def _not_kept(held_TS: torch.Tensor, token: int) -> None:
    own_TS = torch.arange(len(held_TS))[:, None] == torch.arange(held_TS.shape[1])
    held_TS[token:, token:][~own_TS[token:, token:]] = HIDDEN


def _not_even_itself(held_TS: torch.Tensor, token: int) -> None:
    held_TS[token:, token:] = HIDDEN


KINDS: dict[str, Slots] = {
    "the slot of token {0} was not written: it holds token {1}": _stale,
    "the slot of token {0} was not written: it is empty": _empty,
    "token {0} was written one slot too early, over token {1}, and an empty slot is seen": _one_too_early,
    "token {0} was written over token {1}, which is lost": _overwrites,
    "token {0} is not in the cache": _lost,
    "nothing is written from token {0} on: the slots hold token {1}": _all_stale,
    "nothing is written from token {0} on: the slots are empty": _all_empty,
    "no token from {0} on is kept: each sees itself and what came before token {0}": _not_kept,
    "no token from {0} on is in the cache, nor seen by itself": _not_even_itself,
}


def slots(case: Case) -> Iterator[Hypothesis]:
    """cache.stale: of the token that was to be written in the first step at fault."""
    if case.since is None:
        return
    for core in cores(case.program):
        yield _stale_slots(Scores(core), case.since.start)


def _stale_slots(scores: Scores, token: int) -> Hypothesis:
    def said(kind: str) -> str:
        return kind.format(token, token - 1)

    return Hypothesis(
        "cache.stale",
        lambda kind: _held(scores, KINDS[kind], token),
        lambda kind: f"{said(kind)}; look at where keys and values are written, and at what counts the tokens",
        tuple(KINDS),
        reference_value="each token in its own slot",
        candidate_value=said,
        module=scores.core.module,
    )


def _held(scores: Scores, kind: Slots, token: int) -> Plan:
    core = scores.core
    shape = core.of(scores.given_to(core.path[0] if core.path else core.softmax)).shape[-2:]
    held_TS = torch.arange(shape[1]).repeat(shape[0], 1)
    kind(held_TS, token)
    token_TS, filled, seen = held_TS.clamp(min=0), held_TS != EMPTY, held_TS != HIDDEN

    def asked(scores_TS: torch.Tensor) -> torch.Tensor:
        taken = scores_TS.gather(-1, token_TS.expand(scores_TS.shape)) * filled
        return torch.where(seen, taken, torch.finfo(taken.dtype).min)

    def by_token(shares_TS: torch.Tensor) -> torch.Tensor:
        shares = shares_TS * (filled & seen)
        return torch.zeros_like(shares).scatter_add_(-1, token_TS.expand(shares.shape), shares)

    call, edit = before_softmax(scores, asked)
    mixed = {} if core.mix is None or core.values is None else {core.mix: _taking_shares(core.values, by_token)}
    return Plan({call: edit, **mixed})


def _taking_shares(values: Operand, change: Change) -> Edit:
    """The product with values, with the probabilities changed that it is given."""
    place = 1 - values.position if values.position < 2 else values.position - 1

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*args[:place], change(args[place]), *args[place + 1 :], **kwargs)

    return edit


FAMILIES = [slots]
