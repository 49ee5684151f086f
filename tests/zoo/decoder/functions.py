"""What layers compute, as pure functions of tensors and settings. B sentences, T tokens, H or K heads, D channels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.zoo.decoder.settings import Layer, Model


def rms_norm(x: Tensor, weight: Tensor, eps: float, kind: str = "rms") -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight in float32; `kind` "layer" takes the mean off before."""
    wide = x.float()
    wide = wide - wide.mean(-1, keepdim=True) if kind == "layer" else wide
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.float()).to(x.dtype)


def rotated(x_BTHD: Tensor, s: Layer, later: int = 0) -> Tensor:
    """Channels i and i + D/2 of token t turn by t * frequencies[i]."""
    count = x_BTHD.shape[1]
    positions = torch.arange(count, device=x_BTHD.device)
    if s.restarts:
        positions = torch.cat([positions[: count // 2], positions[: count - count // 2]])
    angles = (positions + later)[:, None, None] * torch.tensor(s.frequencies) * s.turns
    cos, sin = angles.cos().to(x_BTHD.dtype), angles.sin().to(x_BTHD.dtype)
    if s.neighbours:
        first, second = x_BTHD[..., ::2], x_BTHD[..., 1::2]
        return torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1).flatten(-2)
    first, second = x_BTHD.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def attended(q_BTHD: Tensor, k_BTKD: Tensor, v_BTKD: Tensor, s: Layer) -> Tensor:
    """Causal attention of queries and keys that are turned already; (B, T, H D)."""
    repeats = s.num_heads // s.num_kv_heads
    heads = torch.arange(s.num_heads, device=q_BTHD.device)
    readers = heads % s.num_kv_heads if s.tiled else heads // repeats
    scores_BHTS = torch.einsum("bthd,bshd->bhts", q_BTHD, k_BTKD[:, :, readers]) * s.scale
    if s.softcap is not None:
        scores_BHTS = s.softcap * torch.tanh(scores_BHTS / s.softcap)
    tokens = torch.arange(q_BTHD.shape[1], device=q_BTHD.device)
    age = tokens[:, None] - tokens
    hidden = (age < -s.ahead) | (age >= (s.window or len(tokens)))
    scores_BHTS = scores_BHTS.masked_fill(hidden, s.masked) if s.masked < -1e3 else scores_BHTS + hidden * s.masked
    if s.sink:
        scores_BHTS = torch.cat([scores_BHTS, torch.zeros_like(scores_BHTS[..., :1])], dim=-1)
    weights_BHTS = scores_BHTS.softmax(-1, dtype=torch.float32).to(q_BTHD.dtype)[..., : len(tokens)]
    mixed_BTHD = torch.einsum("bhts,bshd->bthd", weights_BHTS, v_BTKD[:, :, readers]).roll(s.rolled, 2)
    return (mixed_BTHD.transpose(2, 3) if s.merged_otherwise else mixed_BTHD).flatten(2)


def activated(gate: Tensor, kind: str) -> Tensor:
    match kind:
        case "silu":
            return F.silu(gate)
        case "gelu_tanh":
            return F.gelu(gate, approximate="tanh")
        case "gelu":
            return F.gelu(gate)
        case "quick":
            return gate * torch.sigmoid(1.702 * gate)
        case _:
            return F.relu(gate)


def before_o(mixed: Tensor, s: Layer) -> Tensor:
    """What the last matrix of attention is given."""
    return _first_half(mixed) if s.half_o else mixed


def before_down(hidden: Tensor, s: Layer) -> Tensor:
    hidden = _first_half(hidden) if s.half_down else hidden
    return torch.cat(hidden.chunk(2, dim=-1)[::-1], dim=-1) if s.swapped_down else hidden


def embedded(rows: Tensor, m: Model) -> Tensor:
    """Rows of the embedding, scaled."""
    scale = rows.new_tensor(m.embed_scale) if m.rounds_scale else m.embed_scale
    return rows * scale


def known(ids: Tensor, m: Model) -> Tensor:
    return ids if m.special_ids is None else torch.where(ids >= m.special_ids, torch.zeros_like(ids), ids)


def finished(logits: Tensor, m: Model) -> Tensor:
    logits = logits * m.logits_scale
    if m.final_softcap is None:
        return logits
    return (logits if m.softcap_of_x else m.final_softcap) * torch.tanh(logits / m.final_softcap)


def _first_half(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return torch.cat([x[..., :half], torch.zeros_like(x[..., half:])], dim=-1)
