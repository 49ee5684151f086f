"""Findings in a terminal."""

import pytest

from probe.render.console import console
from probe.render.findings import print_findings
from probe.report import Finding, Report, Verdict
from probe.words import percent


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "under 0.1 %"), (0.5, "50.0 %"), (0.9984, "99.8 %"), (0.99984, "99.98 %"), (1 - 1e-9, "99.999 %")],
)
def test_what_is_missing_is_never_rounded_away(share: float, shown: str):
    assert percent(share) == shown


def test_causes_and_what_they_explain_together(capsys: pytest.CaptureFixture[str]):
    known = Finding(
        "norm.eps", "layers.0.norm", ("layers.0.norm",), ("a", "b"), "eps is 1e-05", 1e-6, 1e-5, 0.2, 1e-7, share=0.25
    )
    unknown = Finding("unknown", "layers.1", ("layers.1",), ("b", "c"), "an error of its own", error_before=0.1)
    report = Report("r", "c", Verdict.DIVERGED, (), (), (), (), None, None, (known, unknown), True, explained=0.25)
    print_findings(console(), report)
    shown = " ".join(capsys.readouterr().out.split())
    assert "1. layers.0.norm cause: norm.eps eps is 1e-05 its error of 2.0e-01 falls to 1.0e-07" in shown
    assert "2. layers.1 cause: unknown an error of its own planted together" in shown
    assert "the findings with a cause (1 of 2) explain 25.0 %" in shown
