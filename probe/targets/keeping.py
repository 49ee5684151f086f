"""How a model keeps what it computed of the tokens before: how it is told, in each call, to go on from there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from probe.errors import ProbeError
from probe.targets.inputs import first_parameter, forward_parameters
from probe.targets.sequence import Inputs, belonging

STATES = "cache_params"
CACHES = ("past_key_values", STATES)
"""What transformers' models return, and are handed in the next call: keys and values, or Mamba's states. A state holds
no single token: what masks are said to hide then is among the new ones."""
PLACES = ("start_pos", "input_pos")
"""Where a model that keeps its cache to itself is told the place of its new tokens: of the first, or of each."""
DECODER_IDS = "decoder_input_ids"


@dataclass(frozen=True, slots=True)
class Keeping:
    """One model's way."""

    ids: str
    """Forward's parameter that takes the token ids."""
    cache: str
    """One of CACHES, or ""."""
    place: str
    """One of PLACES, or ""."""
    parameters: tuple[str, ...]

    def first(self, inputs: Inputs) -> Inputs:
        """The arguments of the first call."""
        flags = {"use_cache": True} if "use_cache" in self.parameters else {}
        return {**inputs, **flags, **self._place(0, inputs[self.ids])}

    def next(self, inputs: Inputs, start: int, output: Any) -> Inputs:
        """The arguments of a call that brings the tokens of `inputs`, of which the first stands at `start`; `output`
        is what the call before returned. What belongs to no token (pixels) was for the first call alone."""
        tokens = inputs[self.ids]
        lasting = {*belonging(inputs, self.ids)}
        kept = {name: value for name, value in inputs.items() if name in lasting or _lasts(name, value)}
        if self.cache == STATES:
            kept.update({name: value[..., start:] for name, value in kept.items() if "mask" in name})
        kept.update(self._place(start, tokens))
        if not self.cache:
            return kept
        handed = part_of(output, self.cache)
        if handed is None:
            raise ProbeError(
                f"the model returned no {self.cache}, so no step can go on from it",
                hint="an encoder has none, and some models of older transformers make theirs within generate() alone: "
                "run it once, without --decode",
            )
        if "use_cache" in self.parameters:
            kept["use_cache"] = True
        if "cache_position" in self.parameters:
            kept["cache_position"] = _range(start, tokens)
        heard = part_of(output, "encoder_last_hidden_state") if self.ids == DECODER_IDS else None
        if heard is not None:
            kept["encoder_outputs"] = (heard,)
        return {**kept, self.cache: handed}

    def _place(self, start: int, tokens: torch.Tensor) -> Inputs:
        if not self.place:
            return {}
        return {self.place: start if self.place == "start_pos" else _range(start, tokens)}


def keeping(model: nn.Module) -> Keeping | None:
    """None where forward has no parameter by which it could be told."""
    names = tuple(forward_parameters(model))
    cache = next((name for name in CACHES if name in names), "")
    place = "" if cache else next((name for name in PLACES if name in names), "")
    return Keeping(ids_parameter(model), cache, place, names) if cache or place else None


def ids_parameter(model: nn.Module) -> str:
    """The parameter that takes the token ids: of an encoder and decoder, those of the decoder."""
    return DECODER_IDS if DECODER_IDS in forward_parameters(model) else first_parameter(model)


def part_of(output: Any, name: str) -> Any:
    """What a model returned under this name; of a tuple (logits, cache) the second."""
    if isinstance(output, Mapping):
        return output.get(name)
    if isinstance(output, tuple) and not hasattr(output, name):
        return output[1] if name in CACHES and len(output) > 1 else None
    return getattr(output, name, None)


def _lasts(name: str, value: Any) -> bool:
    """A flag, or the mask over what the encoder was given."""
    return not isinstance(value, torch.Tensor) or "mask" in name


def _range(start: int, tokens: torch.Tensor) -> torch.Tensor:
    return torch.arange(start, start + tokens.shape[-1], device=tokens.device)
