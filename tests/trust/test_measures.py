"""Measures that mislead: a constant that softmax does not see, and a step that is the denominator's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from probe.dump import Dump
from probe.report import Status, Verdict
from probe.tap import Tap
from tests.conftest import Compare
from tests.trust.conftest import Doubts, Recorded
from tests.trust.model import CHANNELS, Model, build, ids
from tests.trust.retelling import instead, retold


@torch.no_grad()
def add_to_all_words(model: Model, size: float) -> Model:
    """A common part to the unembedding of every word, as large as the logits themselves at 0.25; taken away it is
    centred."""
    model.head.weight.add_(size * torch.randn(CHANNELS, generator=torch.Generator().manual_seed(0)))
    return model


DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])


@DTYPES
@pytest.mark.parametrize("seed", range(3))
def test_logits_that_differ_by_a_constant_a_token(dtype, seed: int, recorded: Recorded, doubts: Doubts):
    """TransformerLens 693, 1272: with the unembedding centred, logits differ and probabilities do not."""
    centred = recorded("reference", build(seed))
    found = doubts(centred, recorded("candidate", add_to_all_words(build(seed), 0.5).to(dtype)))
    assert found["constant"].status is Status.WARN
    assert found["constant"].message.startswith(":out differs by one number a token (")
    assert "which softmax does not see" in found["constant"].message


@DTYPES
@pytest.mark.parametrize("size", [0.0, 0.5, 5.0])
def test_rounding_is_no_constant_though_all_words_share_a_part(dtype, size: float, recorded: Recorded, doubts: Doubts):
    for seed in range(3):
        reference = recorded("reference", add_to_all_words(build(seed), size))
        assert doubts(reference, recorded("honest", add_to_all_words(build(seed), size).to(dtype))) == {}


def test_log_probabilities_for_logits_are_told(reference: Path, tmp_path: Path, doubts: Doubts):
    def normalised(dump: Dump, tap: Tap) -> Any:
        bits = dump.bits(tap)
        return bits - np.log(np.exp(bits).sum(-1, keepdims=True))

    assert (
        "log-probabilities?"
        in doubts(reference, retold(reference, tmp_path / "b.h5", instead({":out": normalised})))["constant"].message
    )


def test_a_centred_unembedding_diverges_at_the_head_with_the_same_probabilities(compare: Compare):
    """The numbers returned do differ, and are not called rounding; what softmax makes of them is said beside."""
    report = compare(build(), add_to_all_words(build(), 0.5), {"input_ids": ids()})
    assert (report.verdict, report.first.module) == (Verdict.DIVERGED, "head")
    assert [check.check for check in report.trust if check.status is Status.WARN] == ["constant"]
    assert report.output.kl < 1e-9
    assert report.output.argmax_match == 1


def test_a_constant_over_all_but_a_few_words_is_none(reference: Path, tmp_path: Path, doubts: Doubts):
    """Softmax does see what is added to some words alone."""

    def shifted(dump: Dump, tap: Tap) -> Any:
        bits = dump.bits(tap) + np.float32(1)
        bits[..., :3] -= 1
        return bits

    assert "constant" not in doubts(reference, retold(reference, tmp_path / "b.h5", instead({":out": shifted})))


class Cancelling(nn.Module):
    """The difference of two sums that are nearly alike: its norm is a thousandth of theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(CHANNELS, CHANNELS)
        self.other = nn.Linear(CHANNELS, CHANNELS)
        self.after = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x_TC: Tensor) -> Tensor:
        return self.after(self.one(x_TC) - self.other(x_TC))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_step_of_the_relative_error_that_is_the_denominator_s(seed: int, dtype, compare: Compare):
    """kekzl/imp 1277: the error stays what it was, and what it is divided by falls."""
    models = []
    for _ in range(2):
        torch.manual_seed(seed)
        model = Cancelling().eval()
        with torch.no_grad():
            for mine, other in zip(model.one.parameters(), model.other.parameters(), strict=True):
                other.copy_(mine + 1e-3 * torch.randn_like(mine))
        models.append(model)
    inputs = torch.randn(12, CHANNELS, generator=torch.Generator().manual_seed(seed))
    report = compare(models[0], models[1].to(dtype), {"x_TC": inputs}, candidate_inputs={"x_TC": inputs.to(dtype)})
    errors = {row.reference: row.rel_l2 for row in report.taps}
    assert errors["after:in"] > 20 * errors["one:out"]
    assert report.verdict is Verdict.NOISE
