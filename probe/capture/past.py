"""How many tokens a model that is called several times holds in its cache before each call.

Read when it is called: a cache object grows in place, and tells another length afterwards. In this order are asked:

* an argument that tells its own length: transformers' Cache, also of an encoder and decoder (`get_seq_length()`), or
  parameters of a state (`seqlen_offset`);
* one that says where the new tokens stand (`start_pos`, `cache_position`, ...) and goes on where the call before ended;
* a state that says that something went before it, and not how much: all that the calls before were given;
* keys and values themselves, (key, value) a layer: the axis that is as long as what went before, else the last but one.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeGuard

import torch

from probe.capture.tensors import why_not_stored

POSITIONS = ("start_pos", "input_pos", "cache_position", "position_ids", "decoder_position_ids", "positions", "pos")
"""Arguments of models and ports that say where the new tokens stand: one number, one a row, or one a token."""
DECODER_TOKENS = ("decoder_input_ids", "decoder_inputs_embeds")
"""Where a model has these, its first argument is what the encoder is given."""


class Past:
    """Looks at the arguments of each call of one model, in turn."""

    def __init__(self) -> None:
        self._end = 0
        """Tokens that the model has in its cache after the last call, if it keeps them."""
        self._last: dict[str, torch.Tensor] = {}
        """By argument, the positions of the last call's last token."""

    def before(self, arguments: Mapping[str, Any]) -> int:
        """Tokens in the cache before a call with these arguments, by the names of forward's parameters."""
        num_tokens = _num_tokens(arguments)
        places = {name: _places(arguments[name], num_tokens) for name in POSITIONS if name in arguments}
        known = {name: place for name, place in places.items() if place is not None}
        goes_on = any(self._goes_on(name, first) for name, (first, _) in known.items())
        past = self._held(arguments, goes_on=goes_on, has_positions=bool(known))
        self._end = past + num_tokens
        self._last = {name: last for name, (_, last) in known.items()}
        return past

    def _goes_on(self, name: str, first: torch.Tensor) -> bool:
        last = self._last.get(name)
        follows = last is not None and last.shape == first.shape and bool((first == last + 1).all())
        return bool(first.numel()) and (follows or bool((first == self._end).all()))

    def _held(self, arguments: Mapping[str, Any], *, goes_on: bool, has_positions: bool) -> int:
        caches = list(_caches(list(arguments.values())))
        for cache in caches:
            told = _told_length(cache)
            if told is not None:
                return told
        if goes_on or any(_has_state(cache) for cache in caches):
            return self._end
        for value in arguments.values():
            keys = _keys(value)
            if keys is not None and not has_positions:
                return self._end if self._end in keys.shape[1:-1] else int(keys.shape[-2])
        return 0


def _num_tokens(arguments: Mapping[str, Any]) -> int:
    """Of ids (..., tokens) or vectors (..., tokens, width): the decoder's, else the first tensor."""
    tensors = {name: value for name, value in arguments.items() if _is_plain(value) and value.dim()}
    fed = next((tensors[name] for name in DECODER_TOKENS if name in tensors), next(iter(tensors.values()), None))
    if fed is None:
        return 0
    return int(fed.shape[-2] if fed.is_floating_point() and fed.dim() > 1 else fed.shape[-1])


def _places(value: Any, num_tokens: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Positions of the first and of the last token; None where that is no position."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = torch.tensor(value)
    if not _is_plain(value) or value.is_floating_point() or not value.numel():
        return None
    value = value.detach().cpu()
    if value.dim() and value.shape[-1] == num_tokens:
        return value[..., 0], value[..., -1]
    return value, value + num_tokens - 1


def _caches(values: list[Any]) -> Iterator[Any]:
    """Objects that are no containers, wherever they lie among the arguments."""
    for value in values:
        if isinstance(value, (list, tuple, Mapping)):
            children = value.values() if isinstance(value, Mapping) else value
            yield from _caches([child for child in children if child is not value])
        elif not isinstance(value, (torch.Tensor, int, float, str, type(None))):
            yield value


def _told_length(cache: Any) -> int | None:
    """What a cache itself says. It is somebody else's code, and may raise: a state without attention does."""
    with suppress(Exception):
        if hasattr(cache, "get_seq_length"):
            return int(cache.get_seq_length())
        return int(cache.seqlen_offset)
    return None


def _has_state(cache: Any) -> bool:
    with suppress(Exception):
        return bool(cache.has_previous_state())
    return False


def _keys(value: Any) -> torch.Tensor | None:
    """The first layer's values, of ((key, value, ...), ...) or of such a mapping; None of anything else."""
    layers = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(layers, (list, tuple)) or not layers or not isinstance(layers[0], (list, tuple)):
        return None
    pair = [tensor for tensor in layers[0][:2] if _is_plain(tensor) and tensor.dim() > 2]
    return pair[1] if len(pair) == 2 else None  # Bloom's keys are transposed; its values are not


def _is_plain(value: Any) -> TypeGuard[torch.Tensor]:
    return isinstance(value, torch.Tensor) and why_not_stored(value) is None
