"""llama.cpp in steps: chunks of a prefill, decoded tokens, another run's; and the options that it has."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import probe
from probe.dump import Dump
from probe.errors import ProbeError
from probe.targets.gguf.fed import one_row
from probe.targets.gguf.play import play
from tests.converted.convert import contents, write
from tests.converted.models import tiny, tokens
from tests.targets.gguf_runs import dumped, file_of, job_of


def logits(dump: Dump) -> np.ndarray:
    """[1, T, V] of all steps."""
    return np.concatenate([dump.read(dump.tap(":out.logits", step)) for step in dump.steps], axis=1)


@pytest.mark.parametrize("how", [{"chunk": 4}, {"options": {"batch": 4}}])
def test_a_prefill_in_chunks_is_the_same_bit_for_bit(tmp_path: Path, how: dict[str, object]):
    path = file_of("gemma3", tmp_path)
    whole = logits(dumped(path))
    dump = dumped(path, **how)
    assert (dump.steps, dump.past) == ([0, 1, 2], {0: 0, 1: 4, 2: 8})
    assert dump.tap("blk.1.@attention:in.key", 1).shape == (1, 2, 8, 16)
    assert dump.tap("blk.1.@attention:in.mask", 1).shape == (1, 1, 4, 8)
    np.testing.assert_array_equal(logits(dump), whole)


def test_each_decoded_token_is_the_likeliest(tmp_path: Path):
    dump = dumped(file_of("qwen3", tmp_path), decode=3)
    assert dump.steps == [0, 1, 2, 3]
    for step in (1, 2, 3):
        ids, _ = dump.inputs(step)["input_ids"]
        assert ids.tolist() == [[dump.read(dump.tap(":out.logits", step - 1))[0, -1].argmax()]]
        assert dump.tap("blk.2.attn_q_norm:out", step).shape == (1, 1, 4, 32)
    text = torch.cat([torch.from_numpy(dump.inputs(step)["input_ids"][0]) for step in dump.steps], dim=1)
    with torch.no_grad():
        expected = tiny("qwen3")(text).logits.numpy()
    assert np.square(logits(dump) - expected).sum() / np.square(expected).sum() < 5e-12


def test_one_head_has_an_axis_for_heads_in_decoded_steps_too(tmp_path: Path):
    model = tiny("qwen3", num_key_value_heads=1)
    dump = dumped(write(contents(model), tmp_path / "m.gguf"), decode=1)
    for tap in ("attn_k_norm:in", "attn_k_norm:out", "@norm.2:out", "@Kcur:out"):
        assert [dump.tap(f"blk.1.{tap}", step).shape for step in (0, 1)] == [(1, 10, 1, 32), (1, 1, 1, 32)], tap
    for tap in ("attn_k:out", "attn_norm:out", "ffn_norm:in"):
        assert len(dump.tap(f"blk.1.{tap}", 1).shape) == 3, tap


def test_another_run_s_tokens_come_in_its_steps(tmp_path: Path):
    model = tiny("qwen3")
    with torch.no_grad(), probe.record(model, tmp_path / "ref.h5"):
        cache = model(tokens(6), use_cache=True).past_key_values
        model(torch.tensor([[7]]), past_key_values=cache)
    dump = dumped(file_of("qwen3", tmp_path), tmp_path / "ref.h5")
    assert [dump.inputs(step)["input_ids"][0].shape for step in dump.steps] == [(1, 6), (1, 1)]
    with Dump(tmp_path / "ref.h5") as reference:
        np.testing.assert_allclose(logits(dump), logits(reference), atol=1e-4)


@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        ("3,4;5,6", {}, "one sentence at a time, and these are 2"),
        ("3,256", {}, "token id 256 is outside the vocabulary of 256"),
        ("3,4,5", {"context": 2}, "3 tokens do not fit into a context of 2"),
        ("3,4", {"kv": "f64"}, "kv=f64 is no type of keys and values"),
        ("3,4", {"batch": -1}, "batch=-1: a positive number is needed"),
        ("3,4", {"threads": 0}, "threads=0: a positive number is needed"),
        ("3,4", {"flash": 1}, "flash=1: a bool is needed"),
        ("3,4", {"gpu": 1}, "no option 'gpu'"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, ids: str, options: dict[str, object], message: str):
    with pytest.raises(ProbeError, match=message):
        dumped(file_of("llama", tmp_path), ids, options)
    assert not list(tmp_path.glob("*.h5*"))


def test_what_llama_cpp_cannot_be_fed_is_refused_or_told(tmp_path: Path):
    model, path = tiny("llama"), file_of("llama", tmp_path)
    fed = {"input_ids": tokens(4), "attention_mask": torch.ones(1, 4), "position_ids": torch.arange(4)[None]}
    for change, message in (
        ({"position_ids": torch.arange(2, 6)[None]}, "counts positions from 0 on, and position_ids does not"),
        ({"attention_mask": torch.tensor([[0, 1, 1, 1]])}, "knows no padding"),
    ):
        with torch.no_grad(), probe.record(model, tmp_path / "ref.h5", force=True):
            model(**fed | change)
        with pytest.raises(ProbeError, match=message):
            dumped(path, tmp_path / "ref.h5")
    assert one_row({**fed, "token_type_ids": torch.zeros(1, 4)}) == (
        tokens(4)[0].tolist(),
        ["token_type_ids was not passed on: llama.cpp is fed tokens alone"],
    )
    with torch.no_grad(), probe.record(model, tmp_path / "ref.h5", force=True):
        model(**fed)
    assert dumped(path, tmp_path / "ref.h5").steps == [0]


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path):
    path = file_of("llama", tmp_path)
    path.with_suffix(".h5").write_text("mine")
    with pytest.raises(ProbeError, match="exists already"):
        play(replace(job_of(path, "3,4"), force=False), lambda *_: None)
    assert path.with_suffix(".h5").read_text() == "mine"
    with pytest.raises(ProbeError, match="cannot write"):
        play(replace(job_of(path, "3,4"), path=tmp_path / "nowhere" / "x.h5"), lambda *_: None)
