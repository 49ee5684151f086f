"""A GPT-2 that keeps its matrices [in, out], under names of its own, with query, key and value apart.

B sentences of T tokens, C channels, H heads, D channels of a head, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

TRUTH = {
    ":in.input_ids": ":in.ids",
    "transformer:in": "tokens:in",
    "transformer.wte:in": "tokens:in",
    "transformer.wte:out": "tokens:out",
    "transformer.drop:in": "stack.0:in",
    "transformer.drop:out": "stack.0:in",
    "transformer.h.{i}:in": "stack.{i}:in",
    "transformer.h.{i}.ln_1:in": "stack.{i}.before_attention:in",
    "transformer.h.{i}.ln_1:out": "stack.{i}.before_attention:out",
    "transformer.h.{i}.attn:in": "stack.{i}.attend:in",
    "transformer.h.{i}.attn.c_attn:in": "stack.{i}.attend.query:in",
    "transformer.h.{i}.attn.c_attn:out": "stack.{i}.attend.query:out + stack.{i}.attend.key:out"
    " + stack.{i}.attend.value:out",
    "transformer.h.{i}.attn.c_proj:in": "stack.{i}.attend.merge:in",
    "transformer.h.{i}.attn.c_proj:out": "stack.{i}.attend.merge:out",
    "transformer.h.{i}.attn.resid_dropout:*": "stack.{i}.attend.merge:out",
    "transformer.h.{i}.attn:out": "stack.{i}.attend:out",
    "transformer.h.{i}.ln_2:in": "stack.{i}.before_widening:in",
    "transformer.h.{i}.ln_2:out": "stack.{i}.before_widening:out",
    "transformer.h.{i}.mlp:in": "stack.{i}.widen:in",
    "transformer.h.{i}.mlp.c_fc:in": "stack.{i}.widen:in",
    "transformer.h.{i}.mlp.c_fc:out": "stack.{i}.widen:out",
    "transformer.h.{i}.mlp.act:in": "stack.{i}.widen:out",
    "transformer.h.{i}.mlp.act:out": "stack.{i}.narrow:in",
    "transformer.h.{i}.mlp.c_proj:in": "stack.{i}.narrow:in",
    "transformer.h.{i}.mlp.c_proj:out": "stack.{i}.narrow:out",
    "transformer.h.{i}.mlp.dropout:*": "stack.{i}.narrow:out",
    "transformer.h.{i}.mlp:out": "stack.{i}.narrow:out",
    "transformer.h.{i}:out": "stack.{i}:out",
    "transformer.ln_f:in": "last_norm:in",
    "transformer.ln_f:out": "last_norm:out",
    "transformer:out.last_hidden_state": "last_norm:out",
    "lm_head:in": "last_norm:out",
    "lm_head:out": ":out",
    ":out.logits": ":out",
    "transformer.wpe:*": None,
    "*:in.position_ids": None,
    "transformer.h.{i}:in.2": None,
    "transformer.h.{i}.attn:in.attention_mask": None,
    "transformer.h.{i}.attn:out.1": None,
}


class Kernel(nn.Module):
    """x @ kernel + offset, the kernel [in, out]."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(num_in, num_out))
        self.offset = nn.Parameter(torch.empty(num_out))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.kernel + self.offset


class Norm(nn.Module):
    """(x - mean) / sqrt(variance + eps) * scale + shift."""

    def __init__(self, num_channels: int, eps: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_channels))
        self.shift = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        variance, mean = torch.var_mean(wide, -1, correction=0, keepdim=True)
        return ((wide - mean) * torch.rsqrt(variance + self.eps)).to(x.dtype) * self.scale + self.shift


class Attend(nn.Module):
    def __init__(self, num_channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.merge = (Kernel(num_channels, num_channels) for _ in range(4))

    def forward(self, x_BTC: Tensor) -> Tensor:
        q_BTHD, k_BTHD, v_BTHD = (
            kernel(x_BTC).unflatten(2, (self.num_heads, -1)) for kernel in (self.query, self.key, self.value)
        )
        scores_BHTT = torch.einsum("bthd,bshd->bhts", q_BTHD, k_BTHD) / q_BTHD.shape[-1] ** 0.5
        hidden_TT = torch.ones(scores_BHTT.shape[-2:], dtype=torch.bool, device=x_BTC.device).triu(1)
        weights_BHTT = scores_BHTT.masked_fill(hidden_TT, -torch.inf).softmax(-1)
        return self.merge(torch.einsum("bhts,bshd->bthd", weights_BHTT, v_BTHD).flatten(2))


class Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.before_attention = Norm(config.n_embd, config.layer_norm_epsilon)
        self.attend = Attend(config.n_embd, config.n_head)
        self.before_widening = Norm(config.n_embd, config.layer_norm_epsilon)
        self.widen = Kernel(config.n_embd, 4 * config.n_embd)
        self.narrow = Kernel(4 * config.n_embd, config.n_embd)

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BTC = x_BTC + self.attend(self.before_attention(x_BTC))
        wide = self.widen(self.before_widening(x_BTC))
        # The formula of Hendrycks & Gimpel, arXiv 1606.08415, that GPT-2 was trained with.
        gelu = 0.5 * wide * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (wide + 0.044715 * wide**3)))
        return x_BTC + self.narrow(gelu)


class KernelGPT2(nn.Module):
    """Token ids (B, T) to logits (B, T, V); positions are a plain table, and the head is no module."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.n_embd)
        self.places = nn.Parameter(torch.empty(config.n_positions, config.n_embd))
        self.stack = nn.ModuleList(Layer(config) for _ in range(config.n_layer))
        self.last_norm = Norm(config.n_embd, config.layer_norm_epsilon)

    def forward(self, ids: Tensor) -> Tensor:
        x_BTC = self.tokens(ids) + self.places[: ids.shape[1]]
        for layer in self.stack:
            x_BTC = layer(x_BTC)
        return self.last_norm(x_BTC) @ self.tokens.weight.T


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> KernelGPT2:
    """The same model out of transformers' weights."""
    reference = {name.removeprefix("transformer."): weight for name, weight in reference_state_dict.items()}
    weights = {"tokens.weight": reference["wte.weight"], "places": reference["wpe.weight"]}
    names = {"last_norm": "ln_f"}
    for layer in range(config.n_layer):
        ours, theirs = f"stack.{layer}", f"h.{layer}"
        names |= {f"{ours}.before_attention": f"{theirs}.ln_1", f"{ours}.before_widening": f"{theirs}.ln_2"}
        names |= {f"{ours}.attend.merge": f"{theirs}.attn.c_proj"}
        names |= {f"{ours}.widen": f"{theirs}.mlp.c_fc", f"{ours}.narrow": f"{theirs}.mlp.c_proj"}
        for kind, ending in (("weight", "kernel"), ("bias", "offset")):
            fused = reference[f"{theirs}.attn.c_attn.{kind}"].chunk(3, dim=-1)
            parts = zip(("query", "key", "value"), fused, strict=True)
            weights |= {f"{ours}.attend.{name}.{ending}": part for name, part in parts}
    for ours, theirs in names.items():
        endings = ("scale", "shift") if "ln_" in theirs else ("kernel", "offset")
        weights |= {
            f"{ours}.{ending}": reference[f"{theirs}.{k}"]
            for ending, k in zip(endings, ("weight", "bias"), strict=True)
        }
    model = KernelGPT2(config)
    model.load_state_dict(weights)
    return model.eval()
