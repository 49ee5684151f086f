"""A Llama as Megatron-Core lays it out (github.com/NVIDIA/Megatron-LM, megatron/core): its names, tokens before batch.

The rows of linear_qkv go group by group: the query heads of a key head, that key head, its value head.

T tokens of B sentences, C channels, G groups of H query heads, one key and one value head, D channels of a head, V
vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SENTENCES_FIRST = " | t b c -> b t c"
LAYER = {
    "model.layers.{i}:in": "decoder.layers.{i}:in",
    "model.layers.{i}.input_layernorm:in": "decoder.layers.{i}.input_layernorm:in",
    "model.layers.{i}.input_layernorm:out": "decoder.layers.{i}.input_layernorm:out",
    "model.layers.{i}.self_attn:in.hidden_states": "decoder.layers.{i}.self_attention:in",
    "model.layers.{i}.self_attn.?_proj:in": "decoder.layers.{i}.self_attention.linear_qkv:in",
    "model.layers.{i}.self_attn.q_proj:out": "decoder.layers.{i}.self_attention.linear_qkv:out[0:32,64:96]",
    "model.layers.{i}.self_attn.k_proj:out": "decoder.layers.{i}.self_attention.linear_qkv:out[32:48,96:112]",
    "model.layers.{i}.self_attn.v_proj:out": "decoder.layers.{i}.self_attention.linear_qkv:out[48:64,112:128]",
    "model.layers.{i}.self_attn.o_proj:in": "decoder.layers.{i}.self_attention.linear_proj:in",
    "model.layers.{i}.self_attn.o_proj:out": "decoder.layers.{i}.self_attention.linear_proj:out",
    "model.layers.{i}.self_attn:out": "decoder.layers.{i}.self_attention:out",
    "model.layers.{i}.post_attention_layernorm:in": "decoder.layers.{i}.pre_mlp_layernorm:in",
    "model.layers.{i}.post_attention_layernorm:out": "decoder.layers.{i}.pre_mlp_layernorm:out",
    "model.layers.{i}.mlp:in": "decoder.layers.{i}.mlp:in",
    "model.layers.{i}.mlp.gate_proj:in": "decoder.layers.{i}.mlp.linear_fc1:in",
    "model.layers.{i}.mlp.gate_proj:out": "decoder.layers.{i}.mlp.linear_fc1:out[0:160]",
    "model.layers.{i}.mlp.act_fn:in": "decoder.layers.{i}.mlp.linear_fc1:out[0:160]",
    "model.layers.{i}.mlp.up_proj:in": "decoder.layers.{i}.mlp.linear_fc1:in",
    "model.layers.{i}.mlp.up_proj:out": "decoder.layers.{i}.mlp.linear_fc1:out[160:320]",
    "model.layers.{i}.mlp.down_proj:in": "decoder.layers.{i}.mlp.linear_fc2:in",
    "model.layers.{i}.mlp.down_proj:out": "decoder.layers.{i}.mlp.linear_fc2:out",
    "model.layers.{i}.mlp:out": "decoder.layers.{i}.mlp:out",
    "model.layers.{i}:out": "decoder.layers.{i}:out",
    "model.norm:in": "decoder.final_layernorm:in",
    "model.norm:out": "decoder.final_layernorm:out",
    "model:out.last_hidden_state": "decoder.final_layernorm:out",
    "lm_head:in": "output_layer:in",
    "lm_head:out": "output_layer:out",
}
TRUTH: dict[str, str | None] = {
    **{key: said + SENTENCES_FIRST for key, said in LAYER.items()},
    ":in.input_ids": ":in.input_ids",
    "model:in.input_ids": ":in.input_ids",
    "model.embed_tokens:in": "embedding.word_embeddings:in",
    "model.embed_tokens:out": "embedding.word_embeddings:out",
    ":out.logits": ":out",
    "model.layers.{i}.mlp.act_fn:out": None,
    "model.layers.{i}.self_attn:out.1": None,
    "model.rotary_emb:*": None,
    "*:in.attention_mask": None,
    "*:in.position_*": None,
}


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) in float32, times a weight."""

    def __init__(self, hidden_size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * wide.pow(2).mean(-1, keepdim=True).add(self.eps).rsqrt()).type_as(x) * self.weight


