"""Attention of llama.cpp's graphs, told as PyTorch's is: the same ports, axes and numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

import probe
from probe.dump import Dump
from tests.converted.models import tiny, tokens
from tests.targets.gguf_runs import dumped, file_of

HIDDEN = -1e30
"""Less than this, a score is none: transformers writes the smallest float, llama.cpp minus infinity."""


def both(name: str, folder: Path, **options: object) -> tuple[Dump, Dump]:
    """Of transformers and of llama.cpp."""
    model = tiny(name)
    with torch.no_grad(), probe.record(model, folder / "ref.h5", functional="all"):
        model(tokens(12))
    return Dump(folder / "ref.h5"), dumped(file_of(name, folder), tokens(12), options)


def error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Normalised mean square error where `ours` are scores at all."""
    assert ours.shape == theirs.shape
    kept = ours > HIDDEN
    assert (kept == (theirs > HIDDEN)).all()
    return float(np.square(ours[kept] - theirs[kept]).sum() / max(np.square(ours[kept]).sum(), 1e-30))


@pytest.mark.parametrize("name", ["llama3", "qwen3", "gemma2", "gemma3", "phi3"])
def test_unfused_attention_has_transformers_numbers_in_every_layer(tmp_path: Path, name: str):
    reference, candidate = both(name, tmp_path)
    for layer in range(3):
        ours, theirs = f"model.layers.{layer}.self_attn.@attention:", f"blk.{layer}.@attention:"
        for port in ("in.value", "in.mask", "out.scores", "out.probabilities", "out"):
            assert error(reference[ours + port], candidate[theirs + port]) < 3e-7, (layer, port)
        if name != "llama3":  # whose channels lie in another order
            assert error(reference[f"{ours}in.key"], candidate[f"{theirs}in.key"]) < 3e-7
            scaled = [side * dump[f"{at}in.scale"] for side, dump, at in _queries(reference, candidate, ours, theirs)]
            assert error(*scaled) < 3e-7


def _queries(reference: Dump, candidate: Dump, ours: str, theirs: str) -> list[tuple[np.ndarray, Dump, str]]:
    return [(dump[f"{at}in.query"], dump, at) for dump, at in ((reference, ours), (candidate, theirs))]


def test_a_cap_is_told_as_what_it_is_fused_and_not(tmp_path: Path):
    path = file_of("gemma2", tmp_path)
    for flash in (False, True):
        dump = dumped(path, options={"flash": flash})
        assert dump["blk.1.@attention:in.softcap"] == pytest.approx(2.0)
        assert dump["blk.1.@attention:in.scale"] == pytest.approx(1.0)
        assert ("blk.1.@attention:out.scores" in {tap.name for tap in dump.taps}) is not flash


def test_flash_attention_is_near_and_tells_the_half_precision_that_it_reads(tmp_path: Path):
    reference, candidate = both("qwen3", tmp_path, flash=True)
    ours, theirs = "model.layers.1.self_attn.@attention:", "blk.1.@attention:"
    assert candidate.tap(f"{theirs}in.key").dtype == "float16"
    for port in ("in.query", "in.key", "in.value", "out"):
        assert 1e-8 < error(reference[ours + port], candidate[theirs + port]) < 1e-5
    assert candidate.environment["attention"] == "flash"


@pytest.mark.parametrize(("kind", "dtype"), [("f16", "float16"), ("bf16", "bfloat16"), ("q8_0", "float32")])
def test_keys_and_values_are_told_as_they_are_kept(tmp_path: Path, kind: str, dtype: str):
    path = file_of("qwen3", tmp_path)
    exact, kept = (
        dumped(path, options=options)["blk.0.@attention:in.key"].astype(np.float32)
        for options in ({}, {"kv": kind, "flash": kind == "q8_0"})
    )
    dump = Dump(path.with_suffix(".h5"))
    assert dump.tap("blk.0.@attention:in.key").dtype in (dtype, "float16")
    assert 0 < error(exact, kept) < {"f16": 1e-6, "bf16": 1e-5, "q8_0": 1e-4}[kind]
