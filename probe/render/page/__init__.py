"""A comparison as one HTML file that needs nothing else: no network, and no script or style but its own."""

from probe.render.page.document import Line, document
from probe.render.page.picture import Picture
from probe.render.page.pictures import pictures

__all__ = ["Line", "Picture", "document", "pictures"]
