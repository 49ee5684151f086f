"""A Gemma 3 as its authors' JAX code lays it out (github.com/google-deepmind/gemma, gemma/gm/nn): names, kernels.

Kernels are [in, out], query kernels [H, C, D], the two of key and value in one [2, K, C, D], gate and up in one
[2, F, C]. Norms hold w and multiply by 1 + w, or, `folded`, hold 1 + w; then the two of key and value are apart, and
the embedding is scaled outside its module.

B sentences of T tokens, C channels, H query heads in groups, one for each of K key and value heads, D channels of a
head, F feed-forward channels, V vocabulary.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GATING = "transformer.layer_{i}.mlp.gating_einsum:out | b t n f -> b t (n f) | "
KEY_VALUE = "transformer.layer_{i}.attn.kv_einsum:out | n b t k d -> b t (n k d) | "
EITHER = {
    ":in.input_ids": ":in.tokens",
    "model:in.input_ids": ":in.tokens",
    "model.embed_tokens:in": "transformer.embedder:in",
    "model.embed_tokens:out": "transformer.layer_0:in",
    "model.layers.{i}:in": "transformer.layer_{i}:in",
    "model.layers.{i}.input_layernorm:in": "transformer.layer_{i}.pre_attention_norm:in",
    "model.layers.{i}.input_layernorm:out": "transformer.layer_{i}.pre_attention_norm:out",
    "model.layers.{i}.self_attn:in.hidden_states": "transformer.layer_{i}.attn:in",
    "model.layers.{i}.self_attn.q_proj:in": "transformer.layer_{i}.attn.q_einsum:in",
    "model.layers.{i}.self_attn.q_proj:out": "transformer.layer_{i}.attn.q_einsum:out",
    "model.layers.{i}.self_attn.q_norm:in": "transformer.layer_{i}.attn._query_norm:in | b t h d -> b h t d",
    "model.layers.{i}.self_attn.q_norm:out": "transformer.layer_{i}.attn._query_norm:out | b t h d -> b h t d",
    "model.layers.{i}.self_attn.k_norm:in": "transformer.layer_{i}.attn._key_norm:in | b t h d -> b h t d",
    "model.layers.{i}.self_attn.k_norm:out": "transformer.layer_{i}.attn._key_norm:out | b t h d -> b h t d",
    "model.layers.{i}.self_attn.k_proj:in": "transformer.layer_{i}.attn:in",
    "model.layers.{i}.self_attn.v_proj:in": "transformer.layer_{i}.attn:in",
    "model.layers.{i}.self_attn.k_proj:out": "transformer.layer_{i}.attn._key_norm:in",
    "model.layers.{i}.self_attn.o_proj:in": "transformer.layer_{i}.attn.attn_vec_einsum:in",
    "model.layers.{i}.self_attn.o_proj:out": "transformer.layer_{i}.attn.attn_vec_einsum:out",
    "model.layers.{i}.self_attn:out": "transformer.layer_{i}.attn:out",
    "model.layers.{i}.post_attention_layernorm:in": "transformer.layer_{i}.post_attention_norm:in",
    "model.layers.{i}.post_attention_layernorm:out": "transformer.layer_{i}.post_attention_norm:out",
    "model.layers.{i}.pre_feedforward_layernorm:in": "transformer.layer_{i}.pre_ffw_norm:in",
    "model.layers.{i}.pre_feedforward_layernorm:out": "transformer.layer_{i}.pre_ffw_norm:out",
    "model.layers.{i}.mlp:in": "transformer.layer_{i}.mlp:in",
    "model.layers.{i}.mlp.gate_proj:in": "transformer.layer_{i}.mlp.gating_einsum:in",
    "model.layers.{i}.mlp.up_proj:in": "transformer.layer_{i}.mlp.gating_einsum:in",
    "model.layers.{i}.mlp.gate_proj:out": GATING + "[0:160]",
    "model.layers.{i}.mlp.act_fn:in": GATING + "[0:160]",
    "model.layers.{i}.mlp.up_proj:out": GATING + "[160:320]",
    "model.layers.{i}.mlp.act_fn:out": None,
    "model.layers.{i}.mlp.down_proj:in": "transformer.layer_{i}.mlp.linear:in",
    "model.layers.{i}.mlp.down_proj:out": "transformer.layer_{i}.mlp.linear:out",
    "model.layers.{i}.mlp:out": "transformer.layer_{i}.mlp:out",
    "model.layers.{i}.post_feedforward_layernorm:in": "transformer.layer_{i}.post_ffw_norm:in",
    "model.layers.{i}.post_feedforward_layernorm:out": "transformer.layer_{i}.post_ffw_norm:out",
    "model.layers.{i}:out": "transformer.layer_{i}:out",
    "model.norm:in": "transformer.final_norm:in",
    "model.norm:out": "transformer.final_norm:out",
    "model:out.last_hidden_state": "transformer.final_norm:out",
    "lm_head:in": "transformer.final_norm:out",
    "lm_head:out": ":out",
    ":out.logits": ":out",
    "model.layers.{i}.self_attn:out.1": None,
    "model.rotary_emb*": None,
    "*:in.attention_mask": None,
    "*:in.position_*": None,
}
TRUTH = {
    **EITHER,
    "model.layers.{i}.self_attn.v_proj:out": KEY_VALUE + "[32:64]",
}
FOLDED_TRUTH = {
    **EITHER,
    "model.layers.{i}.self_attn.v_proj:out": "transformer.layer_{i}.attn.v_einsum:out",
}


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + 1e-6) * (offset + scale)."""

    def __init__(self, num_channels: int, offset: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(num_channels))
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)
        return (normed * (self.offset + self.scale.float())).to(x.dtype)


