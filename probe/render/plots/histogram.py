"""The numbers of one tap on both sides, over the same bins, and their difference."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from probe.align.opened import opened
from probe.dump import Dump
from probe.errors import ProbeError
from probe.render.plots import style
from probe.render.plots.sides import sides
from probe.render.plots.style import styled
from probe.report import Report
from probe.views import Grid, apart
from probe.views import histogram as binned

BINS = 120
LEFT, WIDE, TALL, LOW = 0.75, 7.0, 2.2, 1.3
"""Inches."""


@styled
def histogram(
    reference: Dump | Path | str,
    candidate: Dump | Path | str,
    tap: str,
    *,
    table: Path | str | None = None,
    step: int = 0,
    report: Report | None = None,
) -> Figure:
    """Counts are logarithmic: a tail of a few elements is seen beside a million. NaN and infinities are counted below.

    Complex numbers are drawn by their absolute value. ProbeError where there is no such pair, its values were not kept,
    or it has no elements.
    """
    with opened(reference, candidate, table) as files:
        both = sides(files, step, tap, report)
        about = style.about(files.dumps[0].path, files.dumps[1].path)
    r, c = both.reference, both.candidate
    if not r.size:
        raise ProbeError(f"{tap} has no elements", hint="name another tap")
    over = binned(r, c, BINS)
    distance = apart(r, c)
    difference = binned(distance, None, BINS)
    assert over.candidate is not None
    figure = style.figure(LOW + TALL + 2.2)
    style.heading(figure, f"Values of {style.shown(both.tap, 68)}", about)
    axes = style.panel(figure, LEFT, LOW + 1.45, WIDE, TALL)
    _steps(axes, over.edges, over.reference, style.REFERENCE, "-")
    _steps(axes, over.edges, over.candidate, style.CANDIDATE, "--")
    below = style.panel(figure, LEFT, 0.8, WIDE, LOW)
    _steps(below, difference.edges, difference.reference, style.DIFFERENCE, "-", filled=True)
    _count_elements(axes, over.reference, over.candidate)
    _count_elements(below, difference.reference)
    finite = r[np.isfinite(r)] if r.dtype.kind in "fc" else r
    floor = both.floor * float(np.sqrt(np.mean(np.abs(finite).astype(np.float64) ** 2))) if finite.size else 0.0
    below.axvspan(-floor, floor, color=style.FAINT, zorder=0.5)
    axes.set_xlabel("value")
    below.set_xlabel("candidate - reference")
    handles = [
        Line2D([], [], color=style.REFERENCE, label="reference"),
        Line2D([], [], color=style.CANDIDATE, linestyle="--", label=f"candidate: {style.shown(both.other, 60)}"),
    ]
    style.legend(figure, handles, LOW + TALL + 1.5)
    told = [f"{r.size:,} elements in {BINS} bins", f"{int((distance == 0).sum()):,} the same on both sides"]
    if over.num_nonfinite:
        told.append(f"{over.num_nonfinite:,} NaN or infinite ones of both sides are in no bin")
    style.caption(figure, "; ".join(told) + f"\ngrey: the floor, {floor:.1e}, {both.floor_is}")
    return figure


def _steps(axes: Axes, edges: Grid, counts: NDArray[np.int64], colour: str, line: str, *, filled: bool = False) -> None:
    axes.stairs(counts, edges, color=colour, linestyle=line, linewidth=1.2, fill=filled, alpha=0.8 if filled else 1.0)


def _count_elements(axes: Axes, *counts: NDArray[np.int64]) -> None:
    """A logarithmic axis that begins below one."""
    most = max(int(one.max(initial=1)) for one in counts)
    decades = [10**decade for decade in range(len(str(most)))]
    axes.set_ylim(0.6, 2 * max(most, 1))
    axes.set_yscale("log")
    axes.set_yticks(decades, labels=[f"{decade:,}" for decade in decades])
    axes.minorticks_off()
    axes.set_ylabel("elements")
