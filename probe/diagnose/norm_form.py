"""What a norm computes: left out, with the mean taken off or not."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.norm_site import Norm, argument, key
from probe.diagnose.norm_written import norms
from probe.diagnose.values import bare, passing, places
from probe.replay.program import Call, Edit, Result

_KIND = {True: "the mean is taken off", False: "the mean is not taken off"}


def missing(case: Case) -> Iterator[Hypothesis]:
    """norm.missing: what goes in comes out."""
    return map(_missing, norms(case.program))


def _missing(norm: Norm) -> Hypothesis:
    return Hypothesis(
        "norm.missing",
        lambda _: _without(norm),
        lambda _: f"the norm of {_name(norm)} is left out: look for it in the code of the port",
        reference_value=_name(norm),
    )


def _without(norm: Norm) -> Plan:
    if norm.is_torch:
        return Plan({norm.call: lambda function, args, kwargs: _given(norm.call, "input", args, kwargs)})
    edits = {norm.call: passing(norm.call, norm.input)}
    edits |= {call: passing(call, normed) for call, normed in norm.uses.items()}
    if norm.centering is not None:
        edits[norm.centering] = passing(norm.centering, norm.centering.inputs[0])
    return Plan(edits)


def kind(case: Case) -> Iterator[Hypothesis]:
    """norm.kind: LayerNorm for RMSNorm, with or without the bias, or the reverse."""
    for norm in norms(case.program):
        plans = _uncentered(norm) if norm.subtracts_mean else _centered(norm)
        if plans:
            yield _kind(norm, plans)


def _kind(norm: Norm, plans: dict[str, Plan]) -> Hypothesis:
    ours = _KIND[norm.subtracts_mean]
    return Hypothesis(
        "norm.kind",
        lambda value: plans[value],
        lambda value: f"{value} in the norm of {_name(norm)}, where in the reference {ours}: LayerNorm is not RMSNorm",
        tuple(plans),
        reference_value=ours,
    )


def _centered(norm: Norm) -> dict[str, Plan]:
    if norm.call.name == "rms_norm":
        dims = _last(norm.call)
        return {_KIND[True]: Plan({norm.call: _with(norm.call, lambda x: x - x.mean(dims, keepdim=True))})}
    if norm.mean is None or norm.square is None or not places(norm.square, norm.input):
        return {}
    mean = norm.mean

    def off(x: torch.Tensor) -> torch.Tensor:
        taken: torch.Tensor = mean.function(x, *mean.args[1:], **mean.kwargs)
        return x - taken

    changed = {call: _changing(places(call, norm.input), off) for call in (norm.square, norm.call)}
    return {_KIND[True]: Plan(changed)}


def _uncentered(norm: Norm) -> dict[str, Plan]:
    biased = "bias" in norm.parts
    plain, alone = _KIND[False], f"{_KIND[False]}, nor is a bias added"
    if norm.is_torch:
        plans = {plain: Plan({norm.call: _root_mean_square(norm.call, with_bias=True)})}
        return plans | ({alone: Plan({norm.call: _root_mean_square(norm.call, with_bias=False)})} if biased else {})
    if norm.mean is None or norm.centering is None:
        return {}
    edits = {norm.centering: passing(norm.centering, norm.centering.inputs[0])}
    if norm.square is None:
        edits[norm.mean] = _mean_square(norm.centering)
    plans = {plain: Plan(edits)}
    if biased:
        shift, normed = list(norm.uses.items())[-1]
        plans[alone] = Plan({**edits, shift: passing(shift, normed)})
    return plans


def _root_mean_square(call: Call, *, with_bias: bool) -> Edit:
    """Of a call of layer_norm: x / sqrt(mean(x^2) + eps) * weight + bias, the bias as asked for."""

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x, weight, bias, eps = (_given(call, name, args, kwargs) for name in ("input", "weight", "bias", "eps"))
        normed = x * torch.rsqrt(x.square().mean(_last(call), keepdim=True) + (1e-5 if eps is None else eps))
        normed = normed if weight is None else normed * weight
        return normed + bias if with_bias and bias is not None else normed

    return edit


def _mean_square(centering: Call) -> Edit:
    """In the place of a variance, with the mean over what `centering` takes it over."""
    mean = bare(centering.inputs[1])
    assert isinstance(mean, Result)
    over = mean.call
    return lambda function, args, kwargs: over.function(args[0].square(), *over.args[1:], **over.kwargs)


def _given(call: Call, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    place = key(call, name)
    return args[place] if isinstance(place, int) else kwargs.get(place)


def _last(call: Call) -> tuple[int, ...]:
    """The dimensions that one of torch's own norms takes the mean over."""
    shape = argument(call, "normalized_shape")
    return tuple(range(-len(tuple(shape)), 0))


def _with(call: Call, change: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    """One of torch's own norms, of another input."""
    place = key(call, "input")
    if isinstance(place, int):
        return _changing([place], change)
    return lambda function, args, kwargs: function(*args, **{**kwargs, place: change(kwargs[place])})


def _changing(at: list[int], change: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*(change(x) if place in at else x for place, x in enumerate(args)), **kwargs)

    return edit


def _name(norm: Norm) -> str:
    """The norm's module, or that of its weight, where it is a line of its parent's code."""
    leaf = next(iter(norm.parts.values()), None)
    return norm.call.module if leaf is None or leaf.name.startswith(f"{norm.call.module}.weight") else leaf.name
