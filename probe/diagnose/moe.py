"""Mixtures of experts: how the router weighs, in which order the experts are, and the one that all tokens share."""

from collections.abc import Iterator

from probe.diagnose.case import Case
from probe.diagnose.edits import recomputed
from probe.diagnose.expert_weights import exchanged, experts_in
from probe.diagnose.hypothesis import Family, Hypothesis, Plan
from probe.diagnose.routers import OF_ALL, OF_THE_CHOSEN, WEIGHTS, Router, routers
from probe.diagnose.shared_expert import shared_expert
from probe.diagnose.top_k import top_k
from probe.replay.program import Program


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


FEWEST_TOKENS = 4
"""What one expert made of one token is another's by chance, where both sides do not run the same experts in turn."""


def expert_order(case: Case) -> Iterator[Hypothesis]:
    """moe.expert_order: every expert's weights, which are stacked, are another one's."""
    if case.exact.shape[:-1].numel() < FEWEST_TOKENS:
        return
    stacked = {
        leaf.name.rpartition(".")[0] for leaf in case.program.leaves if leaf.is_weight and leaf.tensor.dim() == 3
    }
    for module, count in experts_in(case).items():
        if module in stacked:
            yield _expert_order(case, module, count)


def _expert_order(case: Case, module: str, count: int) -> Hypothesis:
    ascending = tuple(range(count))
    rolled = [ascending[shift:] + ascending[:shift] for shift in range(1, count)]
    reordered = [tuple(order) for order in ([*rolled, ascending[::-1]])]
    return Hypothesis(
        "moe.expert_order",
        lambda order: Plan(leaves=exchanged(case, module, order)),
        lambda order: (
            f"expert 0 holds the weights of expert {order[0]}, and so on: "
            "look for how the converter stacks them, and whether it sorts their names as text"
        ),
        (*reordered, tuple(sorted(ascending, key=str))),
        candidate_value=lambda order: f"experts {', '.join(map(str, order))}",
        module=module,
    )


FAMILIES: list[Family] = [weights, top_k, expert_order, shared_expert]
