"""Which taps, and which modules' own operations, went into a tensor: followed through every torch call of a replay."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from probe.replay.choices import Choice, choice, either, sees_nothing
from probe.replay.summation import summed_terms

_LOOKS = {
    "view", "reshape", "transpose", "permute", "contiguous", "expand", "expand_as", "unsqueeze", "squeeze", "chunk",
    "split", "flatten", "unflatten", "__getitem__", "view_as", "detach", "clone", "size", "dim", "swapaxes", "t",
    "narrow", "select", "unbind", "movedim", "to", "type_as", "float", "double", "half", "bfloat16", "cat", "stack",
}  # fmt: skip
"""Calls that move numbers without computing any: a fault cannot arise in them alone."""
_RESHAPES = {
    "view", "reshape", "contiguous", "unsqueeze", "squeeze", "flatten", "unflatten", "view_as", "detach", "clone", "to",
    "int", "long",
}  # fmt: skip
"""Calls that leave all numbers in their order."""
_ATTRIBUTE = "_probe_origin"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor comes from."""

    taps: frozenset[tuple[int, str]] = frozenset()
    """Order and name of the nearest recorded taps it was computed from."""
    modules: frozenset[str] = frozenset()
    """The modules whose own code computed it, since those taps."""
    from_floats: bool = False
    """Whether a floating-point number had a part in it: an index of top-k then may flip on a near tie."""
    terms: float = 0.0
    """Weighted length of the sums in that computation: see probe.replay.summation."""
    undecided: torch.Tensor | None = field(default=None, compare=False)
    """[N]: rows in which an index was chosen on a near tie: see probe.replay.choices."""
    hidden: torch.Tensor | None = field(default=None, compare=False)
    """[N]: rows of tokens that see nothing, as padding on the left."""
    choice: Choice | None = field(default=None, compare=False)
    """What it is itself the indices of, as they were chosen."""


NOWHERE = Origin()


def origin_of(tensor: torch.Tensor) -> Origin:
    return getattr(tensor, _ATTRIBUTE, NOWHERE)


def set_origin(tensor: torch.Tensor, origin: Origin) -> None:
    setattr(tensor, _ATTRIBUTE, origin)


class FollowingOrigins(TorchFunctionMode):
    """Within this block, every torch call hands the origins of its inputs on to its outputs."""

    def __init__(self, current_module: Callable[[], str], roundoff: float) -> None:
        """`roundoff`, of the less precise side, says how near a near tie is."""
        super().__init__()
        self._current_module = current_module
        self._roundoff = roundoff

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name != "__set__":
            with torch._C.DisableTorchFunction():  # else a mode of another precision answers each question
                chosen = choice(name, args, kwargs, self._roundoff)
                hidden = sees_nothing(name, args, kwargs, self._roundoff)
                self._follow(name, (args, kwargs), args[:1] if name == "__setitem__" else result, chosen, hidden)
        return result

    def _follow(
        self, name: str, arguments: Any, result: Any, chosen: Choice | None, hidden: torch.Tensor | None
    ) -> None:
        made = list(_tensors(result))
        if not made:
            return
        given = list(_tensors(arguments))
        origins = [origin_of(tensor) for tensor in given]
        taps = frozenset().union(*(origin.taps for origin in origins))
        modules = frozenset().union(*(origin.modules for origin in origins))
        terms = max((origin.terms for origin in origins), default=0.0) + summed_terms(name, given, made)
        from_floats = any(o.from_floats or tensor.is_floating_point() for o, tensor in zip(origins, given, strict=True))
        undecided = reduce(either, (origin.undecided for origin in origins), None)
        hidden = reduce(either, (origin.hidden for origin in origins), hidden)
        if chosen is None and name in _RESHAPES:
            chosen = origins[0].choice
        if name not in _LOOKS and name != "__get__":
            modules |= {self._current_module()}
        for tensor in made:
            untouched = any(tensor is other for other in given) and not name.endswith("_")
            if not untouched and not isinstance(tensor, nn.Parameter):
                if chosen and not tensor.is_floating_point():
                    rows = either(undecided, chosen.undecided_N)
                    set_origin(tensor, Origin(taps, modules, from_floats, terms, rows, hidden, chosen))
                else:
                    set_origin(tensor, Origin(taps, modules, from_floats, terms, undecided, hidden))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for child in value:
            yield from _tensors(child)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def responsible(modules: frozenset[str], caller: str) -> str:
    """The deepest module that holds all code which computed a tensor, looking no further from `caller` than needed.

    `modules` are those whose code had a part; of them count the ones inside `caller` or, where there are none, inside
    the nearest module around it: a rotary table from the model's very beginning is not to blame for all of attention.
    """
    around = caller
    while True:
        within = [name for name in modules if around in ("", name) or name.startswith(around + ".")]
        if within or not around:
            break
        around = around.rpartition(".")[0]
    if not within:
        return caller
    shared = within[0].split(".")
    for name in within[1:]:
        pairs = zip(shared, name.split("."), strict=False)
        shared = shared[: next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), len(name.split(".")))]
    return ".".join(shared)
