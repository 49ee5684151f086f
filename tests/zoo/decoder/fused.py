"""As inference engines have it: tokens in rows, stacked matrices, 1 + w in the weights, no module for attention."""

import torch
from torch import Tensor, nn

from tests.zoo.decoder import functions as f
from tests.zoo.decoder.settings import Layer, Model


class FoldedNorm(nn.Module):
    """Holds what it multiplies by."""

    def __init__(self, num_channels: int, eps: float, kind: str = "rms") -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_channels))
        self.eps, self.kind = eps, kind

    def forward(self, x: Tensor) -> Tensor:
        return f.rms_norm(x, self.scale, self.eps, self.kind)


class FusedLayer(nn.Module):
    def __init__(self, m: Model, s: Layer) -> None:
        super().__init__()
        self.s = s
        fused_heads = s.num_heads + 2 * s.num_kv_heads
        self.norm1 = FoldedNorm(m.num_channels, s.attn_eps)
        self.wqkv = nn.Linear(m.num_channels, fused_heads * s.head_dim, bias=m.biased)
        self.q_norm = FoldedNorm(s.head_dim, s.q_eps) if s.norms_q else nn.Identity()
        self.k_norm = FoldedNorm(s.head_dim, s.k_eps) if s.norms_k else nn.Identity()
        self.wo = nn.Linear(s.num_heads * s.head_dim, m.num_channels, bias=False)
        self.norm2 = FoldedNorm(m.num_channels, s.mlp_eps, s.mlp_norm)
        self.w13 = nn.Linear(m.num_channels, 2 * m.num_ffn_channels, bias=False)
        self.w2 = nn.Linear(m.num_ffn_channels, m.num_channels, bias=False)
        self.post1 = FoldedNorm(m.num_channels, s.attn_eps) if s.norms_after else nn.Identity()
        self.post2 = FoldedNorm(m.num_channels, s.mlp_eps) if s.norms_after else nn.Identity()

    def forward(self, x_NC: Tensor, num_sentences: int) -> Tensor:
        s, normed_NC = self.s, self.norm1(x_NC)
        fused = self.wqkv(normed_NC).view(num_sentences, -1, s.num_heads + 2 * s.num_kv_heads, s.head_dim)
        q, k, v = fused.split([s.num_heads, s.num_kv_heads, s.num_kv_heads], dim=2)
        if s.norm_late:
            q, k = self.q_norm(f.rotated(q, s, s.query_later)), self.k_norm(f.rotated(k, s))
        else:
            q, k = f.rotated(self.q_norm(q), s, s.query_later), f.rotated(self.k_norm(k), s)
        branch_NC = self.wo(f.before_o(f.attended(q, k, v, s), s).flatten(0, 1))
        x_NC = normed_NC if s.residual_from_norm else x_NC
        if s.norm_after_late:
            x_NC = self.post1(x_NC + branch_NC)
        else:
            x_NC = x_NC + (self.post1(branch_NC) if s.norm_after_attention else branch_NC) * s.residual
        gate, up = self.w13(self.norm2(x_NC)).chunk(2, dim=-1)
        branch_NC = self.w2(f.before_down(f.activated(gate, s.activation) * up, s)) * s.mlp_scale
        return x_NC + self.post2(branch_NC) * s.residual


class FusedDecoder(nn.Module):
    """Token ids (B, T) to logits (N, V)."""

    def __init__(self, m: Model) -> None:
        super().__init__()
        self.m = m
        self.embedding = nn.Embedding(m.vocab_size, m.num_channels)
        self.layers = nn.ModuleList(FusedLayer(m, layer) for layer in m.layers)
        self.norm = FoldedNorm(m.num_channels, m.final_eps) if m.final_norm else nn.Identity()
        self.head = nn.Linear(m.num_channels, m.vocab_size, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x_NC = f.embedded(self.embedding(f.known(input_ids.flatten(), self.m)), self.m)
        for layer in self.layers:
            x_NC = layer(x_NC, input_ids.shape[0])
        return f.finished(self.head(self.norm(x_NC)), self.m)
