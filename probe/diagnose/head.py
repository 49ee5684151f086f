"""What makes logits: a head that is not tied where the reference's is, the cap and the scale of its numbers."""

from collections.abc import Iterator

import torch
from torch import nn

from probe.diagnose.cap import Cap, caps
from probe.diagnose.case import Case
from probe.diagnose.edits import constant_of
from probe.diagnose.factor import another_factor
from probe.diagnose.hypothesis import Hypothesis, Plan, changed
from probe.diagnose.matrices import Matrix, matrices
from probe.diagnose.products import least_change, products
from probe.diagnose.unloaded import ALL, never
from probe.diagnose.values import DIVIDE, MULTIPLY
from probe.replay.program import Leaf, Program, Result, Value
from probe.report import WeightFinding

CAPS = tuple(10.0 ** (power / 4) for power in range(13))
USUAL_CAPS = (15.0, 30.0, 50.0)


def is_tied(case: Case, leaf: Leaf) -> bool:
    """Whether the weight is a table of embeddings too."""
    return any(isinstance(module, nn.Embedding) and module.weight is leaf.tensor for module in case.model.modules())


def makes_logits(case: Case) -> bool:
    """A number for every token that there is an embedding of, and as the model's last step."""
    shape = case.exact.shape
    sizes = [module.num_embeddings for module in case.model.modules() if isinstance(module, nn.Embedding)]
    return (
        len(shape) > 1
        and shape[-1] == max(sizes, default=0)
        and not any(call.name == "embedding" for call in case.program.calls)
    )


def untied(case: Case) -> Iterator[Hypothesis]:
    """head.untied: another matrix than the embeddings', which the audit of weights says was never loaded."""
    names = dict(case.model.named_parameters(remove_duplicate=False))
    for matrix in matrices(case.program):
        seen = products(case, matrix) if is_tied(case, matrix.leaf) else None
        if seen is not None and seen.is_bare:
            said = [case.audited.get(name) for name, weight in names.items() if weight is matrix.leaf.tensor]
            lost = next((one for one in said if one is not None and one.kind in ("never loaded", ALL)), None)
            if lost is not None:
                yield _untied(case, matrix, lost)


def _untied(case: Case, matrix: Matrix, said: WeightFinding) -> Hypothesis:
    change_OI = least_change(case, matrix) - matrix.weight_OI.double()
    at = matrix.call.inputs.index(matrix.given)

    def edit(function, args, kwargs):  # type: ignore[no-untyped-def]
        return function(*args, **kwargs) + args[at] @ change_OI.T.to(args[at].dtype)

    what, message = never(said, matrix.leaf.name)
    is_all = said.kind == ALL
    untied = (
        f"the head has a matrix of its own that was never loaded, where the reference uses {matrix.leaf.name}: "
        "look for weights that are to be tied after loading"
    )
    return Hypothesis(
        "linear.weight_missing" if is_all else "head.untied",
        lambda _: Plan({matrix.call: edit}),
        lambda _: message if is_all else untied,
        reference_value=what,
        candidate_value=lambda _: "another matrix",
        module=matrix.call.module,
    )


def scale(case: Case) -> Iterator[Hypothesis]:
    """head.scale: fitted."""
    if makes_logits(case):
        yield _scale(case.program)


def _scale(program: Program) -> Hypothesis:
    last = program.result
    number = (constant_of(last.call, program) if isinstance(last, Result) else None) or 1.0
    called = last.call.name if isinstance(last, Result) else ""
    ours = 1 / number if called in DIVIDE else number if called in MULTIPLY else 1.0
    return another_factor(
        "head.scale",
        last,
        ours,
        lambda value: (
            f"logits are multiplied by {value:.4g} where the reference has {ours:.4g}: "
            "look for a scale of logits in the config"
        ),
    )


def softcap(case: Case) -> Iterator[Hypothesis]:
    """head.softcap: none, another one, one too many, or x tanh(x / c)."""
    if not makes_logits(case):
        return
    capped = caps(case.program)
    if not capped:
        yield _new_cap(case.program.result)
    else:
        yield from _other_caps(capped[-1])


def _new_cap(logits: Value) -> Hypothesis:
    return Hypothesis(
        "head.softcap",
        lambda c: changed(logits, lambda x: c * torch.tanh(x / c)),
        lambda c: f"logits are capped at {c:.4g} where the reference has no cap: look for a softcap that is left on",
        CAPS,
        scale="log",
        reference_value="none",
        usual=USUAL_CAPS,
    )


def _other_caps(cap: Cap) -> Iterator[Hypothesis]:
    own = cap.value
    yield Hypothesis(
        "head.softcap",
        cap.plan,
        lambda _: f"logits are not capped, where the reference caps them at {own:.4g}",
        reference_value=own,
        candidate_value=lambda _: "none",
        usual=(None,),
    )
    yield Hypothesis(
        "head.softcap",
        lambda _: Plan({cap.tanh: lambda function, args, kwargs: args[0] * function(args[0])}),
        lambda _: f"logits x become x tanh(x / c) where the reference has c tanh(x / c), c = {own:.4g}",
        reference_value="c tanh(x / c)",
        candidate_value=lambda _: "x tanh(x / c)",
    )
    yield Hypothesis(
        "head.softcap",
        cap.plan,
        lambda value: f"logits are capped at {value:.4g} where the reference caps them at {own:.4g}",
        CAPS,
        scale="log",
        reference_value=own,
        usual=tuple(value for value in USUAL_CAPS if value != own),
    )


FAMILIES = [untied, scale, softcap]
