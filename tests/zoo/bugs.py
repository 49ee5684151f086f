"""All planted bugs."""

from tests.zoo.bug import Bug
from tests.zoo.planted import attention, embeddings, experts, linears, mlps, norms, residuals, ropes, shards, specs

FAMILIES = (norms, linears, attention, ropes, mlps, experts, embeddings, residuals, shards, specs)
BUGS: list[Bug] = specs.with_specs([bug for family in FAMILIES for bug in family.BUGS])


def bug_named(name: str) -> Bug:
    return next(bug for bug in BUGS if bug.name == name)
