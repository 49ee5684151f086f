"""Rotary embeddings: theta, layout, positions, scaling, left out, done twice, done before what should come first."""

from tests.zoo.bug import Bug
from tests.zoo.rotations import (
    angles,
    neighbours,
    normed_after,
    query_one_later,
    rotating,
    rows_interleaved,
    second_half_from_zero,
    twice,
)

ROTARY = (
    "llama", "mistral", "qwen2", "qwen3", "granite", "gemma", "gemma2", "gemma3", "phi3", "mixtral", "qwen3-moe",
    "qwen2-moe", "gpt-neox",
)  # fmt: skip
WHOLE = tuple(view for view in ROTARY if view != "gpt-neox")
"""Those that turn all channels of a head."""
LINEAR = {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}
LLAMA3 = {
    "rope_parameters": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
        "rope_theta": 10000.0,
    }
}
TEN_THOUSAND = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
THETA = {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}


AT = ("attn", "rope")
BUGS = [
    Bug(
        "theta 1e4 for 5e5",
        "rope.theta",
        ("llama", "qwen2", "qwen3", "mistral", "phi3", "granite"),
        AT,
        code=angles(10000.0),
        config=THETA,
    ),
    Bug(
        "theta 1e6 for 1e4",
        "rope.theta",
        ("llama", "mixtral", "gemma", "gemma2", "qwen3-moe"),
        AT,
        code=angles(1e6),
        config=TEN_THOUSAND,
    ),
    Bug("neighbouring channels turned", "rope.layout", WHOLE, AT, code=rotating(neighbours)),
    Bug(
        "rows of keys in the other layout",
        "rope.layout",
        ("llama", "mistral", "qwen2", "granite", "gemma"),
        ("k", "attn"),
        weights=rows_interleaved("k"),
        also=("linear.row_order",),
    ),
    Bug("queries one position later", "rope.position", ROTARY, AT, code=rotating(query_one_later)),
    Bug("second half counted from zero", "rope.position", ROTARY, AT, code=rotating(second_half_from_zero)),
    Bug(
        "linear scaling ignored",
        "rope.scaling",
        ("llama", "qwen2", "mistral", "gemma"),
        AT,
        code=angles(10000.0),
        config=LINEAR,
        scope="all",
    ),
    Bug(
        "llama3 scaling ignored",
        "rope.scaling",
        ("llama", "qwen2", "qwen3"),
        AT,
        code=angles(10000.0),
        config=LLAMA3,
        scope="all",
    ),
    Bug("no rotation", "rope.missing", ROTARY, AT, code=rotating(lambda rotate, q, k, cos, sin: (q, k))),
    Bug("rotated twice", "rope.twice", ROTARY, AT, code=rotating(twice)),
    Bug(
        "norm of queries and keys after rotation",
        "rope.order",
        ("qwen3", "qwen3-moe", "gemma3"),
        ("attn", "q_norm", "k_norm"),
        code=normed_after,
        also=("norm.order",),
    ),
]
