"""The page in a real browser, without a window: Debian's Chromium, driven through its own protocol."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from playwright.sync_api import Browser, Page, sync_playwright

from probe.printable import printable
from probe.render.page import Line, Picture, document
from probe.render.page.picture import inline
from probe.render.page.rows import COLUMNS, WORST, rows_of
from probe.render.runs import run_of
from probe.report import Report
from tests.render.page import hostile

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NUM_TAPS = 4_000
TITLES = [column.title for column in COLUMNS]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "tests of the page need a browser: apt install chromium"
    with sync_playwright() as playwright:  # a profile of its own, which goes with it
        opened = playwright.chromium.launch(executable_path=found, chromium_sandbox=os.geteuid() != 0)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report() -> Report:
    """The hostile names at its beginning, and many more taps: three of them above the floor."""
    known = hostile.report(Path("ref.h5"), Path("cand.h5"))
    plain = replace(known.taps[1], ratio=0.5, step=0)
    taps = [
        replace(plain, reference=f"layers.{place}.mlp:out", candidate=f"h.{place}.ffn:out", rel_l2=place * 1e-7)
        for place in range(NUM_TAPS - len(known.taps))
    ]
    taps[123] = replace(taps[123], ratio=7e5, rel_l2=0.4)
    taps[2_000] = replace(taps[2_000], ratio=float("inf"))
    taps[2_001] = replace(taps[2_001], rel_l2=float("nan"))
    return replace(known, taps=(*known.taps, *taps))


@pytest.fixture(scope="module")
def path(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    hostile.write(folder / "ref.h5")
    runs = run_of(folder / "ref.h5"), run_of(folder / "gone.h5")
    title = hostile.NAMES[0]
    figure = Figure()
    figure.subplots().imshow([[0, 1], [1, 0]])
    pictures = [Picture(title, svg=inline(figure, f"{place}-", title)) for place in "ab"]
    written = folder / "report.html"
    written.write_text(document(report, *runs, [*pictures, Picture(title, missing=title)], [Line(title, title)]))
    return written


@dataclass
class Watched:
    """A page, and all that it should not do."""

    page: Page
    told: list[str] = field(default_factory=list)
    """On its console."""
    asked: list[str] = field(default_factory=list)
    """Of a network, or of the disk."""

    def count(self) -> str:
        return self.page.inner_text("#count")

    def column(self, title: str) -> list[str]:
        """What is in sight of it."""
        cells = self.page.locator(f"#window tbody tr:not([aria-hidden]) td:nth-child({TITLES.index(title) + 1})")
        return cells.all_inner_texts()

    def sort(self, title: str) -> str | None:
        """By a click on it; what the column then says."""
        head = self.page.locator("#window th").nth(TITLES.index(title))
        head.get_by_role("button").click()
        return head.get_attribute("aria-sort")


@pytest.fixture
def shown(browser: Browser, path: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """Opened as a file, in a context with the settings of the test's parameter."""
    context = browser.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    watched = Watched(page)
    page.on("console", lambda message: watched.told.append(message.text))
    page.on("pageerror", lambda error: watched.told.append(str(error)))
    page.on("dialog", lambda dialog: watched.told.append(dialog.message))
    page.on("request", lambda asked: watched.asked.append(asked.url))
    page.goto(path.as_uri())
    yield watched
    context.close()
    assert watched.told == []
    assert [url for url in watched.asked if not url.startswith("data:image/png")] == [path.as_uri()]


def test_it_shows_hostile_names_as_they_are_and_does_nothing_else(shown: Watched):
    names = [printable(name) for name in hostile.NAMES]
    assert shown.column("reference")[: len(names)] == names
    page = shown.page
    assert page.locator("img, iframe, object, svg script").count() == 0
    assert page.locator("script").count() == 2
    assert names[0] in page.inner_text("#findings h3")
    assert page.locator("#pictures svg").count() == 2
    assert page.locator("#pictures svg image").first.evaluate("image => image.getBBox().width") > 0
    assert page.evaluate("document.styleSheets[0].cssRules.length > 50")
    for opened in page.locator("summary").all():
        opened.click()


def test_of_many_rows_those_in_sight_are_in_the_document_and_all_can_be_reached(shown: Watched):
    page = shown.page
    assert shown.count() == "4,000 of 4,000 rows"
    assert page.locator("#window tbody tr").count() < 100
    assert page.get_attribute("#window table", "aria-rowcount") == "4001"
    page.focus("#window")
    page.keyboard.press("End")
    page.locator("#window").get_by_text(f"layers.{NUM_TAPS - len(hostile.NAMES) - 1}.mlp:out").wait_for()
    assert page.locator("#window tbody tr[aria-rowindex]").last.get_attribute("aria-rowindex") == "4001"
    page.keyboard.press("Home")
    page.locator("#window").get_by_text("onerror").first.wait_for()