class Einsum(nn.Module):
    def __init__(self, equation: str, *shape: int) -> None:
        super().__init__()
        self.equation = equation
        self.w = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum(self.equation, x, self.w)


class Embedder(nn.Module):
    def __init__(self, num_words: int, num_channels: int, scale: float) -> None:
        super().__init__()
        self.input_embedding = nn.Parameter(torch.zeros(num_words, num_channels))
        self.scale = scale

    def forward(self, tokens: Tensor) -> Tensor:
        return self.input_embedding[tokens] * self.scale

    def decode(self, x_BTC: Tensor) -> Tensor:
        return x_BTC @ self.input_embedding.T


class Attention(nn.Module):
    def __init__(self, config: Any, kind: str, *, folded: bool) -> None:
        super().__init__()
        num_heads, num_kv_heads, head_dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        num_channels = config.hidden_size
        self.query_scale = config.query_pre_attn_scalar**-0.5
        self.theta = config.rope_parameters[kind]["rope_theta"]
        self.window = config.sliding_window if kind == "sliding_attention" else None
        self.folded = folded
        self.q_einsum = Einsum("btc,hcd->bthd", num_heads, num_channels, head_dim)
        if folded:
            self.k_einsum = Einsum("btc,kcd->btkd", num_kv_heads, num_channels, head_dim)
            self.v_einsum = Einsum("btc,kcd->btkd", num_kv_heads, num_channels, head_dim)
        else:
            self.kv_einsum = Einsum("btc,nkcd->nbtkd", 2, num_kv_heads, num_channels, head_dim)
        self._query_norm = RMSNorm(head_dim, float(not folded))
        self._key_norm = RMSNorm(head_dim, float(not folded))
        self.attn_vec_einsum = Einsum("bthd,hdc->btc", num_heads, head_dim, num_channels)

    def forward(self, x_BTC: Tensor) -> Tensor:
        q_BTHD = self.q_einsum(x_BTC)
        k_BTKD, v_BTKD = (self.k_einsum(x_BTC), self.v_einsum(x_BTC)) if self.folded else self.kv_einsum(x_BTC)
        q_BTHD = rotated(self._query_norm(q_BTHD), self.theta) * self.query_scale
        k_BTKD = rotated(self._key_norm(k_BTKD), self.theta)
        q_BTKGD = q_BTHD.unflatten(2, (k_BTKD.shape[2], -1))
        scores = torch.einsum("btkgd,bskd->btkgs", q_BTKGD, k_BTKD)
        places = torch.arange(x_BTC.shape[1], device=x_BTC.device)
        age_TT = places[:, None] - places
        seen_TT = (age_TT >= 0) & (age_TT < (self.window or len(places)))
        # -2.3819763e38 is K_MASK of gemma/gm/nn/_modules.py.
        weights = (
            torch.where(seen_TT[:, None, None], scores, -2.3819763e38).softmax(-1, dtype=torch.float32).to(x_BTC.dtype)
        )
        return self.attn_vec_einsum(torch.einsum("btkgs,bskd->btkgd", weights, v_BTKD).flatten(2, 3))


