"""What goes wrong: before the screen is taken as with `probe diff`, and afterwards as a message."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from made import ATTENTION, report, write
from pressing import content, module, press, running

from probe.errors import ProbeError
from probe.saved_report import read_report, report_of
from tui.app import ProbeApp, Subject
from tui.entries import of_report
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
        assert f"{path} has changed or gone" in await content(pilot)
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
        assert "out.7" in await content(pilot)


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
