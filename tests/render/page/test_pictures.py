"""Which pictures a page has, and why others are not there."""

import shutil
from dataclasses import replace

import pytest

import probe
from probe.render.page import pictures
from probe.render.page.picture import inline
from probe.render.plots.first import attention_at_fault, attention_of
from probe.report import Verdict
from tests.tui import made

OF_REPORT = ["Error over depth", "Who explains the output's error", "Weights"]
TAP = f"{made.ATTENTION}:out"
OF_VALUES = ["Tokens by layers", f"Channels of {TAP}", f"Values of {TAP}", f"Attention of {made.ATTENTION}"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    both = folder / "ref.h5", folder / "cand.h5"
    for path, bugs in zip(both, (False, True), strict=True):
        made.write(path, bugs=bugs)
    return both


def test_all_that_concern_the_first_finding_are_there(paths):
    found = pictures(made.report(*paths), *paths)
    assert [picture.title for picture in found] == OF_REPORT + OF_VALUES
    assert all(picture.svg for picture in found)
    assert "Logits after the last token" in [one.title for one in pictures(with_logits(paths), *paths)]


def with_logits(paths):
    known = made.report(*paths)
    return replace(known, output=replace(known.output, kl=0.1, argmax_match=1.0, top10_overlap=1.0))


def test_pictures_of_a_tap_are_drawn_with_the_floor_that_the_report_has_measured_there(paths):
    def drawn(floor):
        known = made.report(*paths)
        taps = tuple(replace(row, floor=floor) if row.reference == TAP else row for row in known.taps)
        return {picture.title: picture.svg for picture in pictures(replace(known, taps=taps), *paths)}

    one, same, other = drawn(1e-06), drawn(1e-06), drawn(5e-06)
    for title in (f"Channels of {TAP}", f"Values of {TAP}"):
        assert one[title] == same[title] != other[title]


def test_where_nothing_diverges_none_is_of_one_tap(paths):
    clean = replace(made.report(*paths), verdict=Verdict.NOISE, first=None, findings=(), weights=())
    assert [picture.title for picture in pictures(clean, *paths)] == ["Error over depth", "Tokens by layers"]


def test_of_a_gradient_at_fault_none_is_drawn_and_none_is_missed(paths):
    known = made.report(*paths)
    name = f"{made.NORM}:grad.out"
    row = replace(known.taps[0], reference=name)
    backward = replace(known, taps=(*known.taps, row), first=replace(known.first, module=made.NORM, tap=name))
    assert [picture.title for picture in pictures(backward, *paths)] == [*OF_REPORT, "Tokens by layers"]


def test_of_a_dump_that_has_gone_the_report_s_own_are_there_and_the_others_say_why(paths, tmp_path):
    moved = shutil.copy(paths[0], tmp_path / "ref.h5"), tmp_path / "gone.h5"
    found = pictures(made.report(*moved), *moved)
    assert [picture.title for picture in found if picture.svg] == OF_REPORT
    assert [picture.title for picture in found if picture.missing] == OF_VALUES
    assert all("gone.h5: no such file" in picture.missing for picture in found if not picture.svg)


def test_attention_is_of_the_module_that_a_tap_is_in(paths):
    known = made.report(*paths)
    assert attention_of(f"{made.ATTENTION}.o_proj:in", known) == made.ATTENTION
    assert attention_of(f"{made.ATTENTION}.@attention:in.mask", known) == made.ATTENTION
    assert attention_of(f"{made.NORM}:out", known) == ""


def test_attention_at_fault_is_that_of_the_finding_s_module_or_the_only_one_in_it(paths):
    known = made.report(*paths)
    block = replace(known.findings[0], module="model.layers.0")
    whole = replace(known.findings[0], module="model")
    norm = replace(known.findings[0], module=made.NORM)
    assert attention_at_fault(known) == made.ATTENTION
    assert attention_at_fault(replace(known, findings=(block,))) == made.ATTENTION
    assert attention_at_fault(replace(known, findings=(whole,))) == ""
    assert attention_at_fault(replace(known, findings=(norm,))) == ""
    assert attention_at_fault(replace(known, findings=(), first=None)) == ""


def test_pictures_of_one_tap_tell_the_floor_that_the_report_measured(paths):
    known = made.report(*paths)
    found = {picture.title: picture.svg for picture in pictures(known, *paths)}
    for title, draw in ((f"Channels of {TAP}", probe.plot.channels), (f"Values of {TAP}", probe.plot.histogram)):
        prefix = f"{title.partition(' ')[0].lower()}-"
        assert found[title] == inline(draw(*paths, TAP, report=known), prefix, title)
        assert found[title] != inline(draw(*paths, TAP), prefix, title)
