"""A Llama of two tensor-parallel shards in one process: every rank has half of the heads and of the channels.

Query, key, value, gate, up and head are split by rows, as Megatron-LM's ColumnParallelLinear does (arXiv 1909.08053);
the outputs of merge and down are added up over the ranks.

B sentences of T tokens are N = B * T rows of C channels. R = 2 ranks, each with its H query and K key and value heads
of D channels, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_RANKS = 2


def both(module: str, port: str) -> str:
    """What both ranks have, side by side."""
    return " + ".join(f"layers.{{i}}.{module}.{rank}:{port}" for rank in range(NUM_RANKS))


TRUTH = {
    ":in.input_ids": ":in.input_ids",
    "model:in.input_ids": "embed:in",
    "model.embed_tokens:in": "embed:in",
    "model.embed_tokens:out": "embed:out",
    "model.layers.{i}:in": "layers.{i}:in",
    "model.layers.{i}.input_layernorm:in": "layers.{i}.first_norm:in",
    "model.layers.{i}.input_layernorm:out": "layers.{i}.first_norm:out",
    "model.layers.{i}.self_attn:in.hidden_states": "layers.{i}.attention:in",
    "model.layers.{i}.self_attn.?_proj:in": "layers.{i}.attention:in",
    "model.layers.{i}.self_attn.q_proj:out": both("attention.query", "out"),
    "model.layers.{i}.self_attn.k_proj:out": both("attention.key", "out"),
    "model.layers.{i}.self_attn.v_proj:out": both("attention.value", "out"),
    "model.layers.{i}.self_attn.o_proj:in": both("attention.merge", "in"),
    "model.layers.{i}.self_attn.o_proj:out": "layers.{i}.attention:out",
    "model.layers.{i}.self_attn:out": "layers.{i}.attention:out",
    "model.layers.{i}.post_attention_layernorm:in": "layers.{i}.second_norm:in",
    "model.layers.{i}.post_attention_layernorm:out": "layers.{i}.second_norm:out",
    "model.layers.{i}.mlp:in": "layers.{i}.mlp:in",
    "model.layers.{i}.mlp.gate_proj:in": "layers.{i}.mlp:in",
    "model.layers.{i}.mlp.gate_proj:out": both("mlp.gate", "out"),
    "model.layers.{i}.mlp.act_fn:in": both("mlp.gate", "out"),
    "model.layers.{i}.mlp.act_fn:out": None,
    "model.layers.{i}.mlp.up_proj:in": "layers.{i}.mlp:in",
    "model.layers.{i}.mlp.up_proj:out": both("mlp.up", "out"),
    "model.layers.{i}.mlp.down_proj:in": both("mlp.down", "in"),
    "model.layers.{i}.mlp.down_proj:out": "layers.{i}.mlp:out",
    "model.layers.{i}.mlp:out": "layers.{i}.mlp:out",
    "model.layers.{i}:out": "layers.{i}:out",
    "model.norm:in": "last_norm:in",
    "model.norm:out": "last_norm:out",
    "model:out.last_hidden_state": "last_norm:out",
    "lm_head:in": "last_norm:out",
    "lm_head:out": "head.0:out + head.1:out",
    ":out.logits": ":out",
    "model.layers.{i}.self_attn:out.1": None,
    "model.rotary_emb:*": None,
    "*:in.attention_mask": None,
    "*:in.position_*": None,
}


def shards(num_in: int, num_out: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(num_in, num_out, bias=False) for _ in range(NUM_RANKS))


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight."""

    def __init__(self, num_channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide / torch.sqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


class Attention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.theta = config.rope_parameters["rope_theta"]
        num_q, num_kv = (
            heads * config.head_dim // NUM_RANKS for heads in (config.num_attention_heads, config.num_key_value_heads)
        )
        self.query = shards(config.hidden_size, num_q)
        self.key = shards(config.hidden_size, num_kv)
        self.value = shards(config.hidden_size, num_kv)
        self.merge = shards(num_q, config.hidden_size)

    def forward(self, x_NC: Tensor, num_sentences: int) -> Tensor:
        return sum((self.of_rank(rank, x_NC, num_sentences) for rank in range(NUM_RANKS)), x_NC.new_zeros(()))

    def of_rank(self, rank: int, x_NC: Tensor, num_sentences: int) -> Tensor:
        q_BHTD, k_BKTD, v_BKTD = (
            shard[rank](x_NC).unflatten(1, (-1, self.head_dim)).unflatten(0, (num_sentences, -1)).transpose(1, 2)
            for shard in (self.query, self.key, self.value)
        )
        q_BHTD, k_BKTD = rotated(q_BHTD, self.theta), rotated(k_BKTD, self.theta)
        mixed_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BKTD, v_BKTD, is_causal=True, enable_gqa=True)
        return self.merge[rank](mixed_BHTD.transpose(1, 2).flatten(2).flatten(0, 1))


