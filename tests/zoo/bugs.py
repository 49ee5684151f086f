"""All planted bugs."""

from tests.zoo.bug import Bug
from tests.zoo.planted import (
    attention,
    embeddings,
    experts,
    heads,
    inputs,
    linears,
    masks,
    mlps,
    norm_eps,
    norms,
    residuals,
    ropes,
    shards,
    specs,
)

FAMILIES = (
    *(norm_eps, norms, linears, masks, attention, ropes, mlps, experts),
    *(inputs, embeddings, heads, residuals, shards, specs),
)
BUGS: list[Bug] = specs.with_specs([bug for family in FAMILIES for bug in family.BUGS])


def bug_named(name: str) -> Bug:
    return next(bug for bug in BUGS if bug.name == name)
