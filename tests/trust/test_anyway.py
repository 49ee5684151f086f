"""A check that fails stops with exit 2, unless --trust-anyway: then it stands above the verdict."""

from pathlib import Path

import pytest

import probe
from probe.cli import main
from probe.report import Status
from tests.trust.conftest import Recorded
from tests.trust.model import ids


@pytest.fixture
def unequal(recorded: Recorded) -> tuple[str, str]:
    """Two runs on other ids."""
    return str(recorded("reference")), str(recorded("candidate", None, {"input_ids": ids(3)}))


def test_a_failed_check_stops(unequal: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["diff", *unequal, "--no-replay"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "cannot be compared: the two runs were fed different inputs: input_ids differs at" in said.err
    assert "hint: feed the candidate what the reference was fed" in said.err


def test_trusted_anyway_it_stands_above_the_verdict(unequal: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["diff", *unequal, "--no-replay", "--trust-anyway"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAIL:     the two runs were fed different inputs: input_ids differs at")
    [verdict] = [number for number, line in enumerate(lines) if "DIVERGED" in line]
    assert verdict > 0
    report = probe.diff(*unequal, replay=False, trust_anyway=True)
    assert [check.check for check in report.trust if check.status is Status.FAIL] == ["inputs"]


def test_what_is_only_warned_of_does_not_stop(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from tests.trust.retelling import retold

    missing = {"has_chat_template": True, "uses_chat_template": False}
    other = retold(reference, tmp_path / "b.h5", prompt=missing)
    assert main(["diff", str(other), str(reference), "--no-replay"]) == 0
    assert capsys.readouterr().out.startswith("WARN:     the reference's tokenizer has a chat template")
