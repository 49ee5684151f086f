"""`tokens_slice` keeps some tokens of every tensor that has them, and all of every other."""

import numpy as np
import pytest
import torch

import probe
from probe.capture.tokens import token_axis
from probe.errors import ProbeError
from probe.report import Verdict
from tests.zoo.architectures import Size, build, inputs

SIZE = Size(tokens=24)
TOKENS = slice(4, 10)


@pytest.mark.parametrize(
    ("shape", "fed", "axis"),
    [
        ((2, 24, 64), (2, 24), 1),
        ((1, 24, 64), (2, 24), 1),
        ((24, 64), (1, 24), 0),
        ((2, 24), (2, 24), 1),
        ((2, 4, 24, 16), (2, 24), 2),
        ((2, 4, 24, 24), (2, 24), 2),
        ((24, 24), (1, 24), 0),
        ((24, 24, 64), (24, 24), 1),
        ((48, 64), (2, 24), None),
        ((64,), (1, 24), None),
        ((24,), (1, 24), 0),
        ((), (1, 24), None),
        ((1, 1, 64), (1, 1), None),
        ((1, 24, 64), (1, 0), None),
    ],
)
def test_the_tokens_axis_follows_from_what_was_fed(shape, fed, axis):
    assert token_axis(shape, fed) == axis


def record(model, fed, path, **how):
    with torch.no_grad(), probe.record(model, path, force=True, **how):
        model(**fed)
    return path


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral", "whisper", "bert"])
def test_the_rows_that_are_kept_are_those_of_a_full_recording(name, tmp_path):
    model, fed = build(name, SIZE), inputs(name, SIZE)
    record(model, fed, tmp_path / "full.h5")
    record(model, fed, tmp_path / "part.h5", tokens_slice="4:10")
    with probe.open(tmp_path / "full.h5") as full, probe.open(tmp_path / "part.h5") as part:
        num_sentences = 2 if name == "bert" else 1
        num_cut = 0
        for whole, tap in zip(full.taps, part.taps, strict=True):
            axis = token_axis(whole.shape, (num_sentences, SIZE.tokens))
            values = full.read(whole)
            wanted = values if axis is None else values[(slice(None),) * axis + (TOKENS,)]
            np.testing.assert_array_equal(part.read(tap), wanted, err_msg=tap.name)
            num_cut += axis is not None
        assert num_cut > 0.5 * len(part.taps)
        assert [*part.inputs()] == [*full.inputs()]
        assert all(bits.shape == full.inputs()[key][0].shape for key, (bits, _) in part.inputs().items())


def test_a_tensor_that_is_given_on_is_kept_once(tmp_path):
    model, fed = build("llama", SIZE), inputs("llama", SIZE)
    sizes = [
        record(model, fed, tmp_path / f"{number}.h5", **how).stat().st_size
        for number, how in enumerate(({}, {"tokens_slice": "0:12"}, {"tokens_slice": "0:1"}))
    ]
    assert sizes[0] - sizes[1] > 0.9 * (sizes[1] - sizes[2])


def test_a_bug_is_seen_in_the_tokens_that_were_kept_and_nothing_is_replayed(tmp_path):
    model, fed = build("llama", SIZE), inputs("llama", SIZE)
    reference = record(model, fed, tmp_path / "reference.h5", tokens_slice="-8:")
    model.get_submodule("model.layers.1.mlp.up_proj").weight.data[::2] *= -1
    candidate = record(model, fed, tmp_path / "candidate.h5", tokens_slice="-8:")
    report = probe.diff(reference, candidate, reference=model)
    assert (report.verdict, report.replayed) == (Verdict.DIVERGED, False)
    assert report.first.module == "model.layers.1.mlp.up_proj"
    assert any("both hold tokens -8: alone" in check.message for check in report.trust)
    assert len(report.next_commands) == 2


def test_dumps_of_other_tokens_are_refused(tmp_path):
    model, fed = build("llama", SIZE), inputs("llama", SIZE)
    one = record(model, fed, tmp_path / "one.h5", tokens_slice="0:8")
    for other in ({"tokens_slice": "8:16"}, {}):
        with pytest.raises(ProbeError, match="the reference holds tokens 0:8, the candidate"):
            probe.diff(one, record(model, fed, tmp_path / "other.h5", **other))


def test_sketches_and_statistics_of_some_tokens_are_those_of_these_rows(tmp_path):
    model, fed = build("llama", SIZE), inputs("llama", SIZE)
    part = record(model, fed, tmp_path / "part.h5", tokens_slice="4:10")
    for how in ({"sketch": 8}, {"stats_only": True}):
        less = record(model, fed, tmp_path / "less.h5", tokens_slice="4:10", **how)
        with probe.open(part) as full, probe.open(less) as dump:
            for whole, tap in zip(full.taps, dump.taps, strict=True):
                assert whole.shape == tap.shape
                assert tap.statistics.l2 == pytest.approx(whole.statistics.l2, rel=1e-5)


def test_a_slice_without_tokens_says_so(tmp_path):
    model, fed = build("llama", SIZE), inputs("llama", SIZE)
    with pytest.raises(ProbeError, match="of the 24 tokens of step 0 none is in the slice"):
        record(model, fed, tmp_path / "x.h5", tokens_slice="100:200")
    with pytest.raises(ProbeError, match="not gradients"):
        record(model, fed, tmp_path / "x.h5", tokens_slice="0:2", gradients=True)
    assert not list(tmp_path.iterdir())
