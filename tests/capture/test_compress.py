"""`compress` changes the file and nothing that is read from it."""

import numpy as np
import pytest
import torch

import probe
from probe.errors import ProbeError
from probe.report import Verdict
from tests.zoo.architectures import Size, build, inputs


def record(model, fed, path, **how):
    with torch.no_grad(), probe.record(model, path, **how):
        model(**fed)
    return path


@pytest.mark.parametrize("how", [{}, {"sketch": 16}, {"tokens_slice": "8:"}], ids=["values", "sketch", "slice"])
def test_a_compressed_dump_of_a_bf16_model_is_smaller_and_the_same(how, tmp_path):
    model, fed = build("gemma3", Size(hidden=256, tokens=256)).bfloat16(), inputs("gemma3", Size(tokens=256))
    plain = record(model, fed, tmp_path / "plain.h5", **how)
    small = record(model, fed, tmp_path / "small.h5", compress=True, **how)
    assert small.stat().st_size < (1 if how.get("sketch") else 0.95) * plain.stat().st_size + 1
    with probe.open(plain) as one, probe.open(small) as other:
        assert str(one.taps) == str(other.taps)  # NaN is not equal to itself
        for tap in one.taps:
            if one.has_values(tap):
                assert one.bits(tap).tobytes() == other.bits(tap).tobytes()
            else:
                mine, its = one.sketch(tap, one.detail), other.sketch(tap, one.detail)
                np.testing.assert_array_equal(mine.projections, its.projections)
    assert probe.diff(plain, small, reference=model).verdict is Verdict.IDENTICAL


def test_a_compressed_candidate_is_replayed_like_any(tmp_path):
    size = Size(tokens=32)
    model, fed = build("llama", size), inputs("llama", size)
    reference = record(model, fed, tmp_path / "reference.h5")
    port = build("llama", size)
    port.get_submodule("model.layers.1.mlp").act_fn = torch.nn.GELU()
    report = probe.diff(reference, record(port, fed, tmp_path / "port.h5", compress=True), reference=model)
    assert [finding.cause for finding in report.findings] == ["mlp.activation"]


def test_statistics_alone_have_nothing_to_compress(tmp_path):
    with pytest.raises(ProbeError, match="nothing to compress"):
        record(build("llama"), inputs("llama"), tmp_path / "x.h5", compress=True, stats_only=True)
