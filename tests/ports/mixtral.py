"""A Mixtral as its authors' inference code writes it: a module for each expert, tokens in rows.

Names are those of github.com/mistralai/mistral-inference, as are w1 (gate), w2 (down) and w3 (up).

B sentences of T tokens are N = B * T rows of C channels. H query heads, K key and value heads, D channels of a head,
F feed-forward channels, E experts of which each token has A, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRUTH = {
    ":in.input_ids": ":in.input_ids",
    "model:in.input_ids": "tok_embeddings:in",
    "model.embed_tokens:in": "tok_embeddings:in",
    "model.embed_tokens:out": "tok_embeddings:out",
    "model.layers.{i}:in": "layers.{i}:in",
    "model.layers.{i}.input_layernorm:in": "layers.{i}.attention_norm:in",
    "model.layers.{i}.input_layernorm:out": "layers.{i}.attention_norm:out",
    "model.layers.{i}.self_attn:in.hidden_states": "layers.{i}.attention:in",
    "model.layers.{i}.self_attn.q_proj:in": "layers.{i}.attention.wq:in",
    "model.layers.{i}.self_attn.q_proj:out": "layers.{i}.attention.wq:out",
    "model.layers.{i}.self_attn.k_proj:in": "layers.{i}.attention.wk:in",
    "model.layers.{i}.self_attn.k_proj:out": "layers.{i}.attention.wk:out",
    "model.layers.{i}.self_attn.v_proj:in": "layers.{i}.attention.wv:in",
    "model.layers.{i}.self_attn.v_proj:out": "layers.{i}.attention.wv:out",
    "model.layers.{i}.self_attn.o_proj:in": "layers.{i}.attention.wo:in",
    "model.layers.{i}.self_attn.o_proj:out": "layers.{i}.attention.wo:out",
    "model.layers.{i}.self_attn:out": "layers.{i}.attention:out",
    "model.layers.{i}.post_attention_layernorm:in": "layers.{i}.ffn_norm:in",
    "model.layers.{i}.post_attention_layernorm:out": "layers.{i}.ffn_norm:out",
    "model.layers.{i}.mlp:in": "layers.{i}.feed_forward:in",
    "model.layers.{i}.mlp.gate:in": "layers.{i}.feed_forward.gate:in",
    "model.layers.{i}.mlp.gate:out": "layers.{i}.feed_forward.gate:out",
    "model.layers.{i}.mlp.experts:in": "layers.{i}.feed_forward:in",
    "model.layers.{i}.mlp.experts:out": "layers.{i}.feed_forward:out",
    "model.layers.{i}.mlp:out": "layers.{i}.feed_forward:out",
    "model.layers.{i}:out": "layers.{i}:out",
    "model.norm:in": "norm:in",
    "model.norm:out": "norm:out",
    "model:out.last_hidden_state": "norm:out",
    "lm_head:in": "output:in",
    "lm_head:out": "output:out",
    ":out.logits": ":out",
    "model.layers.{i}.mlp.gate:out.1": None,
    "model.layers.{i}.mlp.gate:out.2": None,
    "model.layers.{i}.mlp.experts:in.1": None,
    "model.layers.{i}.mlp.experts:in.2": None,
    "model.layers.{i}.mlp.experts.act_fn*": None,
    "model.layers.{i}.self_attn:out.1": None,
    "model.rotary_emb:*": None,
    "*:in.attention_mask": None,
    "*:in.position_*": None,
}


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight."""

    def __init__(self, num_channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), (x.shape[-1],), eps=self.eps).to(x.dtype) * self.weight


