"""Small transformers models of many architectures, with weights that do not hide bugs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as T
from torch import nn

from tests.zoo.filling import fill

VOCABULARY = 256


@dataclass(frozen=True)
class Size:
    """What varies, so that no threshold fits one size alone."""

    hidden: int = 64
    layers: int = 3
    heads: int = 4
    tokens: int = 24


def _decoder(size: Size, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": size.hidden,
        "intermediate_size": size.hidden * 5 // 2,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        **more,
    }


def _grouped(size: Size, **more: Any) -> dict[str, Any]:
    return _decoder(size, num_key_value_heads=size.heads // 2, **more)


def _moe(size: Size) -> dict[str, Any]:
    return _grouped(size, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48, head_dim=16)


def _gemma3(size: Size) -> dict[str, Any]:
    kinds = ["full_attention" if index == size.layers - 1 else "sliding_attention" for index in range(size.layers)]
    return _grouped(size, head_dim=16, query_pre_attn_scalar=16, sliding_window=8, layer_types=kinds)


def _gpt2(size: Size) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "n_embd": size.hidden,
        "n_layer": size.layers,
        "n_head": size.heads,
        "n_positions": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def _granite(size: Size) -> dict[str, Any]:
    scales = {"embedding_multiplier": 6.0, "residual_multiplier": 0.4, "logits_scaling": 4.0}
    return _grouped(size, attention_multiplier=0.2, **scales)


def _qwen2_moe(size: Size) -> dict[str, Any]:
    sizes = {"moe_intermediate_size": 48, "shared_expert_intermediate_size": 64}
    return _grouped(size, num_experts=4, num_experts_per_tok=2, **sizes)


def _gpt_oss(size: Size) -> dict[str, Any]:
    kinds = ["full_attention" if index % 2 else "sliding_attention" for index in range(size.layers)]
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    return _grouped(size, head_dim=16, sliding_window=8, layer_types=kinds, **experts)


def _vision(size: Size) -> dict[str, Any]:
    return {**_decoder(size), "image_size": 32, "patch_size": 8}


def _whisper(size: Size) -> dict[str, Any]:
    sides = ("encoder", "decoder")
    shape = {
        f"{side}_{key}": value
        for side in sides
        for key, value in (("layers", size.layers), ("attention_heads", size.heads))
    }
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    return {
        "vocab_size": VOCABULARY,
        "d_model": size.hidden,
        "encoder_ffn_dim": 2 * size.hidden,
        "decoder_ffn_dim": 2 * size.hidden,
        "num_mel_bins": 16,
        "max_source_positions": 32,
        "max_target_positions": 512,
        **shape,
        **tokens,
        "suppress_tokens": None,
        "begin_suppress_tokens": None,
    }


Settings = Callable[[Size], dict[str, Any]]
ARCHITECTURES: dict[str, tuple[str, str, Settings]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", _grouped),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", _grouped),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", lambda size: _grouped(size, head_dim=32)),
    "mistral": ("MistralForCausalLM", "MistralConfig", lambda size: _grouped(size, sliding_window=8)),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", lambda size: _grouped(size, sliding_window=None)),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", lambda size: _grouped(size, head_dim=16)),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", _gemma3),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", _gemma3),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _gpt2),
    "gpt-neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", _decoder),
    "gpt-bigcode": ("GPTBigCodeForCausalLM", "GPTBigCodeConfig", _gpt2),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", lambda size: _grouped(size, num_local_experts=4)),
    "qwen3-moe": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", _moe),
    "granite": ("GraniteForCausalLM", "GraniteConfig", _granite),
    "qwen2-moe": ("Qwen2MoeForCausalLM", "Qwen2MoeConfig", _qwen2_moe),
    "gpt-oss": ("GptOssForCausalLM", "GptOssConfig", _gpt_oss),
    "bert": ("BertModel", "BertConfig", _decoder),
    "vit": ("ViTModel", "ViTConfig", _vision),
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", _whisper),
}


def build(name: str, size: Size = Size(), seed: int = 0, attention: str = "eager", **changed: Any) -> nn.Module:
    """One architecture in fp32 and eval mode; the same weights for the same seed. `changed` is of its configuration."""
    model_class, config_class, settings = ARCHITECTURES[name]
    config = getattr(T, config_class)(**{**settings(size), **changed})
    config._attn_implementation = attention
    torch.manual_seed(seed)
    model = getattr(T, model_class)(config).eval()
    fill(model, torch.Generator().manual_seed(seed), offset_norms="gemma" in name)
    return model


def inputs(name: str, size: Size = Size(), seed: int = 0) -> dict[str, torch.Tensor]:
    """What the architecture is fed; BERT gets a padded batch."""
    generator = torch.Generator().manual_seed(1000 + seed)
    ids = torch.randint(3, VOCABULARY - 1, (1, size.tokens), generator=generator)
    if name == "vit":
        return {"pixel_values": torch.randn(1, 3, 32, 32, generator=generator)}
    if name == "whisper":
        return {"input_features": torch.randn(1, 16, 64, generator=generator), "decoder_input_ids": ids}
    if name == "bert":
        mask = torch.ones(2, size.tokens, dtype=torch.long)
        mask[1, size.tokens * 2 // 3 :] = 0
        return {"input_ids": torch.cat([ids, ids.flip(1)]), "attention_mask": mask}
    return {"input_ids": ids}
