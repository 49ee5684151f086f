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
        if core.mix is None or core.values is None:
            continue
        key, query, value = core.key.position, core.query.position, core.values.position
        stored = {core.product: _halved(key), core.mix: _halved(value)}
        yield _of(
            core, "precision.storage", "keys and values are kept in float16, as ggml's fused attention does", stored
        )
        if core.mix.name in MATMULS and value == 1:
            summed = {core.product: _halved(query, key), core.mix: _one_by_one}
            what = "attention adds up its values in float16, as ggml's fused attention does for few tokens"
            yield _of(core, "precision.accumulate", what, summed)


def _of(core: Core, cause: str, what: str, edits: dict[Call, Edit]) -> Hypothesis:
    return Hypothesis(
        cause,
        lambda _: Plan(edits),
        lambda _: f"harmless: {what}",
        ("float16",),
        reference_value="float32",
        module=core.module,
    )


def _half(x: torch.Tensor) -> torch.Tensor:
    with torch._C.DisableTorchFunction():  # a replay in float64 rounds nothing by itself
        return x.float().half().to(x.dtype)


def _halved(*positions: int) -> Edit:
    """The call with these arguments rounded to float16."""

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*(_half(one) if at in positions else one for at, one in enumerate(args)), **kwargs)

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
