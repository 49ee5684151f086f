"""What `tokens` draws, as arrays: of each layer the error of each token, and the token at which it begins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.align.mapping import Pair
from probe.align.opened import Opened
from probe.dump.unpadded import kept_tokens
from probe.errors import NotKept
from probe.render.plots.rounding import Gathered, gathered
from probe.report import Report
from probe.tap import template
from probe.views import Grid, axes, onset, token_errors


@dataclass(frozen=True, slots=True)
class Layers:
    """L layers by T tokens; of several sentences the largest error at each."""

    names: tuple[str, ...]
    taps: tuple[str, ...]
    """What of each layer is compared."""
    errors: Grid
    """[L, T]."""
    absent: NDArray[np.bool_]
    """[T]: padding in all sentences."""
    begins: tuple[int | None, ...]
    """Of each layer the token from which its error stands out of the floor."""
    gathered: Gathered
    num_sentences: int


def layers(files: Opened, step: int, report: Report | None = None) -> Layers | None:
    """None where no layer's tokens can be told; NotKept where no values were kept.

    With a report, errors begin where it says that the two diverge, and stand out of what was gathered before; without,
    they stand out of what their dtype may gather over a whole model.
    """
    num_tokens = files.num_tokens(step)
    kept = kept_tokens(files.dumps[0], step)
    named: dict[str, tuple[str, Grid]] = {}
    num_sentences = 1
    left_out: NotKept | None = None
    for block, pair in _last_of_each(files, step, num_tokens).items():
        try:
            r, c = files.tap(step, pair.reference.name).read()
        except NotKept as error:
            left_out = error
            continue
        assert c is not None
        errors = token_errors(r, c, axes(r.shape, num_tokens).tokens)
        if kept is not None and kept.shape == errors.shape:
            errors = np.where(kept, errors, 0.0)
        num_sentences = max(num_sentences, len(errors))
        named[block] = pair.reference.name, errors.max(axis=0)
    if not named:
        if left_out is not None:
            raise left_out
        return None
    grid = np.stack([errors for _, errors in named.values()])
    taps = tuple(tap for tap, _ in named.values())
    absent = np.zeros(grid.shape[1], np.bool_)
    if kept is not None and kept.shape[1] == grid.shape[1]:
        absent = np.logical_not(kept.any(axis=0))
    start = _first_row(report, taps)
    before = gathered(report, files.dumps)
    begins = tuple(onset(errors[:, None], before.size) if row >= start else None for row, errors in enumerate(grid))
    return Layers(tuple(named), taps, grid, absent, begins, before, num_sentences)


def _first_row(report: Report | None, taps: Sequence[str]) -> int:
    """The first of these taps that is not before the report's first divergence."""
    if report is None:
        return 0
    if report.first is None:
        return len(taps)
    order = {row.reference: at for at, row in reversed(list(enumerate(report.taps)))}
    first = order.get(report.first.tap, 0)
    return next((at for at, tap in enumerate(taps) if order.get(tap, -1) >= first), len(taps))


def _last_of_each(files: Opened, step: int, num_tokens: int) -> dict[str, Pair]:
    """By layer, and by module of what is in no layer: the last result that has an axis of tokens. What other ones lie
    inside has nothing that they have not."""
    found: dict[str, Pair] = {}
    for pair in files.mapping.pairs if files.mapping else ():
        tap = pair.reference
        is_result = not tap.is_input and tap.step == step and "float" in tap.dtype and len(tap.shape) in (2, 3)
        if is_result and pair.firm and tap.shape[axes(tap.shape, num_tokens).tokens] == num_tokens:
            found[_block(tap.module)] = pair
    whole = {
        block for block in found if any(other.startswith(f"{block}.") or not block for other in found if other != block)
    }
    return {block: pair for block, pair in found.items() if block not in whole}


def _block(module: str) -> str:
    """`model.layers.3` of `model.layers.3.mlp`; what lies in no layer is its own block."""
    parts = module.split(".")
    inside = (end for end in range(1, len(parts) + 1) if template(".".join(parts[:end]))[1])
    return ".".join(parts[: next(inside, len(parts))])
