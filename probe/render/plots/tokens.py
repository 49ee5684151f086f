"""Error by layer and token: in which layer, and from which token on, the two part."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from probe.align.opened import opened
from probe.dump import Dump
from probe.dump.joined import spans
from probe.errors import ProbeError
from probe.render.plots import style
from probe.render.plots.layers import Layers, layers
from probe.render.plots.maps import draw_error_scale, draw_errors, name_rows
from probe.render.plots.sides import check_step
from probe.render.plots.style import styled
from probe.report import Report

LEFT, WIDE = 2.1, 4.35
"""Inches."""


@styled
def tokens(
    reference: Dump | Path | str,
    candidate: Dump | Path | str,
    *,
    table: Path | str | None = None,
    step: int = 0,
    report: Report | None = None,
) -> Figure:
    """Relative error of each token in each layer's result: ||c - r|| / ||r|| over the token's channels.

    The token from which a layer's error stands out is marked and told: with the report of these dumps, out of what was
    gathered before the first divergence; without, of what the dtype may gather. ProbeError where no values were kept,
    or nothing has an axis of tokens.
    """
    with opened(reference, candidate, table) as files:
        check_step(files, step)
        found = layers(files, step, report)
        if found is None:
            raise ProbeError(
                f"no layer's result has an axis of the {files.num_tokens(step)} tokens of step {step}",
                hint="'probe plot --kind channels --tap NAME' draws any tap of two axes",
            )
        starts = [span.start for span in spans(*files.dumps).get(step, ()) if span.start]
        return _drawn(found, style.about(files.dumps[0].path, files.dumps[1].path), starts)


def _drawn(found: Layers, about: str, starts: list[int]) -> Figure:
    height = min(max(0.17 * len(found.names), 1.6), 6.0)
    notes = _notes(found)
    below = 0.55 + style.LINE * len(notes)
    figure = style.figure(height + below + 0.88)
    style.heading(figure, _title(found), about)
    axes = style.panel(figure, LEFT, below, WIDE, height)
    draw_errors(axes, found.errors, np.broadcast_to(found.absent, found.errors.shape))
    for start in starts[:1]:
        axes.axvline(start - 0.5, color=style.PAPER, linewidth=1.0, linestyle="--")
    rows = name_rows(axes, [style.shown(name, 28) or "the model itself" for name in found.names], height)
    marked = [(row, token) for row in rows if (token := found.begins[row]) is not None]
    axes.plot(
        [token for _, token in marked], [row for row, _ in marked], ">", color=style.PAPER, markeredgecolor=style.INK,
        markersize=6, clip_on=False,
    )  # fmt: skip
    axes.set_xlabel("token" + (f" (decoded from {starts[0]} on)" if starts else ""))
    axes.spines[["left", "bottom"]].set_visible(False)
    for row in rows:
        begins = found.begins[row]
        axes.annotate(
            "-" if begins is None else str(begins), (1, row), (5, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", size=style.SMALL,
        )  # fmt: skip
    axes.annotate(
        "begins\nat token", (1, 1), (5, 5), xycoords="axes fraction", textcoords="offset points", size=style.SMALL,
        color=style.MUTED, va="bottom",
    )  # fmt: skip
    draw_error_scale(figure, 7.2, below, height, found.gathered.size, "error / norm of the token")
    style.caption(figure, "\n".join(notes))
    return figure


def _title(found: Layers) -> str:
    first = next((row for row, token in enumerate(found.begins) if token is not None), None)
    if first is None:
        return "No token's error stands out of rounding"
    name = style.shown(found.names[first], 48) or "the model itself"
    begins = found.begins[first]
    where = "the first token" if begins == 0 else f"token {begins}"
    return f"Errors begin in {name}, from {where} on"


def _notes(found: Layers) -> list[str]:
    told = f"{found.gathered.size:.1e}, {found.gathered.told}"
    notes = [f"a triangle is where the error of a layer's last result begins to stand out of {told}"]
    if found.num_sentences > 1:
        notes.append(f"{found.num_sentences} sentences: the largest error of each token")
    if found.absent.any():
        notes.append("grey: padding")
    if not np.isfinite(found.errors).all():
        notes.append("orange: NaN or infinite on one side alone, or nothing but zeros in the reference")
    return notes
