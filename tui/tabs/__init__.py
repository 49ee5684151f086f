"""The tabs, from the left. A new one is a function in a file of its own, and a line here."""

from tui.scene import Tab
from tui.tabs.finding import finding
from tui.tabs.mapping import mapping
from tui.tabs.numbers import numbers

TABS = (
    Tab("finding", "Finding", finding, needs_pair=True),
    Tab("numbers", "Numbers", numbers),
    Tab("mapping", "Mapping", mapping, needs_pair=True),
)