def test_a_title_sorts_downwards_upwards_and_back_to_the_order_of_execution(shown: Watched, report: Report):
    before = shown.column("reference")
    assert shown.sort("ratio") == "descending"
    assert shown.column("ratio")[:4] == ["inf", "700,000", "9,000", "0.5"]
    assert shown.sort("ratio") == "ascending"
    upwards = [float(ratio) for ratio in shown.column("ratio")]
    assert upwards == sorted(upwards)
    assert shown.sort("ratio") == "none"
    assert shown.column("reference") == before
    assert shown.sort("candidate") == "ascending"
    assert [name for name in shown.column("candidate") if name.startswith("h.")][:2] == ["h.0.ffn:out", "h.1.ffn:out"]
    assert shown.sort("error") == "descending"
    assert shown.page.locator("#window th").nth(TITLES.index("candidate")).get_attribute("aria-sort") == "none"
    assert shown.column("error")[:2] == ["5.0e-01", "4.0e-01"]
    assert shown.column("error")[0] == rows_of(report)[0].cells[TITLES.index("error")]


def test_nan_comes_last_both_ways(shown: Watched):
    for _ in range(2):
        shown.sort("error")
        shown.page.focus("#window")
        shown.page.keyboard.press("End")
        shown.page.locator("#window").get_by_text("nan", exact=True).wait_for()
        assert shown.column("error")[-1] == "nan"


def test_every_word_filters_and_only_what_is_above_the_floor_may_be_shown(shown: Watched):
    page = shown.page
    page.fill("#words", "LAYERS.123. out")
    assert shown.count() == "1 of 4,000 rows"
    assert shown.column("candidate") == ["h.123.ffn:out"]
    page.fill("#words", "")
    page.check("#above")
    assert shown.column("ratio") == ["9,000", "700,000", "inf"]
    page.fill("#words", "mlp")
    assert shown.count() == "2 of 4,000 rows"
    assert page.locator("#window tr.above").count() == 2
    page.fill("#words", "nothing is called so")
    assert shown.count() == "0 of 4,000 rows"
    page.keyboard.press("Enter")
    assert page.url.endswith("report.html")


def test_the_keyboard_alone_sorts_and_filters(shown: Watched):
    page = shown.page
    page.focus("#words")
    page.keyboard.type("layers.2000")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert shown.count() == "1 of 4,000 rows"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "window"
    for _ in range(1 + TITLES.index("ratio")):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.ariaSort") == "descending"


@pytest.mark.parametrize("shown", [{"color_scheme": scheme} for scheme in ("light", "dark")], indirect=True)
def test_text_stands_out_in_light_and_in_dark(shown: Watched, request: pytest.FixtureRequest):
    """By at least 4.5 to 1, as WCAG asks."""
    ratios = shown.page.evaluate(CONTRAST, ["body", ".quiet", ".verdict strong", "#window th", "#window tr.above td"])
    assert min(ratios) >= 4.5, ratios
    dark = request.node.callspec.params["shown"]["color_scheme"] == "dark"
    assert shown.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is dark


CONTRAST = """selectors => {
    const parts = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const paper = (element) => {
        const found = parts(getComputedStyle(element).backgroundColor);
        return found.length === 4 && found[3] === 0 ? paper(element.parentElement) : found;
    };
    return selectors.map((selector) => {
        const element = document.querySelector(selector);
        const both = [light(parts(getComputedStyle(element).color)), light(paper(element))].sort((x, y) => y - x);
        return (both[0] + 0.05) / (both[1] + 0.05);
    });
}"""


def test_print_has_the_worst_rows_and_says_how_many_are_left_out(shown: Watched):
    page = shown.page
    assert not page.is_visible("#still")
    page.emulate_media(media="print")
    assert page.is_visible("#still")
    assert not page.is_visible("#live")
    assert page.locator("#still tbody tr").count() == WORST
    assert f"{NUM_TAPS - WORST:,} are left out here" in page.inner_text("#still")
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("shown", [{"java_script_enabled": False}], indirect=True)
def test_without_scripts_there_is_what_is_printed(shown: Watched):
    assert shown.page.is_visible("#still")
    assert not shown.page.is_visible("#live")


@pytest.mark.parametrize("shown", [{"viewport": {"width": 400, "height": 700}}], indirect=True)
def test_a_narrow_page_is_not_wider_than_its_window(shown: Watched):
    assert shown.page.evaluate("document.documentElement.scrollWidth") == 400
