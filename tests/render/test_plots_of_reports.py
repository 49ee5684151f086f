"""Pictures of a Report: what lines, bars and words in them are made of."""

import io
import math
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

import probe
from probe.errors import ProbeError
from probe.locate import ABOVE_FLOOR
from probe.render.plots.course import course
from probe.render.plots.flags import INSET, ROWS, flags
from probe.render.plots.weights import rows_of
from probe.report import Finding, Place, Report, Seen, TapComparison, Verdict, WeightFinding
from tests.render.page import hostile
from tests.tui import made

NAN, INF = float("nan"), float("inf")


def row(tap: str, error: float, local: float | None = None, floor: float | None = 1e-7, step: int = 0) -> TapComparison:
    known = {"local_error": local, "floor": floor, "ratio": local / floor} if local is not None and floor else {}
    return TapComparison(tap, tap, step, (1,), "float32", error, error, error**2, 1.0, 0.0, **known)


def report(*rows: TapComparison, findings: tuple[Finding, ...] = (), **changed: object) -> Report:
    first = Place(findings[0].module, findings[0].span[1], 0, 0.1, 1e-7, 1e6) if findings else None
    verdict = Verdict.DIVERGED if findings else Verdict.NOISE
    plain = Report("ref.h5", "cand.h5", verdict, (), rows, (), (), None, first, findings, True)
    return replace(plain, **changed)


def finding(tap: str, cause: str = "norm.eps", *others: str, **changed: object) -> Finding:
    module = tap.partition(":")[0]
    return replace(Finding(cause, module, (module, *others), ("", tap), "wrong"), **changed)


def line(figure, name):
    """The only line of that name, as places and numbers."""
    (found,) = (one for axes in figure.axes for one in axes.lines if one.get_label() == name)
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_the_line_goes_through_what_modules_return_and_marks_stand_where_errors_arose():
    figure = probe.plot.depth(
        report(row("a:in", 1e-7, 0.0), row("a:out", 1e-6, 1e-8), row("b:in", 1e-6, 0.0), row("b:out", 1e-2, 1e-3))
    )
    at, decades = line(figure, "step 0")
    assert at.tolist() == [1, 3]
    assert decades == pytest.approx([-6, -2])
    at, decades = line(figure, "own")
    assert at.tolist() == [3]
    assert decades == pytest.approx([-3])
    assert line(figure, "within")[0].tolist() == [0, 1, 2]
    assert line(figure, "given")[0].tolist() == [0, 2]


def test_zero_infinity_and_nan_are_drawn_each_at_its_own_tick():
    rows = [row(f"m{index}:out", error) for index, error in enumerate((0.0, INF, NAN, 1e-3, 1e-30))]
    figure = probe.plot.depth(report(*rows))
    _, decades = line(figure, "step 0")
    axes = figure.axes[0]
    ticks = dict(zip(axes.get_yticks(), (label.get_text() for label in axes.get_yticklabels()), strict=True))
    assert [ticks[place] for place in decades[:3]] == ["0", "inf", "NaN"]
    assert decades[3] == pytest.approx(-3)
    assert ticks[decades[4]] == "<1e-12"
    low, high = axes.get_ylim()
    assert all(low <= place <= high for place in decades)


def test_the_floor_is_a_band_and_four_times_it_a_line():
    figure = probe.plot.depth(report(row("a:out", 1e-6, 1e-8, 1e-7), row("b:out", 1e-6, 1e-8, 1e-5)))
    dotted = next(one for one in figure.axes[0].lines if one.get_linestyle() == ":")
    assert dotted.get_ydata() == pytest.approx(np.log10([ABOVE_FLOOR * 1e-7, ABOVE_FLOOR * 1e-5]))
    tops = [band.get_paths()[0].vertices[:, 1].max() for band in figure.axes[0].collections]
    assert sorted(tops) == pytest.approx(np.log10([1e-5, ABOVE_FLOOR * 1e-5]))


def test_where_nothing_was_replayed_there_is_no_floor_and_a_note():
    figure = probe.plot.depth(report(row("a:out", 1e-3), row("b:out", 1e-2), replayed=False))
    assert line(figure, "own")[0].size == 0
    assert not figure.axes[0].collections
    assert "nothing was replayed" in " ".join(words(figure))


