"""Tiny transformers models of the families that llama.cpp runs, with weights that hide nothing.

Norms are random and matrices large: norms of one and small matrices make exchanged norms and wrong scales invisible.
"""

import math

import torch
import transformers
from torch import nn

NUM_LAYERS = 3
WINDOW = 8


def _config(name, width):
    heads = {"head_dim": width // 4}
    sizes = {
        "vocab_size": 256,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": NUM_LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": name.startswith("gemma"),
        "attn_implementation": "eager",
    }
    gemma = {"hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6} | heads
    windows = {"sliding_window": WINDOW, "query_pre_attn_scalar": width // 4} | gemma
    match name:
        case "llama":
            return transformers.LlamaConfig(**sizes, **heads, rms_norm_eps=1e-5, rope_parameters=_rope(10_000.0))
        case "llama3":
            return transformers.LlamaConfig(**sizes, **heads, rms_norm_eps=1e-5, rope_parameters=_llama3())
        case "qwen3":
            heads = {"head_dim": width // 2}
            return transformers.Qwen3Config(**sizes, **heads, rms_norm_eps=1e-6, rope_parameters=_rope(1e6))
        case "gemma":
            return transformers.GemmaConfig(**sizes, **gemma, rope_parameters=_rope(10_000.0))
        case "gemma2":
            caps = {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}
            return transformers.Gemma2Config(**sizes, **windows, **caps, rope_parameters=_rope(10_000.0))
        case "gemma3":
            bases = {"sliding_attention": _rope(10_000.0), "full_attention": _rope(1e6)}
            kinds = ["sliding_attention", "sliding_attention", "full_attention"]
            return transformers.Gemma3TextConfig(**sizes, **windows, layer_types=kinds, rope_parameters=bases)
        case "phi3":
            whole = {"partial_rotary_factor": 1.0, **_rope(10_000.0)}
            return transformers.Phi3Config(
                **sizes, rms_norm_eps=1e-5, rope_parameters=whole, original_max_position_embeddings=256
            )
    raise AssertionError(name)


def _rope(base):
    return {"rope_type": "default", "rope_theta": base}


def _llama3():
    far = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    return {"rope_type": "llama3", "rope_theta": 500_000.0, **far}


CLASSES = {
    "llama": transformers.LlamaForCausalLM,
    "llama3": transformers.LlamaForCausalLM,
    "qwen3": transformers.Qwen3ForCausalLM,
    "gemma": transformers.GemmaForCausalLM,
    "gemma2": transformers.Gemma2ForCausalLM,
    "gemma3": transformers.Gemma3ForCausalLM,
    "phi3": transformers.Phi3ForCausalLM,
}


def tiny(name, seed=0, width=64, **changes):
    """A seeded model in evaluation mode, with changes of its config; `width` is a multiple of 256 for K-quants."""
    config = _config(name, width)
    config.update(changes)
    model = CLASSES[name](config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_((0.0 if name.startswith("gemma") else 1.0) + 0.2 * noise)
            else:
                nn.init.zeros_(parameter).add_(noise / math.sqrt(parameter.shape[1]))
    return model


def tokens(num_tokens=24, seed=0):
    """[1, T]: ids that are no special ones."""
    return torch.randint(3, 256, (1, num_tokens), generator=torch.Generator().manual_seed(seed))