class Attention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.theta = config.rope_parameters["rope_theta"]
        self.wq = nn.Linear(config.hidden_size, self.num_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(config.hidden_size, self.num_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(config.hidden_size, self.num_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(self.num_heads * self.head_dim, config.hidden_size, bias=False)

    def forward(self, x_NC: Tensor, position_N: Tensor, sentence_N: Tensor) -> Tensor:
        q_NHD = rotated(self.wq(x_NC).unflatten(1, (self.num_heads, -1)), position_N, self.theta)
        k_NKD = rotated(self.wk(x_NC).unflatten(1, (self.num_kv_heads, -1)), position_N, self.theta)
        v_NKD = self.wv(x_NC).unflatten(1, (self.num_kv_heads, -1))
        k_NHD, v_NHD = (x.repeat_interleave(self.num_heads // self.num_kv_heads, dim=1) for x in (k_NKD, v_NKD))
        # All sentences in one sequence: a query sees its own sentence, up to itself.
        sees_NN = (sentence_N[:, None] == sentence_N) & (position_N[:, None] >= position_N)
        heads = (x.transpose(0, 1) for x in (q_NHD, k_NHD, v_NHD))
        return self.wo(F.scaled_dot_product_attention(*heads, attn_mask=sees_NN).transpose(0, 1).flatten(1))


def rotated(x_NHD: Tensor, position_N: Tensor, theta: float) -> Tensor:
    """RoPE in half layout, as transformers' weights want it."""
    half = x_NHD.shape[-1] // 2
    angles_N1D = position_N[:, None, None] * theta ** (-torch.arange(half) / half)
    first, second = x_NHD[..., :half], x_NHD[..., half:]
    cosine, sine = angles_N1D.cos(), angles_N1D.sin()
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x_NHD.dtype)


class FeedForward(nn.Module):
    def __init__(self, num_channels: int, num_ffn_channels: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(num_channels, num_ffn_channels, bias=False)
        self.w2 = nn.Linear(num_ffn_channels, num_channels, bias=False)
        self.w3 = nn.Linear(num_channels, num_ffn_channels, bias=False)

    def forward(self, x_NC: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x_NC)) * self.w3(x_NC))


class MoeLayer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        experts = (FeedForward(config.hidden_size, config.intermediate_size) for _ in range(config.num_local_experts))
        self.experts = nn.ModuleList(experts)
        self.gate = nn.Linear(config.hidden_size, config.num_local_experts, bias=False)
        self.num_experts_per_tok = config.num_experts_per_tok

    def forward(self, x_NC: Tensor) -> Tensor:
        logits_NA, chosen_NA = self.gate(x_NC).topk(self.num_experts_per_tok)
        weights_NA = logits_NA.softmax(dim=1)
        mixed_NC = torch.zeros_like(x_NC)
        for number, expert in enumerate(self.experts):
            token, nth = torch.where(chosen_NA == number)
            mixed_NC[token] += weights_NA[token, nth, None] * expert(x_NC[token])
        return mixed_NC


class TransformerBlock(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.ffn_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.feed_forward = MoeLayer(config)

    def forward(self, x_NC: Tensor, position_N: Tensor, sentence_N: Tensor) -> Tensor:
        x_NC = x_NC + self.attention(self.attention_norm(x_NC), position_N, sentence_N)
        return x_NC + self.feed_forward(self.ffn_norm(x_NC))


class ExpertwiseMixtral(nn.Module):
    """Token ids (B, T), no sentence padded, to logits (N, V)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.layers = nn.ModuleList(TransformerBlock(config) for _ in range(config.num_hidden_layers))

    def forward(self, input_ids: Tensor) -> Tensor:
        num_sentences, num_tokens = input_ids.shape
        position_N = torch.arange(num_tokens).repeat(num_sentences)
        sentence_N = torch.arange(num_sentences).repeat_interleave(num_tokens)
        x_NC = self.tok_embeddings(input_ids.flatten())
        for layer in self.layers:
            x_NC = layer(x_NC, position_N, sentence_N)
        return self.output(self.norm(x_NC))


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> ExpertwiseMixtral:
    """The same model out of transformers' weights; since 5.0 they stack all experts, [E, 2 F, C] and [E, C, F]."""
    names = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}
    weights = {}
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"layers.{layer}", f"model.layers.{layer}"
        names |= {f"{ours}.attention.w{kind}": f"{theirs}.self_attn.{kind}_proj" for kind in "qkvo"}
        names |= {
            f"{ours}.attention_norm": f"{theirs}.input_layernorm",
            f"{ours}.ffn_norm": f"{theirs}.post_attention_layernorm",
            f"{ours}.feed_forward.gate": f"{theirs}.mlp.gate",
        }
        gate_up_E = reference_state_dict[f"{theirs}.mlp.experts.gate_up_proj"]
        down_E = reference_state_dict[f"{theirs}.mlp.experts.down_proj"]
        for number, (gate_up, down) in enumerate(zip(gate_up_E, down_E, strict=True)):
            for name, part in zip(("w1", "w3", "w2"), (*gate_up.chunk(2), down), strict=True):
                weights[f"{ours}.feed_forward.experts.{number}.{name}.weight"] = part
    weights |= {f"{ours}.weight": reference_state_dict[f"{theirs}.weight"] for ours, theirs in names.items()}
    model = ExpertwiseMixtral(config)
    model.load_state_dict(weights)
    return model.eval()
