"""Attention of a module on both sides: which keys a query sees, and how much of each it takes."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probe.align.attending import Attention, calls, values
from probe.align.attending import attention as attention_of
from probe.align.heads import arranged, num_heads, of_head
from probe.align.mapping import Numbers
from probe.align.opened import opened
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.errors import ProbeError
from probe.render.plots import style
from probe.render.plots.maps import draw_mask, draw_signed, draw_sizes
from probe.render.plots.rounding import gathered
from probe.render.plots.sides import check_step
from probe.render.plots.style import styled
from probe.views import Grid, apart, visible
from probe.words import number

LEFT, SIZE, GAP, ROW_GAP = 0.65, 2.2, 0.25, 0.52
"""Inches: left of the first panel, of a panel's side, and between two, across and down."""
LEAST = 1e-4
"""Probabilities below are drawn as this; 0 is paper."""
SIDES = ("reference", "candidate", "candidate - reference")


@dataclass(frozen=True, slots=True)
class Seen:
    """One head in one sentence, queries by keys; None where it is not known."""

    mask: NDArray[np.bool_] | None
    probabilities: Grid | None
    is_made: bool


@styled
def attention(
    reference: Dump | Path | str,
    candidate: Dump | Path | str,
    module: str,
    head: int = 0,
    *,
    table: Path | str | None = None,
    step: int = 0,
) -> Figure:
    """Mask and probabilities of `head`, of the sentence in which they differ most; `module` is the one that computes
    attention, or its `@attention`.

    What a fused kernel does not show is made of its query, key, scale, softcap and masks. ProbeError where no attention
    was recorded there, there is no such head, or its values were not kept.
    """
    with opened(reference, candidate, table) as files:
        check_step(files, step)
        found = calls(files, step, module)
        if not found:
            inner = {tap.owner for tap in files.dumps[0].taps if tap.step == step and tap.module_class == "attention"}
            known = [style.shown(one) for one in sorted(inner) if one.startswith(module) or not module] or sorted(inner)
            hint = (
                f"name a module that computes it: {', '.join(known[:3])}"
                if known
                else "record it: --functional attention"
            )
            raise ProbeError(f"no attention was recorded of {module!r} in step {step}", hint=hint)
        given = [arranged(one, files.num_sentences(step)) for one in values(files, step, found[0])]
        kept = kept_tokens(files.dumps[0], step)
        about = style.about(files.dumps[0].path, files.dumps[1].path)
        rounding = gathered(None, files.dumps).size
    count = max(map(num_heads, given))
    if not 0 <= head < count:
        raise ProbeError(f"there is no head {head}", hint=f"heads are 0 to {count - 1}")
    ours, theirs = (_unpadded(attention_of(of_head(one, head)), kept) for one in given)
    sentence = _sentence(ours, theirs)
    sides = [_seen(one, sentence) for one in (ours, theirs)]
    if all(one.probabilities is None and one.mask is None for one in sides):
        raise ProbeError(
            f"neither a mask nor what makes probabilities was recorded of {module!r}",
            hint="record both with --functional attention",
        )
    return _drawn(module, sides, head, sentence, len(found), about, rounding)


def _drawn(
    module: str, sides: list[Seen], head: int, sentence: int, num_calls: int, about: str, rounding: float
) -> Figure:
    masks, grids = ([getattr(one, name) for one in sides] for name in ("mask", "probabilities"))
    rows = 2 if any(mask is not None for mask in masks) else 1
    notes = _notes(sides, num_calls)
    below = 1.2 + style.LINE * len(notes)
    figure = style.figure(below + rows * (SIZE + ROW_GAP) + 0.5)
    style.heading(figure, f"Attention of {style.shown(module, 56)}, head {head}", f"{about}; sentence {sentence}")
    if rows == 2:
        _draw_row(figure, below + SIZE + ROW_GAP, "mask", masks, 1.0)
    difference = _difference(*grids)
    most = 0.0 if difference is None else max(_most(difference), rounding)
    _draw_row(figure, below, "probabilities", grids, most)
    for axes in figure.axes[-3:]:
        axes.set_xlabel("key")
    _draw_scales(figure, below - 0.62, most)
    style.caption(figure, "\n".join(notes))
    return figure


def _draw_row(figure: Figure, bottom: float, what: str, sides: list[Numbers | None], most: float) -> None:
    """Reference, candidate, and their difference; `most` is the end of its colours."""
    difference = _difference(*sides)
    for column, grid in enumerate((*sides, difference)):
        axes = style.panel(figure, LEFT + column * (SIZE + GAP), bottom, SIZE, SIZE)
        axes.set_title(_title(what, column, grid), loc="left", size=style.SMALL)
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel("query")
        if grid is None:
            axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center", color=style.MUTED)
            axes.set(xticks=[], yticks=[])
        elif what == "mask" and column < 2:
            draw_mask(axes, visible(grid))
        elif column == 2:
            draw_signed(axes, grid, most)
        else:
            draw_sizes(axes, grid.astype(np.float64), LEAST, 1.0)


