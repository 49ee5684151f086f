"""Ports that cost somebody days, as public threads tell of them, in small: all bugs at once, and all are named."""

import pytest

from tests.conftest import Compare
from tests.zoo.pairs import pair
from tests.zoo.plan import bug_named


def test_gemma3_in_an_engine_of_fused_matrices(compare: Compare):
    """Another eps, weights without their 1, and the list of windows lost: the fp32 logits differ.

    https://github.com/NVIDIA/TensorRT-LLM/issues/4815
    """
    names = ["eps of Gemma's norm before attention", "1 is not added", "window lost"]
    both = pair([bug_named(name) for name in names], "gemma3", style="fused decoder", seed=3, scope="all")
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    found = {one.cause: one for one in report.findings}
    assert set(found) == {"norm.eps", "norm.weight_offset", "attn.window"}
    assert (found["norm.eps"].reference_value, found["norm.eps"].candidate_value) == (1e-5, 1e-6)
    assert found["attn.window"].module == "model.layers.0.self_attn"
    assert report.explained == pytest.approx(1.0, abs=1e-6)
