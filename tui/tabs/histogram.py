"""Histograms of both sides over the same bins, and of their difference."""

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from probe.views import Histogram, apart, histogram
from tui.charts import bars
from tui.reading import Files
from tui.scene import NOTHING, Scene, both_of

HEIGHT = 5
"""Lines of a histogram."""


def show(scene: Scene, files: Files, width: int) -> RenderableType:
    both = both_of(scene, files)
    if both is None:
        return NOTHING
    r, c = both.read()
    if r.size == 0:
        return Text("no elements", style="dim")
    found = histogram(r, c, width - 2)
    parts: list[RenderableType] = _chart("reference" if c is not None else "recorded", found.reference, found, "cyan")
    if c is not None and found.candidate is not None:
        parts += _chart("candidate", found.candidate, found, "magenta")
        difference = histogram(apart(r, c), None, width - 2)
        parts += _chart("candidate - reference", difference.reference, difference, "yellow")
    if found.num_nonfinite:
        parts.append(Text(f"{found.num_nonfinite:,} NaN or infinite elements are in no bin", style="bold red"))
    return Group(*parts)


def _chart(
    title: str, counts: "np.ndarray[tuple[int], np.dtype[np.int64]]", over: Histogram, style: str
) -> list[RenderableType]:
    """Heights are logarithms of the counts: a tail of a few elements is seen beside a million."""
    low, high = f"{over.edges[0]:.4g}", f"{over.edges[-1]:.4g}"
    room = len(counts) - len(low) - len(high)
    legend = f"   heights: log of the counts, at most {int(counts.max()):,} in a bin"
    return [
        Text.assemble((title, f"bold {style}"), (legend, "dim")),
        bars(np.log1p(counts).tolist(), HEIGHT, style),
        Text(low + " " * max(room, 1) + high, style="dim"),
        Text(),
    ]
