"""Looks: one picture of each screen, over dumps that are the same on every machine. Renewed with --snapshot-update."""

from pathlib import Path

import pytest
import textual
from made import report, write
from pressing import press, running
from syrupy.extensions.image import SVGImageSnapshotExtension
from textual.widgets import Input, TextArea

import probe
from tui.app import ProbeApp, Subject
from tui.tabs import TABS

DRAWN_BY = "8.2.8"
REFERENCE, CANDIDATE = Path("reference.h5"), Path("candidate.h5")


@pytest.fixture
def picture(snapshot):
    assert textual.__version__ == DRAWN_BY, "looks move between releases: draw all pictures again with the new one"
    return snapshot.use_extension(SVGImageSnapshotExtension)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Input, "cursor_blink", False, raising=False)
    monkeypatch.setattr(TextArea, "cursor_blink", False, raising=False)
    write(REFERENCE, bugs=False)
    write(CANDIDATE, bugs=True)


@pytest.fixture
def made(folder):
    return ProbeApp(Subject(REFERENCE, CANDIDATE), report(REFERENCE, CANDIDATE))


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.key)
async def test_each_tab(made, picture, tab):
    async with running(made, size=(110, 32)) as pilot:
        await press(pilot, *["right_square_bracket"] * TABS.index(tab))
        assert made.export_screenshot() == picture


async def test_a_narrow_terminal_has_one_pane(made, picture):
    async with running(made, size=(60, 20)) as pilot:
        await press(pilot, "u")
        assert made.export_screenshot() == picture


async def test_without_colour_the_order_is_readable(made, picture, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), report(REFERENCE, CANDIDATE))
    async with running(app, size=(90, 20)) as pilot:
        await press(pilot, "h", "s")
        assert app.export_screenshot() == picture


async def test_a_lone_dump(folder, picture):
    with probe.open(CANDIDATE) as dump:
        app = ProbeApp(Subject(CANDIDATE), None, dump.taps)
    async with running(app, size=(90, 20)) as pilot:
        await press(pilot, "j", "j", "j", "j")
        assert app.export_screenshot() == picture


async def test_a_dump_that_changes_is_a_message(made, picture):
    async with running(made, size=(90, 16)) as pilot:
        CANDIDATE.unlink()
        await press(pilot, "right_square_bracket")
        assert made.export_screenshot() == picture
