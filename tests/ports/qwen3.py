"""A Qwen 3 as papers write it: a matrix for each head, [H, D, C], einsum, and heads before tokens throughout.

B sentences of T tokens, C channels, H query heads, K key and value heads, D channels of a head, F feed-forward
channels, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRUTH = {
    ":in.input_ids": ":in.tokens",
    "model:in.input_ids": ":in.tokens",
    "model.embed_tokens:in": "embed:in",
    "model.embed_tokens:out": "embed:out",
    "model.layers.{i}:in": "blocks.{i}:in",
    "model.layers.{i}.input_layernorm:in": "blocks.{i}.norm_1:in",
    "model.layers.{i}.input_layernorm:out": "blocks.{i}.norm_1:out",
    "model.layers.{i}.self_attn:in.hidden_states": "blocks.{i}.attention:in",
    "model.layers.{i}.self_attn.q_proj:in": "blocks.{i}.attention.wq:in",
    "model.layers.{i}.self_attn.q_proj:out": "blocks.{i}.attention.wq:out | b h t d -> b t (h d)",
    "model.layers.{i}.self_attn.q_norm:in": "blocks.{i}.attention.q_norm:in | b h t d -> b t h d",
    "model.layers.{i}.self_attn.q_norm:out": "blocks.{i}.attention.q_norm:out | b h t d -> b t h d",
    "model.layers.{i}.self_attn.k_proj:in": "blocks.{i}.attention.wk:in",
    "model.layers.{i}.self_attn.k_proj:out": "blocks.{i}.attention.wk:out | b h t d -> b t (h d)",
    "model.layers.{i}.self_attn.k_norm:in": "blocks.{i}.attention.k_norm:in | b h t d -> b t h d",
    "model.layers.{i}.self_attn.k_norm:out": "blocks.{i}.attention.k_norm:out | b h t d -> b t h d",
    "model.layers.{i}.self_attn.v_proj:in": "blocks.{i}.attention.wv:in",
    "model.layers.{i}.self_attn.v_proj:out": "blocks.{i}.attention.wv:out | b h t d -> b t (h d)",
    "model.layers.{i}.self_attn.o_proj:in": "blocks.{i}.attention.wo:in | b h t d -> b t (h d)",
    "model.layers.{i}.self_attn.o_proj:out": "blocks.{i}.attention.wo:out",
    "model.layers.{i}.self_attn:out": "blocks.{i}.attention:out",
    "model.layers.{i}.post_attention_layernorm:in": "blocks.{i}.norm_2:in",
    "model.layers.{i}.post_attention_layernorm:out": "blocks.{i}.norm_2:out",
    "model.layers.{i}.mlp:in": "blocks.{i}.ffn:in",
    "model.layers.{i}.mlp.gate_proj:in": "blocks.{i}.ffn.gate:in",
    "model.layers.{i}.mlp.gate_proj:out": "blocks.{i}.ffn.gate:out",
    "model.layers.{i}.mlp.act_fn:in": "blocks.{i}.ffn.gate:out",
    "model.layers.{i}.mlp.up_proj:in": "blocks.{i}.ffn.up:in",
    "model.layers.{i}.mlp.up_proj:out": "blocks.{i}.ffn.up:out",
    "model.layers.{i}.mlp.down_proj:in": "blocks.{i}.ffn.down:in",
    "model.layers.{i}.mlp.down_proj:out": "blocks.{i}.ffn.down:out",
    "model.layers.{i}.mlp:out": "blocks.{i}.ffn:out",
    "model.layers.{i}:out": "blocks.{i}:out",
    "model.norm:in": "norm:in",
    "model.norm:out": "norm:out",
    "model:out.last_hidden_state": "norm:out",
    "lm_head:in": "head:in",
    "lm_head:out": "head:out",
    ":out.logits": ":out",
    "model.layers.{i}.mlp.act_fn:out": None,
    "model.layers.{i}.self_attn:out.1": None,
    "model.rotary_emb:*": None,
    "*:in.attention_mask": None,
    "*:in.position_*": None,
}


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis."""

    def __init__(self, num_channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return self.weight * (wide * (wide.pow(2).mean(-1, keepdim=True) + self.eps) ** -0.5).to(x.dtype)


class IntoHeads(nn.Module):
    def __init__(self, num_heads: int, head_dim: int, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_heads, head_dim, num_channels))

    def forward(self, x_BTC: Tensor) -> Tensor:
        return torch.einsum("btc,hdc->bhtd", x_BTC, self.weight)


