"""A number's place on the scale of colours, and the colours themselves."""

import math

import pytest

from tui import heat
from tui.depth import columns
from tui.figures import COSINE, ERROR, OF_PAIRS, RATIO
from tui.tree import Entry, build


@pytest.mark.parametrize("figure", OF_PAIRS, ids=lambda figure: figure.key)
def test_the_scale_has_fixed_ends_and_what_is_no_number_is_the_brightest(figure):
    assert figure.heat(0.0) == figure.heat(10.0**figure.lowest) == 0.0
    assert figure.heat(10.0**figure.highest) == figure.heat(1e300) == figure.heat(math.nan) == 1.0
    middle = figure.heat(10.0 ** ((figure.lowest + figure.highest) / 2))
    assert middle == pytest.approx(0.5)


def test_brightness_rises_with_the_number_so_that_a_screen_without_colour_keeps_the_order():
    def brightness(step):
        red, green, blue = heat.HEAT.get_color(step / 20).rgb
        return 0.299 * red + 0.587 * green + 0.114 * blue

    found = [brightness(step) for step in range(21)]
    assert found == sorted(found)
    assert found[0] < 10
    assert found[-1] > 200


def test_ink_is_told_from_its_paper():
    for step in range(11):
        style = heat.style(step / 10)
        ink, paper = (sum(colour.triplet) / 3 for colour in (style.color, style.bgcolor))
        assert abs(ink - paper) > 60


@pytest.mark.parametrize(
    ("figure", "value", "text"),
    [(RATIO, 0.96, "1.0"), (RATIO, 602579.0, "602,579"), (RATIO, 4e12, "4.0e+12"), (ERROR, 2.1e-3, "2.1e-03")],
)
def test_cells_have_the_digits_that_say_something(figure, value, text):
    assert figure.text(value) == text


def test_a_curve_narrower_than_the_run_keeps_its_peaks():
    entries = [
        Entry(f"m{index}:out", f"m{index}", 0, "", (), "float32", {"cosine": 1.0 if index == 37 else 1e-14}, None)
        for index in range(100)
    ]
    nodes = [node for node in build(entries, "").walk() if node.entries]
    found = columns(nodes, COSINE, 10)
    assert len(found) == 10
    assert found.index(1.0) == 3
    assert columns(nodes, COSINE, 1000)[37] == 1.0