def test_of_twenty_thousand_taps_no_error_that_stands_out_is_lost():
    rows = [row(f"layers.{index // 100}.m{index}:out", 1e-7, 1e-8) for index in range(20_000)]
    rows[12_345] = row(rows[12_345].reference, 0.5, 0.25)
    rows[777] = row(rows[777].reference, NAN, 1e-8)
    figure = probe.plot.depth(report(*rows))
    at, decades = line(figure, "step 0")
    assert len(at) < 1000
    assert sorted(decades)[-2] == pytest.approx(math.log10(0.5))
    assert at[np.argsort(decades)[-2:]] == pytest.approx([12_345, 777], abs=20)
    assert line(figure, "own")[1] == pytest.approx([math.log10(0.25)])


def test_taps_of_functions_and_those_that_nothing_is_known_of_are_counted_and_not_drawn():
    functional = replace(row("a.@attention:in.mask", 1.0, 1.0))
    untold = replace(row("c:out", NAN), seen=Seen.NOTHING)
    figure = probe.plot.depth(report(row("a:out", 1e-3), functional, untold, row("b:out", 1e-2)))
    assert line(figure, "step 0")[0].tolist() == [0, 1]
    told = " ".join(words(figure))
    assert "4 pairs of taps" in told
    assert "1 of functions" in told
    assert "1 of which no error is known" in told


def test_errors_that_are_estimates_or_the_least_there_can_be_are_said_to_be_such():
    estimate = replace(row("a:out", 1e-3), rel_l2_stderr=1e-4, seen=Seen.SKETCH)
    least = replace(row("a:out", 1e-3), seen=Seen.STATISTICS)
    assert "errors are estimates" in " ".join(words(probe.plot.depth(report(estimate))))
    assert "errors are the least" in " ".join(words(probe.plot.depth(report(least))))
    assert "errors are" not in " ".join(words(probe.plot.depth(report(row("a:out", 1e-3)))))


@pytest.mark.parametrize("num_steps", [3, 9])
def test_each_step_is_a_line_and_many_have_a_bar_of_shades(num_steps):
    rows = [row(f"{name}:out", 10.0**-step, step=step) for step in range(num_steps) for name in "abc"]
    figure = probe.plot.depth(report(*rows))
    for step in range(num_steps):
        at, decades = line(figure, f"step {step}")
        assert at.tolist() == [0, 1, 2]
        assert decades == pytest.approx([-step] * 3)
    assert len(figure.axes) == (2 if num_steps == 9 else 1)
    colours = {one.get_color() for one in figure.axes[0].lines if str(one.get_label()).startswith("step")}
    assert len(colours) == num_steps


def test_a_finding_has_its_number_and_cause_and_further_modules_its_number():
    rows = [row(f"layers.{layer}.norm:out", 1e-3) for layer in range(40)]
    figure = probe.plot.depth(
        report(
            *rows,
            findings=(
                finding("layers.3.norm:out", "norm.eps", "layers.30.norm"),
                finding("layers.9.norm:out", "attn.window"),
            ),
        )
    )
    told = words(figure)
    assert {"1 norm.eps", "2 attn.window", "1"} <= set(told)
    assert "DIVERGED  first at layers.3.norm" in told


@pytest.mark.parametrize("num_findings", [2, 12, 60, 300])
def test_no_flag_lies_on_another(num_findings):
    rows = [row(f"layers.{layer}.norm:out", 1e-3) for layer in range(400)]
    found = tuple(finding(f"layers.{index}.norm:out", "linear.weight_swapped") for index in range(num_findings))
    flown = flags(report(*rows, findings=found), [[index] for index in range(num_findings)], 400, 7.0)
    boxes = [(flag.left, flag.row, probe.render.plots.style.width_of(flag.text, bold=True)) for flag in flown.flags]
    for index, (left, at, width) in enumerate(boxes):
        assert left >= 0
        assert left + width + 2 * INSET <= 7.0 + 1e-9
        assert at < ROWS
        for other, other_at, other_width in boxes[:index]:
            assert at != other_at or left >= other + other_width or other >= left + width
    assert {flag.at for flag in flown.flags} | set(flown.marks) == set(range(num_findings))
    assert flown.is_named == (num_findings == 2)


def test_where_causes_have_no_room_they_are_listed_and_the_rest_are_counted():
    rows = [row(f"m{index}:out", 1e-3) for index in range(60)]
    found = tuple(finding(f"m{index}:out", "rope.theta") for index in range(60))
    told = "\n".join(words(probe.plot.depth(report(*rows, findings=found))))
    assert "12  rope.theta  at m11" in told
    assert "and 48 more findings" in told


def test_a_module_s_place_is_where_its_span_ends_or_what_it_returns():
    rows = [row("a:in", 0.0), row("a:out", 0.0), row("b.c:in", 0.0), row("b.c:out", 0.0)]
    found = course(report(*rows), ABOVE_FLOOR)
    place_of = probe.render.plots.course.place_of
    assert place_of(finding("a:in", "norm.eps", "b.c"), found) == [0, 3]
    assert place_of(finding("gone:out", "norm.eps", "b"), found) == [2]


