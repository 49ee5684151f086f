"""The tabs, from the left. A new one is a function in a file of its own, and a line here."""

from tui.scene import Tab
from tui.tabs import attention, finding, heatmap, histogram, inputs, mapping, numbers

TABS = (
    Tab("finding", "Finding", finding.show, needs_pair=True),
    Tab("numbers", "Numbers", numbers.show),
    Tab("histogram", "Histogram", histogram.show),
    Tab("heatmap", "Map", heatmap.show),
    Tab("attention", "Attention", attention.show),
    Tab("inputs", "Inputs", inputs.show, needs_pair=True),
    Tab("mapping", "Mapping", mapping.show, needs_pair=True),
)
