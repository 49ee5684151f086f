"""As a teaching repository has it: modules for matrices alone, norms as functions of parameters of the block."""

import torch
from torch import Tensor, nn

from tests.zoo.decoder import functions as f
from tests.zoo.decoder.settings import Layer, Model


class NanoBlock(nn.Module):
    def __init__(self, m: Model, s: Layer) -> None:
        super().__init__()
        self.s, self.offset = s, m.norm_offset
        size = (s.num_heads + 2 * s.num_kv_heads) * s.head_dim
        self.c_attn = nn.Linear(m.num_channels, size, bias=m.biased)
        self.c_proj = nn.Linear(s.num_heads * s.head_dim, m.num_channels, bias=False)
        self.c_fc = nn.Linear(m.num_channels, 2 * m.num_ffn_channels, bias=False)
        self.c_out = nn.Linear(m.num_ffn_channels, m.num_channels, bias=False)
        widths = {"ln_1": m.num_channels, "ln_2": m.num_channels}
        widths |= {"ln_q": s.head_dim, "ln_k": s.head_dim} if s.norms_q or s.norms_k else {}
        widths |= {"ln_3": m.num_channels, "ln_4": m.num_channels} if s.norms_after else {}
        for name, width in widths.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(width)))

    def norm(self, name: str, x: Tensor, eps: float, kind: str = "rms") -> Tensor:
        weight = getattr(self, name, None)
        return x if weight is None else f.rms_norm(x, weight.float() + self.offset, eps, kind)

    def forward(self, x: Tensor) -> Tensor:
        s = self.s
        normed = self.norm("ln_1", x, s.attn_eps)
        heads = self.c_attn(normed).unflatten(-1, (-1, s.head_dim))
        q, k, v = heads.split([s.num_heads, s.num_kv_heads, s.num_kv_heads], dim=2)
        if s.norm_late:
            q, k = f.rotated(q, s, s.query_later), f.rotated(k, s)
        q = self.norm("ln_q", q, s.q_eps) if s.norms_q else q
        k = self.norm("ln_k", k, s.k_eps) if s.norms_k else k
        if not s.norm_late:
            q, k = f.rotated(q, s, s.query_later), f.rotated(k, s)
        branch = self.c_proj(f.before_o(f.attended(q, k, v, s), s))
        x = normed if s.residual_from_norm else x
        if s.norm_after_late:
            x = self.norm("ln_3", x + branch, s.attn_eps)
        else:
            x = x + (self.norm("ln_3", branch, s.attn_eps) if s.norm_after_attention else branch) * s.residual
        up, gate = self.c_fc(self.norm("ln_2", x, s.mlp_eps, s.mlp_norm)).chunk(2, dim=-1)
        branch = self.c_out(f.before_down(f.activated(gate, s.activation) * up, s)) * s.mlp_scale
        return x + self.norm("ln_4", branch, s.mlp_eps) * s.residual


class NanoDecoder(nn.Module):
    """Token ids (B, T) to logits (B, T, V)."""

    def __init__(self, m: Model) -> None:
        super().__init__()
        self.m = m
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(m.vocab_size, m.num_channels),
                "h": nn.ModuleList(NanoBlock(m, layer) for layer in m.layers),
            }
        )
        self.ln_f = nn.Parameter(torch.zeros(m.num_channels))
        self.lm_head = nn.Linear(m.num_channels, m.vocab_size, bias=False)

    def forward(self, idx: Tensor) -> Tensor:
        m = self.m
        x = f.embedded(self.transformer["wte"](f.known(idx, m)), m)
        for block in self.transformer["h"]:
            x = block(x)
        x = f.rms_norm(x, self.ln_f.float() + m.norm_offset, m.final_eps) if m.final_norm else x
        return f.finished(self.lm_head(x), m)
