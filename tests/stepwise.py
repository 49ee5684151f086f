"""A tiny decoder run in steps of any size through its own KV cache, recorded; and what it is fed."""

from inspect import signature

import torch

import probe
from tests.tiny_decoders import sound


def record_steps(model, path, ids_BT, sizes, *, mask_BT=None):
    """One step for each of `sizes`, in tokens. Padding is on the left; positions count what is no padding."""
    encoded = {"input_features": sound(num_sentences=len(ids_BT)).to(model.dtype)} if _has_encoder(model) else {}
    name, handed, start = "decoder_input_ids" if encoded else "input_ids", dict(encoded), 0
    with torch.no_grad(), probe.record(model, path, force=True):
        for size in sizes:
            stop = start + size
            masked = {} if mask_BT is None else _masked(model, mask_BT, start, stop)
            output = model(**{name: ids_BT[:, start:stop]}, use_cache=True, **handed, **masked)
            cache = "cache_params" if "cache_params" in output else "past_key_values"
            handed = {cache: output[cache]}
            if encoded:
                handed["encoder_outputs"] = (output.encoder_last_hidden_state,)
            start = stop
    return path


def _has_encoder(model):
    return bool(getattr(model.config, "is_encoder_decoder", False))


def _masked(model, mask_BT, start, stop):
    """A model with a recurrent state is told of the new tokens' padding alone, and of no positions."""
    if "cache_params" in signature(model.forward).parameters:
        return {"attention_mask": mask_BT[:, start:stop]}
    position_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
    before = "decoder_" if _has_encoder(model) else ""
    return {f"{before}attention_mask": mask_BT[:, :stop], f"{before}position_ids": position_BT[:, start:stop]}
