"""Pairs of recordings of the small decoder, and what the trust gate says of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import probe
from probe.align.pairs import align
from probe.dump import Dump
from probe.report import Status, TrustCheck
from probe.trust import trust
from tests.trust.model import Model, build, ids

Doubts = Callable[[Path, Path], dict[str, TrustCheck]]
Recorded = Callable[..., Path]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """`recorded("name", model, inputs)`: a dump; further inputs are further steps."""

    def run(name: str, model: Model | None = None, *steps: dict[str, Tensor]) -> Path:
        path = tmp_path / f"{name}.h5"
        model = model or build()
        with torch.no_grad(), probe.record(model, path, force=True):
            for inputs in steps or ({"input_ids": ids()},):
                model(**inputs)
        return path

    return run


@pytest.fixture
def doubts() -> Doubts:
    """By name the checks that are not ok; one name twice is a mistake of the test."""

    def ask(reference: Path, candidate: Path) -> dict[str, TrustCheck]:
        with Dump(reference) as ours, Dump(candidate) as theirs:
            found = [c for c in trust(ours, theirs, align(ours, theirs)) if c.status is not Status.OK]
        assert len({check.check for check in found}) == len(found), found
        return {check.check: check for check in found}

    return ask


@pytest.fixture
def reference(recorded: Recorded) -> Path:
    return recorded("reference")


def only(doubts: dict[str, TrustCheck], check: str, status: Status) -> str:
    """The message of the one doubt there is."""
    assert {name: str(doubt.status) for name, doubt in doubts.items()} == {check: str(status)}, doubts
    return doubts[check].message


Inputs = dict[str, Any]
