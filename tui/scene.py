"""What the tabs on the right are about: one tap, the report, and the files that its values are in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from probe.report import Report, TapComparison
from tui.reading import Files
from tui.tree import Entry, Node

if TYPE_CHECKING:
    from probe.align.opened import Both


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the cursor is."""

    node: Node
    entry: Entry | None
    """The tap of the node that is looked at; None of a module without any."""
    report: Report | None
    """None: a lone dump."""
    step: int

    @property
    def row(self) -> TapComparison | None:
        """The entry's figures in the report."""
        if self.report is None or self.entry is None:
            return None
        place = self.entry.tap, self.step
        return next((row for row in self.report.taps if (row.reference, row.step) == place), None)


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab: what it shows of a scene is made in the thread that reads the files."""

    key: str
    title: str
    content: Callable[[Scene, Files, int], RenderableType]
    """Given the columns that there are. ProbeError where there is nothing to show; its text is shown."""
    needs_pair: bool = False
    """Shown of two dumps alone."""


def both_of(scene: Scene, files: Files) -> "Both | None":
    return files.opened().tap(scene.step, scene.entry.tap) if scene.entry is not None else None


NOTHING = Text("no tensor was recorded here: look at a module inside", style="dim")
