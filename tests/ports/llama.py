"""A Llama as inference engines write it: fused weights, tokens in rows, nothing from transformers.

`port` converts the Llama of references.py. A bug is a slip in `layer_settings` or in `layer_sources`, for layer
`bug_layer` or for all of them; the model itself has no switches.

B sentences of T tokens are N = B * T rows of C channels. H query heads, K key and value heads, D channels of a head,
F feed-forward channels, V vocabulary.
"""

import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BUGS = ("eps", "rope_theta", "attention_scale", "gate_up_swapped", "norms_swapped", "kv_repeat", "causal_off_by_one")

TRUTH = {
    ":in.input_ids": ":in.input_ids",
    "model:in.input_ids": ":in.input_ids",
    "model.embed_tokens:in": "tok_embeddings:in",
    "model.embed_tokens:out": "tok_embeddings:out",
    "model.layers.{i}:in": "layers.{i}:in",
    "model.layers.{i}.input_layernorm:in": "layers.{i}.attention_norm:in",
    "model.layers.{i}.input_layernorm:out": "layers.{i}.attention_norm:out",
    "model.layers.{i}.self_attn:in.hidden_states": "layers.{i}.attention:in",
    "model.layers.{i}.self_attn.?_proj:in": "layers.{i}.attention.wqkv:in",
    "model.layers.{i}.self_attn.q_proj:out": "layers.{i}.attention.wqkv:out[0:64]",
    "model.layers.{i}.self_attn.k_proj:out": "layers.{i}.attention.wqkv:out[64:96]",
    "model.layers.{i}.self_attn.v_proj:out": "layers.{i}.attention.wqkv:out[96:128]",
    "model.layers.{i}.self_attn.o_proj:in": "layers.{i}.attention.wo:in",
    "model.layers.{i}.self_attn.o_proj:out": "layers.{i}.attention.wo:out",
    "model.layers.{i}.self_attn:out": "layers.{i}.attention:out",
    "model.layers.{i}.post_attention_layernorm:in": "layers.{i}.ffn_norm:in",
    "model.layers.{i}.post_attention_layernorm:out": "layers.{i}.ffn_norm:out",
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
    "model.layers.{i}:out": "layers.{i}:out",
    "model.norm:in": "norm:in",
    "model.norm:out": "norm:out",
    "model:out.last_hidden_state": "norm:out",
    "lm_head:in": "output:in",
    "lm_head:out": "output:out",
    ":out.logits": ":out",
    "model.layers.{i}.self_attn:out.1": None,
    "model.rotary_emb:*": None,
    "*:in.attention_mask": None,
    "*:in.position_*": None,
}
"""Where the numbers of the zoo's Llama (tests/zoo) lie: see truth.py beside this file."""


