"""Fixtures that several test folders share."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import probe
from probe.cli import main
from probe.report import Report
from probe.saved_report import read_report

os.environ.setdefault("HF_HUB_OFFLINE", "1")


NO_ACCELERATOR = "this machine has no accelerator"


def accelerator() -> torch.device | None:
    """What torch would run a model on, besides the CPU."""
    if hasattr(torch, "accelerator"):
        return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return torch.device("cuda") if torch.cuda.is_available() else None


SLOW_FILES = ("test_fuzz.py", "test_not_undone.py", "test_notebooks.py")
"""Half a minute and more each. They are begun with, so that no process is left with one when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in SLOW_FILES)
    if accelerator() is None:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason=NO_ACCELERATOR))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What a dot does not say: that devices were not tested, and how many spoiled dumps were."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_ACCELERATOR in str(report.longrepr)]
    if skipped:
        terminalreporter.section("NOT TESTED: devices", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests were skipped, since {NO_ACCELERATOR}. On one: pytest -m gpu")
    passed = terminalreporter.stats.get("passed", [])
    spoiled = sum(int(value) for report in passed for name, value in report.user_properties if name == "spoiled dumps")
    if spoiled:
        terminalreporter.line(f"{spoiled:,} spoiled dumps were read or refused, and nothing else happened")


@pytest.fixture
def device() -> torch.device:
    """The accelerator of a test that is marked `gpu`."""
    found = accelerator()
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signing key of tests is not the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


Compare = Callable[..., Report]


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """`compare(reference, candidate, inputs)`: record both, diff them with the live reference."""

    def run(recorded: nn.Module, candidate: nn.Module, inputs: dict[str, Any], **keywords: Any) -> Report:
        candidate_inputs = keywords.pop("candidate_inputs", inputs)
        paths = tmp_path / "reference.h5", tmp_path / "candidate.h5"
        for model, path, fed in zip((recorded, candidate), paths, (inputs, candidate_inputs), strict=True):
            with torch.no_grad(), probe.record(model, path, force=True):
                model(**fed)
        keywords.setdefault("reference", recorded)
        return probe.diff(*paths, **keywords)

    return run


@dataclass(frozen=True)
class Demo:
    """The demo's two dumps, `dumps/demo-reference.h5` and `dumps/demo-port.h5` in `folder`, and what a diff says."""

    folder: Path
    report: Report
    report_path: Path


@pytest.fixture(scope="session")
def recorded_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_STATE_HOME", str(folder))
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(io.StringIO()):
            assert main(["demo", "--json", "-q"]) == 0
        path = folder / "report.json"
        path.write_text(out.getvalue())
        yield Demo(folder, read_report(path), path)


@pytest.fixture
def demo(recorded_demo: Demo, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Its folder is the test's: paths are those that a user has."""
    monkeypatch.chdir(recorded_demo.folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(recorded_demo.folder))
    return recorded_demo
