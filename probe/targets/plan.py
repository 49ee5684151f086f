"""In which calls a model is run: in one, as a reference was, or as a prefill and decoded steps."""

from typing import Any

import torch
from torch import nn

from probe.errors import ProbeError
from probe.targets.calls import Calls
from probe.targets.inputs import forward_parameters
from probe.targets.keeping import CACHES, DECODER_IDS, PLACES, ids_parameter, keeping
from probe.targets.sequence import Inputs


def planned(
    model: nn.Module,
    inputs: Inputs,
    recorded: tuple[int, ...] | None = None,
    *,
    decode: int | None = None,
    chunk: int | None = None,
) -> tuple[Calls, list[str]]:
    """The calls, and notes. ProbeError where the model cannot be run so.

    `recorded` are the sizes of another run's steps, whose tokens `inputs` holds: None where they are nobody's. They
    are followed, with the positions that it was given or with none; with `decode`, its last tokens are decoded one by
    one, and all before them are the prefill. Without another run, as many are decoded after `inputs`, each the
    model's own likeliest. The prefill comes `chunk` tokens at a time.
    """
    _check(decode, chunk)
    ids = ids_parameter(model)
    asked = chunk is not None or bool(decode)
    if asked and ids == DECODER_IDS and ids not in inputs:
        inputs = {**inputs, ids: _start(model, inputs)}
    if ids not in inputs or not isinstance(inputs[ids], torch.Tensor):
        if asked:
            raise ProbeError(
                f"the model is fed {', '.join(inputs)}, and steps need {ids}", hint="give --tokens, or --inputs REF.h5"
            )
        return Calls(inputs), []
    num_tokens = inputs[ids].shape[-1]
    sizes = step_sizes(num_tokens, recorded, decode, chunk)
    num_greedy = decode or 0 if recorded is None else 0
    if len(sizes) + num_greedy == 1:
        return Calls(inputs, ids), []
    kept = keeping(model)
    if kept is None and not asked:
        return Calls(inputs, ids), [
            f"the model has no cache to hand on: one prefill of all {num_tokens} tokens instead"
        ]
    if kept is None:
        raise ProbeError(
            f"its forward takes none of {', '.join((*CACHES, *PLACES))}, so no step can go on from another",
            hint="a whole text in one call: the same command without --decode and --chunk",
        )
    _check_padding(inputs, ids)
    fed = _with_positions(model, inputs, ids) if recorded is None else inputs
    return Calls(fed, ids, sizes, num_greedy, kept), []


def _check(decode: int | None, chunk: int | None) -> None:
    for flag, number, least in (("--decode", decode, 0), ("--chunk", chunk, 1)):
        if number is not None and number < least:
            raise ProbeError(f"{flag} {number}: at least {least} is needed", hint=f"{flag} 8")


def step_sizes(
    num_tokens: int, recorded: tuple[int, ...] | None, decode: int | None, chunk: int | None
) -> tuple[int, ...]:
    """Tokens of each step that brings what is known beforehand; as `planned` has it."""
    _check(decode, chunk)
    prefill, *steps = recorded or (num_tokens,)
    if recorded is not None and decode is not None:
        if decode >= num_tokens:
            raise ProbeError(
                f"--decode {decode}: the other run has {num_tokens} tokens in all, and the prefill needs one",
                hint=f"--decode {num_tokens - 1} at most",
            )
        prefill, steps = num_tokens - decode, [1] * decode
    if chunk is not None:
        whole, rest = divmod(prefill, chunk)
        return (*[chunk] * whole, *[rest] * bool(rest), *steps)
    return (prefill, *steps)


def _start(model: nn.Module, inputs: Inputs) -> torch.Tensor:
    """The token with which a decoder begins, for each of the batch."""
    config: Any = getattr(model, "config", None)
    start = getattr(config, "decoder_start_token_id", None)
    first = next((value for value in inputs.values() if isinstance(value, torch.Tensor)), None)
    if start is None or first is None:
        raise ProbeError(f"the decoder needs {DECODER_IDS}, and the model's config names no first token")
    return torch.full((first.shape[0], 1), int(start), device=first.device)


def _mask(inputs: Inputs, ids: str) -> torch.Tensor | None:
    """[B, T]: which tokens are none, if any is."""
    value = inputs.get("decoder_attention_mask" if ids == DECODER_IDS else "attention_mask")
    same = isinstance(value, torch.Tensor) and value.shape == inputs[ids].shape
    return value if same and not value.bool().all() else None  # type: ignore[union-attr]


def _check_padding(inputs: Inputs, ids: str) -> None:
    mask = _mask(inputs, ids)
    if mask is not None and (mask[..., 1:].bool() < mask[..., :-1].bool()).any():
        raise ProbeError(
            "the batch is padded behind its sentences, and steps would go on from the padding",
            hint="pad in front (a tokenizer's padding_side='left'), or run one sentence at a time",
        )


def _with_positions(model: nn.Module, inputs: Inputs, ids: str) -> Inputs:
    """Behind padding, a sentence's own first token stands at 0, as transformers' generate() has it."""
    name = "decoder_position_ids" if ids == DECODER_IDS else "position_ids"
    mask = _mask(inputs, ids)
    if mask is None or name in inputs or name not in forward_parameters(model):
        return inputs
    return {**inputs, name: (mask.long().cumsum(-1) - 1).clamp(min=0)}
