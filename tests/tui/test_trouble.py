"""What goes wrong: before the screen is taken as with `probe diff`, and afterwards as a message."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from made import ATTENTION, report, write
from pressing import content as text_of_tab
from pressing import module, press, running, status
from textual.widgets import Input, Static

from probe.errors import ProbeError
from probe.saved_report import read_report, report_of
from tui.app import ProbeApp, Subject
from tui.entries import of_report
from tui.modules import ModuleList
from tui.scene import Tab
from tui.screens.row import RowScreen
from tui.tabs import TABS
from tui.tree import build

REFERENCE, CANDIDATE = Path("reference.h5"), Path("candidate.h5")


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(REFERENCE, bugs=False)
    write(CANDIDATE, bugs=True)
    return report(REFERENCE, CANDIDATE)


@pytest.mark.parametrize("path", [REFERENCE, CANDIDATE])
@pytest.mark.parametrize("harm", ["gone", "another"])
async def test_a_dump_that_goes_or_changes_is_a_message_and_the_app_lives(made, path, harm):
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), made)
    async with running(app) as pilot:
        if harm == "gone":
            path.unlink()
        else:
            path.write_bytes(b"something else")
        await press(pilot, "right_square_bracket")
        assert f"{path} has changed or gone" in await text_of_tab(pilot)
        for key in ("m", "r", "n", "j", "left_square_bracket"):
            await press(pilot, key)
        assert app.is_running


async def test_names_that_are_markup_or_escapes_are_shown_as_they_are(made):
    hostile = "[red]x[/] \x1b[31m\u202e{i}"
    told = json.loads(json.dumps(made.to_dict()).replace("self_attn", json.dumps(hostile)[1:-1]))
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), report_of(told))
    async with running(app) as pilot:
        picture = app.export_screenshot()
        assert "[red]x[/]" in picture.replace("&#160;", " ").replace("&#91;", "[")
        assert "\x1b" not in picture
        assert "\u202e" not in picture
        for key in ("w", "escape", "y", "question_mark", "slash"):
            await press(pilot, key)
        assert app.is_running


async def test_a_tap_that_the_dump_has_not_is_a_message(made):
    told = json.loads(json.dumps(made.to_dict()).replace(f"{ATTENTION}:out", f"{ATTENTION}:out.7"))
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), report_of(told))
    async with running(app) as pilot:
        assert module(app) == ATTENTION
        await press(pilot, "right_square_bracket")
        assert "out.7" in await text_of_tab(pilot)


async def test_a_sequence_that_parts_at_a_later_step_opens_on_its_finding(made):
    """Its taps are those of all steps joined, of step 0; the finding is of the step where it began."""
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), replace(made, first=replace(made.first, step=3)))
    async with running(app):
        assert module(app) == ATTENTION
        assert len(app.query_one(ModuleList).nodes) > 10


async def test_a_tap_that_a_table_leaves_out_is_there_and_says_so(made):
    report = replace(made, reference_only=(), skipped=(("model.layers.1.mlp.act_fn:out", "the port has none"),))
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), report)
    async with running(app):
        assert "model.layers.1.mlp.act_fn" in {node.module for node in app.query_one(ModuleList).nodes}


async def test_a_table_that_is_broken_is_not_written_over(made):
    broken = "[[pair]\nx"
    Path("map.toml").write_text(broken)
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), made)
    async with running(app) as pilot:
        await press(pilot, "m")
        assert "map.toml is no TOML" in str(app.screen.query_one("#trial", Static).content)
        await press(pilot, "ctrl+s")
        assert isinstance(app.screen, RowScreen)
    assert Path("map.toml").read_text() == broken


async def test_a_row_that_the_table_has_already_otherwise_is_not_saved(made):
    text = f'[[skip]]\nreference = "{ATTENTION}:out"\nreason = "no such point"\n'
    Path("map.toml").write_text(text)
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), made)
    async with running(app) as pilot:
        await press(pilot, "m")
        assert "given already" in str(app.screen.query_one("#trial", Static).content)
        await press(pilot, "ctrl+s")
    assert Path("map.toml").read_text() == text


async def test_a_functions_tap_has_no_row_of_its_own(made):
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), made)
    async with running(app) as pilot:
        await press(pilot, "j", "m")
        assert not isinstance(app.screen, RowScreen)
        assert "row of the module" in status(app)


async def test_what_is_exported_into_nobodys_home_is_refused(made):
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), made)
    async with running(app) as pilot:
        await press(pilot, "e")
        app.screen.query_one(Input).value = "~nobody-of-this-name/x.svg"
        await press(pilot, "enter")
        assert "no such home folder" in str(app.screen.query_one("#refused", Static).content)


async def test_a_tab_that_fails_takes_nothing_down(made, monkeypatch):
    def content(scene, files, width):
        raise ZeroDivisionError("ours to fix")

    monkeypatch.setattr("tui.browser.TABS", (Tab("finding", "Finding", content), *TABS[1:]))
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), made)
    async with running(app) as pilot:
        assert "ZeroDivisionError: ours to fix" in str(app.query_one("#content", Static).content)
        await press(pilot, "right_square_bracket")
        assert "worst at" in await text_of_tab(pilot)


async def test_nothing_that_fits_the_filter_is_said_and_the_place_is_kept(made):
    app = ProbeApp(Subject(REFERENCE, CANDIDATE), made)
    async with running(app) as pilot:
        await press(pilot, "slash", *"zzz")
        assert "nothing to show" in str(app.query_one("#legend", Static).content)
        await press(pilot, "n", "escape")
        assert module(app) == ATTENTION


def test_a_report_without_a_tap_makes_an_empty_tree(made):
    told = made.to_dict() | {"taps": []}
    assert next(node.module for node in build(of_report(report_of(told), 0), "").walk()) == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "is no report of schema 1"),
        ('{"schema": 2}', "is no report of schema 1"),
        ('{"schema": 1}', "is no whole report"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_file_that_is_no_report_is_refused_with_words(tmp_path, text, complaint):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ProbeError, match=complaint):
        read_report(path)


def test_a_report_is_read_back_as_it_was(made, tmp_path):
    """Infinities too, and what a later version adds is passed over."""
    odd = replace(made.taps[3], one_sided_nonfinite=True, max_abs=math.inf, ratio=None, sqnr_db=-math.inf)
    report = replace(made, taps=(*made.taps[:3], odd, *made.taps[4:]))
    path = tmp_path / "x.json"
    told = report.to_dict()
    for later in ({}, {"of_a_later_version": [1]}):
        told["taps"][0] |= later
        told["findings"][0] |= later
        path.write_text(json.dumps(told | later))
        assert read_report(path) == report


@pytest.mark.parametrize("key", ["verdict", "taps", "first", "findings", "compared"])
def test_a_report_of_wrong_types_is_refused(made, tmp_path, key):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(made.to_dict() | {key: 7}))
    with pytest.raises(ProbeError, match="is no whole report"):
        read_report(path)


@pytest.mark.parametrize(("key", "value"), [("step", "0"), ("rel_l2", "wide"), ("reference", 3), ("seen", "never")])
def test_a_tap_of_wrong_types_is_refused(made, tmp_path, key, value):
    path = tmp_path / "x.json"
    told = made.to_dict()
    told["taps"][1][key] = value
    path.write_text(json.dumps(told))
    with pytest.raises(ProbeError, match="is no whole report"):
        read_report(path)
