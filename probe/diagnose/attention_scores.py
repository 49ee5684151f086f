"""Attention's scores: their scale, their cap, and sinks beside them."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from probe.diagnose.cap import Cap, caps
from probe.diagnose.case import Case
from probe.diagnose.core import Core, cores
from probe.diagnose.edits import result
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.score_edits import before_softmax, without_sinks
from probe.diagnose.scores import Scores

FACTORS = tuple(2.0**power for power in range(-8, 9))
CAPS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
USUAL_CAPS = (20.0, 30.0, 50.0)
SIZE_ROUNDING = 1e-3
"""Relative: what a fitted scale of five digits leaves in the head size."""
CONVERTER = "look for a softcap that the config has and the port does not read"


def scale(case: Case) -> Iterator[Hypothesis]:
    """attn.scale: fitted; what multiplies queries, keys or scores by one number."""
    return (_scale(Scores(core)) for core in cores(case.program))


def _scale(scores: Scores) -> Hypothesis:
    core, own = scores.core, scores.scale
    return Hypothesis(
        "attn.scale",
        lambda value: Plan({core.product: result(lambda product: product * (value / own))}),
        lambda value: (
            f"scores are multiplied by {_said(value)} where the reference has {_said(own)}: "
            "look for a scale of the config's that is not read, or made of another head size"
        ),
        tuple(own * factor for factor in FACTORS),
        scale="log",
        reference_value=own,
        module=core.module,
    )


def _said(scale: float) -> str:
    """With the head size that it would be made of, where that is a whole number."""
    size = scale**-2
    is_whole = size > 1 and abs(size / round(size) - 1) < SIZE_ROUNDING
    return f"{scale:.6g} (1/sqrt({round(size)}))" if is_whole else f"{scale:.6g}"


def softcap(case: Case) -> Iterator[Hypothesis]:
    """attn.softcap: off, another number, another formula; or one where there is none."""
    capped = {id(cap.tanh): cap for cap in caps(case.program)}
    for core in cores(case.program):
        scores = Scores(core)
        if scores.cap is None:
            yield _added(scores)
        elif id(scores.cap) in capped:
            yield from _capped(capped[id(scores.cap)], core.module)


def _capped(cap: Cap, module: str) -> Iterator[Hypothesis]:
    own = cap.value
    yield Hypothesis(
        "attn.softcap",
        cap.plan,
        lambda _: f"scores are not capped where the reference caps them at {own:g}: {CONVERTER}",
        reference_value=own,
        usual=(None,),
        module=module,
    )
    yield Hypothesis(
        "attn.softcap",
        cap.plan,
        lambda value: f"scores are capped at {value:g} where the reference caps them at {own:g}: {CONVERTER}",
        tuple(sorted({*CAPS} - {own})),
        scale="log",
        reference_value=own,
        usual=tuple(value for value in USUAL_CAPS if value != own),
        module=module,
    )
    yield Hypothesis(
        "attn.softcap",
        lambda _: Plan({cap.tanh: lambda function, args, kwargs: args[0] * torch.tanh(args[0])}),
        lambda _: f"the cap is x tanh(x / {own:g}) where the reference has {own:g} tanh(x / {own:g})",
        reference_value="c tanh(x / c)",
        candidate_value=lambda _: "x tanh(x / c)",
        module=module,
    )


def _added(scores: Scores) -> Hypothesis:
    return Hypothesis(
        "attn.softcap",
        lambda cap: Plan(dict([before_softmax(scores, lambda given: cap * torch.tanh(given / cap))])),
        lambda cap: f"scores are capped at {cap:g} where the reference does not cap them",
        CAPS,
        scale="log",
        usual=USUAL_CAPS,
        module=scores.core.module,
    )


def sink(case: Case) -> Iterator[Hypothesis]:
    """attn.sink: left out; or a key that scores 0 and has no value, as "softmax one" has it."""
    for core in cores(case.program):
        scores = Scores(core)
        yield _sink_added(core) if scores.sink is None else _sink_dropped(scores)


def _sink_dropped(scores: Scores) -> Hypothesis:
    return Hypothesis(
        "attn.sink",
        lambda _: Plan(dict([without_sinks(scores)])),
        lambda _: "softmax has no sinks beside the scores, which the reference has: look for weights that nobody read",
        reference_value="sinks",
        candidate_value=lambda _: "none",
        module=scores.core.module,
    )


def _sink_added(core: Core) -> Hypothesis:
    return Hypothesis(
        "attn.sink",
        lambda _: Plan({core.softmax: _one_more}),
        lambda _: (
            "softmax counts one more key, that scores 0 and has no value, where the reference does not: "
            "look for a softmax with 1 added to its sum"
        ),
        reference_value="none",
        candidate_value=lambda _: "a sink of 0",
        module=core.module,
    )


def _one_more(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    nothing = torch.zeros_like(args[0][..., :1])
    return function(torch.cat([args[0], nothing], -1), *args[1:], **kwargs)[..., :-1]


FAMILIES = [scale, softcap, sink]
