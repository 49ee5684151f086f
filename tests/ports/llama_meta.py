"""A Llama as Meta's own checkpoints have it (github.com/meta-llama/llama, llama/model.py).

RoPE turns neighbouring channels 2 i and 2 i + 1, so the rows of wq and wk are in another order than transformers'.

B sentences of T tokens, C channels, H query heads, K key and value heads, D channels of a head, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# h and k heads of 8 pairs; transformers/models/llama/convert_llama_weights_to_hf.py, permute().
PAIRS = " | b t (h d n) -> b t (h n d), d=8 n=2"
TRUTH = {
    ":in.input_ids": ":in.tokens",
    "model:in.input_ids": ":in.tokens",
    "model.embed_tokens:in": "tok_embeddings:in",
    "model.embed_tokens:out": "tok_embeddings:out",
    "model.layers.{i}:in": "layers.{i}:in",
    "model.layers.{i}.input_layernorm:in": "layers.{i}.attention_norm:in",
    "model.layers.{i}.input_layernorm:out": "layers.{i}.attention_norm:out",
    "model.layers.{i}.self_attn:in.hidden_states": "layers.{i}.attention:in",
    "model.layers.{i}.self_attn.q_proj:in": "layers.{i}.attention.wq:in",
    "model.layers.{i}.self_attn.q_proj:out": "layers.{i}.attention.wq:out" + PAIRS,
    "model.layers.{i}.self_attn.k_proj:in": "layers.{i}.attention.wk:in",
    "model.layers.{i}.self_attn.k_proj:out": "layers.{i}.attention.wk:out" + PAIRS,
    "model.layers.{i}.self_attn.v_proj:in": "layers.{i}.attention.wv:in",
    "model.layers.{i}.self_attn.v_proj:out": "layers.{i}.attention.wv:out",
    "model.layers.{i}.self_attn.o_proj:in": "layers.{i}.attention.wo:in",
    "model.layers.{i}.self_attn.o_proj:out": "layers.{i}.attention.wo:out",
    "model.layers.{i}.self_attn:out": "layers.{i}.attention:out",
    "model.layers.{i}.post_attention_layernorm:in": "layers.{i}.ffn_norm:in",
    "model.layers.{i}.post_attention_layernorm:out": "layers.{i}.ffn_norm:out",
    "model.layers.{i}.mlp:in": "layers.{i}.feed_forward:in",
    "model.layers.{i}.mlp.gate_proj:in": "layers.{i}.feed_forward.w1:in",
    "model.layers.{i}.mlp.gate_proj:out": "layers.{i}.feed_forward.w1:out",
    "model.layers.{i}.mlp.act_fn:in": "layers.{i}.feed_forward.w1:out",
    "model.layers.{i}.mlp.act_fn:out": None,
    "model.layers.{i}.mlp.up_proj:in": "layers.{i}.feed_forward.w3:in",
    "model.layers.{i}.mlp.up_proj:out": "layers.{i}.feed_forward.w3:out",
    "model.layers.{i}.mlp.down_proj:in": "layers.{i}.feed_forward.w2:in",
    "model.layers.{i}.mlp.down_proj:out": "layers.{i}.feed_forward.w2:out",
    "model.layers.{i}.mlp:out": "layers.{i}.feed_forward:out",
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


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).type_as(x) * self.weight


def rotated(x_BTHD: Tensor, turns_TP: Tensor) -> Tensor:
    """Channels 2 p and 2 p + 1 as one complex number, times that of their token and pair."""
    pairs_BTHP = torch.view_as_complex(x_BTHD.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs_BTHP * turns_TP[:, None]).flatten(3).type_as(x_BTHD)


class Attention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        num_q, num_kv = (config.head_dim * n for n in (config.num_attention_heads, config.num_key_value_heads))
        self.head_dim = config.head_dim
        self.num_repeats = config.num_attention_heads // config.num_key_value_heads
        self.wq = nn.Linear(config.hidden_size, num_q, bias=False)
        self.wk = nn.Linear(config.hidden_size, num_kv, bias=False)
        self.wv = nn.Linear(config.hidden_size, num_kv, bias=False)
        self.wo = nn.Linear(num_q, config.hidden_size, bias=False)

    def forward(self, x_BTC: Tensor, turns_TP: Tensor) -> Tensor:
        q_BTHD, k_BTKD, v_BTKD = (w(x_BTC).unflatten(2, (-1, self.head_dim)) for w in (self.wq, self.wk, self.wv))
        q_BTHD, k_BTKD = rotated(q_BTHD, turns_TP), rotated(k_BTKD, turns_TP)
        k_BTHD, v_BTHD = (x.repeat_interleave(self.num_repeats, dim=2) for x in (k_BTKD, v_BTKD))
        heads = (x.transpose(1, 2) for x in (q_BTHD, k_BTHD, v_BTHD))
        return self.wo(F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x_BTC)) * self.w3(x_BTC))


class TransformerBlock(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size)
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.ffn_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x_BTC: Tensor, turns_TP: Tensor) -> Tensor:
        x_BTC = x_BTC + self.attention(self.attention_norm(x_BTC), turns_TP)
        return x_BTC + self.feed_forward(self.ffn_norm(x_BTC))


class Transformer(nn.Module):
    """Token ids (B, T) to logits (B, T, V)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(TransformerBlock(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        theta, head_dim = config.rope_parameters["rope_theta"], config.head_dim
        self.frequencies_P = theta ** (-torch.arange(0, head_dim, 2) / head_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        angles_TP = torch.outer(torch.arange(tokens.shape[1]), self.frequencies_P)
        turns_TP = torch.polar(torch.ones_like(angles_TP), angles_TP)
        x_BTC = self.tok_embeddings(tokens)
        for layer in self.layers:
            x_BTC = layer(x_BTC, turns_TP)
        return self.output(self.norm(x_BTC))


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> Transformer:
    """The same model out of transformers' weights."""
    names = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"layers.{layer}", f"model.layers.{layer}"
        names |= {f"{ours}.attention.w{kind}": f"{theirs}.self_attn.{kind}_proj" for kind in "qkvo"}
        kinds = {"w1": "gate", "w2": "down", "w3": "up"}
        names |= {f"{ours}.feed_forward.{name}": f"{theirs}.mlp.{kind}_proj" for name, kind in kinds.items()}
        names |= {f"{ours}.attention_norm": f"{theirs}.input_layernorm"}
        names |= {f"{ours}.ffn_norm": f"{theirs}.post_attention_layernorm"}
    weights = {f"{ours}.weight": reference_state_dict[f"{theirs}.weight"] for ours, theirs in names.items()}
    for name, weight in weights.items():
        if name.endswith(("wq.weight", "wk.weight")):
            weights[name] = weight.unflatten(0, (-1, 2, config.head_dim // 2)).transpose(1, 2).flatten(0, 2)
    model = Transformer(config)
    model.load_state_dict(weights)
    return model.eval()
