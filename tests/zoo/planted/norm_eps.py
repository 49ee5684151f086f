"""Norms with another eps."""

from tests.zoo.bug import Bug
from tests.zoo.planted.norms import LAYER_NORM, OFFSET, PLAIN
from tests.zoo.plants import set_attribute, together

EVERY = ("attn_norm", "mlp_norm", "final_norm")


def other_eps(eps: float) -> float:
    """What users confuse it with."""
    return {1e-6: 1e-5, 1e-5: 1e-6, 1e-12: 1e-5}[eps]


def other_layer_norm_eps(eps: float) -> float:
    return 1e-6 if eps > 5e-6 else 1e-5


def rms_eps(role: str) -> list[Bug]:
    short = {"attn_norm": "norm before attention", "mlp_norm": "norm before the MLP", "final_norm": "final norm"}
    scope = "model" if role == "final_norm" else "layers"
    return [
        Bug(
            f"eps of the {short[role]}",
            "norm.eps",
            PLAIN,
            (role,),
            code=set_attribute(role, "variance_epsilon", other_eps),
            scope=scope,
        ),
        Bug(
            f"eps of Gemma's {short[role]}",
            "norm.eps",
            OFFSET,
            (role,),
            code=set_attribute(role, "eps", other_eps),
            scope=scope,
        ),
    ]


BUGS = [
    *rms_eps("attn_norm"),
    *rms_eps("mlp_norm"),
    *rms_eps("final_norm"),
    Bug(
        "eps of all norms",
        "norm.eps",
        PLAIN,
        ("attn_norm", "mlp_norm", "final_norm"),
        code=together(*(set_attribute(role, "variance_epsilon", other_eps) for role in EVERY)),
        scope="all",
    ),
    Bug(
        "eps of all of Gemma's norms",
        "norm.eps",
        OFFSET,
        ("attn_norm", "mlp_norm", "final_norm"),
        code=together(*(set_attribute(role, "eps", other_eps) for role in EVERY)),
        scope="all",
    ),
    Bug(
        "eps of a layer norm",
        "norm.eps",
        LAYER_NORM,
        ("mlp_norm",),
        code=set_attribute("mlp_norm", "eps", other_layer_norm_eps),
    ),
    Bug(
        "eps of the query norm",
        "norm.eps",
        ("qwen3", "qwen3-moe"),
        ("q_norm",),
        code=set_attribute("q_norm", "variance_epsilon", other_eps),
        scope="all",
    ),
    Bug(
        "eps of the key norm",
        "norm.eps",
        ("gemma3",),
        ("k_norm",),
        code=set_attribute("k_norm", "eps", other_eps),
        scope="all",
    ),
]
