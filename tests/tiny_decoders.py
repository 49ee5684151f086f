"""Tiny transformers models that decode, one of each kind of cache, and plain ones with a cache of their own."""

import torch
import transformers
from torch import nn

SIZES = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
WINDOW = 4


def llama_config():
    return transformers.LlamaConfig(**SIZES, **HEADS, intermediate_size=24)


def gemma3_config():
    """One layer with a sliding window, one without."""
    kinds = ["sliding_attention", "full_attention"]
    return transformers.Gemma3TextConfig(
        **SIZES, **HEADS, intermediate_size=24, head_dim=8, sliding_window=WINDOW, layer_types=kinds
    )


def gpt2_config():
    return transformers.GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=4, n_positions=64)


def mixtral_config():
    return transformers.MixtralConfig(**SIZES, **HEADS, intermediate_size=24, num_local_experts=4, sliding_window=None)


def mamba_config():
    return transformers.MambaConfig(**SIZES, state_size=4, conv_kernel=4)


def mamba2_config():
    return transformers.Mamba2Config(
        **SIZES, state_size=4, conv_kernel=4, num_heads=4, head_dim=8, n_groups=1, expand=2, chunk_size=4
    )


def whisper_config():
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    return transformers.WhisperConfig(
        vocab_size=64,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        num_mel_bins=8,
        max_source_positions=8,
        max_target_positions=64,
        **special,
    )


MODELS = {
    "llama": (transformers.LlamaForCausalLM, llama_config),
    "gemma3": (transformers.Gemma3ForCausalLM, gemma3_config),
    "gpt2": (transformers.GPT2LMHeadModel, gpt2_config),
    "mixtral": (transformers.MixtralForCausalLM, mixtral_config),
    "mamba": (transformers.MambaForCausalLM, mamba_config),
    "mamba2": (transformers.Mamba2ForCausalLM, mamba2_config),
    "whisper": (transformers.WhisperForConditionalGeneration, whisper_config),
}


def tiny(name, seed=0, dtype=torch.float32):
    """A seeded model in evaluation mode, whose attention depends on every token."""
    kind, config = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config())
        for parameter in model.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model.to(dtype).eval()


def ids(num_tokens, *, num_sentences=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 64, (num_sentences, num_tokens), generator=generator)


def sound(*, num_sentences=2, seed=0):
    """What Whisper's encoder is fed: (sentences, bins, frames)."""
    return torch.randn(num_sentences, 8, 16, generator=torch.Generator().manual_seed(seed))