class SelfAttention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.num_groups, self.head_dim = config.num_key_value_heads, config.head_dim
        self.theta = config.rope_parameters["rope_theta"]
        num_rows = (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
        self.linear_qkv = nn.Linear(config.hidden_size, num_rows, bias=False)
        self.linear_proj = nn.Linear(config.num_attention_heads * config.head_dim, config.hidden_size, bias=False)

    def forward(self, x_TBC: Tensor) -> Tensor:
        groups_TBGHD = self.linear_qkv(x_TBC).unflatten(2, (self.num_groups, -1, self.head_dim))
        q_TBGHD, k_TBG1D, v_TBG1D = groups_TBGHD.split([groups_TBGHD.shape[3] - 2, 1, 1], dim=3)
        q_TBGHD, k_TBG1D = rotated(q_TBGHD, self.theta), rotated(k_TBG1D, self.theta)
        heads = (x.permute(1, 2, 3, 0, 4) for x in (q_TBGHD, k_TBG1D.expand_as(q_TBGHD), v_TBG1D.expand_as(q_TBGHD)))
        mixed_BGHTD = F.scaled_dot_product_attention(*heads, is_causal=True)
        return self.linear_proj(mixed_BGHTD.permute(3, 0, 1, 2, 4).flatten(2))


def rotated(x_TBGHD: Tensor, theta: float) -> Tensor:
    """RoPE in half layout."""
    half = x_TBGHD.shape[-1] // 2
    frequencies = 1.0 / theta ** (torch.arange(half) / half)
    angles = torch.arange(len(x_TBGHD))[:, None] * frequencies
    cosine, sine = (table[:, None, None, None] for table in (angles.cos(), angles.sin()))
    first, second = x_TBGHD.float().chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).type_as(x_TBGHD)


class MLP(nn.Module):
    def __init__(self, hidden_size: int, ffn_hidden_size: int) -> None:
        super().__init__()
        self.linear_fc1 = nn.Linear(hidden_size, 2 * ffn_hidden_size, bias=False)
        self.linear_fc2 = nn.Linear(ffn_hidden_size, hidden_size, bias=False)

    def forward(self, x_TBC: Tensor) -> Tensor:
        gate, up = self.linear_fc1(x_TBC).chunk(2, dim=-1)
        return self.linear_fc2(F.silu(gate) * up)


class TransformerLayer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attention = SelfAttention(config)
        self.pre_mlp_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config.hidden_size, config.intermediate_size)

    def forward(self, x_TBC: Tensor) -> Tensor:
        x_TBC = x_TBC + self.self_attention(self.input_layernorm(x_TBC))
        return x_TBC + self.mlp(self.pre_mlp_layernorm(x_TBC))


class GPTModel(nn.Module):
    """Token ids (B, T) to logits (B, T, V); within, all is (T, B, ...)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embedding = nn.ModuleDict({"word_embeddings": nn.Embedding(config.vocab_size, config.hidden_size)})
        layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_hidden_layers))
        norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.decoder = nn.ModuleDict({"layers": layers, "final_layernorm": norm})
        self.output_layer = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x_TBC = self.embedding["word_embeddings"](input_ids).transpose(0, 1)
        for layer in self.decoder["layers"]:
            x_TBC = layer(x_TBC)
        return self.output_layer(self.decoder["final_layernorm"](x_TBC)).transpose(0, 1)


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> GPTModel:
    """The same model out of transformers' weights."""
    names = {
        "embedding.word_embeddings": "model.embed_tokens",
        "decoder.final_layernorm": "model.norm",
        "output_layer": "lm_head",
    }
    weights = {}
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"decoder.layers.{layer}", f"model.layers.{layer}"
        names |= {
            f"{ours}.input_layernorm": f"{theirs}.input_layernorm",
            f"{ours}.pre_mlp_layernorm": f"{theirs}.post_attention_layernorm",
            f"{ours}.self_attention.linear_proj": f"{theirs}.self_attn.o_proj",
            f"{ours}.mlp.linear_fc2": f"{theirs}.mlp.down_proj",
        }
        by_group = [
            reference_state_dict[f"{theirs}.self_attn.{kind}_proj.weight"].unflatten(
                0, (config.num_key_value_heads, -1)
            )
            for kind in "qkv"
        ]
        weights[f"{ours}.self_attention.linear_qkv.weight"] = torch.cat(by_group, dim=1).flatten(0, 1)
        gate, up = (reference_state_dict[f"{theirs}.mlp.{kind}_proj.weight"] for kind in ("gate", "up"))
        weights[f"{ours}.mlp.linear_fc1.weight"] = torch.cat([gate, up])
    weights |= {f"{ours}.weight": reference_state_dict[f"{theirs}.weight"] for ours, theirs in names.items()}
    model = GPTModel(config)
    model.load_state_dict(weights)
    return model.eval()
