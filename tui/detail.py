"""The right pane: tabs about the tap under the cursor. What they show is made in the thread that reads the files."""

import asyncio
from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static, Tabs
from textual.widgets import Tab as TabTitle

from probe.errors import ProbeError
from probe.printable import printable
from tui.reading import Files
from tui.scene import Scene, Tab

PAUSE = 0.05
"""Seconds that the cursor rests before files are read for it."""
LONG = 0.3
"""Seconds after which a tab says that it is reading."""


class Detail(Vertical):
    """Shows one tab of one scene. A scene that is left before its turn came is never read."""

    def __init__(self, tabs: Sequence[Tab], files: Files, *, id: str) -> None:
        super().__init__(id=id)
        self._tabs = list(tabs)
        self._files = files
        self._scene: Scene | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="tap", markup=False)
        yield Tabs(*(TabTitle(tab.title, id=tab.key) for tab in self._tabs), id="tabs")
        with VerticalScroll(id="content-scroll"):
            yield Static(id="content", markup=False)

    @property
    def tab(self) -> Tab:
        active = self.query_one(Tabs).active
        return next((tab for tab in self._tabs if tab.key == active), self._tabs[0])

    def show(self, scene: Scene) -> None:
        self._scene = scene
        name = scene.entry.tap if scene.entry else scene.node.module
        several = len(scene.node.entries)
        place = (
            f"   {scene.node.entries.index(scene.entry) + 1} of {several} taps" if scene.entry and several > 1 else ""
        )
        self.query_one("#tap", Static).update(Text.assemble((printable(name), "bold"), (place, "dim")))
        self.refill()

    def turn(self, by: int) -> None:
        """To the tab so far to the right."""
        keys = [tab.key for tab in self._tabs]
        self.query_one(Tabs).active = keys[(keys.index(self.tab.key) + by) % len(keys)]

    def on_tabs_tab_activated(self) -> None:
        self.refill()

    def on_resize(self) -> None:
        self.refill()

    def refill(self) -> None:
        if self._scene is not None:
            self._fill(self._scene, self.tab)

    @work(exclusive=True, group="detail", description="a tab")  # else Textual writes the whole report out
    async def _fill(self, scene: Scene, tab: Tab) -> None:
        await asyncio.sleep(PAUSE)
        width = max(self.query_one("#content-scroll").scrollable_content_region.width, 20)
        answer = self._files.ask(lambda files: tab.content(scene, files, width))
        waiting = asyncio.wrap_future(answer)
        try:
            done, _ = await asyncio.wait([waiting], timeout=LONG)
            if not done:
                self._say(Text("reading ...", style="dim"))
            self._say(await waiting)
        except ProbeError as error:
            hint = f"\n{printable(error.hint)}" if error.hint else ""
            self._say(Text(printable(str(error)) + hint, style="yellow"))
        except Exception as error:  # of one tab alone: the others go on
            self._say(Text(printable(f"this tab cannot be shown: {type(error).__name__}: {error}"), style="red"))
        finally:
            waiting.cancel()  # what has not begun is never read

    def _say(self, content: RenderableType) -> None:
        self.query_one("#content", Static).update(content)
        self.query_one("#content-scroll").scroll_home(animate=False)
