"""Driving the app: keys pressed, and everything waited for that they set going."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Static

from tui.app import ProbeApp
from tui.modules import ModuleList

KEYS: set[str] = set()
"""All that were pressed in this process."""


@asynccontextmanager
async def running(app: ProbeApp, size: tuple[int, int] = (120, 36)) -> AsyncIterator[Pilot[Any]]:
    app.animation_level = "none"  # each is waited for
    async with app.run_test(size=size) as pilot:
        await press(pilot)
        yield pilot


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """One key after the other; then everything that they set going is waited for."""
    KEYS.update(keys)
    await pilot.press(*keys)
    for _ in range(2):
        await pilot.pause()
        await _idle(pilot.app)
    await pilot.pause()


async def _idle(app: Any) -> None:
    """A worker that waits for a screen's answer waits for a key of ours."""
    busy = [worker for worker in app.workers if worker.name != "action_row"]
    if busy:
        await app.workers.wait_for_complete(busy)


def module(app: ProbeApp) -> str:
    """Under the cursor."""
    current = app.query_one(ModuleList).current
    assert current is not None
    return current.module


async def content(pilot: Pilot[Any]) -> str:
    """The text of the tab on the right."""
    await press(pilot)
    return text_of(pilot.app.query_one("#content", Static).content)


def status(app: ProbeApp) -> str:
    return str(app.query_one("#status", Static).content)


def text_of(renderable: Any) -> str:
    console = Console(width=90, record=True, file=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()
