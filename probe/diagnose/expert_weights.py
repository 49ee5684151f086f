"""Which weights belong to which expert: stacked along a first axis, or those of a module an expert in a list."""

from collections.abc import Sequence

import torch

from probe.diagnose.case import Case
from probe.diagnose.experts import holds_experts, num_experts
from probe.replay.program import Leaf


def experts_in(case: Case) -> dict[str, int]:
    """Modules with experts of which a program has weights, and how many they have."""
    found: dict[str, int] = {}
    for leaf in case.program.leaves:
        name = leaf.name if leaf.is_weight else ""
        while name := name.rpartition(".")[0]:
            module = case.model.get_submodule(name)
            if num_experts(module) > 1 and holds_experts(module):
                found[name] = num_experts(module)
    return found


def exchanged(case: Case, module: str, order: Sequence[int]) -> dict[Leaf, torch.Tensor]:
    """All weights of a module's experts, with those of expert order[e] in the place of expert e's."""
    own = dict(case.model.get_submodule(module).named_parameters(remove_duplicate=False))
    leaves = {leaf.name: leaf for leaf in case.program.leaves if leaf.is_weight}
    found: dict[Leaf, torch.Tensor] = {}
    for name, weight in own.items():
        index, _, rest = name.partition(".")
        if index.isdecimal():
            other = own[f"{order[int(index)]}.{rest}"].detach()
        elif weight.shape[:1] == (len(order),):
            other = weight.detach()[list(order)]
        else:
            continue
        found[leaves.get(f"{module}.{name}", Leaf(weight.detach(), f"{module}.{name}", True))] = other
    return found
