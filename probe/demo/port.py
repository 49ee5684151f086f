"""The candidate of `probe demo`: the reference ported to the style of an inference engine, with two bugs planted.

Everything that ports like to change is changed: names, fused matrices, tokens of all sequences in one row, norm weights
stored as 1 + w, attention written out. Without its bugs it computes what the reference does, to rounding.

Axes: N tokens, M tokens attended to, C channels, H query heads, G key/value heads, R query heads of a key/value head,
D channels of a head, E half of them, V vocabulary, O stacked outputs of matrices.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from probe.demo import reference
from probe.errors import ProbeError

BUGS = ("eps", "window")
"""In block 3, norm_ffn_out has eps 1e-5 for 1e-6; in sliding blocks, a token sees 17 tokens for 16."""
NUM_HEADS, NUM_KV_HEADS, HEAD_CHANNELS = reference.NUM_HEADS, reference.NUM_KV_HEADS, reference.HEAD_CHANNELS
Weights = dict[str, Tensor]


class Norm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * w, where w is 1 + the reference's."""

    def __init__(self, reference_weight_C: Tensor, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(1.0 + reference_weight_C)
        self.eps = eps

    def forward(self, x_NC: Tensor) -> Tensor:
        return x_NC / torch.sqrt(x_NC.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Dense(nn.Module):
    """x W^T, with one or more of the reference's matrices stacked in W."""

    def __init__(self, *weights_OC: Tensor) -> None:
        super().__init__()
        self.weight: Tensor = nn.Parameter(torch.cat(weights_OC))

    def forward(self, x_NC: Tensor) -> Tensor:
        return F.linear(x_NC, self.weight)


def turn(x_NHD: Tensor, angles_NE: Tensor) -> Tensor:
    cos, sin = (table_NE[:, None].to(x_NHD.dtype) for table_NE in (angles_NE.cos(), angles_NE.sin()))
    first, second = x_NHD.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Attention(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.wqkv = Dense(*(weights[f"self_attn.{name}_proj.weight"] for name in "qkv"))
        self.wo = Dense(weights["self_attn.o_proj.weight"])

    def forward(self, x_NC: Tensor, angles_NE: Tensor, visible_NM: Tensor) -> Tensor:
        heads_NHD = self.wqkv(x_NC).view(len(x_NC), -1, HEAD_CHANNELS)
        q_NHD, k_MGD, v_MGD = heads_NHD.split([NUM_HEADS, NUM_KV_HEADS, NUM_KV_HEADS], dim=1)
        q_NGRD = turn(q_NHD, angles_NE).view(len(x_NC), NUM_KV_HEADS, -1, HEAD_CHANNELS)
        scores_GRNM = torch.einsum("ngrd,mgd->grnm", q_NGRD, turn(k_MGD, angles_NE)) / math.sqrt(HEAD_CHANNELS)
        shares_GRNM = scores_GRNM.masked_fill(~visible_NM, -math.inf).softmax(dim=-1)
        out_NC: Tensor = self.wo(torch.einsum("grnm,mgd->ngrd", shares_GRNM, v_MGD).flatten(1))
        return out_NC


class FeedForward(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.w13 = Dense(weights["mlp.gate_proj.weight"], weights["mlp.up_proj.weight"])
        self.w2 = Dense(weights["mlp.down_proj.weight"])

    def forward(self, x_NC: Tensor) -> Tensor:
        gate, up = self.w13(x_NC).chunk(2, dim=-1)
        out_NC: Tensor = self.w2(F.gelu(gate, approximate="tanh") * up)
        return out_NC


class Block(nn.Module):
    def __init__(self, weights: Weights, norm_ffn_out_eps: float) -> None:
        super().__init__()
        self.norm_attn = Norm(weights["input_layernorm.weight"])
        self.attn = Attention(weights)
        self.norm_attn_out = Norm(weights["post_attention_layernorm.weight"])
        self.norm_ffn = Norm(weights["pre_feedforward_layernorm.weight"])
        self.ffn = FeedForward(weights)
        self.norm_ffn_out = Norm(weights["post_feedforward_layernorm.weight"], norm_ffn_out_eps)

    def forward(self, x_NC: Tensor, angles_NE: Tensor, visible_NM: Tensor) -> Tensor:
        x_NC = x_NC + self.norm_attn_out(self.attn(self.norm_attn(x_NC), angles_NE, visible_NM))
        out_NC: Tensor = x_NC + self.norm_ffn_out(self.ffn(self.norm_ffn(x_NC)))
        return out_NC


class Port(nn.Module):
    def __init__(self, weights: Weights, bugs: set[str]) -> None:
        super().__init__()
        self.window = reference.WINDOW + 1 if "window" in bugs else reference.WINDOW
        embedding_VC = weights["model.embed_tokens.weight"]
        self.embed = nn.Embedding(reference.VOCABULARY, reference.CHANNELS, _weight=embedding_VC)
        self.blocks = nn.ModuleList(
            Block(beneath(f"model.layers.{number}.", weights), 1e-5 if "eps" in bugs and number == 3 else 1e-6)
            for number in range(reference.NUM_LAYERS)
        )
        self.norm_out = Norm(weights["model.norm.weight"])
        self.head = Dense(embedding_VC)
        self.head.weight = self.embed.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits [N, V] of sequences [B, T], laid end to end."""
        num_sequences, num_tokens = input_ids.shape
        device = input_ids.device
        position_N = torch.arange(num_tokens, device=device).repeat(num_sequences)
        sequence_N = torch.arange(num_sequences, device=device).repeat_interleave(num_tokens)
        distance_NM = position_N[:, None] - position_N
        causal_NM = (distance_NM >= 0) & (sequence_N[:, None] == sequence_N)
        sliding_NM = causal_NM & (distance_NM < self.window)
        powers_E = torch.arange(0, HEAD_CHANNELS, 2, device=device) / HEAD_CHANNELS
        angles_NE = position_N[:, None] * reference.ROPE_THETA**-powers_E
        x_NC: Tensor = self.embed(input_ids.flatten()) * math.sqrt(self.embed.embedding_dim)
        for number, block in enumerate(self.blocks):
            x_NC = block(x_NC, angles_NE, causal_NM if number % 2 else sliding_NM)
        logits_NV: Tensor = self.head(self.norm_out(x_NC))
        return logits_NV


def beneath(prefix: str, weights: Weights) -> Weights:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def build(bugs: str = "eps,window") -> nn.Module:
    """The port with those of BUGS planted that `bugs` names, separated by commas; "" plants none."""
    planted = {bug for bug in bugs.split(",") if bug}
    if unknown := planted.difference(BUGS):
        raise ProbeError(f"no such bug: {', '.join(sorted(unknown))}", f"the demo's port has {', '.join(BUGS)}")
    return Port(reference.build().state_dict(), planted).eval()
