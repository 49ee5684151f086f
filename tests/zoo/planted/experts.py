"""Mixtures of experts: the router's weights, how many experts, which ones, the shared one."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.bug import Bug, Site
from tests.zoo.plants import change_weight, set_attribute, wrap

MIXTURES = ("mixtral", "qwen3-moe", "qwen2-moe", "gpt-oss")
PROBABILITIES = ("mixtral", "qwen3-moe", "qwen2-moe")
"""Their routers' weights are softmax over all experts, of the best."""
UNNORMALIZED = {"norm_topk_prob": False}


def scored(score: Any) -> Any:
    """The router's weights are `score(logits, indices)`; logits (N, E), indices (N, A)."""

    def wrapper(forward: Any, module: nn.Module, *args: Any) -> Any:
        logits, weights, indices = forward(*args)
        return logits, score(logits.float(), indices).to(weights.dtype), indices

    return wrap("router", wrapper)


def of_all(logits: Tensor, indices: Tensor) -> Tensor:
    return logits.softmax(-1).gather(1, indices)


def renormalized(logits: Tensor, indices: Tensor) -> Tensor:
    return logits.gather(1, indices).softmax(-1)


def raw(logits: Tensor, indices: Tensor) -> Tensor:
    return logits.gather(1, indices)


def sigmoids(logits: Tensor, indices: Tensor) -> Tensor:
    best = logits.gather(1, indices).sigmoid()
    return best / best.sum(-1, keepdim=True)


@torch.no_grad()
def experts_rolled(site: Site) -> None:
    """Every expert's matrices in the place of the next one's; the router knows nothing of it."""
    for experts in site.modules("experts"):
        for weight in experts.parameters():
            weight.copy_(weight.clone().roll(1, 0))


@torch.no_grad()
def halves_swapped(site: Site) -> None:
    for experts in site.modules("experts"):
        weight = experts.gate_up_proj
        weight.copy_(torch.cat(weight.chunk(2, dim=1)[::-1], dim=1))


def dropped(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    return torch.zeros_like(forward(x))


def gate_open(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    """So wide that its sigmoid is 1."""
    return torch.full_like(forward(x), 30.0)


def one_expert_less(site: Site) -> None:
    set_attribute("router", "top_k", lambda count: count - 1)(site)


def one_expert_more(site: Site) -> None:
    set_attribute("router", "top_k", lambda count: count + 1)(site)


AT = ("router", "mlp", "experts")
NORMALIZATION = ("moe.router_normalization", "moe.router_order")
"""Softmax, then the best, then normalized is the best, then softmax: two names of one thing."""
BUGS = [
    Bug(
        "router's weights not normalized",
        "moe.router_normalization",
        ("mixtral",),
        AT,
        code=scored(of_all),
        also=NORMALIZATION,
    ),
    Bug(
        "router's weights normalized",
        "moe.router_normalization",
        ("qwen3-moe", "qwen2-moe"),
        AT,
        code=scored(renormalized),
        config=UNNORMALIZED,
        also=NORMALIZATION,
    ),
    Bug("raw logits as weights", "moe.router_normalization", MIXTURES, AT, code=scored(raw), also=NORMALIZATION),
    Bug(
        "sigmoids for softmax", "moe.router_normalization", PROBABILITIES, AT, code=scored(sigmoids), also=NORMALIZATION
    ),
    Bug("softmax before the choice", "moe.router_order", ("gpt-oss",), AT, code=scored(of_all), also=NORMALIZATION),
    Bug("one expert less", "moe.top_k", MIXTURES, AT, code=one_expert_less),
    Bug("one expert more", "moe.top_k", MIXTURES, AT, code=one_expert_more),
    Bug("experts rolled", "moe.expert_order", MIXTURES, AT, weights=experts_rolled, also=("linear.weight_swapped",)),
    Bug(
        "router's rows rolled",
        "moe.expert_order",
        MIXTURES,
        AT,
        weights=change_weight("router", lambda w: w.roll(1, 0)),
        also=("linear.row_order",),
    ),
    Bug(
        "halves of the experts' gate_up swapped",
        "mlp.gate_up_swapped",
        PROBABILITIES,
        AT,
        weights=halves_swapped,
        also=("linear.row_order",),
    ),
    Bug("shared expert dropped", "moe.shared_expert", ("qwen2-moe",), ("shared", "mlp"), code=wrap("shared", dropped)),
    Bug(
        "shared expert's gate left out",
        "moe.shared_expert",
        ("qwen2-moe",),
        ("shared_gate", "mlp"),
        code=wrap("shared_gate", gate_open),
    ),
]
