"""The same bugs in a port: another number in the settings of tests/zoo/decoder; and two that only a port can have."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from tests.zoo.bug import Bug
from tests.zoo.decoder.settings import VIEWS, Layer, Model, frequencies
from tests.zoo.planted.norm_eps import other_eps
from tests.zoo.planted.norms import FOUR

LayerChange = Callable[[Layer], Layer]
ModelChange = Callable[[Model], Model]


def layer(**changed: Any) -> LayerChange:
    """A value may be a function of the present one."""
    return lambda s: replace(s, **{k: v(getattr(s, k)) if callable(v) else v for k, v in changed.items()})


def model(**changed: Any) -> ModelChange:
    return lambda m: replace(m, **{k: v(getattr(m, k)) if callable(v) else v for k, v in changed.items()})


def theta(value: float) -> LayerChange:
    return lambda s: replace(s, frequencies=frequencies({"rope_type": "default", "rope_theta": value}, s.head_dim))


def to_bfloat16(value: float) -> float:
    return float(torch.tensor(value).bfloat16())


LAYERS: dict[str, LayerChange] = {
    "eps of the norm before attention": layer(attn_eps=other_eps),
    "eps of Gemma's norm before attention": layer(attn_eps=other_eps),
    "eps of the norm before the MLP": layer(mlp_eps=other_eps),
    "eps of Gemma's norm before the MLP": layer(mlp_eps=other_eps),
    "eps of the query norm": layer(q_eps=other_eps),
    "eps of the key norm": layer(k_eps=other_eps),
    "mean subtracted": layer(mlp_norm="layer"),
    "query norm left out": layer(norms_q=False),
    "norm after attention left out": layer(norm_after_attention=False),
    "window one longer": layer(window=9),
    "window one shorter": layer(window=7),
    "window lost": layer(window=None),
    "window in a full layer": layer(window=8),
    "one token of the future seen": layer(ahead=1),
    "no causal mask": layer(ahead=1_000_000),
    "scale a little off": layer(scale=lambda scale: scale * 0.935),
    "scale of another head size": layer(scale=lambda scale: scale * 2**-0.5),
    "no scale": layer(scale=1.0),
    "scale of head_dim": layer(scale=16**-0.5),
    "softcap of scores off": layer(softcap=None),
    "softcap of scores 30 for 50": layer(softcap=30.0),
    "key heads tiled": layer(tiled=True),
    "heads rolled before o_proj": layer(rolled=1),
    "heads merged in the other order": layer(merged_otherwise=True),
    "masked scores at -5": layer(masked=-5.0),
    "a sink where there is none": layer(sink=True),
    "theta 1e4 for 5e5": theta(1e4),
    "theta 1e6 for 1e4": theta(1e6),
    "neighbouring channels turned": layer(neighbours=True),
    "queries one position later": layer(query_later=1),
    "second half counted from zero": layer(restarts=True),
    "linear scaling ignored": theta(1e4),
    "llama3 scaling ignored": theta(1e4),
    "no rotation": layer(turns=0),
    "rotated twice": layer(turns=2),
    "norm of queries and keys after rotation": layer(norm_late=True),
    "GELU by erf for tanh": layer(activation="gelu"),
    "SiLU for GELU": layer(activation="silu"),
    "GELU for SiLU": layer(activation="gelu"),
    "quick GELU": layer(activation="quick"),
    "ReLU": layer(activation="relu"),
    "residual multiplier left out": layer(residual=1.0),
    "residual multiplier of another model": layer(residual=0.22),
    "MLP's branch scaled": layer(mlp_scale=0.7071),
    "half of the sum": layer(half_o=True),
    "half of the MLP's sum": layer(half_down=True),
    "ranks in the other order": layer(swapped_down=True),
}
MODELS: dict[str, ModelChange] = {
    "eps of the final norm": model(final_eps=other_eps),
    "eps of Gemma's final norm": model(final_eps=other_eps),
    "final norm left out": model(final_norm=False),
    "special ids zeroed": model(special_ids=200),
    "embedding scale left out": model(embed_scale=1.0),
    "embedding multiplier left out": model(embed_scale=1.0),
    "embedding scale rounded": model(embed_scale=to_bfloat16),
    "softcap of logits off": model(final_softcap=None),
    "softcap of logits x tanh(x / c)": model(softcap_of_x=True),
    "logits not scaled": model(logits_scale=1.0),
    "logits scaled": model(logits_scale=0.125),
}
BUGS = [
    Bug(
        "norm after attention takes the sum",
        "norm.order",
        FOUR,
        ("layer", "post_attn_norm"),
        spec=layer(norm_after_late=True),
        also=("residual.order",),
    ),
    Bug(
        "residual taken after the norm",
        "residual.order",
        tuple(view for view in VIEWS if view not in FOUR),
        ("layer",),
        spec=layer(residual_from_norm=True),
        also=("norm.order",),
    ),
]


def with_specs(bugs: list[Bug]) -> list[Bug]:
    """The bugs, in ports too where there is a number for them."""
    changes: dict[str, Any] = {**LAYERS, **MODELS}
    return [replace(bug, spec=changes.get(bug.name, bug.spec)) for bug in bugs]