def test_a_report_without_taps_is_no_picture():
    with pytest.raises(ProbeError, match="compares no tensor"):
        probe.plot.depth(report())


def test_the_ledger_has_each_share_what_all_explain_and_what_remains():
    one, other = finding("a:out", share=0.9, error_after=1e-7), finding("b:out", "rope.theta", share=0.4)
    third = finding("c:out", "unknown")
    figure = probe.plot.ledger(report(row("a:out", 1.0), findings=(one, other, third), explained=0.95))
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == pytest.approx([90, 40, 95, 5])
    told = words(figure)
    assert {"1  norm.eps", "2  rope.theta", "3  unknown", "unexplained", "all together", "remains"} <= set(told)
    assert "130.0 % in sum" in " ".join(told)


@pytest.mark.parametrize(
    ("explained", "told"),
    [(0.0, "100 %"), (0.004, "99.6 %"), (0.95, "5 %"), (1 - 1e-9, "under 0.001 %"), (1, "nothing")],
)
def test_what_remains_is_told_in_plain_digits(explained, told):
    figure = probe.plot.ledger(report(row("a:out", 1.0), findings=(finding("a:out"),), explained=explained))
    assert told in words(figure)
    assert not any("e+" in word or "e-" in word for word in words(figure) if "%" in word)


def test_a_ledger_of_nothing_says_so():
    told = " ".join(words(probe.plot.ledger(report(row("a:out", 1e-7)))))
    assert "NOISE  there is no finding" in told
    unmeasured = report(row("a:out", 1.0), findings=(finding("a:out"),), replayed=False)
    told = " ".join(words(probe.plot.ledger(unmeasured)))
    assert "is not measured" in told
    assert "not planted" in told


def test_suspicious_weights_come_first_and_equal_ones_are_one_row():
    audit = (
        WeightFinding("equal", False, "a.{i}.weight", "b", tuple("abc"), ""),
        WeightFinding("equal", False, "z.weight", "z", ("z",), ""),
        WeightFinding("quantized", False, "q.weight", "q", tuple("qr"), "", 40.0),
        WeightFinding("swapped", True, "s.weight", "t.weight", ("s",), ""),
    )
    assert [(one.name, one.num_weights) for one in rows_of(audit)] == [("swapped", 1), ("equal", 4), ("quantized", 2)]
    figure = probe.plot.weights(report(row("a:out", 0.0), weights=audit))
    assert "SUSPICIOUS  1 of 7 weights" in words(figure)
    assert [bar.get_x() + bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([1, 4, 2])
    assert [one.get_xdata() for one in figure.axes[1].lines] == [[40.0]]


def test_a_report_without_an_audit_is_no_picture_of_one():
    with pytest.raises(ProbeError, match="no weight audit"):
        probe.plot.weights(report(row("a:out", 0.0)))


@pytest.mark.parametrize("kind", ["depth", "ledger", "weights"])
def test_no_name_is_read_as_mathematics_or_breaks_a_picture(kind):
    figure = getattr(probe.plot, kind)(hostile.report(Path("$x_1^$.h5"), Path("\u4e2d\x1b[31m.h5")))
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
    assert all(text.isprintable() and text.isascii() for word in words(figure) for text in word.split("\n"))
    for ending in ("png", "svg", "pdf"):
        drawn = io.BytesIO()
        probe.plot.save(figure, drawn, ending)
        assert drawn.getvalue()
    width, _ = figure.get_size_inches()
    assert width == 8
    assert min(text.get_size() for text in figure.findobj(Text) if text.get_text()) >= 8


def test_a_user_s_style_neither_matters_nor_changes():
    known = made.report(Path("ref.h5"), Path("cand.h5"))
    plain, styled = io.BytesIO(), io.BytesIO()
    probe.plot.save(probe.plot.depth(known), plain, "svg")
    with matplotlib.rc_context({"font.size": 30, "text.usetex": True, "axes.grid": True, "svg.fonttype": "none"}):
        before = dict(matplotlib.rcParams)
        probe.plot.save(probe.plot.depth(known), styled, "svg")
        assert dict(matplotlib.rcParams) == before
    assert styled.getvalue() == plain.getvalue()


def test_a_notebook_shows_a_figure_by_itself_at_a_page_s_width():
    image, size = probe.plot.ledger(report(row("a:out", 0.0)))._repr_png_()
    assert image.startswith(b"\x89PNG")
    assert size["width"] == 768
