"""Error of one tap by token and channel, and by token and head where it has heads."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from probe.align.opened import opened
from probe.dump import Dump
from probe.errors import ProbeError
from probe.render.plots import style
from probe.render.plots.maps import draw_error_scale, draw_errors
from probe.render.plots.sides import Sides, sides
from probe.render.plots.style import styled
from probe.report import Report
from probe.views import Axes, Grid, axes, difference_grid, onset

LEFT, WIDE, TALL = 0.75, 5.65, 3.2
"""Inches."""
HEADS = 1.6
"""Inches of them, of the whole width."""


@styled
def channels(
    reference: Dump | Path | str,
    candidate: Dump | Path | str,
    tap: str,
    *,
    table: Path | str | None = None,
    step: int = 0,
    report: Report | None = None,
) -> Figure:
    """Root mean square of c - r at each token and channel, over the root mean square of the whole reference tensor.

    Sentences (and heads, or channels) are taken together. With the report of these dumps, its floor is marked.
    ProbeError where there is no such pair, its values were not kept, or it has fewer than two axes.
    """
    with opened(reference, candidate, table) as files:
        both = sides(files, step, tap, report)
        r, c = both.reference, both.candidate
        if r.ndim < 2 or not r.size:
            raise ProbeError(
                f"a map has two axes, and {tap} has the shape {list(r.shape)}",
                hint="'probe plot --kind histogram' draws it",
            )
        along = axes(r.shape, files.num_tokens(step))
        about = style.about(files.dumps[0].path, files.dumps[1].path)
    grid = difference_grid(r, c, along.tokens, along.channels)
    heads = difference_grid(r, c, along.tokens, along.heads) if along.heads is not None else None
    return _drawn(both, grid, heads, along, about)


def _drawn(both: Sides, grid: Grid, heads: Grid | None, along: Axes, about: str) -> Figure:
    note = _note(both, grid, along)
    below = 0.55 + style.LINE * (note.count("\n") + 1)
    figure = style.figure(TALL + 0.7 + below)
    style.heading(figure, f"Error of {style.shown(both.tap, 68)}", about)
    wide = WIDE if heads is None else WIDE - HEADS - 0.3
    panels = [(grid, "channel", 0.0, wide)]
    if heads is not None:
        panels.append((heads, "head", wide + 0.3, HEADS))
    begins = onset(grid, both.gathered.size)
    for cells, across, left, width in panels:
        axes = style.panel(figure, LEFT + left, below, width, TALL)
        draw_errors(axes, cells)
        axes.set_xlabel(across)
        if begins:
            axes.axhline(begins - 0.5, color=style.PAPER, linewidth=1.4)
            axes.axhline(begins - 0.5, color=style.INK, linewidth=0.8, linestyle="--")
        if left:
            axes.set_yticks([])
        else:
            axes.set_ylabel("token" if len(both.reference.shape) > 2 or begins is not None else "row")
    draw_error_scale(figure, 7.2, below, TALL, both.gathered.size, "rms of error / rms of the reference")
    style.caption(figure, note)
    return figure


def _note(both: Sides, grid: Grid, along: Axes) -> str:
    shape = " x ".join(map(str, both.reference.shape))
    told = [f"shape {shape}; floor {both.floor:.1e}, {both.floor_is}"]
    begins = onset(grid, both.gathered.size)
    size = f"{both.gathered.size:.1e}, {both.gathered.told}"
    if begins is None:
        told.append(f"no cell stands out of {size}")
    else:
        where = "the first token" if begins == 0 else f"token {begins}"
        told.append(f"from {where} on the error stands out of {size}")
    if not np.isfinite(grid).all():
        told.append("orange: NaN or infinite on one side alone")
    return "\n".join(told)
