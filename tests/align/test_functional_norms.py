"""Norms that are lines in their block's code: the block's own taps are not taken for theirs."""

import pytest

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.benign import BENIGN, benign_pair


@pytest.mark.parametrize("view", ["gemma2", "gemma3", "granite"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_norms_that_are_functions_of_their_block_blame_nobody(compare: Compare, view, dtype):
    """The block holds the norms' weights; what the block is given and returns is none of theirs."""
    port = next(one for one in BENIGN if one.name == "a port")
    honest = benign_pair(port, view, "seen", 3, "nano decoder", dtype, "fp32", False)
    report = compare(honest.reference, honest.candidate, honest.inputs, candidate_inputs=honest.candidate_inputs)
    assert report.verdict is Verdict.NOISE, report.first
    firm = {row.reference for row in report.taps if row.ratio is not None}
    assert {"model.layers.1:in", "model.layers.1:out"} <= firm
