"""moe.top_k: fewer experts a token, or more.

N tokens, E experts, of which A are chosen for each token, and a candidate that chooses W.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from probe.diagnose.case import Case
from probe.diagnose.edits import recomputed
from probe.diagnose.expert_weights import exchanged, experts_in
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.routers import WEIGHTS, Router, routers
from probe.replay.program import Edit, Leaf

MOST_MORE = 8
"""Experts more than the reference has."""


def top_k(case: Case) -> Iterator[Hypothesis]:
    for router in routers(case.program):
        num_experts, count = (case.program.value(value).shape[-1] for value in (router.logits, router.chosen))
        if count > 1:
            yield _hypothesis(case, router, _fewer, tuple(range(1, count)))
        if count < num_experts:
            yield _hypothesis(case, router, _more, tuple(range(count + 1, min(num_experts, count + MOST_MORE) + 1)))


def _hypothesis(
    case: Case, router: Router, plan: Callable[[Case, Router, int], Plan], values: tuple[int, ...]
) -> Hypothesis:
    count = case.program.value(router.chosen).shape[-1]
    return Hypothesis(
        "moe.top_k",
        lambda wanted: plan(case, router, wanted),
        lambda wanted: f"{wanted} experts a token where the reference has {count}: look for num_experts_per_tok",
        values,
        reference_value=float(count),
        candidate_value=float,
        module=router.chosen.call.module,
    )


def _fewer(case: Case, router: Router, wanted: int) -> Plan:
    """The last ones' weights are zero."""
    count = case.program.value(router.chosen).shape[-1]

    def weigh(_: Tensor, logits: Tensor) -> Tensor:
        kept = WEIGHTS[router.name](logits, logits.topk(wanted, -1).indices)
        return torch.cat([kept, kept.new_zeros(*kept.shape[:-1], count - wanted)], -1)

    return Plan(recomputed(case.program, router.weights, [router.logits], weigh))


def _more(case: Case, router: Router, wanted: int) -> Plan:
    """What experts give is added up, so the program is run once more for each expert more, and the results are added.

    An expert that the reference runs for no token may not be in the program at all: then it is run in the place of
    another one, with its weights.
    """
    logits, chosen = (case.program.value(value) for value in (router.logits, router.chosen))
    num_experts, count = logits.shape[-1], chosen.shape[-1]
    present = torch.unique(chosen).tolist()
    absent = sorted(set(torch.unique(logits.topk(wanted, -1).indices).tolist()) - set(present))
    places = [{index: index for index in present}]
    places += [dict(zip(absent[at:], present, strict=False)) for at in range(0, len(absent), len(present))]
    more = [
        _one_more(case, router, wanted, rank, torch.tensor([place.get(index, -1) for index in range(num_experts)]))
        for place in places
        for rank in range(count, wanted)
    ]

    def weigh(_: Tensor, logits_NE: Tensor) -> Tensor:
        return WEIGHTS[router.name](logits_NE, logits_NE.topk(wanted, -1).indices)[:, :count]

    best = Plan(recomputed(case.program, router.weights, [router.logits], weigh))
    nothing = Plan(recomputed(case.program, router.weights, [], torch.zeros_like))
    terms = ((1.0, best), *((1.0, run) for run in more), (-float(len(more)), nothing))
    return Plan({router.chosen.call: _choosing(wanted)}, terms=terms)


def _one_more(case: Case, router: Router, wanted: int, rank: int, place_E: Tensor) -> Plan:
    """The expert of a rank alone, run in its place; -1 is none. All others are run too, lest a loop miss one, for 0."""
    present = torch.unique(case.program.value(router.chosen))
    is_first_A = torch.arange(case.program.value(router.chosen).shape[-1]) == 0

    def choose(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        values, _ = returned = function(*args, **kwargs)
        place_N1 = place_E[args[0].topk(wanted, -1).indices[:, rank : rank + 1]]
        is_it_NA = is_first_A & (place_N1 >= 0)
        filling_NA = present[((~is_it_NA).flatten().cumsum(0) - 1) % len(present)].reshape(is_it_NA.shape)
        return type(returned)((values, place_N1.where(is_it_NA, filling_NA)))

    def weigh(now: Tensor, logits_NE: Tensor) -> Tensor:
        chosen_NW = logits_NE.topk(wanted, -1).indices
        weights_NW = WEIGHTS[router.name](logits_NE, chosen_NW).where(place_E[chosen_NW] >= 0, 0.0)
        return weights_NW[:, rank : rank + 1] * is_first_A

    weighing = Plan(recomputed(case.program, router.weights, [router.logits], weigh))
    return weighing.joined(Plan({router.chosen.call: choose})).joined(Plan(leaves=_moved(case, place_E)))


def _moved(case: Case, place_E: Tensor) -> dict[Leaf, Tensor]:
    """Weights with those of each expert in its place."""
    order = list(range(len(place_E)))
    for index, place in enumerate(place_E.tolist()):
        if place >= 0:
            order[place] = index
    held = [module for module, count in experts_in(case).items() if count == len(order)]
    is_moved = order != sorted(order)
    return {leaf: weight for name in held if is_moved for leaf, weight in exchanged(case, name, order).items()}


def _choosing(wanted: int) -> Edit:
    """torch.topk of another number."""

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(args[0], wanted, *args[2:], **{key: value for key, value in kwargs.items() if key != "k"})

    return edit
