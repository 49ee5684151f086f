"""A matrix of the candidate's own file that is another one of the reference's, or has its rows in another order.

Where the file's matrix, multiplied as its kernels do it, makes what the candidate had, the bug is in the matrix. What
the families would put there is then held against the matrix itself, which few bits leave less noise in than in what is
made with it: it must be what its type leaves of that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from probe.diagnose import exchanged, linear, mlp, order
from probe.diagnose.as_stored import is_what_is_left, own_of
from probe.diagnose.between import is_explained
from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Family, Plan, computed, hypotheses_of, planned
from probe.diagnose.matrices import matrices
from probe.diagnose.merge import Part, parts
from probe.diagnose.multiplied import multiplied
from probe.diagnose.tried import Tried
from probe.replay.program import Leaf
from probe.targets.stored import StoredWeight

OF_MATRICES: tuple[Family, ...] = (*exchanged.FAMILIES, mlp.halves, *order.FAMILIES, *linear.FAMILIES)
"""Those whose hypotheses put other matrices in the place of the reference's."""


def held(case: Case) -> tuple[Part, ...]:
    """What the matrix is, if it makes what the candidate had; nothing where it is the reference's own."""
    found = {matrix: own for matrix in matrices(case.program) if (own := own_of(case, matrix.leaf)) is not None}
    others = {matrix.leaf: own for matrix, own in found.items() if not is_what_is_left(matrix.leaf.tensor, own)}
    if not others:
        return ()
    leaves = {matrix.leaf: own.values.to(matrix.leaf.tensor.dtype) for matrix, own in found.items()}

    def plan(lean: float) -> Plan:
        return Plan({call: e for one, own in found.items() for call, e in multiplied(one, own, lean).items()}, leaves)

    if not is_explained(case, plan):
        return ()
    made = computed(case, case.program, Plan(leaves=leaves))
    if made is None:
        return ()
    whole = plan(0.0)
    after = case.distance(whole.run(case))
    named = [(replace(one, plan=whole, after=after),) for one in _named(replace(case, candidate=made), others)]
    return parts(case, named) if named else ()


def _named(case: Case, others: Mapping[Leaf, StoredWeight]) -> Iterator[Tried]:
    """Hypotheses about the matrices alone, whose matrices the file's are with the noise of their type."""
    for family in OF_MATRICES:
        for hypothesis in hypotheses_of(family, case):
            for value in hypothesis.values:
                plan = planned(hypothesis, value)
                if plan is None or plan.edits or plan.taps or plan.terms or not others.keys() <= plan.leaves.keys():
                    continue
                if all(leaf not in others or is_what_is_left(w, others[leaf]) for leaf, w in plan.leaves.items()):
                    yield Tried(hypothesis, value, plan, 0.0)
