"""A Gemma 2 as inference engines write it: fused weights, norms folded to 1 + w, nothing from transformers.

`port` converts the Gemma 2 of references.py. A bug is a slip in `layer_settings`, in `norm_offset` or in `convert`,
for layer `bug_layer` or for all of them; the model itself has no switches.

B sentences of T tokens are N = B * T rows of C channels. H query heads in G groups, one for each key and value head,
D channels of a head, F feed-forward channels, V vocabulary.
"""

import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_BUGS = ("eps", "window", "softcap_missing", "norm_offset_missing")
MODEL_BUGS = ("embed_scale_missing", "final_softcap_missing")
BUGS = (*LAYER_BUGS, *MODEL_BUGS)

SOURCES = {
    "pre_attention_norm": ["input_layernorm"],
    "attn.wqkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "attn.wo": ["self_attn.o_proj"],
    "post_attention_norm": ["post_attention_layernorm"],
    "pre_ffw_norm": ["pre_feedforward_layernorm"],
    "w13": ["mlp.gate_proj", "mlp.up_proj"],
    "w2": ["mlp.down_proj"],
    "post_ffw_norm": ["post_feedforward_layernorm"],
}
"""Which of transformers' weights are stacked into each weight of a layer."""

TRUTH = {
    ":in.input_ids": ":in.input_ids",
    "model:in.input_ids": ":in.input_ids",
    "model.embed_tokens:in": "embedder:in",
    "model.embed_tokens:out": "layers.0:in",
    "model.layers.{i}:in": "layers.{i}:in",
    "model.layers.{i}.input_layernorm:in": "layers.{i}.pre_attention_norm:in",
    "model.layers.{i}.input_layernorm:out": "layers.{i}.pre_attention_norm:out",
    "model.layers.{i}.self_attn:in.hidden_states": "layers.{i}.attn:in",
    "model.layers.{i}.self_attn.?_proj:in": "layers.{i}.attn.wqkv:in",
    "model.layers.{i}.self_attn.q_proj:out": "layers.{i}.attn.wqkv:out[0:64]",
    "model.layers.{i}.self_attn.k_proj:out": "layers.{i}.attn.wqkv:out[64:96]",
    "model.layers.{i}.self_attn.v_proj:out": "layers.{i}.attn.wqkv:out[96:128]",
    "model.layers.{i}.self_attn.o_proj:in": "layers.{i}.attn.wo:in",
    "model.layers.{i}.self_attn.o_proj:out": "layers.{i}.attn.wo:out",
    "model.layers.{i}.self_attn:out": "layers.{i}.attn:out",
    "model.layers.{i}.post_attention_layernorm:in": "layers.{i}.post_attention_norm:in",
    "model.layers.{i}.post_attention_layernorm:out": "layers.{i}.post_attention_norm:out",
    "model.layers.{i}.pre_feedforward_layernorm:in": "layers.{i}.pre_ffw_norm:in",
    "model.layers.{i}.pre_feedforward_layernorm:out": "layers.{i}.pre_ffw_norm:out",
    "model.layers.{i}.mlp:in": "layers.{i}.w13:in",
    "model.layers.{i}.mlp.gate_proj:in": "layers.{i}.w13:in",
    "model.layers.{i}.mlp.gate_proj:out": "layers.{i}.w13:out[0:160]",
    "model.layers.{i}.mlp.act_fn:in": "layers.{i}.w13:out[0:160]",
    "model.layers.{i}.mlp.act_fn:out": None,
    "model.layers.{i}.mlp.up_proj:in": "layers.{i}.w13:in",
    "model.layers.{i}.mlp.up_proj:out": "layers.{i}.w13:out[160:320]",
    "model.layers.{i}.mlp.down_proj:in": "layers.{i}.w2:in",
    "model.layers.{i}.mlp.down_proj:out": "layers.{i}.w2:out",
    "model.layers.{i}.mlp:out": "layers.{i}.w2:out",
    "model.layers.{i}.post_feedforward_layernorm:in": "layers.{i}.post_ffw_norm:in",
    "model.layers.{i}.post_feedforward_layernorm:out": "layers.{i}.post_ffw_norm:out",
    "model.layers.{i}:out": "layers.{i}:out",
    "model.norm:in": "final_norm:in",
    "model.norm:out": "final_norm:out",
    "model:out.last_hidden_state": "final_norm:out",
    "lm_head:in": "final_norm:out",
    "lm_head:out": None,
    ":out.logits": ":out",
    "model.layers.{i}.self_attn:out.1": None,
    "model.rotary_emb:*": None,
    "*:in.attention_mask": None,
    "*:in.position_*": None,
}
"""Where the numbers of the zoo's Gemma 2 (tests/zoo) lie: see truth.py beside this file."""


