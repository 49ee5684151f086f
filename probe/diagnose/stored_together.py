"""All weights of a place at once, as the candidate's own file has them in whole numbers."""

from probe.diagnose.as_stored import HALF_A_STEP, own_of, worst_in_steps
from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.replay.program import Leaf
from probe.targets.stored import StoredWeight


def all_stored(case: Case) -> Hypothesis | None:
    """The same of all weights of a place together, vectors too, of which none is multiplied by what is rounded."""
    found: dict[Leaf, StoredWeight] = {}
    for leaf in case.program.leaves:
        own = own_of(case, leaf)
        if (
            own is not None
            and own.step is not None
            and worst_in_steps(leaf.tensor, own.values, own.step) <= HALF_A_STEP
        ):
            found[leaf] = own
    main = next((leaf for leaf in found if leaf.tensor.dim() == 2), next(iter(found), None))
    if main is None:
        return None
    names = " and ".join(leaf.name for leaf in found)
    return Hypothesis(
        "linear.quantized" if main.tensor.dim() == 2 else "precision.storage",
        lambda _: Plan(leaves={leaf: own.values.to(leaf.tensor.dtype) for leaf, own in found.items()}),
        lambda _: f"harmless: {names} stored as whole numbers, rounded to the nearest ({found[main].kind})",
        reference_value="float32",
        candidate_value=lambda _: found[main].kind,
        module=main.name.rpartition(".")[0],
    )
