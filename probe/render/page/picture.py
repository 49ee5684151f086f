"""A picture on the page: a matplotlib Figure as SVG that stands inside HTML beside others of its kind."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

from probe.printable import printable
from probe.render.plots import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, or why it is not there."""

    title: str
    svg: Markup | None = None
    missing: str = ""


def inline(figure: "Figure", prefix: str, label: str) -> Markup:
    """`prefix` keeps its ids apart from those of other pictures; `label` is what a screen reader says."""
    buffer = io.BytesIO()
    save(figure, buffer, "svg")
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        _separate(element, prefix)
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata")]:
            parent.remove(child)
    root.attrib |= {"role": "img", "aria-label": printable(label), "stroke-linejoin": "round", "stroke-linecap": "butt"}
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", LINK)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _separate(element: ElementTree.Element, prefix: str) -> None:
    """Ids of its own; and attributes in place of a style, which the page's policy does not let in."""
    for name, value in _unfolded(element.attrib.pop("style", "")):
        element.set(name, value)
    for name, value in list(element.attrib.items()):
        if name == "id":
            element.set(name, prefix + value)
        elif name.endswith("href") and value.startswith("#"):
            element.set(name, f"#{prefix}{value[1:]}")
        elif value.startswith("url(#"):
            element.set(name, f"url(#{prefix}{value[5:]}")


def _unfolded(style: str) -> list[tuple[str, str]]:
    """`fill: none; stroke: #000000` as attributes: every property that matplotlib writes of shapes is one."""
    pairs = ((name.strip(), value.strip()) for name, _, value in (part.partition(":") for part in style.split(";")))
    return [(name, value) for name, value in pairs if name]