def rotated(x_BHTD: Tensor, theta: float) -> Tensor:
    """RoPE in half layout: x cos + (-x2, x1) sin."""
    num_tokens, head_dim = x_BHTD.shape[2:]
    angles_TD = torch.outer(torch.arange(num_tokens), theta ** (-torch.arange(0, head_dim, 2) / head_dim)).repeat(1, 2)
    first, second = x_BHTD.chunk(2, dim=-1)
    turned = x_BHTD * angles_TD.cos() + torch.cat([-second, first], dim=-1) * angles_TD.sin()
    return turned.to(x_BHTD.dtype)


class MLP(nn.Module):
    def __init__(self, num_channels: int, num_ffn_channels: int) -> None:
        super().__init__()
        self.gate = shards(num_channels, num_ffn_channels // NUM_RANKS)
        self.up = shards(num_channels, num_ffn_channels // NUM_RANKS)
        self.down = shards(num_ffn_channels // NUM_RANKS, num_channels)

    def forward(self, x_NC: Tensor) -> Tensor:
        ranks = zip(self.gate, self.up, self.down, strict=True)
        return sum((down(F.silu(gate(x_NC)) * up(x_NC)) for gate, up, down in ranks), x_NC.new_zeros(()))


class Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.first_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config)
        self.second_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config.hidden_size, config.intermediate_size)

    def forward(self, x_NC: Tensor, num_sentences: int) -> Tensor:
        x_NC = x_NC + self.attention(self.first_norm(x_NC), num_sentences)
        return x_NC + self.mlp(self.second_norm(x_NC))


class ShardedLlama(nn.Module):
    """Token ids (B, T), no sentence padded, to logits (N, V)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.last_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.head = shards(config.hidden_size, config.vocab_size // NUM_RANKS)

    def forward(self, input_ids: Tensor) -> Tensor:
        x_NC = self.embed(input_ids.flatten())
        for layer in self.layers:
            x_NC = layer(x_NC, input_ids.shape[0])
        x_NC = self.last_norm(x_NC)
        return torch.cat([shard(x_NC) for shard in self.head], dim=-1)


SPLIT = {
    "attention.query": ("self_attn.q_proj", 0),
    "attention.key": ("self_attn.k_proj", 0),
    "attention.value": ("self_attn.v_proj", 0),
    "attention.merge": ("self_attn.o_proj", 1),
    "mlp.gate": ("mlp.gate_proj", 0),
    "mlp.up": ("mlp.up_proj", 0),
    "mlp.down": ("mlp.down_proj", 1),
}
"""Where each shard comes from, and along which axis."""


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> ShardedLlama:
    """The same model out of transformers' weights."""
    names = {"embed": "model.embed_tokens", "last_norm": "model.norm"}
    split = {"head": ("lm_head", 0)}
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"layers.{layer}", f"model.layers.{layer}"
        names |= {f"{ours}.first_norm": f"{theirs}.input_layernorm"}
        names |= {f"{ours}.second_norm": f"{theirs}.post_attention_layernorm"}
        split |= {f"{ours}.{name}": (f"{theirs}.{source}", axis) for name, (source, axis) in SPLIT.items()}
    weights = {f"{ours}.weight": reference_state_dict[f"{theirs}.weight"] for ours, theirs in names.items()}
    for name, (source, axis) in split.items():
        for rank, part in enumerate(reference_state_dict[f"{source}.weight"].chunk(NUM_RANKS, dim=axis)):
            weights[f"{name}.{rank}.weight"] = part
    model = ShardedLlama(config)
    model.load_state_dict(weights)
    return model.eval()
