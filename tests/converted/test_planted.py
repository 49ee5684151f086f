"""Bugs of conversion are found where they were planted, and named, in what llama.cpp itself ran."""

from pathlib import Path

import pytest

from probe.report import Verdict
from tests.converted.plants import PLANTS, Plant, another_eps, rows_not_permuted
from tests.converted.runs import compared

QUICKEST = ("llama3", "phi3", "gemma2", "gemma3", "gemma", "llama", "qwen3")
"""Measured on all seven; here on two each."""
PLAIN = [(plant, name, "F32") for plant in PLANTS for name in [one for one in QUICKEST if one in plant.models][:2]]
KINDS = ("Q8_0", "Q4_0", "Q4_K", "F16")
QUANTIZED = [(plant, plant.models[-1], KINDS[number % len(KINDS)]) for number, plant in enumerate(PLANTS)]
"""One each; all of them: `python -m tests.converted bugs`."""
CASES = PLAIN + QUANTIZED


@pytest.mark.parametrize(
    ("plant", "name", "kind"), CASES, ids=[f"{plant.name}-{name}-{kind}" for plant, name, kind in CASES]
)
def test_a_bug_of_conversion_is_found_and_named(plant: Plant, name: str, kind: str, tmp_path: Path):
    report = compared(name, tmp_path, change=plant.change, kind=kind, width=256 if kind.endswith("_K") else 64)
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.module.startswith(plant.module)
    blamed = [finding for finding in report.findings if not finding.is_honest]
    assert blamed
    assert {finding.cause for finding in blamed} <= plant.causes
    assert report.explained is not None
    assert report.explained > 0.99


def test_rows_that_were_not_permuted_are_told_as_the_reference_s_own(tmp_path: Path):
    """Not as permuted, which they are only beside what the table undoes."""
    report = compared("llama", tmp_path, change=rows_not_permuted)
    said = {finding.message for finding in report.findings if finding.cause == "linear.row_order"}
    assert len(said) == 2
    for message in said:
        assert "proj.weight are as the reference has them, where this runtime wants them interleaved" in message


def test_what_a_wrong_eps_and_gelu_s_table_leave_is_told_to_be_rounding(tmp_path: Path):
    report = compared("gemma", tmp_path, change=another_eps)
    assert report.explained is not None
    notes = [note for note in report.notes if "that the findings leave is of the size of rounding in them" in note]
    assert len(notes) == (report.explained < 0.99)  # 0.984 measured; which numbers jump is the processor's
    assert all("model.layers.0.mlp.act_fn jumps at other numbers in each run" in note for note in notes)
