"""Honest conversions are not blamed: folded norms, interleaved rows, tables of GELU, and weights in few bits."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from probe.align.mapping import Mapping, candidate_values
from probe.align.table.apply import pairs_of_table
from probe.align.table.merge import merged
from probe.align.table.read import read_table
from probe.diagnose.blocks import LEAST_DB
from probe.dump import Dump
from probe.report import Verdict
from tests.converted.convert import contents, quantized
from tests.converted.models import tiny
from tests.converted.plants import EVERY, window_off_by_one
from tests.converted.runs import CANDIDATE, REFERENCE, compared, recorded

TYPES = [
    *[("gemma", "F16"), ("llama", "BF16"), ("gemma", "Q4_0"), ("llama", "Q4_1"), ("llama3", "Q5_0"), ("phi3", "Q5_1")],
    *[("gemma", "Q2_K"), ("phi3", "Q3_K"), ("llama", "Q4_K"), ("qwen3", "Q5_K"), ("gemma3", "Q6_K")],
]
"""All types with all architectures: `python -m tests.converted honest`. In two of these, a number that is halfway
between two when it is rounded goes to the other one in ggml."""
QUANTIZED = {"F32": set(), "F16": {"precision.storage"}, "BF16": {"precision.storage"}}
"""What may be said of a type besides the table of GELU; of all others that it is quantized."""


@pytest.mark.parametrize(("name", "kind"), [*((name, kind) for name in EVERY for kind in ("F32", "Q8_0")), *TYPES])
def test_an_honest_conversion_is_not_blamed(name: str, kind: str, tmp_path: Path):
    report = compared(name, tmp_path, kind=kind, width=256 if kind.endswith("_K") else 64)
    assert report.verdict is Verdict.NOISE
    said = {finding.cause for finding in report.findings}
    assert said - {"precision.compute"} == QUANTIZED.get(kind, {"linear.quantized"})
    assert ("precision.compute" in said) == name.startswith("gemma")
    stored = [finding for finding in report.findings if finding.cause == "linear.quantized"]
    assert all(f"where {kind} leaves {LEAST_DB[kind] + 3}" in finding.message for finding in stored)
    assert not [weight for weight in report.weights if weight.suspicious]
    assert not [check for check in report.trust if check.status != "ok"]
    assert not [tap for tap in report.reference_only if "@" not in tap]
    table = f"gguf-{name.removesuffix('3') if name == 'llama3' else name}"
    assert any(table in note for note in report.notes)


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_keys_and_values_in_a_narrower_type_are_rounding_of_that_kind(kind: str, tmp_path: Path):
    report = compared("llama3", tmp_path, kv=kind)
    assert report.verdict is Verdict.NOISE
    assert [finding.cause for finding in report.findings] == ["precision.storage"]
    assert report.findings[0].module == "model.layers.0.self_attn"
    assert len(report.findings[0].modules) == 3


@pytest.mark.parametrize(("name", "width", "seed"), [("llama", 64, 0), ("gemma2", 64, 0), ("qwen3", 256, 4)])
@pytest.mark.parametrize(("num_tokens", "cause"), [(24, "precision.accumulate"), (80, "precision.storage")])
def test_the_fused_kernel_of_attention_is_rounding_of_its_kind(name, width, seed, num_tokens, cause, tmp_path: Path):
    """Of few tokens the sums are float16, of many the cache alone."""
    report = compared(name, tmp_path, num_tokens=num_tokens, flash=True, width=width, seed=seed)
    assert report.verdict is Verdict.NOISE
    said = {finding.cause: finding for finding in report.findings}
    assert said.keys() - {"precision.compute"} == {cause}
    assert len(said[cause].modules) == 3


def test_a_bug_is_found_under_the_fused_kernels_rounding(tmp_path: Path):
    report = compared("gemma3", tmp_path, flash=True, change=window_off_by_one)
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.module == "model.layers.0.self_attn"


@pytest.mark.parametrize(("kind", "width"), [("Q8_0", 64), ("Q4_0", 64), ("Q6_K", 256), ("Q4_K", 256)])
def test_the_noise_of_quantized_weights_is_told_as_large_as_the_quantizer_leaves_it(kind, width, tmp_path: Path):
    report = compared("phi3", tmp_path, kind=kind, width=width)
    errors = []
    for values in contents(tiny("phi3", width=width)).tensors.values():
        if values.ndim == 2:
            stored = gguf.GGMLQuantizationType[kind]
            made = gguf.quants.dequantize(quantized(values, stored), stored)
            errors.append(10 * np.log10(np.sum(values**2) / np.sum((values - made) ** 2)))
    told = [weight.sqnr_db for weight in report.weights if weight.kind == "quantized"]
    assert told
    assert min(told) == pytest.approx(min(errors), abs=1.0)  # estimated from eight projections a row


@pytest.mark.parametrize("name", EVERY)
def test_the_shipped_table_alone_pairs_equal_numbers_and_leaves_nothing_out(name: str, tmp_path: Path):
    recorded(name, tmp_path)
    with Dump(tmp_path / REFERENCE) as reference, Dump(tmp_path / CANDIDATE) as candidate:
        table = read_table(Path(f"gguf-{candidate.attribute('config')['general.architecture']}"))
        applied = pairs_of_table(table, reference, candidate)
        mapping = merged(applied, Mapping((), (), ()), reference, candidate)
        assert not applied.problems
        assert {tap.module for tap in mapping.reference_only} == set()
        for pair in mapping.pairs:
            values = reference.read(pair.reference).astype(np.float64)
            other = candidate_values(pair, candidate, None).astype(np.float64)
            if name.startswith("gemma") and pair.reference.name == "model.embed_tokens:out":
                other *= 8.0  # scaled behind the embedding
            assert np.linalg.norm(other - values) <= 2e-3 * np.linalg.norm(values), pair.reference.name


def test_the_audit_names_the_type_that_the_file_says_and_what_scales_rotary_frequencies(tmp_path: Path):
    weights = {weight.kind: weight for weight in compared("llama3", tmp_path, kind="Q8_0").weights}
    assert "quantized (Q8_0), SQNR from about 45 dB on" in weights["quantized"].message
    assert "rope_freqs.weight is none of the reference's weights (it scales rotary" in weights["extra"].message
