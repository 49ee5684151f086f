"""Runs in several steps through a KV cache, compared with one prefill, with each other, and with a bug in the cache."""

import copy

import numpy as np
import pytest
import torch

import probe
from probe.dump import Dump
from probe.dump.joined import side_by_side
from probe.report import Verdict
from tests.cache_bugs import planted, stale_state
from tests.stepwise import record_steps
from tests.tiny_decoders import MODELS, ids, tiny

TOKENS, PREFILL = 14, 8
DECODED = (PREFILL, *[1] * (TOKENS - PREFILL))
CHUNKED = (5, 4, 5)
ATTENTIVE = [name for name in MODELS if not name.startswith("mamba")]


def compared(tmp_path, reference, candidate, sizes=DECODED, *, against=(TOKENS,), mask_BT=None):
    ids_BT = ids(TOKENS)
    paths = tmp_path / "reference.h5", tmp_path / "candidate.h5"
    record_steps(reference, paths[0], ids_BT, against, mask_BT=mask_BT)
    record_steps(candidate, paths[1], ids_BT, sizes, mask_BT=mask_BT)
    return probe.diff(*paths, reference=reference)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_decoding_agrees_with_one_prefill(name, dtype, tmp_path):
    model = tiny(name, dtype=dtype)
    report = compared(tmp_path, model, model)
    assert report.verdict is not Verdict.DIVERGED
    assert report.replayed
    assert report.output.tap == ":out.logits"
    assert next(row for row in report.taps if row.reference == ":out.logits").shape[1] == TOKENS


@pytest.mark.parametrize("name", ATTENTIVE)
def test_chunks_agree_with_decoding_after_a_prefill(name, tmp_path):
    model = tiny(name)
    assert compared(tmp_path, model, model, CHUNKED, against=DECODED).verdict is not Verdict.DIVERGED


@pytest.mark.parametrize("name", MODELS)
def test_padding_on_the_left_agrees_too(name, tmp_path):
    mask_BT = torch.ones(2, TOKENS, dtype=torch.long)
    mask_BT[0, :3] = 0
    model = tiny(name)
    assert compared(tmp_path, model, model, mask_BT=mask_BT).verdict is not Verdict.DIVERGED


CAUSES = {
    "stale": "cache.stale",
    "previous_slot": "cache.stale",
    "position": "cache.position",
    "window": "attn.window",
    "dtype": "cache.dtype",
}


EVERYWHERE = ("stale", "position", "window")
BUGS = [(name, kind) for name in ATTENTIVE for kind in CAUSES if kind in EVERYWHERE or name in ("llama", "whisper")]


@pytest.mark.parametrize(("name", "kind"), BUGS)
def test_a_cache_bug_is_seen_at_its_layer_and_step_and_named(name, kind, tmp_path):
    model, step = tiny(name), 3
    report = compared(tmp_path, model, planted(copy.deepcopy(model), kind, layer=1, step=step))
    assert report.verdict is Verdict.DIVERGED
    assert report.first.step == step
    embeds_positions = kind == "position" and name in ("gpt2", "whisper")
    assert embeds_positions or ".1." in report.first.module
    assert [(one.cause, one.module) for one in report.findings] == [(CAUSES[kind], report.first.module)]
    assert f"from step {step} on" in report.findings[0].message
    assert report.explained == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", EVERYWHERE)
def test_a_cache_bug_is_named_in_bfloat16(kind, tmp_path):
    model = tiny("llama", dtype=torch.bfloat16)
    report = compared(tmp_path, model, planted(copy.deepcopy(model), kind, layer=1, step=2))
    assert [one.cause for one in report.findings if not one.is_honest] == [CAUSES[kind]]
    assert report.first.step == 2


def test_a_lost_state_is_seen_in_the_step_after(tmp_path):
    model = tiny("mamba")
    report = compared(tmp_path, model, stale_state(copy.deepcopy(model), layer=1, step=3))
    assert (report.first.module, report.first.step) == ("backbone.layers.1.mixer", 4)


def test_a_bug_of_the_prefill_too_is_of_the_first_step(tmp_path):
    model, candidate = tiny("llama"), tiny("llama")
    with torch.no_grad():
        candidate.model.layers[1].mlp.up_proj.weight[::2].mul_(1.01)
    report = compared(tmp_path, model, candidate)
    assert (report.first.module, report.first.step) == ("model.layers.1.mlp.up_proj", 0)


def test_a_prefill_is_compared_with_what_a_longer_run_began_with(tmp_path):
    model, ids_BT = tiny("llama"), ids(TOKENS)
    paths = tmp_path / "reference.h5", tmp_path / "candidate.h5"
    record_steps(model, paths[0], ids_BT[:, :PREFILL], (PREFILL,))
    record_steps(model, paths[1], ids_BT, DECODED)
    report = probe.diff(*paths, reference=model)
    assert report.verdict is not Verdict.DIVERGED
    assert not any(TOKENS in row.shape for row in report.taps)


def test_calls_that_do_not_go_on_from_each_other_stay_steps(tmp_path):
    model, path = tiny("llama"), tmp_path / "calls.h5"
    with torch.no_grad(), probe.record(model, path):
        model(input_ids=ids(5), use_cache=False)
        model(input_ids=ids(6), use_cache=False)
    with Dump(path) as one, Dump(path) as other:
        assert side_by_side(one, other) == (one, other)


def test_what_the_steps_were_fed_is_read_as_one_input(tmp_path):
    ids_BT, mask_BT = ids(TOKENS), torch.ones(2, TOKENS, dtype=torch.long)
    mask_BT[1, :2] = 0
    path = record_steps(tiny("llama"), tmp_path / "steps.h5", ids_BT, DECODED, mask_BT=mask_BT)
    with Dump(path) as recorded, Dump(path) as again:
        fed = side_by_side(recorded, again)[0].inputs(0)
    assert np.array_equal(fed["input_ids"][0], ids_BT.numpy())
    assert np.array_equal(fed["attention_mask"][0], mask_BT.numpy())
    assert np.array_equal(fed["position_ids"][0], (mask_BT.cumsum(1) - 1).clamp(min=0).numpy())
