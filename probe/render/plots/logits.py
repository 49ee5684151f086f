"""The words that come next, by both sides: the ten that each holds most likely, with what the other says of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from probe.align.mapping import Numbers
from probe.align.opened import Opened, opened
from probe.align.output import is_logits, output_pair
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.errors import ProbeError
from probe.render.plots import style
from probe.render.plots.sides import check_step, sides
from probe.render.plots.style import styled
from probe.views import Grid, probabilities
from probe.words import number

TOP = 10
LEFT, WIDE, GAP, ROW = 0.8, 2.2, 1.7, 0.2
"""Inches: left of the first panel, its width, between the two, and of a word."""


@dataclass(frozen=True, slots=True)
class Next:
    """Of one token of one sentence. V words."""

    tap: str
    token: int
    reference: Grid
    """[V] logits."""
    candidate: Grid


@styled
def logits(
    reference: Dump | Path | str,
    candidate: Dump | Path | str,
    token: int = -1,
    *,
    table: Path | str | None = None,
    step: int = 0,
) -> Figure:
    """Logits after `token` of the first sentence, -1 being its last that is no padding, and their probabilities.

    Words are their ids: a dump holds no text. ProbeError where the model does not return logits, there is no such
    token, or values were not kept.
    """
    with opened(reference, candidate, table) as files:
        check_step(files, step)
        found = _next(files, step, token)
        about = style.about(files.dumps[0].path, files.dumps[1].path)
    r, c = found.reference, found.candidate
    figure = style.figure(TOP * ROW + 1.75)
    shared = len(set(_top(r)) & set(_top(c)))
    style.heading(figure, _title(found), f"{about}; {shared} of the top {len(_top(r))} shared")
    for column, (side, name) in enumerate(((r, "reference"), (c, "candidate"))):
        axes = style.panel(figure, LEFT + column * (WIDE + GAP), 0.85, WIDE, TOP * ROW)
        _draw(axes, _top(side), r, c)
        axes.set_title(f"the {name}'s top {len(_top(side))}", loc="left")
    handles = [
        Line2D([], [], color=style.REFERENCE, marker="o", linestyle="", label="reference"),
        Line2D([], [], color=style.CANDIDATE, marker="D", linestyle="", markersize=5, label="candidate"),
    ]
    style.legend(figure, handles, 0.28)
    num_lost = int((~np.isfinite(r)).sum() + (~np.isfinite(c)).sum())
    lost = f"; {num_lost:,} logits of both sides are NaN or infinite" if num_lost else ""
    told = f"of {len(r):,} words; beside each its probability{lost}"
    style.caption(figure, f"{style.shown(found.tap)}: {told}")
    return figure


def _title(found: Next) -> str:
    ours, theirs = _top(found.reference)[:1], _top(found.candidate)[:1]
    if ours == theirs:
        return f"After token {found.token} both put " + (f"id {ours[0]} first" if ours else "nothing first: all is NaN")
    first, second = (f"id {one[0]}" if one else "nothing" for one in (ours, theirs))
    return f"After token {found.token} the reference puts {first} first, the candidate {second}"


def _next(files: Opened, step: int, token: int) -> Next:
    assert files.mapping is not None
    pair = output_pair([one for one in files.mapping.shown if one.reference.step == step])
    if pair is None or not is_logits(pair, files.dumps[0]):
        what = (
            f"{pair.reference.name!r} {list(pair.reference.shape)} is no logits" if pair else "it returns nothing alike"
        )
        raise ProbeError(
            f"the model's output is not logits in step {step}: {what}",
            hint="'probe plot --kind histogram --tap NAME' draws any tap",
        )
    both = sides(files, step, pair.reference.name)
    sentences = [
        side.reshape(-1, *side.shape[-2:]) if side.ndim > 1 else side[None, None]
        for side in (both.reference, both.candidate)
    ]
    kept = kept_tokens(files.dumps[0], step)
    num_tokens = sentences[0].shape[1]
    tokens = np.flatnonzero(kept[0]) if kept is not None and kept.shape[1] == num_tokens else np.arange(num_tokens)
    if not -len(tokens) <= token < len(tokens):
        raise ProbeError(f"there is no token {token}", hint=f"the first sentence has tokens 0 to {len(tokens) - 1}")
    at = int(tokens[token])
    r, c = (side[0, at].astype(np.float64) for side in sentences)
    return Next(pair.reference.name, at, r, c)


def _top(side: Numbers) -> list[int]:
    """Ids, the likeliest first; of equal ones the lower first. NaN is no word."""
    order = np.argsort(-side, kind="stable")
    return [int(word) for word in order[:TOP] if not np.isnan(side[word])]


def _draw(axes: Axes, words: list[int], r: Grid, c: Grid) -> None:
    """A row a word, from the likeliest down."""
    chances = probabilities(r), probabilities(c)
    rows = np.arange(len(words))
    ours, theirs = r[words], c[words]
    axes.hlines(rows, ours, theirs, color=style.MUTED, linewidth=1.0, zorder=1)
    axes.plot(ours, rows, "o", color=style.REFERENCE, markersize=6)
    axes.plot(theirs, rows, "D", color=style.CANDIDATE, markersize=4.5)
    axes.set_ylim(TOP - 0.5, -0.5)
    axes.set_yticks(rows, labels=[f"id {word}" for word in words])
    axes.set_xlabel("logit")
    axes.margins(x=0.08)
    columns = (("ref.", chances[0], r, 4), ("cand.", chances[1], c, 42))
    for name, chance, side, across in columns:
        told = [f"{chance[word]:.1%}" if np.isfinite(side[word]) else number(float(side[word])) for word in words]
        for row, text in zip([-0.95, *rows], [name, *told], strict=True):
            axes.annotate(
                text, (1, row), (across, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                va="center", size=style.SMALL, color=style.MUTED if text == name else style.INK, annotation_clip=False,
            )  # fmt: skip