@dataclass(frozen=True, slots=True)
class LayerSettings:
    num_channels: int
    num_ffn_channels: int
    num_heads: int
    num_groups: int
    head_dim: int
    eps: float
    """Added to the mean square in a norm."""
    rope_theta: float
    attention_scale: float
    """Query times key is multiplied by it."""
    softcap: float | None
    """Bound of the scaled scores, by c * tanh(score / c)."""
    window: int | None
    """How many keys a query sees, itself included; None for all before it."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    vocab_size: int
    layers: tuple[LayerSettings, ...]
    final_eps: float
    final_softcap: float | None
    embed_scale: float


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, in float32; the weight is Gemma's 1 + w."""

    def __init__(self, num_channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.eps = eps

    def forward(self, x_NC: Tensor) -> Tensor:
        wide_NC = x_NC.float()
        scale_N1 = torch.rsqrt(wide_NC.square().mean(-1, keepdim=True) + self.eps)
        return (wide_NC * scale_N1 * self.weight.float()).to(x_NC.dtype)


def softcapped(x: Tensor, cap: float | None) -> Tensor:
    return x if cap is None else cap * torch.tanh(x / cap)


def rotated(x_BTHD: Tensor, theta: float) -> Tensor:
    """RoPE in half layout: channels i and i + D/2 of token t turn by t * theta^(-2i/D)."""
    num_tokens, half = x_BTHD.shape[1], x_BTHD.shape[-1] // 2
    frequencies = theta ** (-torch.arange(half, device=x_BTHD.device) / half)
    angles_T1D = torch.arange(num_tokens, device=x_BTHD.device)[:, None, None] * frequencies
    cosine, sine = angles_T1D.cos().to(x_BTHD.dtype), angles_T1D.sin().to(x_BTHD.dtype)
    first, second = x_BTHD.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class Attention(nn.Module):
    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.settings = settings
        num_fused_heads = settings.num_heads + 2 * settings.num_groups
        self.wqkv = nn.Linear(settings.num_channels, num_fused_heads * settings.head_dim, bias=False)
        self.wo = nn.Linear(settings.num_heads * settings.head_dim, settings.num_channels, bias=False)

    def forward(self, x_NC: Tensor, num_sentences: int) -> Tensor:
        s = self.settings
        fused = self.wqkv(x_NC).view(num_sentences, -1, s.num_heads + 2 * s.num_groups, s.head_dim)
        q_BTHD, k_BTGD, v_BTGD = fused.split([s.num_heads, s.num_groups, s.num_groups], dim=2)
        q_BTHD, k_BTGD = rotated(q_BTHD, s.rope_theta), rotated(k_BTGD, s.rope_theta)
        q_BTGHD = q_BTHD.view(*k_BTGD.shape[:3], -1, s.head_dim)
        scores = softcapped(torch.einsum("btghd,bsgd->bghts", q_BTGHD, k_BTGD) * s.attention_scale, s.softcap)
        tokens = torch.arange(q_BTHD.shape[1], device=x_NC.device)
        age_TT = tokens[:, None] - tokens
        hidden_TT = (age_TT < 0) | (age_TT >= (s.window or len(tokens)))
        weights = scores.masked_fill(hidden_TT, -torch.inf).softmax(-1, dtype=torch.float32).to(x_NC.dtype)
        mixed_BTGHD = torch.einsum("bghts,bsgd->btghd", weights, v_BTGD)
        return self.wo(mixed_BTGHD.reshape(x_NC.shape[0], -1))


class Layer(nn.Module):
    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.pre_attention_norm = RMSNorm(settings.num_channels, settings.eps)
        self.attn = Attention(settings)
        self.post_attention_norm = RMSNorm(settings.num_channels, settings.eps)
        self.pre_ffw_norm = RMSNorm(settings.num_channels, settings.eps)
        self.w13 = nn.Linear(settings.num_channels, 2 * settings.num_ffn_channels, bias=False)
        self.w2 = nn.Linear(settings.num_ffn_channels, settings.num_channels, bias=False)
        self.post_ffw_norm = RMSNorm(settings.num_channels, settings.eps)

    def forward(self, x_NC: Tensor, num_sentences: int) -> Tensor:
        x_NC = x_NC + self.post_attention_norm(self.attn(self.pre_attention_norm(x_NC), num_sentences))
        gate_NF, up_NF = self.w13(self.pre_ffw_norm(x_NC)).chunk(2, dim=-1)
        return x_NC + self.post_ffw_norm(self.w2(F.gelu(gate_NF, approximate="tanh") * up_NF))


class FusedGemma(nn.Module):
    """Token ids (B, T), no sentence padded, to logits (N, V); the embedding is also the head."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        num_channels = settings.layers[0].num_channels
        self.settings = settings
        self.embedder = nn.Embedding(settings.vocab_size, num_channels)
        self.layers = nn.ModuleList(Layer(layer) for layer in settings.layers)
        self.final_norm = RMSNorm(num_channels, settings.final_eps)

    def forward(self, input_ids: Tensor) -> Tensor:
        x_NC = self.embedder(input_ids.flatten())
        x_NC = x_NC * x_NC.new_tensor(self.settings.embed_scale)  # rounded to the weights' dtype, as Gemma was trained
        for layer in self.layers:
            x_NC = layer(x_NC, input_ids.shape[0])
        logits_NV = F.linear(self.final_norm(x_NC), self.embedder.weight)
        return softcapped(logits_NV, self.settings.final_softcap)


def layer_settings(config: Any, layer: int, bug: str | None) -> LayerSettings:
    """From a transformers Gemma2Config, whose type this file does not import."""
    window = config.sliding_window + (1 if bug == "window" else 0)
    return LayerSettings(
        num_channels=config.hidden_size,
        num_ffn_channels=config.intermediate_size,
        num_heads=config.num_attention_heads,
        num_groups=config.num_key_value_heads,
        head_dim=config.head_dim,
        eps=1e-5 if bug == "eps" else config.rms_norm_eps,
        rope_theta=config.rope_parameters["rope_theta"],
        attention_scale=config.query_pre_attn_scalar**-0.5,
        softcap=None if bug == "softcap_missing" else config.attn_logit_softcapping,
        window=window if config.layer_types[layer] == "sliding_attention" else None,
    )


def layers_for(bug: str | None, config: Any) -> list[int]:
    """The layers in which the bug alone would change anything."""
    if bug in MODEL_BUGS:
        return []
    return [layer for layer, kind in enumerate(config.layer_types) if bug != "window" or kind == "sliding_attention"]


def norm_offset(bug: str | None) -> float:
    return 0.0 if bug == "norm_offset_missing" else 1.0


def convert(
    reference_state_dict: Mapping[str, Tensor], config: Any, bug: str | None = None, bug_layer: int | None = None
) -> FusedGemma:
    """The same model out of transformers' weights; the final norm shares a bug that all layers have."""
    layers = range(config.num_hidden_layers)
    assert bug in (None, *BUGS), f"no bug {bug!r}"
    assert bug_layer in (None, *layers_for(bug, config)), f"no {bug!r} in layer {bug_layer!r}"
    bugs = [bug if bug_layer in (None, layer) else None for layer in layers]
    final_bug = bug if bug_layer is None else None
    weights = {
        "embedder.weight": reference_state_dict["model.embed_tokens.weight"],
        "final_norm.weight": reference_state_dict["model.norm.weight"] + norm_offset(final_bug),
    }
    for layer in layers:
        for name, sources in SOURCES.items():
            stacked = torch.cat([reference_state_dict[f"model.layers.{layer}.{source}.weight"] for source in sources])
            weights[f"layers.{layer}.{name}.weight"] = stacked + norm_offset(bugs[layer]) if "norm" in name else stacked
    settings = ModelSettings(
        vocab_size=config.vocab_size,
        layers=tuple(layer_settings(config, layer, bugs[layer]) for layer in layers),
        final_eps=layer_settings(config, 0, final_bug).eps,
        final_softcap=None if bug == "final_softcap_missing" else config.final_logit_softcapping,
        embed_scale=1.0 if bug == "embed_scale_missing" else config.hidden_size**0.5,
    )
    model = FusedGemma(settings)
    model.load_state_dict(weights)
    return model.to(weights["embedder.weight"].dtype).eval()


def port(bug: str | None = None, bug_layer: int | None = None, seed: int = 0) -> FusedGemma:
    """The Gemma 2 of references.py as FusedGemma: the target py:tests/ports/gemma.py:port."""
    # By path, so that it does not matter how or from where this file was imported.
    references = runpy.run_path(str(Path(__file__).with_name("references.py")))
    reference = references["reference"]("gemma2", seed)
    return convert(reference.state_dict(), reference.config, bug, bug_layer)
