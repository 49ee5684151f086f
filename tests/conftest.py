"""Fixtures that several test folders share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import probe
from probe.report import Report

os.environ.setdefault("HF_HUB_OFFLINE", "1")


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
