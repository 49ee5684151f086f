"""The reference of `probe demo`: a small decoder in the style of Gemma 2, with transformers' module names.

Not Gemma 2 itself: it has no softcaps, and nobody trained it. Its weights only look trained, since a default
initialisation hides bugs: where every norm is one, two of them can be swapped and no number changes.

Axes: B batch, T tokens, S tokens attended to, C channels, H query heads, G key/value heads, D channels of a head,
V vocabulary.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VOCABULARY, CHANNELS, MLP_CHANNELS = 2048, 256, 640
NUM_LAYERS, NUM_HEADS, NUM_KV_HEADS, HEAD_CHANNELS = 6, 4, 2, 64
WINDOW = 16
"""In layers 0, 2, 4 a token sees itself and the 15 before it; in layers 1, 3, 5 all before it."""
ROPE_THETA = 10000.0
GAINS = {
    "input_layernorm": 1.0,
    "post_attention_layernorm": 0.1,
    "pre_feedforward_layernorm": 0.15,
    "post_feedforward_layernorm": 0.5,
    "norm": 0.6,
}
"""Median of 1 + w in each kind of norm. What enters an MLP is small, and what leaves it smaller: there eps counts."""


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * (1 + w)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(CHANNELS))
        self.eps = 1e-6

    def forward(self, x_BTC: Tensor) -> Tensor:
        return x_BTC * torch.rsqrt(x_BTC.pow(2).mean(-1, keepdim=True) + self.eps) * (1.0 + self.weight)


def rotate(x_BHTD: Tensor) -> Tensor:
    """RoPE: channels i and i + D/2 turned by position * theta^(-2i/D)."""
    device = x_BHTD.device
    frequencies = ROPE_THETA ** -(torch.arange(0, HEAD_CHANNELS, 2, device=device) / HEAD_CHANNELS)
    angles_TD = torch.outer(torch.arange(x_BHTD.shape[-2], device=device), frequencies).repeat(1, 2)
    first, second = x_BHTD.chunk(2, dim=-1)
    turned_BHTD = torch.cat([-second, first], dim=-1)
    return x_BHTD * angles_TD.cos().to(x_BHTD.dtype) + turned_BHTD * angles_TD.sin().to(x_BHTD.dtype)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(CHANNELS, NUM_HEADS * HEAD_CHANNELS, bias=False)
        self.k_proj = nn.Linear(CHANNELS, NUM_KV_HEADS * HEAD_CHANNELS, bias=False)
        self.v_proj = nn.Linear(CHANNELS, NUM_KV_HEADS * HEAD_CHANNELS, bias=False)
        self.o_proj = nn.Linear(NUM_HEADS * HEAD_CHANNELS, CHANNELS, bias=False)

    def forward(self, x_BTC: Tensor, mask_TS: Tensor) -> Tensor:
        q_BHTD, k_BGSD, v_BGSD = (
            projection(x_BTC).unflatten(-1, (-1, HEAD_CHANNELS)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        k_BHSD = rotate(k_BGSD).repeat_interleave(NUM_HEADS // NUM_KV_HEADS, dim=1)
        v_BHSD = v_BGSD.repeat_interleave(NUM_HEADS // NUM_KV_HEADS, dim=1)
        mixed_BHTD = F.scaled_dot_product_attention(rotate(q_BHTD), k_BHSD, v_BHSD, attn_mask=mask_TS)
        out_BTC: Tensor = self.o_proj(mixed_BHTD.transpose(1, 2).flatten(-2))
        return out_BTC


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(CHANNELS, MLP_CHANNELS, bias=False)
        self.up_proj = nn.Linear(CHANNELS, MLP_CHANNELS, bias=False)
        self.down_proj = nn.Linear(MLP_CHANNELS, CHANNELS, bias=False)
        self.act_fn = nn.GELU(approximate="tanh")

    def forward(self, x_BTC: Tensor) -> Tensor:
        out_BTC: Tensor = self.down_proj(self.act_fn(self.gate_proj(x_BTC)) * self.up_proj(x_BTC))
        return out_BTC


class DecoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), MLP()
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(), RMSNorm()
        self.pre_feedforward_layernorm, self.post_feedforward_layernorm = RMSNorm(), RMSNorm()

    def forward(self, x_BTC: Tensor, mask_TS: Tensor) -> Tensor:
        x_BTC = x_BTC + self.post_attention_layernorm(self.self_attn(self.input_layernorm(x_BTC), mask_TS))
        out_BTC: Tensor = x_BTC + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x_BTC)))
        return out_BTC


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, CHANNELS)
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(NUM_LAYERS))
        self.norm = RMSNorm()

    def forward(self, input_ids: Tensor) -> Tensor:
        num_tokens = input_ids.shape[-1]
        causal_TS = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=input_ids.device).tril()
        masks = [causal_TS.triu(1 - WINDOW), causal_TS]
        x_BTC: Tensor = self.embed_tokens(input_ids) * math.sqrt(CHANNELS)
        for number, layer in enumerate(self.layers):
            x_BTC = layer(x_BTC, masks[number % 2])
        out_BTC: Tensor = self.norm(x_BTC)
        return out_BTC


class CausalLM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = Decoder()
        self.lm_head = nn.Linear(CHANNELS, VOCABULARY, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        logits_BTV: Tensor = self.lm_head(self.model(input_ids))
        return logits_BTV


@torch.no_grad()
def fill(model: nn.Module, generator: torch.Generator) -> None:
    """What training leaves behind: heavy tails, rare and frequent tokens, three channels that outweigh all others."""
    outliers = torch.randperm(CHANNELS, generator=generator)[:3]
    for name, weight in model.named_parameters():
        kind = name.split(".")[-2]
        noise, spread = torch.randn(2, *weight.shape, generator=generator)
        if kind in GAINS:
            gain_C = GAINS[kind] * torch.exp(0.3 * noise)
            gain_C[outliers] *= 4.0 if kind.startswith("post_") else 0.4
            weight.copy_(gain_C - 1.0)
        elif kind == "embed_tokens":
            weight.copy_(noise * torch.exp(0.4 * spread[:, :1]) * 2.0 / math.sqrt(CHANNELS))
            weight[:, outliers] *= 4.0
        else:
            weight.copy_(noise * torch.exp(0.4 * spread) / math.sqrt(weight.shape[1]))


def build() -> nn.Module:
    """The same weights on every call; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        model = CausalLM()
    fill(model, torch.Generator().manual_seed(2))
    return model.eval()
