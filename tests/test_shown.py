"""What a notebook's cell shows: short, whatever the report's size, and of hostile names nothing but their letters."""

import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.dump import Dump, DumpWriter
from probe.errors import ProbeError
from probe.report import (
    Finding,
    OutputComparison,
    Place,
    Report,
    Status,
    TapComparison,
    TrustCheck,
    Verdict,
    WeightFinding,
)
from probe.tap import Tap
from tests.tui import made

HOSTILE = '</td><script>alert(1)</script><img src=x onerror="alert(2)">\'"&amp;\u202egnp.\n\x1b[31m'


class Page(HTMLParser):
    """The tags, attributes and words of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open += [tag] * (tag != "wbr")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.tags.add("unbalanced")

    def handle_data(self, data: str) -> None:
        self.words += data


def is_harmless(html: str) -> bool:
    page = Page(html)
    quiet = page.tags <= {"div", "strong", "span", "table", "thead", "tbody", "tr", "th", "td", "wbr"}
    return quiet and page.attributes <= {"style"} and not page.open and "url(" not in html and "\u202e" not in html


def hostile_report() -> Report:
    h = HOSTILE
    tap = TapComparison(h, h, 0, (2,), h, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1e-7, 1e7)
    finding = Finding(
        "unknown", h, (h, h + "2"), (h, h), h, error_before=1.0, error_after=1e-7, share=0.5, uncaptured=(h,)
    )
    place = Place(h, h, 0, 1.0, 1e-7, 1e7, seen_at=h, span=(h, h), uncaptured=(h,))
    return Report(
        h, h, Verdict.DIVERGED, (TrustCheck(h, Status.WARN, h),), (tap,), (h,), (h,),
        OutputComparison(h, 1.0, 1.0, 1.0), place, (finding, finding), True, explained=0.5, notes=(h,),
        next_commands=(h,), weights=(WeightFinding("swapped", True, h, h, (h,), h),),
    )  # fmt: skip


def test_hostile_names_are_letters():
    report = hostile_report()
    for shown in (report, report.findings[0], report.first):
        assert shown is not None
        html = shown._repr_html_()
        assert is_harmless(html)
        assert "<script>alert(1)</script>" in Page(html).words
    assert not is_harmless(f"<div>{HOSTILE}</div>")


def dump_of(path: Path, names: list[str], *, complete: bool = True) -> Path:
    writer = DumpWriter(path)
    with writer:
        for order, name in enumerate(names):
            tap = Tap(f"{name}:out", name, "Part", 0, "out", 0, order, (2, 3), "float32")
            writer.add(tap, np.full((2, 3), order, np.float32))
    return path


def test_a_dump_shows_its_first_taps_and_counts_the_others(tmp_path: Path):
    with Dump(dump_of(tmp_path / "many.h5", [HOSTILE, *(f"layers.{n}" for n in range(40))])) as dump:
        html = dump._repr_html_()
        assert is_harmless(html)
        page = Page(html)
        assert "41 taps" in page.words
        assert "layers.3:out" in page.words
        assert "layers.30:out" not in page.words
        assert "31 more" in page.words
        assert repr(dump) == f"Dump({str(dump.path)!r})"
    assert "closed" in Page(dump._repr_html_()).words


def test_a_dump_that_is_not_whole_says_so(tmp_path: Path):
    writer = DumpWriter(tmp_path / "cut.h5")
    writer.add(Tap("norm:out", "norm", "Part", 0, "out", 0, 0, (2,), "float32"), np.ones(2, np.float32))
    writer.flush()
    with Dump(shutil.copy(writer.partial, tmp_path / "copy.h5")) as dump:
        assert "UNFINISHED: the run that wrote it was cut short" in Page(dump._repr_html_()).words
    writer.discard()
    model = nn.Linear(2, 2)
    with probe.record(model, tmp_path / "less.h5", stats_only=True):
        model(torch.ones(1, 2))
    with Dump(tmp_path / "less.h5") as dump:
        assert "KEPT: statistics and hashes alone" in Page(dump._repr_html_()).words


def test_a_report_of_20000_taps_is_shown_and_printed_in_a_few_lines(tmp_path: Path):
    report = made.report(tmp_path / "r.h5", tmp_path / "c.h5")
    row = report.taps[-1]
    taps = tuple(replace(row, reference=f"model.layers.{n}:out") for n in range(20_000))
    findings = tuple(
        replace(report.findings[0], modules=tuple(f"model.layers.{n}" for n in range(300))) for _ in range(50)
    )
    large = replace(report, taps=(*report.taps, *taps), findings=findings)
    assert len(large._repr_html_()) < 20_000
    assert "and 42 more findings" in Page(large._repr_html_()).words
    assert len(repr(large)) < 1_500
    assert len(repr(report)) < 300
    assert "\n" not in repr(report)
    assert len(repr(findings[0])) < 300


def test_the_answer_stands_in_what_a_cell_shows(tmp_path: Path):
    words = Page(made.report(tmp_path / "r.h5", tmp_path / "c.h5")._repr_html_()).words
    assert words.index("WARN:") < words.index("DIVERGED") < words.index("attn.window") < words.index("norm.eps")
    assert "attention has a window of 9 where the reference has a window of 8" in words
    assert "its error of 4.0e-02 falls to 3.1e-07" in words
    assert "WEIGHTS: holds model.norm's" in words
    assert "1 reference tap has no counterpart" in words


@pytest.mark.parametrize("verdict", [Verdict.IDENTICAL, Verdict.NOISE])
def test_a_report_without_a_divergence_has_no_table(verdict: Verdict, tmp_path: Path):
    report = made.report(tmp_path / "r.h5", tmp_path / "c.h5")
    html = replace(report, verdict=verdict, first=None, findings=())._repr_html_()
    assert is_harmless(html)
    assert verdict.upper() in Page(html).words
    assert "<table" not in html


def test_frames_have_a_row_a_pair_and_a_row_a_tap(tmp_path: Path):
    report = made.report(tmp_path / "r.h5", tmp_path / "c.h5")
    pairs = report.to_pandas()
    assert list(pairs.reference) == [tap.reference for tap in report.taps]
    assert list(pairs.ratio) == [tap.ratio for tap in report.taps]
    made.write(tmp_path / "r.h5", bugs=False)
    with Dump(tmp_path / "r.h5") as dump:
        taps = dump.to_pandas().set_index("tap")
        assert list(taps.index) == [tap.name for tap in dump.taps]
        name = "model.layers.1.mlp:out"
        assert taps.l2[name] == pytest.approx(np.linalg.norm(dump[name]))
        assert taps["shape"][name] == dump[name].shape == (1, made.TOKENS, made.CHANNELS)


def test_without_pandas_the_command_that_brings_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ProbeError) as caught:
        made.report(tmp_path / "r.h5", tmp_path / "c.h5").to_pandas()
    assert caught.value.hint == "pip install pandas"
