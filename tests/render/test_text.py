"""A Report as text, for reports that no small run would give."""

import math
from dataclasses import replace

import pytest

from probe.render.text import print_report
from probe.report import Finding, OutputComparison, Place, Report, Status, TapComparison, TrustCheck, Verdict
from probe.words import number

LONG = "model.decoder.layers.11.a_module_whose_name_is_long.and_whose_child_has_a_long_name_too"


def tap(name: str, rel_l2: float = 0.0) -> TapComparison:
    return TapComparison(f"{name}:out", f"port.{name}:out", 0, (2,), "float32", 0.0, rel_l2, 0.0, 1.0, math.inf)


REPORT = Report(
    reference_path="ref.h5",
    candidate_path="cand.h5",
    verdict=Verdict.DIVERGED,
    trust=(TrustCheck("inputs", Status.OK, "ids are the same"), TrustCheck("mode", Status.WARN, "dropout is on")),
    taps=tuple(tap(f"layers.{number}", 0.1 * (number > 4)) for number in range(10)),
    reference_only=("a:out", "b:out", "c:out", "d:out"),
    candidate_only=(),
    output=OutputComparison(":out.logits", 0.5, 0.1, 0.01, 0.002, 0.75, 0.9),
    first=Place("layers.5", "layers.5:out", 0, 0.1, 1e-7, 1e6),
    findings=(Finding("unknown", "layers.5", ("layers.5", "layers.7"), ("layers.4:out", "layers.5:out"), "is wrong"),),
    replayed=True,
    notes=("the embedding was tapped before its scale",),
)


@pytest.fixture
def text_of(capsys: pytest.CaptureFixture[str]):
    def shown(**changes: object) -> str:
        print_report(replace(REPORT, **changes))
        return capsys.readouterr().out

    return shown


def test_a_report_reads_from_warnings_through_verdict_and_findings_to_trust(text_of):
    assert text_of().splitlines() == [
        "WARN:     dropout is on",
        " DIVERGED  first at layers.5, tap layers.5:out",
        "",
        " 1. layers.5   cause: unknown",
        "    is wrong",
        "    in layers.5, layers.7",
        "",
        "   reference tap  candidate tap        error  of its own  floor  ratio",
        "   layers.2:out   port.layers.2:out        0                          ",
        "   layers.3:out   port.layers.3:out        0                          ",
        "   layers.4:out   port.layers.4:out        0                          ",
        ">  layers.5:out   port.layers.5:out  1.0e-01                          ",
        "   layers.6:out   port.layers.6:out  1.0e-01                          ",
        "   layers.7:out   port.layers.7:out  1.0e-01                          ",
        "   layers.8:out   port.layers.8:out  1.0e-01                          ",
        "",
        "output    logits: relative error 1.0e-01, largest 5.0e-01, KL 2.0e-03 nats, same next token 75.0%, top ten",
        "          shared 90.0%",
        "compared  10 pairs of taps",
        "          4 reference taps have no counterpart: a:out, b:out, c:out, ...",
        "note      the embedding was tapped before its scale",
        "trust     ok: ids are the same",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"verdict": Verdict.IDENTICAL}, " IDENTICAL  every compared number is the same"),
        ({"verdict": Verdict.NOISE}, " NOISE  the two differ by honest rounding alone"),
        (
            {"verdict": Verdict.NOISE, "replayed": False},
            " NOISE  no difference beyond what rounding may gather",
        ),
        ({}, " DIVERGED  a NaN or an infinity is on one side alone"),
    ],
)
def test_a_verdict_without_a_place_says_what_it_rests_on(changes: dict[str, object], line: str, text_of):
    assert text_of(first=None, findings=(), trust=(), **changes).splitlines()[0] == line


def test_the_model_itself_has_a_name(text_of):
    text = text_of(first=replace(REPORT.first, module=""), findings=(replace(REPORT.findings[0], module=""),))
    assert "first at the model itself, tap layers.5:out" in text
    assert " 1. the model itself   cause: unknown" in text


def test_an_output_that_cannot_be_compared_is_said(text_of):
    assert "output    not compared: the two models return nothing alike\n" in text_of(output=None)


def test_a_pipe_gets_names_unbroken_and_prose_in_lines_with_a_margin(text_of):
    message = " ".join([LONG] * 4)
    finding = replace(REPORT.findings[0], message=message)
    lines = text_of(findings=(finding,), taps=(*REPORT.taps[:5], tap(LONG), *REPORT.taps[5:])).splitlines()
    assert [line for line in lines if line.startswith("    model")] == [f"    {LONG}"] * 4
    assert any(f"   {LONG}:out  port.{LONG}:out" in line for line in lines)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (0.0, "0"), (1.26e-7, "1.3e-07"), (math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")],
)
def test_a_number_shows_its_size_and_an_exact_zero_as_0(value: float | None, shown: str):
    assert number(value) == shown