@dataclass(frozen=True, slots=True)
class LayerSettings:
    num_channels: int
    num_ffn_channels: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    eps: float
    """Added to the mean square in a norm."""
    rope_theta: float
    attention_scale: float
    """Query times key is multiplied by it."""
    kv_tiled: bool
    """Whether query heads 0, 1, 2, 3 read key heads 0, 1, 0, 1, where Llama's read 0, 0, 1, 1."""
    last_visible: int
    """The last key that a query sees, counted from its own position: 0 in Llama."""


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) in float32, then times a weight."""

    def __init__(self, num_channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.eps = eps

    def forward(self, x_NC: Tensor) -> Tensor:
        wide_NC = x_NC.float()
        scale_N1 = torch.rsqrt(wide_NC.square().mean(-1, keepdim=True) + self.eps)
        return (wide_NC * scale_N1).to(x_NC.dtype) * self.weight


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
        num_fused_heads = settings.num_heads + 2 * settings.num_kv_heads
        self.wqkv = nn.Linear(settings.num_channels, num_fused_heads * settings.head_dim, bias=False)
        self.wo = nn.Linear(settings.num_heads * settings.head_dim, settings.num_channels, bias=False)

    def forward(self, x_NC: Tensor, num_sentences: int) -> Tensor:
        s = self.settings
        fused = self.wqkv(x_NC).view(num_sentences, -1, s.num_heads + 2 * s.num_kv_heads, s.head_dim)
        q_BTHD, k_BTKD, v_BTKD = fused.split([s.num_heads, s.num_kv_heads, s.num_kv_heads], dim=2)
        q_BTHD, k_BTKD = rotated(q_BTHD, s.rope_theta), rotated(k_BTKD, s.rope_theta)
        readers = torch.arange(s.num_heads, device=x_NC.device)
        heads_H = readers % s.num_kv_heads if s.kv_tiled else readers * s.num_kv_heads // s.num_heads
        q_BHTD, k_BHTD, v_BHTD = (x.transpose(1, 2) for x in (q_BTHD, k_BTKD[:, :, heads_H], v_BTKD[:, :, heads_H]))
        num_tokens = q_BHTD.shape[2]
        sees_TT = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=x_NC.device).tril(s.last_visible)
        mixed_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, sees_TT, scale=s.attention_scale)
        return self.wo(mixed_BHTD.transpose(1, 2).flatten(2).flatten(0, 1))


class Layer(nn.Module):
    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(settings.num_channels, settings.eps)
        self.attention = Attention(settings)
        self.ffn_norm = RMSNorm(settings.num_channels, settings.eps)
        self.w13 = nn.Linear(settings.num_channels, 2 * settings.num_ffn_channels, bias=False)
        self.w2 = nn.Linear(settings.num_ffn_channels, settings.num_channels, bias=False)

    def forward(self, x_NC: Tensor, num_sentences: int) -> Tensor:
        x_NC = x_NC + self.attention(self.attention_norm(x_NC), num_sentences)
        gate_NF, up_NF = self.w13(self.ffn_norm(x_NC)).chunk(2, dim=-1)
        return x_NC + self.w2(F.silu(gate_NF) * up_NF)


class FusedLlama(nn.Module):
    """Token ids (B, T), no sentence padded, to logits (N, V)."""

    def __init__(self, vocab_size: int, layers: Sequence[LayerSettings], final_eps: float) -> None:
        super().__init__()
        num_channels = layers[0].num_channels
        self.tok_embeddings = nn.Embedding(vocab_size, num_channels)
        self.layers = nn.ModuleList(Layer(settings) for settings in layers)
        self.norm = RMSNorm(num_channels, final_eps)
        self.output = nn.Linear(num_channels, vocab_size, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x_NC = self.tok_embeddings(input_ids.flatten())
        for layer in self.layers:
            x_NC = layer(x_NC, input_ids.shape[0])
        return self.output(self.norm(x_NC))


def layer_settings(config: Any, bug: str | None) -> LayerSettings:
    """From a transformers LlamaConfig, whose type this file does not import."""
    return LayerSettings(
        num_channels=config.hidden_size,
        num_ffn_channels=config.intermediate_size,
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        eps=1e-6 if bug == "eps" else config.rms_norm_eps,
        rope_theta=10000.0 if bug == "rope_theta" else config.rope_parameters["rope_theta"],
        attention_scale=(config.hidden_size if bug == "attention_scale" else config.head_dim) ** -0.5,
        kv_tiled=bug == "kv_repeat",
        last_visible=1 if bug == "causal_off_by_one" else 0,
    )


def layer_sources(bug: str | None) -> dict[str, list[str]]:
    """Which of transformers' weights are stacked into each weight of a layer."""
    input_norm, ffn_norm = "input_layernorm", "post_attention_layernorm"
    gate, up = "mlp.gate_proj", "mlp.up_proj"
    if bug == "norms_swapped":
        input_norm, ffn_norm = ffn_norm, input_norm
    if bug == "gate_up_swapped":
        gate, up = up, gate
    return {
        "attention_norm": [input_norm],
        "attention.wqkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        "attention.wo": ["self_attn.o_proj"],
        "ffn_norm": [ffn_norm],
        "w13": [gate, up],
        "w2": ["mlp.down_proj"],
    }


def convert(
    reference_state_dict: Mapping[str, Tensor], config: Any, bug: str | None = None, bug_layer: int | None = None
) -> FusedLlama:
    """The same model out of transformers' weights; the final norm shares "eps" where all layers have it."""
    layers = range(config.num_hidden_layers)
    assert bug in (None, *BUGS), f"no bug {bug!r}"
    assert bug_layer in (None, *layers), f"no layer {bug_layer!r}"
    weights = {
        "tok_embeddings.weight": reference_state_dict["model.embed_tokens.weight"],
        "norm.weight": reference_state_dict["model.norm.weight"],
        "output.weight": reference_state_dict["lm_head.weight"],
    }
    bugs = [bug if bug_layer in (None, layer) else None for layer in layers]
    for layer in layers:
        for name, sources in layer_sources(bugs[layer]).items():
            stacked = [reference_state_dict[f"model.layers.{layer}.{source}.weight"] for source in sources]
            weights[f"layers.{layer}.{name}.weight"] = torch.cat(stacked)
    final_eps = layer_settings(config, bug if bug_layer is None else None).eps
    model = FusedLlama(config.vocab_size, [layer_settings(config, bug) for bug in bugs], final_eps)
    model.load_state_dict(weights)
    return model.to(weights["norm.weight"].dtype).eval()


def port(bug: str | None = None, bug_layer: int | None = None, seed: int = 0) -> FusedLlama:
    """The Llama of references.py as FusedLlama: the target py:tests/ports/llama.py:port."""
    # By path, so that it does not matter how or from where this file was imported.
    references = runpy.run_path(str(Path(__file__).with_name("references.py")))
    reference = references["reference"]("llama", seed)
    return convert(reference.state_dict(), reference.config, bug, bug_layer)
