"""precision.compute and precision.storage at places above the floor: a narrower dtype than the candidate's own.

Numbers that were float16 once stay float16's: they are known bit for bit, where an error's norm says nothing.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from probe.diagnose.activations import ACTIVATIONS, Activation, activations
from probe.diagnose.as_stored import as_stored
from probe.diagnose.between import is_explained
from probe.diagnose.case import Case
from probe.diagnose.edits import recomputed, result
from probe.diagnose.flash_attention import flash_attention
from probe.diagnose.hypothesis import Family, Hypothesis, Plan, computed, hypotheses_of
from probe.diagnose.merge import Part, parts
from probe.diagnose.narrow_attention import narrow_attention
from probe.diagnose.tried import Tried, explains
from probe.replay.program import Leaf, Program, Value

NARROW = {"float16": torch.float16, "bfloat16": torch.bfloat16}
SAME = 0.97
"""Of the elements that rounding changes: so many are the candidate's bit for bit. Measured: 0.995 and more where the
candidate rounds so (its float32 is rounded twice); where it does not, not one in a thousand is."""
MOSTLY = 0.25
"""Of the error before, where some of what is rounded was computed before, and goes to the other side: ggml's fused
attention leaves 0.0002 to 0.102 (Llama, Qwen 3 and Gemma 2, heads of 16 to 128, 24 and 80 tokens); another way to round
than the candidate's leaves 0.85 and more."""
MANY = 30
"""Elements that rounding changes; fewer say nothing."""


Is = Callable[[Case, Tensor, Hypothesis, Any], bool]
"""Given a place, what a hypothesis with one of its values makes of it: whether that is how the candidate came to it."""


def harmless(case: Case) -> tuple[Part, ...]:
    """What explains a place by rounding alone; nothing where that is not how the candidate came to its numbers."""
    for family, is_right in HARMLESS:
        for hypothesis in hypotheses_of(family, case):
            for value in hypothesis.values:
                plan = hypothesis.plan(value)
                values = computed(case, case.program, plan)
                if values is not None and is_right(case, values, hypothesis, value):
                    return parts(case, [(Tried(hypothesis, value, plan, case.distance(values)),)])
    return ()


def _is_explained(case: Case, values: Tensor, hypothesis: Hypothesis, value: Any) -> bool:
    if hypothesis.leaning is None:
        return explains(case, case.distance(values))
    return is_explained(case, partial(hypothesis.leaning, value))


def _is_the_candidates(case: Case, values: Tensor, *_: Any) -> bool:
    kind: torch.dtype = getattr(torch, case.error.pair.sources[0].tap.dtype)
    with torch._C.DisableTorchFunction():
        changed = case.counts & (values.to(kind) != case.exact.to(kind))
        same = changed & (values.to(kind) == case.candidate.to(kind))
        return int(changed.sum()) >= MANY and int(same.sum()) >= SAME * int(changed.sum())


def rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """As `dtype` has it, in the dtype that it was."""
    with torch._C.DisableTorchFunction():
        return x.to(dtype).to(x.dtype)


def _is_mostly_explained(case: Case, values: Tensor, *_: Any) -> bool:
    """Where what is rounded was computed before: a few numbers go to the other side."""
    return case.distance(values) <= MOSTLY * case.before


def table(case: Case) -> Iterator[Hypothesis]:
    """precision.compute: an activation looked up in a table of float16, its argument rounded and its value."""
    return (_table(case.program, one) for one in activations(case.program))


def _table(program: Program, one: Activation) -> Hypothesis:
    def looked_up(dtype: torch.dtype) -> Callable[..., Tensor]:
        return lambda _, x: rounded(ACTIVATIONS[one.name](rounded(x, dtype)), dtype)

    return Hypothesis(
        "precision.compute",
        lambda dtype: Plan(recomputed(program, one.result, [one.x], looked_up(NARROW[dtype]))),
        lambda dtype: f"harmless: {one.name} takes its argument and gives its value in {dtype}, as ggml's table does",
        tuple(NARROW),
        reference_value="float32",
        module=one.calls[-1].module,
    )


def stored(case: Case) -> Iterator[Hypothesis]:
    """precision.storage: what a place gives is kept in a narrower dtype."""
    last = case.program.result
    if isinstance(last, Leaf) or not last.path:
        yield Hypothesis(
            "precision.storage",
            lambda dtype: _stored(last, NARROW[dtype]),
            lambda dtype: f"harmless: what {case.error.module or 'the model'} gives is rounded to {dtype}",
            tuple(NARROW),
            reference_value="float32",
            module=case.error.module,
        )


def _stored(last: Value, dtype: torch.dtype) -> Plan:
    if isinstance(last, Leaf):
        return Plan(leaves={last: rounded(last.tensor, dtype)})
    return Plan({last.call: result(lambda x: rounded(x, dtype))})


def weights(case: Case) -> Iterator[Hypothesis]:
    """precision.storage: weights that were kept in a narrower dtype, of a candidate that computes in float32."""
    leaves = [leaf for leaf in case.program.leaves if leaf.is_weight and leaf.tensor.is_floating_point()]
    if case.rounded is None and leaves:
        yield Hypothesis(
            "precision.storage",
            lambda dtype: Plan(leaves={leaf: _narrowed(leaf, NARROW[dtype]) for leaf in leaves}),
            lambda dtype: f"harmless: {', '.join(leaf.name for leaf in leaves)} was kept in {dtype}",
            tuple(NARROW),
            reference_value="float32",
        )


def _narrowed(leaf: Leaf, dtype: torch.dtype) -> Tensor:
    with torch._C.DisableTorchFunction():
        return leaf.tensor.detach().to(dtype).to(leaf.tensor.dtype)


HARMLESS: tuple[tuple[Family, Is], ...] = (
    (table, _is_the_candidates),
    (stored, _is_the_candidates),
    (as_stored, _is_explained),
    (narrow_attention, _is_mostly_explained),
    (flash_attention, _is_mostly_explained),
)
FAMILIES = [weights]
