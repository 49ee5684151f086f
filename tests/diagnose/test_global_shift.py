"""Positions that are later for every token change nothing where rotations alone use them; elsewhere they do."""

from typing import Any

import pytest
import torch

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.pairs import Pair, pair


def with_positions(view: str, change: Any, dtype: str = "fp32") -> Pair:
    """What the module that makes cosines and sines is handed, changed."""
    both = pair([], view, seed=3, dtype=dtype)
    rotary = both.candidate.model.rotary_emb
    forward = rotary.forward
    rotary.forward = lambda x, position_ids, *args, **kwargs: forward(x, change(position_ids), *args, **kwargs)
    return both


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("view", ["llama", "gemma3"])
def test_a_shift_of_all_positions_is_harmless(compare: Compare, view: str, dtype: str):
    both = with_positions(view, lambda positions: positions + 5, dtype)
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    assert report.verdict is Verdict.NOISE
    (found,) = (one for one in report.findings if not one.cause.startswith("precision."))
    assert (found.cause, found.candidate_value, found.harmless) == ("input.positions", 5, True)


def test_so_are_positions_that_the_candidate_is_fed_later(compare: Compare):
    both = pair([], "llama", seed=3)
    ids = both.inputs["input_ids"]
    fed = {**both.inputs, "position_ids": 5 + torch.arange(ids.shape[1]).expand_as(ids)}
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=fed)
    assert report.verdict is Verdict.NOISE
    assert [one.harmless for one in report.findings] == [True]


def test_positions_that_begin_again_are_not(compare: Compare):
    both = with_positions("llama", lambda positions: positions % 7)
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    assert report.verdict is Verdict.DIVERGED
    assert [(one.cause, one.candidate_value) for one in report.findings] == [("rope.position", "from zero every 7")]
    assert report.explained == pytest.approx(1.0, abs=1e-6)


def test_nor_is_a_shift_in_a_table_of_learned_positions(compare: Compare):
    both = pair([], "gpt2", seed=3)
    ids = both.inputs["input_ids"]
    fed = {**both.inputs, "position_ids": 5 + torch.arange(ids.shape[1]).expand_as(ids)}
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=fed)
    assert report.verdict is Verdict.DIVERGED
    assert [(one.cause, one.harmless) for one in report.findings] == [("input.positions", False)]
