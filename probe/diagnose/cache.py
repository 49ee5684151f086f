"""What a KV cache does wrong: new tokens at other positions, keys and values in a smaller type, and its slots."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from probe.diagnose import cache_slots
from probe.diagnose.axes import Change
from probe.diagnose.case import Case
from probe.diagnose.core import Core, cores, turned
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.operands import Operand
from probe.diagnose.rope_positions import moved
from probe.diagnose.rope_tables import angles
from probe.diagnose.spun import Spun
from probe.diagnose.turns import sides
from probe.replay.program import Edit

DTYPES = ("float8_e4m3fn", "float8_e5m2", "bfloat16", "float16")
"""What caches are stored in to save memory; finest last, since the coarser shows more."""
SHIFTS = tuple(sign * size for size in range(1, 17) for sign in (1, -1))


def _taking_values(values: Operand, change: Change) -> Edit:
    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = list(args)
        given[values.position] = values.axes.changed(given[values.position], change)
        return function(*given, **kwargs)

    return edit


def stored(case: Case) -> Iterator[Hypothesis]:
    """cache.dtype: keys and values rounded to a smaller type, all of them or those from some step on."""
    if case.since is None:
        return
    for core in cores(case.program):
        yield _rounded(core, case.since.begins, case.error.pair.sources[0].tap.dtype)


def _rounded(core: Core, begins: tuple[int, ...], own: str) -> Hypothesis:
    """`own`: what the candidate computes in, and rounds to first."""

    def plan(value: tuple[str, int]) -> Plan:
        dtype, first = value

        def change(states: torch.Tensor) -> torch.Tensor:
            with torch._C.DisableTorchFunction():  # a replay in float64 rounds nothing by itself
                rounded = states.to(getattr(torch, own)).to(getattr(torch, dtype)).to(states.dtype)
                return torch.cat([states[..., :first, :], rounded[..., first:, :]], -2)

        mixed = {} if core.mix is None or core.values is None else {core.mix: _taking_values(core.values, change)}
        return Plan({core.product: turned(core, key=change), **mixed})

    return Hypothesis(
        "cache.dtype",
        plan,
        lambda value: f"cached keys and values are stored in {value[0]}: look at the type that the cache is made in",
        tuple((dtype, first) for dtype in DTYPES for first in begins),
        reference_value="as computed",
        candidate_value=lambda value: value[0],
        module=core.module,
    )


def positions(case: Case) -> Iterator[Hypothesis]:
    """cache.position: of the new tokens, as rotations see them."""
    if case.since is None:
        return
    found = sides(case.program)
    spun: Sequence[Spun] = next(iter(found.values())) if found else angles(case.program)
    if spun:
        yield Hypothesis(
            "cache.position",
            lambda shift: moved(spun, lambda positions: positions + shift),
            lambda shift: (
                f"new tokens are taken to stand {abs(shift)} {'later' if shift > 0 else 'earlier'} than they do: "
                "look at how the length of the cache becomes a position"
            ),
            (*SHIFTS, -case.since.start),
            reference_value=0,
        )


FAMILIES = [*cache_slots.FAMILIES, stored, positions]
