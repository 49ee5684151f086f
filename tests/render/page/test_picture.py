"""A matplotlib Figure as SVG among others on one page."""

import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from probe.render.page.picture import inline


def drawn() -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", clip_on=True)
    axes.set_title("a title")
    axes.imshow([[0, 1], [1, 0]])
    return figure


def ids(svg: str) -> set[str]:
    return set(re.findall(r' id="([^"]*)"', svg))


def test_ids_of_two_pictures_are_apart_and_every_reference_finds_its_own():
    one, other = (inline(drawn(), prefix, "a picture") for prefix in ("one-", "other-"))
    assert ids(one)
    assert not ids(one) & ids(other)
    for svg, prefix in ((one, "one-"), (other, "other-")):
        named = re.findall(r'(?:href="#|url\(#)([^")]*)', svg)
        assert named
        assert set(named) <= ids(svg)
        assert all(name.startswith(prefix) for name in named)


def test_nothing_in_it_is_a_style_of_the_page_and_what_it_looks_like_is_kept():
    root = ElementTree.fromstring(inline(drawn(), "p-", "a picture"))
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"style", "metadata", "script"}
    assert not any("style" in element.attrib for element in root.iter())
    assert any(element.get("stroke-dasharray") for element in root.iter())
    assert any(element.get("fill", "").startswith("#") for element in root.iter())
    assert any(element.get("clip-path", "").startswith("url(#p-") for element in root.iter())
    assert sum(element.tag.endswith("}image") for element in root.iter()) == 1
    assert root.get("aria-label") == "a picture"


def test_a_label_that_is_markup_is_text():
    hostile = "</svg><script>alert(1)</script>\"'&"
    svg = inline(drawn(), "p-", f"{hostile}\x1b")
    assert "<script" not in svg
    assert "\x1b" not in svg
    assert ElementTree.fromstring(svg).get("aria-label") == f"{hostile}\\x1b"