def _title(what: str, column: int, grid: Numbers | None) -> str:
    if column < 2:
        return f"{what}: {SIDES[column]}"
    if grid is None:
        return SIDES[2]
    if what == "mask":
        return f"{int((grid != 0).sum()):,} of {grid.size:,} places differ"
    return f"{SIDES[2]}: {number(float(np.abs(grid).max(initial=0.0)))} at most"


def _draw_scales(figure: Figure, bottom: float, most: float) -> None:
    """One bar under the two sides, one under their difference."""
    axes = style.panel(figure, LEFT, bottom, 2 * SIZE + GAP - 0.4, 0.1)
    bar = figure.colorbar(
        ScalarMappable(LogNorm(LEAST, 1.0), colormaps[style.SEQUENCE]), cax=axes, orientation="horizontal"
    )
    bar.set_ticks([10.0**exponent for exponent in range(-4, 1)], labels=["<1e-4", "1e-3", "1e-2", "1e-1", "1"])
    bar.ax.minorticks_off()
    axes.set_xlabel("probability (white: 0)", labelpad=1)
    if most:
        axes = style.panel(figure, LEFT + 2 * (SIZE + GAP) + 0.2, bottom, SIZE - 0.4, 0.1)
        shades = ScalarMappable(Normalize(-most, most), colormaps[style.SIGNED])
        bar = figure.colorbar(shades, cax=axes, orientation="horizontal")
        bar.set_ticks([-most, 0.0, most], labels=[number(-most), "0", number(most)])
        axes.set_xlabel(SIDES[2], labelpad=1)


def _difference(ours: Numbers | None, theirs: Numbers | None) -> Grid | None:
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return None
    return apart(ours, theirs)


def _most(grid: Grid) -> float:
    """The largest of finite differences."""
    return float(np.abs(grid[np.isfinite(grid)]).max(initial=0.0))


def _unpadded(one: Attention, kept: NDArray[np.bool_] | None) -> Attention:
    """NaN for queries that are padding: what they see is nobody's."""
    grid = one.probabilities
    if grid is None or kept is None or grid.ndim != 4 or (grid.shape[0], grid.shape[2]) != kept.shape:
        return one
    return replace(one, probabilities=np.where(kept[:, None, :, None], grid, np.nan))


def _sentence(ours: Attention, theirs: Attention) -> int:
    """In which probabilities, or else masks, differ most."""
    for grids in (
        (ours.probabilities, theirs.probabilities),
        (ours.masks[:1] or (None,)) + (theirs.masks[:1] or (None,)),
    ):
        r, c = grids
        if r is not None and c is not None and r.shape == c.shape and r.ndim == 4 and r.size:
            distance = np.abs(apart(r, c)).max(axis=(1, 2, 3))
            return int(np.nan_to_num(distance, nan=np.inf).argmax())
    return 0


def _seen(one: Attention, sentence: int) -> Seen:
    grid = one.probabilities
    masks = [visible(_slice(mask, sentence)) for mask in one.masks]
    mask = np.logical_and.reduce(np.broadcast_arrays(*masks)) if masks else None
    chosen = None if grid is None else _slice(grid, sentence)
    if mask is not None and chosen is not None and mask.shape != chosen.shape:
        mask = np.broadcast_to(mask, chosen.shape)
    return Seen(None if mask is None else np.atleast_2d(mask), chosen, one.is_made)


def _slice(numbers: Numbers, sentence: int) -> Numbers:
    """[T, S] of [B, 1, T, S], [1, T, S] or [T, S]; one sentence stands for all."""
    if numbers.ndim > 3:
        numbers = numbers[min(sentence, len(numbers) - 1)]
    return numbers[0] if numbers.ndim > 2 else numbers


def _notes(sides: list[Seen], num_calls: int) -> list[str]:
    notes = []
    if any(one.mask is not None for one in sides):
        notes.append(
            "mask: filled where a query sees a key; purple: the candidate alone does, orange: the reference alone"
        )
    made = [name for name, one in zip(SIDES, sides, strict=False) if one.is_made and one.probabilities is not None]
    if made:
        whose = " and ".join(made)
        notes.append(f"probabilities of the {whose}: made of query, key, scale and mask, since none were recorded")
    if num_calls > 1:
        notes.append(f"the first of {num_calls} calls: name another by its own tap's module")
    if any(one.probabilities is not None and np.isnan(one.probabilities).any() for one in sides):
        notes.append("grey: queries that are padding, or NaN")
    return notes
