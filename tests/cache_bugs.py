"""Bugs of a KV cache, planted into a model of transformers: its prefill stays right, and a decoded step does not.

`planted(model, kind, layer=1, step=2)` changes the model itself. Step 1 is the first call after the prefill; calls are
taken to bring one token each. As a py: target: `py:tests.cache_bugs:target --arg name=gemma3 --arg kind=stale`.
B sentences, H heads, T tokens, C channels of a head.
"""

from functools import wraps
from inspect import signature
from types import MethodType

import torch

from tests.tiny_decoders import sound, tiny


def stale(keys_BHTC):
    """The slot of one token was never written: it holds what the slot before it holds."""
    keys_BHTC[..., -1, :] = keys_BHTC[..., -2, :]


def previous_slot(keys_BHTC):
    """One token was written into the slot of the token before it, and its own slot is empty."""
    keys_BHTC[..., -2, :] = keys_BHTC[..., -1, :]
    keys_BHTC[..., -1, :] = 0


SLOTS = {"stale": stale, "previous_slot": previous_slot}
"""From `step` on nothing else goes wrong, but what was written in that step stays."""
KINDS = (*SLOTS, "position", "window", "dtype")
"""position: from `step` on new tokens stand one place further than they do. window: from `step` on they see `window`
keys. dtype: what is cached from `step` on is rounded to fp8."""


def planted(model, kind, *, layer=1, step=2, window=3, offset=1):
    """Without a layer a bug of positions is in the whole model; where positions are embedded, it always is."""
    rotary = [module for module in model.modules() if "RotaryEmbedding" in type(module).__name__]
    if kind == "position" and (layer is None or not rotary):
        _shift_all(model, step, offset)
        return model
    module = attention(model, layer)
    forward, arguments = module.forward, signature(module.forward)
    counted = _Counted()
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    @wraps(forward)
    def wrong(*args, **kwargs):
        bound = arguments.bind(*args, **kwargs)
        cache = bound.arguments.get("past_key_values")
        cache = getattr(cache, "self_attention_cache", cache)
        if cache is None:
            return forward(*args, **kwargs)
        hidden = bound.arguments["hidden_states"]
        before = cache.get_seq_length(layer)
        number = counted.step(before, hidden.shape[1])
        if before == 0:
            kept.clear()
        if kind == "position" and number >= step:
            positions = torch.arange(before, before + hidden.shape[1])[None] + offset
            kinds = getattr(model.config.get_text_config(), "layer_types", None)
            more = (kinds[layer],) if "layer_type" in signature(rotary[0].forward).parameters else ()
            bound.arguments["position_embeddings"] = rotary[0](hidden, positions, *more)
        if kind == "window" and number >= step:
            bound.arguments["attention_mask"] = None
        held, update = cache.layers[layer], cache.layers[layer].update

        def updated(self, new_keys, new_values, *rest, **more):
            pair = update(new_keys, new_values, *rest, **more)
            kept.append((new_keys, new_values))
            if kind in SLOTS and number == step:
                for states in pair:
                    SLOTS[kind](states)
            if kind == "dtype" and number >= step:
                for states in pair:
                    states[..., -1:, :] = states[..., -1:, :].to(torch.float8_e4m3fn).to(states.dtype)
            if kind == "window" and number >= step:
                return tuple(torch.cat(states, dim=-2)[..., -window:, :] for states in zip(*kept, strict=True))
            return pair

        held.update = MethodType(updated, held)
        try:
            return forward(*bound.args, **bound.kwargs)
        finally:
            del held.update

    module.forward = wrong
    return model


def stale_state(model, *, layer=1, step=2):
    """Mamba's: what one step made of the recurrent state is lost; it shows in the step after."""
    module = attention(model, layer)
    forward, counted = module.forward, _Counted()

    @wraps(forward)
    def wrong(hidden_states, cache_params=None, **kwargs):
        held = None if cache_params is None else cache_params.layers[layer]
        has_state = held is not None and held.has_previous_state[0]
        number = counted.step(counted.end if has_state else 0, hidden_states.shape[1])
        before = held.recurrent_states[0].clone() if has_state else None
        output = forward(hidden_states, cache_params=cache_params, **kwargs)
        if has_state and number == step:
            held.recurrent_states[0].copy_(before)
        return output

    module.forward = wrong
    return model


def attention(model, layer):
    """The self attention, or the mixer, of one layer; of a decoder that has an encoder too."""
    return next(
        module
        for name, module in model.named_modules()
        if getattr(module, "layer_idx", None) == layer
        and type(module).__name__.endswith(("Attention", "Mixer"))
        and not name.endswith("encoder_attn")
    )


def target(name="llama", kind="", layer=1, step=2, window=3, dtype="float32"):
    """A py: target: a tiny decoder, with a bug or without."""
    model = tiny(name, dtype=getattr(torch, dtype))
    if kind == "stale_state":
        stale_state(model, layer=layer, step=step)
    elif kind:
        planted(model, kind, layer=layer, step=step, window=window)
    return (model, {"input_features": sound(num_sentences=1).to(model.dtype)}) if name == "whisper" else model


class _Counted:
    """Which step a call is of: 0 the prefill, then one a token."""

    def __init__(self):
        self.end = self.prefill = 0

    def step(self, before, num_tokens):
        if before == 0:
            self.prefill = num_tokens
        self.end = before + num_tokens
        return before - self.prefill + 1 if before else 0


POSITIONAL = ("rotary_emb", "wpe", "decoder.embed_positions")
"""How the names of modules end that turn positions into angles or embeddings."""


def _shift_all(model, step, offset):
    for name, module in model.named_modules():
        if name.endswith(POSITIONAL):
            _shift(module, step, offset)


def _shift(module, step, offset):
    forward, arguments = module.forward, signature(module.forward)
    place = "position_ids" if "position_ids" in arguments.parameters else "input"
    counted = _Counted()

    @wraps(forward)
    def wrong(*args, **kwargs):
        bound = arguments.bind(*args, **kwargs)
        positions = bound.arguments[place]
        if counted.step(int(positions[0, 0]), positions.shape[-1]) >= step:
            bound.arguments[place] = positions + offset
        return forward(*bound.args, **bound.kwargs)

    module.forward = wrong
