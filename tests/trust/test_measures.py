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
from tests.trust.model import CHANNELS, build
from tests.trust.retelling import instead, retold


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_that_differ_by_a_constant_a_token(dtype, reference: Path, recorded: Recorded, doubts: Doubts):
    """TransformerLens 693, 1272: with the unembedding centred, logits differ and probabilities do not."""
    centred = build()
    with torch.no_grad():
        centred.head.weight.add_(0.2 * torch.randn(CHANNELS, generator=torch.Generator().manual_seed(0)))
    found = doubts(reference, recorded("candidate", centred))
    assert found["constant"].status is Status.WARN
    assert found["constant"].message.startswith(":out differs by one number a token (")
    assert "the probabilities are the same" in found["constant"].message
    assert "constant" not in doubts(reference, recorded("honest", build().to(dtype)))


def test_a_constant_over_all_but_a_few_words_is_none(reference: Path, tmp_path: Path, doubts: Doubts):
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
