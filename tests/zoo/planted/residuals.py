"""The residual stream: scaled, or added in another order."""

from tests.zoo.bug import Bug
from tests.zoo.plants import change_output, set_attribute

LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2")
BUGS = [
    Bug(
        "residual multiplier left out",
        "residual.scale",
        ("granite",),
        ("layer",),
        code=set_attribute("layer", "residual_multiplier", 1.0),
    ),
    Bug(
        "residual multiplier of another model",
        "residual.scale",
        ("granite",),
        ("layer",),
        code=set_attribute("layer", "residual_multiplier", 0.22),
    ),
    Bug(
        "MLP's branch scaled",
        "residual.scale",
        LLAMAS,
        ("layer", "mlp", "down", "post_mlp_norm"),
        code=change_output("mlp", lambda x: x * 0.7071),
        also=("norm.eps",),  # in a norm behind the branch it is the same function as a larger one
    ),
    Bug(
        "one after the other",
        "residual.order",
        ("gpt-neox",),
        ("layer",),
        code=set_attribute("layer", "use_parallel_residual", False),
    ),
    Bug(
        "side by side",
        "residual.order",
        ("gpt-neox",),
        ("layer",),
        code=set_attribute("layer", "use_parallel_residual", True),
        config={"use_parallel_residual": False},
    ),
]
