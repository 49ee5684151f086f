"""Of a candidate that shows few tensors a place is the span between two that it shows, and says what that hides."""

import pytest
import torch

import probe
from probe.render.text import print_report
from tests.commands.tiny import VOCABULARY, build

IDS = torch.randint(VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(0))


def noisy(copy):
    """A bug that has no name."""
    weight = copy.blocks[1].linear.weight
    weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def shown(tmp_path):
    """`shown(globs, change)`: the report of a copy of the model that `change` was done to, and shows what matches."""

    def compare(globs, change=noisy):
        model, copy = build(), build()
        with torch.no_grad():
            change(copy)
            for run, path, which in ((model, "ref.h5", []), (copy, "cand.h5", globs)):
                with probe.record(run, tmp_path / path, include=which, functional="none", force=True):
                    run(IDS)
        return probe.diff(tmp_path / "ref.h5", tmp_path / "cand.h5", reference=model)

    return compare


def test_few_taps_of_an_honest_run_are_the_same(shown):
    report = shown(["blocks.?:out", "head:out"], lambda copy: None)
    assert report.verdict == "identical"
    assert report.first is None


def test_a_place_is_between_the_taps_that_are_shown(shown, capsys):
    report = shown(["embed:out", "blocks.?:out", "head:out"])
    assert report.first.span == ("blocks.0:out", "blocks.1:out")
    assert report.first.uncaptured == ("blocks.1.norm:out", "blocks.1.linear:out")
    [finding] = report.findings
    assert (finding.cause, finding.module, finding.span) == ("unknown", "blocks.1", report.first.span)
    assert finding.uncaptured == report.first.uncaptured
    print_report(report)
    text = " ".join(capsys.readouterr().out.split())
    assert "first between blocks.0:out and blocks.1:out" in text
    assert "not captured in the candidate: blocks.1.norm:out, blocks.1.linear:out" in text
    whole = report.to_dict()
    assert whole["schema"] == 1
    assert whole["first"]["span"] == ["blocks.0:out", "blocks.1:out"]
    assert whole["findings"][0]["uncaptured"] == ["blocks.1.norm:out", "blocks.1.linear:out"]


@pytest.mark.parametrize("globs", [["head:out"], ["blocks.0:out", "head:out"]])
def test_the_module_at_a_spans_end_is_not_blamed_for_all_of_the_span(globs, shown):
    report = shown(globs)
    assert report.first.span == ("blocks.0:out" if len(globs) > 1 else "", "head:out")
    assert report.first.module == report.findings[0].module == ""
    assert {"blocks.1:out", "blocks.2:out"} <= set(report.first.uncaptured)


def test_a_span_of_several_layers_is_told_by_its_first_and_its_last(shown, capsys):
    report = shown(["embed:out", "blocks.0:out", "blocks.2:out", "head:out"])
    assert report.first.span == ("blocks.0:out", "blocks.2:out")
    assert report.first.module == report.findings[0].module == ""  # whose code runs the blocks; their list has none
    print_report(report)
    assert "1. blocks.1 to blocks.2   cause: unknown" in capsys.readouterr().out


def test_a_span_that_is_shown_whole_hides_nothing(shown, capsys):
    report = shown([])
    assert report.first.module == "blocks.1.linear"
    assert report.first.uncaptured == report.findings[0].uncaptured == ()
    print_report(report)
    assert "captured" not in capsys.readouterr().out
