"""Small HTML for a notebook's cell: paragraphs and tables, with every text escaped and nothing loaded from elsewhere.

Colours are the page's own, or read on light and on dark: a notebook has either.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NewType

from probe.printable import printable

Html = NewType("Html", str)
"""Escaped, and whole: may stand in a page as it is."""
RED, GREEN, AMBER = "#d1423f", "#2f8f4e", "#b87a00"
"""At least 3 : 1 on white and on #111, as is asked of large or bold text."""
_CELL = "padding:1px 10px 1px 0;text-align:{};vertical-align:top;border:0;background:none;white-space:normal"
_NAME = "font-family:monospace;overflow-wrap:anywhere"


def text(words: str) -> Html:
    """On one line, with control characters (line ends, reversed writing) made visible: names are anybody's."""
    return Html(escape(printable(words)))


def strong(words: str, colour: str = "inherit") -> Html:
    return Html(f'<strong style="color:{colour}">{text(words)}</strong>')


def name(words: str) -> Html:
    """As code."""
    return Html(f'<span style="{_NAME}">{_breakable(words)}</span>')


def paragraph(*parts: Html, faint: bool = False, indent: int = 0) -> Html:
    opacity = 0.7 if faint else 1
    return Html(f'<div style="margin:2px 0 2px {indent}em;opacity:{opacity}">{" ".join(parts)}</div>')


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, names: int, marked: int | None = None) -> Html:
    """The first `names` columns hold names, the others numbers; the row `marked` is bold."""
    aligned = ["left" if column < names else "right" for column in range(len(header))]
    head = "".join(
        f'<th style="{_CELL.format(side)};font-weight:normal;white-space:nowrap;opacity:0.7">{text(title)}</th>'
        for side, title in zip(aligned, header, strict=True)
    )
    body = "".join(
        f'<tr style="background:none;font-weight:{"bold" if number == marked else "normal"}">'
        + "".join(
            f'<td style="{_CELL.format(side)};{_NAME}">{_breakable(cell)}</td>'
            if column < names
            else f'<td style="{_CELL.format(side)};white-space:nowrap">{text(cell)}</td>'
            for column, (side, cell) in enumerate(zip(aligned, row, strict=True))
        )
        + "</tr>"
        for number, row in enumerate(rows)
    )
    style = "border-collapse:collapse;margin:6px 0;border:0;color:inherit;font-size:inherit"
    return Html(f'<table style="{style}"><thead><tr style="border:0">{head}</tr></thead><tbody>{body}</tbody></table>')


def block(*parts: Html) -> Html:
    """A cell's whole output."""
    return Html(f'<div style="max-width:70em;line-height:1.4">{"".join(parts)}</div>')


def _breakable(words: str) -> Html:
    """A name, which is broken behind a dot or a colon, and elsewhere if it must be."""
    return Html(text(words).replace(".", ".<wbr>").replace(":", ":<wbr>"))
