"""A GPT-2 as nanoGPT writes it: its names (github.com/karpathy/nanoGPT, model.py), and nn.Linear for Conv1D.

B sentences of T tokens, C channels, H heads, D channels of a head, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRUTH = {
    ":in.input_ids": ":in.idx",
    "transformer:in": ":in.idx",
    "transformer.wte:in": "transformer.wte:in",
    "transformer.wte:out": "transformer.wte:out",
    "transformer.wpe:in": "transformer.wpe:in",
    "transformer.wpe:out": "transformer.wpe:out",
    "transformer.drop:in": "transformer.drop:in",
    "transformer.drop:out": "transformer.drop:out",
    "transformer.h.{i}:in": "transformer.h.{i}:in",
    "transformer.h.{i}.ln_1:in": "transformer.h.{i}.ln_1:in",
    "transformer.h.{i}.ln_1:out": "transformer.h.{i}.ln_1:out",
    "transformer.h.{i}.attn:in": "transformer.h.{i}.attn:in",
    "transformer.h.{i}.attn.c_attn:in": "transformer.h.{i}.attn.c_attn:in",
    "transformer.h.{i}.attn.c_attn:out": "transformer.h.{i}.attn.c_attn:out",
    "transformer.h.{i}.attn.c_proj:in": "transformer.h.{i}.attn.c_proj:in",
    "transformer.h.{i}.attn.c_proj:out": "transformer.h.{i}.attn.c_proj:out",
    "transformer.h.{i}.attn.resid_dropout:in": "transformer.h.{i}.attn.resid_dropout:in",
    "transformer.h.{i}.attn.resid_dropout:out": "transformer.h.{i}.attn.resid_dropout:out",
    "transformer.h.{i}.attn:out": "transformer.h.{i}.attn:out",
    "transformer.h.{i}.ln_2:in": "transformer.h.{i}.ln_2:in",
    "transformer.h.{i}.ln_2:out": "transformer.h.{i}.ln_2:out",
    "transformer.h.{i}.mlp:in": "transformer.h.{i}.mlp:in",
    "transformer.h.{i}.mlp.c_fc:in": "transformer.h.{i}.mlp.c_fc:in",
    "transformer.h.{i}.mlp.c_fc:out": "transformer.h.{i}.mlp.c_fc:out",
    "transformer.h.{i}.mlp.act:in": "transformer.h.{i}.mlp.gelu:in",
    "transformer.h.{i}.mlp.act:out": "transformer.h.{i}.mlp.gelu:out",
    "transformer.h.{i}.mlp.c_proj:in": "transformer.h.{i}.mlp.c_proj:in",
    "transformer.h.{i}.mlp.c_proj:out": "transformer.h.{i}.mlp.c_proj:out",
    "transformer.h.{i}.mlp.dropout:in": "transformer.h.{i}.mlp.dropout:in",
    "transformer.h.{i}.mlp.dropout:out": "transformer.h.{i}.mlp.dropout:out",
    "transformer.h.{i}.mlp:out": "transformer.h.{i}.mlp:out",
    "transformer.h.{i}:out": "transformer.h.{i}:out",
    "transformer.ln_f:in": "transformer.ln_f:in",
    "transformer.ln_f:out": "transformer.ln_f:out",
    "transformer:out.last_hidden_state": "transformer.ln_f:out",
    "lm_head:in": "lm_head:in",
    "lm_head:out": "lm_head:out",
    ":out.logits": ":out",
    "*:in.position_ids": None,
    "transformer.h.{i}:in.2": None,
    "transformer.h.{i}.attn:in.attention_mask": None,
    "transformer.h.{i}.attn:out.1": None,
}

TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


class CausalSelfAttention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)
        self.n_head = config.n_head

    def forward(self, x_BTC: Tensor) -> Tensor:
        num_sentences, num_tokens, num_channels = x_BTC.shape
        fused = self.c_attn(x_BTC).split(num_channels, dim=2)
        q_BHTD, k_BHTD, v_BHTD = (x.view(num_sentences, num_tokens, self.n_head, -1).transpose(1, 2) for x in fused)
        mixed_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, is_causal=True)
        mixed_BTC = mixed_BHTD.transpose(1, 2).contiguous().view(num_sentences, num_tokens, num_channels)
        return self.resid_dropout(self.c_proj(mixed_BTC))


class MLP(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd)
        self.gelu = nn.GELU(approximate="tanh")
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.gelu(self.c_fc(x_BTC))))


class Block(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BTC = x_BTC + self.attn(self.ln_1(x_BTC))
        return x_BTC + self.mlp(self.ln_2(x_BTC))


class GPT(nn.Module):
    """Token ids (B, T) to logits (B, T, V); the head is the embedding."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(config.vocab_size, config.n_embd),
                "wpe": nn.Embedding(config.n_positions, config.n_embd),
                "drop": nn.Dropout(config.embd_pdrop),
                "h": nn.ModuleList(Block(config) for _ in range(config.n_layer)),
                "ln_f": nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon),
            }
        )
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.transformer["wte"].weight = self.lm_head.weight

    def forward(self, idx: Tensor) -> Tensor:
        positions_T = torch.arange(idx.shape[1], device=idx.device)
        x_BTC = self.transformer["drop"](self.transformer["wte"](idx) + self.transformer["wpe"](positions_T))
        for block in self.transformer["h"]:
            x_BTC = block(x_BTC)
        return self.lm_head(self.transformer["ln_f"](x_BTC))


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> GPT:
    """The same model out of transformers' weights: their Conv1D holds [in, out]."""
    weights = {name: weight.T if name.endswith(TRANSPOSED) else weight for name, weight in reference_state_dict.items()}
    model = GPT(config)
    model.load_state_dict(weights)
    return model.eval()
