"""A module for everything: each norm, each matrix, the activation."""

import torch
from torch import Tensor, nn

from tests.zoo.decoder import functions as f
from tests.zoo.decoder.settings import Layer, Model


class Norm(nn.Module):
    """w or, for Gemma, 1 + w."""

    def __init__(self, num_channels: int, eps: float, offset: float, kind: str = "rms") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_channels))
        self.eps, self.offset, self.kind = eps, offset, kind

    def forward(self, x: Tensor) -> Tensor:
        return f.rms_norm(x, self.weight.float() + self.offset, self.eps, self.kind)


class Activation(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        return f.activated(x, self.kind)


class Attention(nn.Module):
    def __init__(self, m: Model, s: Layer) -> None:
        super().__init__()
        self.s = s
        self.query = nn.Linear(m.num_channels, s.num_heads * s.head_dim, bias=m.biased)
        self.key = nn.Linear(m.num_channels, s.num_kv_heads * s.head_dim, bias=m.biased)
        self.value = nn.Linear(m.num_channels, s.num_kv_heads * s.head_dim, bias=m.biased)
        self.query_norm = Norm(s.head_dim, s.q_eps, m.norm_offset) if s.norms_q else nn.Identity()
        self.key_norm = Norm(s.head_dim, s.k_eps, m.norm_offset) if s.norms_k else nn.Identity()
        self.out = nn.Linear(s.num_heads * s.head_dim, m.num_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        s = self.s
        q, k, v = (matrix(x).unflatten(-1, (-1, s.head_dim)) for matrix in (self.query, self.key, self.value))
        if s.norm_late:
            q, k = self.query_norm(f.rotated(q, s, s.query_later)), self.key_norm(f.rotated(k, s))
        else:
            q, k = f.rotated(self.query_norm(q), s, s.query_later), f.rotated(self.key_norm(k), s)
        return self.out(f.before_o(f.attended(q, k, v, s), s))


class FeedForward(nn.Module):
    def __init__(self, m: Model, s: Layer) -> None:
        super().__init__()
        self.s = s
        self.wide = nn.Linear(m.num_channels, m.num_ffn_channels, bias=False)
        self.gate = nn.Linear(m.num_channels, m.num_ffn_channels, bias=False)
        self.act = Activation(s.activation)
        self.narrow = nn.Linear(m.num_ffn_channels, m.num_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(f.before_down(self.act(self.gate(x)) * self.wide(x), self.s))


class Block(nn.Module):
    def __init__(self, m: Model, s: Layer) -> None:
        super().__init__()
        self.s = s
        self.before_attention = Norm(m.num_channels, s.attn_eps, m.norm_offset)
        self.attention = Attention(m, s)
        self.before_ffn = Norm(m.num_channels, s.mlp_eps, m.norm_offset, s.mlp_norm)
        self.ffn = FeedForward(m, s)
        self.after_attention = Norm(m.num_channels, s.attn_eps, m.norm_offset) if s.norms_after else nn.Identity()
        self.after_ffn = Norm(m.num_channels, s.mlp_eps, m.norm_offset) if s.norms_after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        s, normed = self.s, self.before_attention(x)
        branch = self.attention(normed)
        x = normed if s.residual_from_norm else x
        if s.norm_after_late:
            x = self.after_attention(x + branch)
        else:
            x = x + (self.after_attention(branch) if s.norm_after_attention else branch) * s.residual
        return x + self.after_ffn(self.ffn(self.before_ffn(x)) * s.mlp_scale) * s.residual


class PlainDecoder(nn.Module):
    """Token ids (B, T) to logits (B, T, V)."""

    def __init__(self, m: Model) -> None:
        super().__init__()
        self.m = m
        self.tokens = nn.Embedding(m.vocab_size, m.num_channels)
        self.blocks = nn.ModuleList(Block(m, layer) for layer in m.layers)
        self.last_norm = Norm(m.num_channels, m.final_eps, m.norm_offset) if m.final_norm else nn.Identity()
        self.unembed = nn.Linear(m.num_channels, m.vocab_size, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = f.embedded(self.tokens(f.known(input_ids, self.m)), self.m)
        for block in self.blocks:
            x = block(x)
        return f.finished(self.unembed(self.last_norm(x)), self.m)
