"""Attention as ggml's fused kernel on a processor computes it: harmless, and known nearly to the last bit.

It keeps keys and values in float16. Of 64 tokens and more it multiplies and adds in float32; of fewer it rounds queries
too, and adds up the values of one key after the other in float16, each time scaled to the largest score so far
(Milakov and Gimelshein 2018). T tokens ask, S are asked.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from probe.diagnose.case import Case
from probe.diagnose.core import Core, cores
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.replay.program import Call, Edit

MATMULS = ("matmul", "bmm", "__matmul__")
"""Products of probabilities (..., T, S) and values (..., S, D), in this order."""
MOST_KEYS = 4096
"""That are gone through one by one."""


def flash_attention(case: Case) -> Iterator[Hypothesis]:
    if case.rounded is not None:
        return
    for core in cores(case.program):
        if core.mix is not None and core.values is not None:
            yield _narrow_cache(core, core.mix, core.values.position)
            if core.mix.name in MATMULS and core.values.position == 1:
                yield _summed(core, core.mix)


def _narrow_cache(core: Core, mix: Call, values: int) -> Hypothesis:
    edits = {core.product: _given(core.key.position, _half), mix: _given(values, _half)}
    return Hypothesis(
        "precision.storage",
        lambda _: Plan(edits),
        lambda _: "harmless: keys and values are kept in float16, as ggml's fused attention keeps them",
        ("float16",),
        reference_value="float32",
        module=core.module,
    )


def _summed(core: Core, mix: Call) -> Hypothesis:
    edits = {core.product: _given(core.query.position, _half, also=(core.key.position, _half)), mix: _one_by_one}
    return Hypothesis(
        "precision.accumulate",
        lambda _: Plan(edits),
        lambda _: "harmless: attention adds up its values in float16, as ggml's fused attention does for few tokens",
        ("float16",),
        reference_value="float32",
        module=core.module,
    )


def _half(x: torch.Tensor) -> torch.Tensor:
    with torch._C.DisableTorchFunction():  # a replay in float64 rounds nothing by itself
        return x.float().half().to(x.dtype)


Change = Callable[[torch.Tensor], torch.Tensor]


def _given(position: int, change: Change, also: tuple[int, Change] | None = None) -> Edit:
    """The call with arguments changed."""

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = list(args)
        for place, made in [(position, change), *([also] if also else [])]:
            given[place] = made(given[place])
        return function(*given, **kwargs)

    return edit


def _one_by_one(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    probabilities, values = args[:2]
    if probabilities.shape[-1] > MOST_KEYS:
        return function(*args, **kwargs)
    with torch._C.DisableTorchFunction():
        scores = probabilities.double().log().float()
        largest = torch.full_like(scores[..., :1], -torch.inf)
        total = torch.zeros(*scores.shape[:-1], values.shape[-1])
        for key in range(scores.shape[-1]):
            score, value = scores[..., key : key + 1], _half(values[..., key : key + 1, :]).float()
            seen, grows = score > -torch.inf, score > largest
            total = torch.where(grows, (total * (largest - score).exp().nan_to_num()).half().float(), total)
            largest = torch.maximum(largest, score)
            more = (total + value * (score - largest).exp()).half().float()
            total = torch.where(seen, more, total)
        return (total * largest.exp()).to(values.dtype)