def rotated(x_BTHD: Tensor, max_wavelength: float) -> Tensor:
    """Channels i and i + D/2 of token t turn by t / max_wavelength^(2i/D)."""
    num_tokens, head_dim = x_BTHD.shape[1], x_BTHD.shape[3]
    timescale = max_wavelength ** (2 * torch.arange(head_dim // 2) / head_dim)
    angles_T1D = torch.arange(num_tokens)[:, None, None] / timescale
    first, second = x_BTHD.split(head_dim // 2, dim=-1)
    sine, cosine = torch.sin(angles_T1D), torch.cos(angles_T1D)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x_BTHD.dtype)


class FeedForward(nn.Module):
    def __init__(self, num_channels: int, num_ffn_channels: int) -> None:
        super().__init__()
        self.gating_einsum = Einsum("btc,nfc->btnf", 2, num_ffn_channels, num_channels)
        self.linear = Einsum("btf,fc->btc", num_ffn_channels, num_channels)

    def forward(self, x_BTC: Tensor) -> Tensor:
        gate_BTF, up_BTF = self.gating_einsum(x_BTC).unbind(2)
        return self.linear(F.gelu(gate_BTF, approximate="tanh") * up_BTF)


class Block(nn.Module):
    def __init__(self, config: Any, kind: str, *, folded: bool) -> None:
        super().__init__()
        norm = partial(RMSNorm, config.hidden_size, float(not folded))
        self.pre_attention_norm = norm()
        self.attn = Attention(config, kind, folded=folded)
        self.post_attention_norm = norm()
        self.pre_ffw_norm = norm()
        self.mlp = FeedForward(config.hidden_size, config.intermediate_size)
        self.post_ffw_norm = norm()

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BTC = x_BTC + self.post_attention_norm(self.attn(self.pre_attention_norm(x_BTC)))
        return x_BTC + self.post_ffw_norm(self.mlp(self.pre_ffw_norm(x_BTC)))


class JaxlikeGemma3(nn.Module):
    """Token ids (B, T) to logits (B, T, V); the embedding is also the head."""

    def __init__(self, config: Any, *, folded: bool) -> None:
        super().__init__()
        scale = config.hidden_size**0.5
        self.scale = scale if folded else 1.0
        self.transformer = nn.Module()
        self.transformer.embedder = Embedder(config.vocab_size, config.hidden_size, 1.0 if folded else scale)
        for layer, kind in enumerate(config.layer_types):
            self.transformer.add_module(f"layer_{layer}", Block(config, kind, folded=folded))
        self.transformer.final_norm = RMSNorm(config.hidden_size, float(not folded))
        self.num_layers = config.num_hidden_layers

    def forward(self, tokens: Tensor) -> Tensor:
        x_BTC = self.transformer.embedder(tokens) * self.scale
        for layer in range(self.num_layers):
            x_BTC = self.transformer.get_submodule(f"layer_{layer}")(x_BTC)
        return self.transformer.embedder.decode(self.transformer.final_norm(x_BTC))


NORMS = {
    "pre_attention_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "pre_ffw_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "attn._query_norm": "self_attn.q_norm",
    "attn._key_norm": "self_attn.k_norm",
}


def convert(reference_state_dict: Mapping[str, Tensor], config: Any, *, folded: bool = False) -> JaxlikeGemma3:
    """The same model out of transformers' weights."""
    embedding = reference_state_dict["model.embed_tokens.weight"]
    added = 1.0 if folded else 0.0
    weights = {
        "embedder.input_embedding": embedding,
        "final_norm.scale": reference_state_dict["model.norm.weight"] + added,
    }
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"layer_{layer}", f"model.layers.{layer}"
        for name, source in NORMS.items():
            weights[f"{ours}.{name}.scale"] = reference_state_dict[f"{theirs}.{source}.weight"] + added
        q_HCD, k_KCD, v_KCD = (
            reference_state_dict[f"{theirs}.self_attn.{kind}_proj.weight"]
            .unflatten(0, (-1, config.head_dim))
            .transpose(1, 2)
            for kind in "qkv"
        )
        weights[f"{ours}.attn.q_einsum.w"] = q_HCD
        if folded:
            weights |= {f"{ours}.attn.k_einsum.w": k_KCD, f"{ours}.attn.v_einsum.w": v_KCD}
        else:
            weights[f"{ours}.attn.kv_einsum.w"] = torch.stack([k_KCD, v_KCD])
        merge = reference_state_dict[f"{theirs}.self_attn.o_proj.weight"].T
        weights[f"{ours}.attn.attn_vec_einsum.w"] = merge.unflatten(0, (-1, config.head_dim))
        gate, up, down = (reference_state_dict[f"{theirs}.mlp.{kind}_proj.weight"] for kind in ("gate", "up", "down"))
        weights[f"{ours}.mlp.gating_einsum.w"] = torch.stack([gate, up])
        weights[f"{ours}.mlp.linear.w"] = down.T
    model = JaxlikeGemma3(config, folded=folded)
    model.load_state_dict({f"transformer.{name}": weight for name, weight in weights.items()})
    return model.eval()