class OutOfHeads(nn.Module):
    def __init__(self, num_heads: int, head_dim: int, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_heads, head_dim, num_channels))

    def forward(self, x_BHTD: Tensor) -> Tensor:
        return torch.einsum("bhtd,hdc->btc", x_BHTD, self.weight)


class Attention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        num_heads, num_kv_heads, head_dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        self.theta = config.rope_parameters["rope_theta"]
        self.wq = IntoHeads(num_heads, head_dim, config.hidden_size)
        self.wk = IntoHeads(num_kv_heads, head_dim, config.hidden_size)
        self.wv = IntoHeads(num_kv_heads, head_dim, config.hidden_size)
        self.q_norm = RMSNorm(head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(head_dim, config.rms_norm_eps)
        self.wo = OutOfHeads(num_heads, head_dim, config.hidden_size)

    def forward(self, x_BTC: Tensor) -> Tensor:
        q_BHTD = rotated(self.q_norm(self.wq(x_BTC)), self.theta)
        k_BKTD = rotated(self.k_norm(self.wk(x_BTC)), self.theta)
        mixed_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BKTD, self.wv(x_BTC), is_causal=True, enable_gqa=True)
        return self.wo(mixed_BHTD)


def rotated(x_BHTD: Tensor, theta: float) -> Tensor:
    """Channels i and i + D/2 of token t, as one complex number, turn by t * theta^(-2i/D)."""
    half = x_BHTD.shape[-1] // 2
    angles_TD = torch.outer(torch.arange(x_BHTD.shape[2]), theta ** (-torch.arange(half) / half))
    wide_BHTD = x_BHTD.float()
    pairs = torch.complex(wide_BHTD[..., :half], wide_BHTD[..., half:])
    turned = pairs * torch.polar(torch.ones_like(angles_TD), angles_TD)
    return torch.cat([turned.real, turned.imag], dim=-1).to(x_BHTD.dtype)


class FeedForward(nn.Module):
    def __init__(self, num_channels: int, num_ffn_channels: int) -> None:
        super().__init__()
        self.up = nn.Linear(num_channels, num_ffn_channels, bias=False)
        self.gate = nn.Linear(num_channels, num_ffn_channels, bias=False)
        self.down = nn.Linear(num_ffn_channels, num_channels, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return self.down(self.up(x_BTC) * F.silu(self.gate(x_BTC)))


class Block(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.norm_1 = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config)
        self.norm_2 = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.ffn = FeedForward(config.hidden_size, config.intermediate_size)

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BTC = x_BTC + self.attention(self.norm_1(x_BTC))
        return x_BTC + self.ffn(self.norm_2(x_BTC))


class HeadwiseQwen3(nn.Module):
    """Token ids (B, T) to logits (B, T, V)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x_BTC = self.embed(tokens)
        for block in self.blocks:
            x_BTC = block(x_BTC)
        return self.head(self.norm(x_BTC))


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> HeadwiseQwen3:
    """The same model out of transformers' weights."""
    names = {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        names |= {f"{ours}.norm_1": f"{theirs}.input_layernorm", f"{ours}.norm_2": f"{theirs}.post_attention_layernorm"}
        names |= {f"{ours}.attention.w{kind}": f"{theirs}.self_attn.{kind}_proj" for kind in "qkvo"}
        names |= {f"{ours}.attention.{kind}_norm": f"{theirs}.self_attn.{kind}_norm" for kind in "qk"}
        names |= {f"{ours}.ffn.{kind}": f"{theirs}.mlp.{kind}_proj" for kind in ("gate", "up", "down")}
    weights = {f"{ours}.weight": reference_state_dict[f"{theirs}.weight"] for ours, theirs in names.items()}
    for name, weight in weights.items():
        if name.endswith(("wq.weight", "wk.weight", "wv.weight")):
            weights[name] = weight.unflatten(0, (-1, config.head_dim))
        elif name.endswith("wo.weight"):
            weights[name] = weight.T.unflatten(0, (-1, config.head_dim))
    model = HeadwiseQwen3(config)
    model.load_state_dict(weights)
    return model.eval()
