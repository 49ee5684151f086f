"""A model run in one call or in several: a prefill, whole or in chunks, and a step for each token after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from probe.capture.structure import output_tensors
from probe.errors import ProbeError
from probe.targets.inputs import vocabulary
from probe.targets.keeping import Keeping
from probe.targets.sequence import Inputs, grown, part


@dataclass(frozen=True, slots=True)
class Calls:
    """What a model is to be fed."""

    inputs: Inputs
    """Of all tokens that are known beforehand."""
    ids: str = ""
    """The one of them that holds the token ids; "" where none does."""
    sizes: tuple[int, ...] = ()
    """How many of them each call brings; empty where they are one call's, as they are."""
    num_greedy: int = 0
    """Calls after those: one token each, the likeliest by what the model itself said in the call before."""
    keeping: Keeping | None = None
    """How the model goes on from a call; None where there is one alone."""


@dataclass(frozen=True, slots=True)
class Played:
    """A model that was run."""

    output: Any
    """What its last call returned."""
    calls: Calls
    """The same calls with every token known: to run again."""
    likeliest: torch.Tensor | None
    """[B, T]: what the model says to be the next token, at each token; None where it returns no logits."""


def play(model: nn.Module, calls: Calls) -> Played:
    """Run the model. End-of-sequence tokens are like any other. ProbeError where it cannot go on."""
    if calls.keeping is None:
        output = model(**calls.inputs)
        return Played(output, calls, likeliest(model, output))
    ids, inputs, output, start = calls.ids, calls.inputs, None, 0
    said: list[torch.Tensor | None] = []
    for size in (*calls.sizes, *[1] * calls.num_greedy):
        if start == inputs[ids].shape[-1]:
            inputs = grown(inputs, ids, _next_token(said))
        fed = part(inputs, ids, start, start + size)
        output = model(**(calls.keeping.next(fed, start, output) if start else calls.keeping.first(fed)))
        said.append(likeliest(model, output))
        start += size
    known = Calls(inputs, ids, (*calls.sizes, *[1] * calls.num_greedy), 0, calls.keeping)
    told = [tokens for tokens in said if tokens is not None]
    return Played(output, known, torch.cat(told, dim=-1) if len(told) == len(said) else None)


def _next_token(said: list[torch.Tensor | None]) -> torch.Tensor:
    if not said or said[-1] is None:
        raise ProbeError(
            "the model returns no logits over its vocabulary, so it has no next token",
            hint="--decode needs a model with a head (a ...ForCausalLM); feed it the tokens with --inputs otherwise",
        )
    return said[-1][..., -1:]


def likeliest(model: nn.Module, output: Any) -> torch.Tensor | None:
    """[B, t]: at each token the one with the highest logit; None where nothing is as wide as the vocabulary."""
    width = vocabulary(model)
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if not isinstance(named, torch.Tensor):
        tensors = (tensor for _, tensor in output_tensors(output))
        named = next((tensor for tensor in tensors if tensor.dim() > 1 and tensor.shape[-1] == width), None)
    return named.argmax(dim=-1) if named is not None and named.dim() > 1 and named.shape[-1] else None
