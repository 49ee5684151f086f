"""Routers in a program: what they choose experts by, and how they weigh those that they chose.

N tokens, E experts, of which A are chosen for each token.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from probe.replay.program import Program, Result, Value

SCORES = {"softmax", "sigmoid"}
SAME = 1e-6
"""Relative: what float32 in between leaves."""
Weigh = Callable[[Tensor, Tensor], Tensor]
"""Of all experts' logits (N, E) and the chosen ones' indices (N, A): their weights (N, A)."""


def _of_all(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.softmax(-1).gather(-1, chosen)


def _of_the_chosen(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.gather(-1, chosen).softmax(-1)


def _raw(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.gather(-1, chosen)


def _sigmoids(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.gather(-1, chosen).sigmoid()


def _normalized_sigmoids(logits: Tensor, chosen: Tensor) -> Tensor:
    scores = _sigmoids(logits, chosen)
    return scores / scores.sum(-1, keepdim=True)


def _alike(logits: Tensor, chosen: Tensor) -> Tensor:
    return torch.full(chosen.shape, 1 / chosen.shape[-1], dtype=logits.dtype, device=logits.device)


OF_ALL = "softmax over all experts, not normalized after the choice"
OF_THE_CHOSEN = "softmax over the chosen experts"
WEIGHTS: Mapping[str, Weigh] = {
    OF_ALL: _of_all,
    OF_THE_CHOSEN: _of_the_chosen,
    "raw logits": _raw,
    "sigmoids": _sigmoids,
    "sigmoids, normalized": _normalized_sigmoids,
    "the same for each": _alike,
}


@dataclass(frozen=True)
class Router:
    """Logits (N, E), the chosen indices (N, A), and the weights that multiply what the chosen experts give."""

    logits: Value
    chosen: Result
    weights: Result
    name: str
    """Of WEIGHTS."""
    is_chosen_first: bool
    """Whether the choice comes before the scores."""


def routers(program: Program) -> list[Router]:
    found = []
    for call in program.calls:
        if call.name != "topk":
            continue
        scores = call.inputs[0]
        is_scored = isinstance(scores, Result) and scores.call.name in SCORES
        logits = scores.call.inputs[0] if is_scored and isinstance(scores, Result) else scores
        chosen = Result(call, (1,))
        named = [(w, name) for w in _of_shape(program, chosen) if (name := _name(program, logits, chosen, w))]
        if named:
            found.append(Router(logits, chosen, *named[-1], is_chosen_first=not is_scored))
    return found


def _of_shape(program: Program, chosen: Result) -> list[Result]:
    """The choice's values, and what is made of them in the same shape; in order of execution."""
    shape = program.value(chosen).shape
    found = [Result(chosen.call, (0,))]
    for call in program.calls:
        made = {id(one.call) for one in found}
        if call.name in _AFTER and any(isinstance(v, Result) and id(v.call) in made for v in call.inputs):
            value = program.value(Result(call))
            if value.shape == shape and value.is_floating_point():
                found.append(Result(call))
    return found


_AFTER = {"div", "div_", "__truediv__", "__itruediv__", "softmax", "mul", "mul_", "__mul__", "to", "float", "type_as"}


def _name(program: Program, logits: Value, chosen: Result, weights: Result) -> str | None:
    x, indices, w = (program.value(value) for value in (logits, chosen, weights))
    if x.dim() != 2 or not x.is_floating_point():
        return None
    size = torch.linalg.vector_norm(w)
    known = (n for n, weigh in WEIGHTS.items() if torch.linalg.vector_norm(weigh(x, indices) - w) <= SAME * size)
    return next(known, None)
