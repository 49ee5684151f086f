"""Where the error lies: tokens by channels and tokens by heads; and where along the tokens it begins."""

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from probe.views import Grid, axes, difference_grid, onset
from probe.words import number
from tui.charts import log_grid, shaded
from tui.reading import Files
from tui.scene import NOTHING, Scene, both_of

LOWEST, HIGHEST = -7.0, 0.0
"""log10 of the error over the size of the whole tensor: the same ends for every tap."""
ROWS = 24
"""Lines of a map at most."""


def show(scene: Scene, files: Files, width: int) -> RenderableType:
    both = both_of(scene, files)
    if both is None:
        return NOTHING
    r, c = both.read()
    if c is None:
        r, c, what = np.zeros_like(r, np.float64), r, "size"
    else:
        what = "error"
    if r.ndim < 2 or r.size == 0:
        return Text(f"a map has two axes; this tap has the shape {list(r.shape)}", style="dim")
    along = axes(r.shape, files.opened().num_tokens(scene.step))
    grid = difference_grid(r, c, along.tokens, along.channels)
    parts = [_begins(grid, scene, what), *_map(grid, what, "channels", width)]
    if along.heads is not None:
        parts += [Text(), *_map(difference_grid(r, c, along.tokens, along.heads), what, "heads", width)]
    return Group(*parts)


def _begins(grid: Grid, scene: Scene, what: str) -> Text:
    if what != "error":
        return Text("the size of what was recorded", style="dim")
    row = scene.row
    floor = row.floor if row is not None and row.floor else 10.0**LOWEST
    first = onset(grid, floor)
    if first is None:
        return Text("no cell stands out of the floor", style="dim")
    rows = grid.max(axis=1)
    if first == 0:
        return Text(f"the error is there from the first token on: {number(float(rows[0]))} in it", style="bold")
    before, since = number(float(rows[:first].max())), number(float(rows[first:].max()))
    return Text(f"the error begins at token {first}: {before} at most before it, {since} from there on", style="bold")


def _map(grid: Grid, what: str, columns: str, width: int) -> list[RenderableType]:
    num_rows, num_columns = min(len(grid), ROWS), min(grid.shape[1], width - 7)
    per = "" if num_columns == grid.shape[1] else f", the largest of {grid.shape[1] / num_columns:.2g} each"
    title = f"{what} by tokens (down) and {grid.shape[1]} {columns} (across{per})"
    lowest, highest = (LOWEST, HIGHEST) if what == "error" else (-4.0, 2.0)
    lines: list[RenderableType] = [Text(title, style="dim")]
    shown = shaded(log_grid(grid, 10.0**lowest), ROWS, num_columns, lowest, highest)
    for index, line in enumerate(shown):
        row = Text(f"{index * len(grid) // num_rows:5d} ", style="dim", no_wrap=True)
        lines.append(row.append_text(line))
    lines.append(Text(f"      dark 1e{lowest:.0f} or less, bright 1e{highest:+.0f} or more", style="dim"))
    return lines
