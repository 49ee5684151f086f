"""Attention's heads: which key head a query head reads, and the order in which heads are put together."""

from collections.abc import Iterator
from functools import partial

import torch

from probe.diagnose.axes import Axes, Change
from probe.diagnose.case import Case
from probe.diagnose.core import Core, cores, turned
from probe.diagnose.edits import result
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.operands import Operand
from probe.replay.program import Call, Edit

MOST_SAID = 8
"""Heads in a message."""


def kv_repeat(case: Case) -> Iterator[Hypothesis]:
    """attn.kv_repeat: 0 1 0 1 for 0 0 1 1, or the other way round."""
    for core in cores(case.program):
        readers = _readers(core)
        if readers is not None:
            yield _kv_repeat(core, *readers)


def _readers(core: Core) -> tuple[list[int], bool] | None:
    """The first query head that reads the same key head, and whether neighbours share; None where none do."""
    if core.key.axes.heads is None or (core.values is not None and core.values.axes.heads is None):
        return None
    keys = core.of(core.key.value).movedim(core.key.axes.heads, 0)
    count = len(keys)
    first = [next(j for j in range(i + 1) if torch.equal(keys[j], keys[i])) for i in range(count)]
    kinds = sorted(set(first))
    if len(kinds) in (1, count) or count % len(kinds):
        return None
    for shares in (True, False):
        if first == _order(kinds, count, shares):
            return first, shares
    return None


def _order(kinds: list[int], count: int, shares: bool) -> list[int]:
    """Which head each reads: neighbours the same, or in turn."""
    return [kinds[head // (count // len(kinds)) if shares else head % len(kinds)] for head in range(count)]


def _kv_repeat(core: Core, first: list[int], shares: bool) -> Hypothesis:
    kinds = sorted(set(first))
    other = _order(kinds, len(first), not shares)
    names = ("repeated", "tiled") if shares else ("tiled", "repeated")

    def chosen(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.index_select(-3, torch.tensor(other, device=tensor.device))

    edits: dict[Call, Edit] = {core.product: turned(core, key=chosen)}
    if core.mix is not None and core.values is not None:
        edits[core.mix] = _of_operand(core.values, chosen)
    return Hypothesis(
        "attn.kv_repeat",
        lambda _: Plan(edits),
        lambda _: (
            f"query heads read key heads {_said(other, kinds)} where the reference has {_said(first, kinds)}: "
            f"key heads are {names[1]}, not {names[0]} (torch.repeat_interleave repeats, torch.repeat tiles)"
        ),
        reference_value=names[0],
        candidate_value=lambda _: names[1],
        module=core.module,
    )


def _said(readers: list[int], kinds: list[int]) -> str:
    return ", ".join(str(kinds.index(head)) for head in readers[:MOST_SAID])


def _of_operand(operand: Operand, change: Change) -> Edit:
    place, axes = operand.position, operand.axes
    return lambda function, args, kwargs: function(
        *args[:place], axes.changed(args[place], change), *args[place + 1 :], **kwargs
    )


def head_order(case: Case) -> Iterator[Hypothesis]:
    """attn.head_order: of what the heads give, before the last matrix."""
    for core in cores(case.program):
        if core.mix is None or core.mixed is None or core.values is None:
            continue
        if core.mixed.heads is not None and core.values.axes.heads is not None:
            count = core.of(core.values.value).shape[core.values.axes.heads]
            yield _head_order(core, core.mix, core.mixed, count)


def _head_order(core: Core, mix: Call, axes: Axes, count: int) -> Hypothesis:
    orders = _orders(count)
    return Hypothesis(
        "attn.head_order",
        lambda order: Plan({mix: result(lambda mixed: axes.changed(mixed, orders[order]))}),
        lambda order: f"heads are put together in another order than the reference's ({order}): look at how they merge",
        tuple(orders),
        reference_value="as they are",
        module=core.module,
    )


def _orders(count: int) -> dict[str, Change]:
    """Of (..., H, T, D)."""
    orders: dict[str, Change] = {"channels before heads": _channels_first, "backwards": lambda mixed: mixed.flip(-3)}
    for number in range(1, count):
        orders[f"turned by {number}"] = partial(torch.roll, shifts=number, dims=-3)
    for rows in (rows for rows in range(2, count) if count % rows == 0):
        orders[f"in {rows} rows read by columns"] = partial(_regrouped, rows=rows)
    return orders


def _channels_first(mixed_HTD: torch.Tensor) -> torch.Tensor:
    """(T, D, H) taken for (T, H, D)."""
    mixed_THD = mixed_HTD.transpose(-3, -2)
    return mixed_THD.transpose(-2, -1).reshape(mixed_THD.shape).transpose(-3, -2)


def _regrouped(mixed_HTD: torch.Tensor, rows: int) -> torch.Tensor:
    heads, *other = mixed_HTD.shape[-3:]
    grouped = mixed_HTD.reshape(*mixed_HTD.shape[:-3], rows, heads // rows, *other)
    return grouped.transpose(-4, -3).reshape(mixed_HTD.shape)


FAMILIES = [kv_repeat, head_order]
