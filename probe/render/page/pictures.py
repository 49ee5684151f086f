"""Which pictures a page has: of the report always, of both dumps' values where there are some, of the first finding."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from probe.align.opened import opened
from probe.dump import Dump
from probe.errors import ProbeError
from probe.render import plots
from probe.render.page.picture import Picture, inline
from probe.render.plots.first import attention_of
from probe.report import Report
from probe.words import neighbourhood

DEPTH = "Error over depth"


def pictures(report: Report, reference: Path, candidate: Path, table: Path | None = None) -> list[Picture]:
    """In the page's order; what cannot be drawn has its reason in its place. `table` as in probe.diff."""
    drawings = _of_values(report)
    try:
        with Dump(reference) as ours, Dump(candidate) as theirs, opened(ours, theirs, table):  # aligned once for all
            first = _drawn(DEPTH, partial(plots.depth, report, ours, theirs, table=table))
            values = [_drawn(title, partial(draw, ours, theirs, table=table)) for title, draw in drawings.items()]
    except ProbeError as error:
        first = _drawn(DEPTH, partial(plots.depth, report))
        values = [Picture(title, missing=str(error)) for title in drawings]
    return [first, *_of_report(report), *values]


def _of_report(report: Report) -> list[Picture]:
    """What needs no values."""
    made = []
    if report.findings:
        made.append(_drawn("Who explains the output's error", partial(plots.ledger, report)))
    if report.weights:
        made.append(_drawn("Weights", partial(plots.weights, report)))
    return made


def _of_values(report: Report) -> dict[str, Callable[..., Figure]]:
    """By their titles: what is drawn of two dumps."""
    drawings: dict[str, Callable[..., Figure]] = {"Tokens by layers": partial(plots.tokens, report=report)}
    around = neighbourhood(report)
    row = report.taps[around[1]] if around else None
    if row is not None and not row.reference.rpartition(":")[2].startswith("grad."):  # pairs of values hold no gradient
        drawings[f"Channels of {row.reference}"] = _at(partial(plots.channels, report=report), row.reference, row.step)
        drawings[f"Values of {row.reference}"] = _at(partial(plots.histogram, report=report), row.reference, row.step)
        if module := attention_of(row.reference, report):
            drawings[f"Attention of {module}"] = _at(plots.attention, module, row.step)
    if report.output is not None and report.output.kl is not None:
        drawings["Logits after the last token"] = plots.logits
    return drawings


def _at(draw: Callable[..., Figure], name: str, step: int) -> Callable[..., Figure]:
    return lambda reference, candidate, **keywords: draw(reference, candidate, name, step=step, **keywords)


def _drawn(title: str, draw: Callable[[], Figure]) -> Picture:
    try:
        return Picture(title, svg=inline(draw(), f"{title.partition(' ')[0].lower()}-", title))
    except ProbeError as error:
        return Picture(title, missing=str(error))
