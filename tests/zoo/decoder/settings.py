"""What a layer and a model compute, read from a transformers configuration; a bug is another number here."""

import math
from dataclasses import dataclass
from typing import Any

VIEWS = ("llama", "mistral", "qwen2", "qwen3", "granite", "gemma", "gemma2", "gemma3", "phi3")
"""The architectures that can be read."""


@dataclass(frozen=True)
class Layer:
    """One layer. C channels; H query heads and K key heads of D channels each."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    attn_eps: float
    mlp_eps: float
    q_eps: float
    k_eps: float
    frequencies: tuple[float, ...]
    """How far each pair of channels turns a position; D/2 numbers."""
    scale: float
    softcap: float | None
    window: int | None
    activation: str
    residual: float
    """What a branch is multiplied by before it is added."""
    norms_after: bool
    """Gemma 2's and 3's norms after attention and after the MLP."""
    norms_q: bool
    norms_k: bool
    mlp_norm: str = "rms"
    norm_after_attention: bool = True
    norm_after_late: bool = False
    """The norm after attention takes the sum, not the branch."""
    residual_from_norm: bool = False
    """The branch of attention is added to what it was given, not to what the norm was given."""
    ahead: int = 0
    """How many tokens of the future a query sees."""
    masked: float = -math.inf
    tiled: bool = False
    rolled: int = 0
    merged_otherwise: bool = False
    sink: bool = False
    turns: int = 1
    neighbours: bool = False
    query_later: int = 0
    restarts: bool = False
    norm_late: bool = False
    """Queries and keys are normalized after they are turned."""
    mlp_scale: float = 1.0
    half_o: bool = False
    half_down: bool = False
    swapped_down: bool = False


@dataclass(frozen=True)
class Model:
    """A decoder of these layers."""

    layers: tuple[Layer, ...]
    vocab_size: int
    num_channels: int
    num_ffn_channels: int
    final_eps: float
    norm_offset: float
    """What is added to the weights of norms: 1 in Gemma."""
    biased: bool
    """Whether queries, keys and values have a bias."""
    embed_scale: float
    rounds_scale: bool
    """To the weights' dtype, as Gemma does."""
    final_softcap: float | None
    softcap_of_x: bool = False
    """x tanh(x / c) in the place of c tanh(x / c)."""
    logits_scale: float = 1.0
    final_norm: bool = True
    special_ids: int | None = None
    """Ids from here on are read as 0."""


def from_config(config: Any, view: str) -> Model:
    layers = tuple(_layer(config, view, number) for number in range(config.num_hidden_layers))
    gemma = view.startswith("gemma")
    return Model(
        layers,
        vocab_size=config.vocab_size,
        num_channels=config.hidden_size,
        num_ffn_channels=config.intermediate_size,
        final_eps=config.rms_norm_eps,
        norm_offset=float(gemma),
        biased=view == "qwen2",
        embed_scale=config.hidden_size**0.5 if gemma else getattr(config, "embedding_multiplier", 1.0),
        rounds_scale=gemma,
        final_softcap=getattr(config, "final_logit_softcapping", None),
        logits_scale=1 / getattr(config, "logits_scaling", 1.0),
    )


def _layer(config: Any, view: str, number: int) -> Layer:
    kinds = getattr(config, "layer_types", None)
    sliding = view == "mistral" if kinds is None else kinds[number] == "sliding_attention"
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    scalar = getattr(config, "query_pre_attn_scalar", head_dim)
    eps = config.rms_norm_eps
    rope = config.rope_parameters
    return Layer(
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=head_dim,
        attn_eps=eps,
        mlp_eps=eps,
        q_eps=eps,
        k_eps=eps,
        frequencies=frequencies(rope if "rope_type" in rope else rope[kinds[number]], head_dim),
        scale=getattr(config, "attention_multiplier", scalar**-0.5),
        softcap=getattr(config, "attn_logit_softcapping", None),
        window=config.sliding_window if sliding else None,
        activation="gelu_tanh" if view.startswith("gemma") else "silu",
        residual=getattr(config, "residual_multiplier", 1.0),
        norms_after=view in ("gemma2", "gemma3"),
        norms_q=view in ("qwen3", "gemma3"),
        norms_k=view in ("qwen3", "gemma3"),
    )


def frequencies(rope: dict[str, Any], head_dim: int) -> tuple[float, ...]:
    """theta^(-2i/D), stretched as `rope_type` says."""
    half = head_dim // 2
    plain = [rope["rope_theta"] ** (-index / half) for index in range(half)]
    if rope["rope_type"] == "linear":
        return tuple(value / rope["factor"] for value in plain)
    if rope["rope_type"] == "llama3":
        return tuple(_llama3(value, rope) for value in plain)
    return tuple(plain)


def _llama3(frequency: float, rope: dict[str, Any]) -> float:
    """Long waves are stretched by `factor`, short ones not, those between in part."""
    turns = rope["original_max_position_embeddings"] * frequency / (2 * math.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = min(max((turns - low) / (high - low), 0.0), 1.0)
    return float(frequency * (kept + (1 - kept) / rope["factor"]))
