"""Mixtures of experts: how the router weighs, how many experts, in which order, and the one that all tokens share."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from probe.diagnose.case import Case
from probe.diagnose.edits import recomputed
from probe.diagnose.hypothesis import Family, Hypothesis, Plan
from probe.diagnose.shared_expert import shared_expert
from probe.replay.program import Leaf, Program, Result, Value

SCORES = {"softmax", "sigmoid"}
SAME = 1e-6
"""Relative: what float32 in between leaves."""
Weigh = Callable[[Tensor, Tensor], Tensor]
"""Of all experts' logits (N, E) and the chosen ones' indices (N, A): their weights (N, A)."""


def _of_all(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.softmax(-1).gather(-1, chosen)


def _of_the_chosen(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.gather(-1, chosen).softmax(-1)


def _raw(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.gather(-1, chosen)


def _sigmoids(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.gather(-1, chosen).sigmoid()


def _normalized_sigmoids(logits: Tensor, chosen: Tensor) -> Tensor:
    scores = _sigmoids(logits, chosen)
    return scores / scores.sum(-1, keepdim=True)


def _alike(logits: Tensor, chosen: Tensor) -> Tensor:
    return torch.full(chosen.shape, 1 / chosen.shape[-1], dtype=logits.dtype, device=logits.device)


OF_ALL = "softmax over all experts, not normalized after the choice"
OF_THE_CHOSEN = "softmax over the chosen experts"
WEIGHTS: Mapping[str, Weigh] = {
    OF_ALL: _of_all,
    OF_THE_CHOSEN: _of_the_chosen,
    "raw logits": _raw,
    "sigmoids": _sigmoids,
    "sigmoids, normalized": _normalized_sigmoids,
    "the same for each": _alike,
}


@dataclass(frozen=True)
class Router:
    """Logits (N, E), the chosen indices (N, A), and the weights that multiply what the chosen experts give."""

    logits: Value
    chosen: Result
    weights: Result
    name: str
    """Of WEIGHTS."""
    is_chosen_first: bool
    """Whether the choice comes before the scores."""


def routers(program: Program) -> list[Router]:
    found = []
    for call in program.calls:
        if call.name != "topk":
            continue
        scores = call.inputs[0]
        is_scored = isinstance(scores, Result) and scores.call.name in SCORES
        logits = scores.call.inputs[0] if is_scored and isinstance(scores, Result) else scores
        chosen = Result(call, (1,))
        named = [(w, name) for w in _of_shape(program, chosen) if (name := _name(program, logits, chosen, w))]
        if named:
            found.append(Router(logits, chosen, *named[-1], is_chosen_first=not is_scored))
    return found


def _of_shape(program: Program, chosen: Result) -> list[Result]:
    """The choice's values, and what is made of them in the same shape; in order of execution."""
    shape = program.value(chosen).shape
    found = [Result(chosen.call, (0,))]
    for call in program.calls:
        made = {id(one.call) for one in found}
        if call.name in _AFTER and any(isinstance(v, Result) and id(v.call) in made for v in call.inputs):
            value = program.value(Result(call))
            if value.shape == shape and value.is_floating_point():
                found.append(Result(call))
    return found


_AFTER = {"div", "div_", "__truediv__", "__itruediv__", "softmax", "mul", "mul_", "__mul__", "to", "float", "type_as"}


def _name(program: Program, logits: Value, chosen: Result, weights: Result) -> str | None:
    x, indices, w = (program.value(value) for value in (logits, chosen, weights))
    if x.dim() != 2 or not x.is_floating_point():
        return None
    size = torch.linalg.vector_norm(w)
    known = (n for n, weigh in WEIGHTS.items() if torch.linalg.vector_norm(weigh(x, indices) - w) <= SAME * size)
    return next(known, None)


def weights(case: Case) -> Iterator[Hypothesis]:
    """moe.router_normalization and moe.router_order: other weights of the same experts."""
    for router in routers(case.program):
        for name in WEIGHTS:
            if name != router.name:
                yield _weights(case.program, router, name)


def _weights(program: Program, router: Router, name: str) -> Hypothesis:
    is_order = {name, router.name} == {OF_ALL, OF_THE_CHOSEN}
    count = program.value(router.chosen).shape[-1]
    edits = recomputed(
        program, router.weights, [router.logits], lambda _, x: WEIGHTS[name](x, x.topk(count, -1).indices)
    )
    return Hypothesis(
        "moe.router_order" if is_order and router.is_chosen_first else "moe.router_normalization",
        lambda _: Plan(edits),
        lambda _: (
            f"the experts' weights are {name} where the reference has {router.name}: "
            "look for norm_topk_prob, and for what comes first, the softmax or the choice"
        ),
        reference_value=router.name,
        candidate_value=lambda _: name,
        module=router.weights.call.module,
    )


def fewer(case: Case) -> Iterator[Hypothesis]:
    """moe.top_k: fewer experts a token; the last ones' weights are zero."""
    for router in routers(case.program):
        count = case.program.value(router.chosen).shape[-1]
        if count > 1:
            yield _fewer(case.program, router, count)


def _fewer(program: Program, router: Router, count: int) -> Hypothesis:
    def plan(wanted: int) -> Plan:
        def weigh(_: Tensor, logits: Tensor) -> Tensor:
            kept = WEIGHTS[router.name](logits, logits.topk(wanted, -1).indices)
            return torch.cat([kept, kept.new_zeros(*kept.shape[:-1], count - wanted)], -1)

        return Plan(recomputed(program, router.weights, [router.logits], weigh))

    return Hypothesis(
        "moe.top_k",
        plan,
        lambda wanted: f"{wanted} experts a token where the reference has {count}: look for num_experts_per_tok",
        tuple(range(1, count)),
        reference_value=float(count),
        candidate_value=float,
        module=router.chosen.call.module,
    )


def stacks(program: Program) -> dict[str, list[Leaf]]:
    """Stacked weights of experts and their biases, of each module that has such."""
    modules = {leaf.name.rpartition(".")[0] for leaf in program.leaves if leaf.is_weight and leaf.tensor.dim() == 3}
    return {
        module: [leaf for leaf in program.leaves if leaf.is_weight and leaf.name.rpartition(".")[0] == module]
        for module in modules
    }


def expert_order(case: Case) -> Iterator[Hypothesis]:
    """moe.expert_order: every expert's weights are another one's."""
    for module, leaves in stacks(case.program).items():
        count = leaves[0].tensor.shape[0]
        if all(leaf.tensor.shape[0] == count for leaf in leaves):
            yield _expert_order(module, leaves, count)


def _expert_order(module: str, leaves: list[Leaf], count: int) -> Hypothesis:
    ascending = tuple(range(count))
    rolled = [ascending[shift:] + ascending[:shift] for shift in range(1, count)]
    reordered = [tuple(order) for order in ([*rolled, ascending[::-1]])]
    return Hypothesis(
        "moe.expert_order",
        lambda order: Plan(leaves={leaf: leaf.tensor.detach()[list(order)] for leaf in leaves}),
        lambda order: (
            f"expert 0 holds the weights of expert {order[0]}, and so on: "
            "look for how the converter stacks them, and whether it sorts their names as text"
        ),
        (*reordered, tuple(sorted(ascending, key=str))),
        candidate_value=lambda order: f"experts {', '.join(map(str, order))}",
        module=module,
    )


FAMILIES: list[Family] = [weights, fewer, expert_order, shared_expert]
