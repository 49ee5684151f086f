"""A number on its colour: brightness rises with the error, so that a screen without colour keeps the order."""

from functools import lru_cache

from rich.style import Style
from textual.color import Color, Gradient

STOPS = ("#000004", "#420a68", "#932667", "#dd513a", "#fca50a", "#fcffa4")
"""Of matplotlib's inferno."""
STEPS = 64
HEAT = Gradient.from_colors(*STOPS, quality=STEPS)


@lru_cache(maxsize=2 * STEPS)
def _style(step: int) -> Style:
    paper = HEAT.get_color(step / STEPS).rich_color
    ink = Color.from_rich_color(paper).get_contrast_text(1.0).rich_color
    return Style(color=ink, bgcolor=paper)


def style(heat: float) -> Style:
    """Of a cell; `heat` from 0 (black) to 1 (pale yellow)."""
    return _style(round(heat * STEPS))


@lru_cache(maxsize=STEPS + 1)
def _colour(step: int) -> str:
    return HEAT.get_color(step / STEPS).hex6


def colour(heat: float) -> str:
    """As `#rrggbb`."""
    return _colour(round(heat * STEPS))
