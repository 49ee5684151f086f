"""Gemma 4 with text and audio, small, of random weights; and what a port of it once did otherwise."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Gemma4AudioConfig, Gemma4Config, Gemma4ForConditionalGeneration, Gemma4TextConfig
from transformers.models.gemma4 import modeling_gemma4

AUDIO = 40
"""The token whose place the audio encoder fills."""
TEXT = Gemma4TextConfig(
    vocab_size=48,
    hidden_size=48,  # its root is no number of bfloat16
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=12,
    global_head_dim=24,
    layer_types=["sliding_attention", "sliding_attention", "full_attention"],
    sliding_window=8,
    vocab_size_per_layer_input=48,
    hidden_size_per_layer_input=24,
    final_logit_softcapping=30.0,
)
CONFIG = Gemma4Config(
    text_config=TEXT.to_dict(),
    audio_config=Gemma4AudioConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        subsampling_conv_channels=[16, 8],
        attention_chunk_size=6,
        attention_context_left=7,
        output_proj_dims=40,
    ).to_dict(),
    vision_config=None,
    audio_token_id=AUDIO,
    image_token_id=41,
    video_token_id=42,
)


@torch.no_grad()
def gemma4(seed: int) -> Gemma4ForConditionalGeneration:
    generator = torch.Generator().manual_seed(seed)
    config = copy.deepcopy(CONFIG)
    config._attn_implementation = "eager"
    model = Gemma4ForConditionalGeneration(config).eval()
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator)
        if weight.dim() == 1:
            drawn = 0.3 * drawn + (0.0 if "per_dim" in name or "bias" in name else 1.0)
        elif "embed_tokens" not in name:
            drawn *= 1.3 * weight[0].numel() ** -0.5
        weight.copy_(drawn)
    return model


def spoken(seed: int) -> dict[str, Any]:
    """Two sentences of random tokens around random sounds, of which one is shorter: inputs of the model."""
    generator = torch.Generator().manual_seed(seed)
    frames = (4 * 52 - 9, 4 * 27)
    sounds = torch.randn(2, 4 * 52, 16, generator=generator)
    mask = torch.stack([torch.arange(4 * 52) < count for count in frames])
    counts = mask[:, ::4].sum(1).tolist()
    ids = torch.randint(1, AUDIO - 1, (2, max(counts) + 12), generator=generator)
    for row, count in enumerate(counts):
        ids[row, 3 : 3 + count] = AUDIO
    return {"input_ids": ids, "input_features": sounds, "input_features_mask": mask, "use_cache": False}


@torch.no_grad()
def swap_norms_beside_the_convolution(model: Any) -> None:
    for layer in model.model.audio_tower.layers:
        before, after = layer.lconv1d.pre_layer_norm.weight, layer.lconv1d.conv_norm.weight
        kept = before.clone()
        before.copy_(after)
        after.copy_(kept)


def see_one_token_more(model: Any) -> None:
    def longer(own: Callable[..., Any], window: tuple[int, int]) -> Any:
        return own((window[0] + 1, window[1]))

    _with_function(model.model.audio_tower, "sliding_window_mask_function", longer)


def mask_with_infinity(model: Any) -> None:
    for layer in model.model.audio_tower.layers:
        layer.self_attn.config = copy.copy(layer.self_attn.config)
        layer.self_attn.config.attention_invalid_logits_value = float("-inf")


def leave_softcap_on(model: Any) -> None:
    def capped(own: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return own(*args, **{**kwargs, "softcap": 50.0})

    for layer in model.model.language_model.layers:
        _with_function(layer.self_attn, "eager_attention_forward", capped)


def round_scale_of_embeddings(model: Any) -> None:
    text = model.model.language_model
    for table in (text.embed_tokens, text.embed_tokens_per_layer):
        scale: Tensor = table.embed_scale
        table.embed_scale = scale.bfloat16().float()


BUGS: dict[Callable[[Any], None], str] = {
    swap_norms_beside_the_convolution: "norm.weight_swapped",
    see_one_token_more: "attn.window",
    mask_with_infinity: "attn.mask_value",
    leave_softcap_on: "attn.softcap",
    round_scale_of_embeddings: "embed.rounding",
}
"""And their causes."""


def _with_function(module: nn.Module, name: str, other: Callable[..., Any]) -> None:
    """While the module runs, a function of the model's file is another."""
    forward, namespace = module.forward, vars(modeling_gemma4)

    def run(*args: Any, **kwargs: Any) -> Any:
        own = namespace[name]
        namespace[name] = lambda *given, **named: other(own, *given, **named)
        try:
            return forward(*args, **kwargs)
        finally:
            namespace[name] = own

    module.forward = run
