"""The main job on real weights: all-MiniLM-L6-v2, two real sentences in a padded batch, against five other runs of it.

The port (tests/ports/bert.py) shares no code with transformers: other names, fused qkv, tokens flattened and unpadded.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from probe.render.page import document, pictures
from probe.render.runs import run_of
from probe.report import Verdict
from tests.conftest import Compare
from tests.ports import bert, references


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    return references.minilm()


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    return dict(references.minilm_batch())


def port(reference: nn.Module, bug: str | None = None, layer: int | None = None) -> nn.Module:
    return bert.convert(reference.state_dict(), reference.config, bug, layer)


def test_the_batch_is_padded(batch):
    lengths = batch["attention_mask"].sum(1)
    assert lengths[0] != lengths[1]


def test_the_same_run_twice_is_identical(compare: Compare, reference, batch):
    report = compare(reference, reference, batch)
    assert report.verdict is Verdict.IDENTICAL
    assert not report.reference_only
    assert not report.candidate_only


@pytest.mark.parametrize(
    ("attention", "dtype"), [("sdpa", torch.float32), ("eager", torch.bfloat16), ("sdpa", torch.bfloat16)]
)
def test_another_kernel_and_another_dtype_are_noise(compare: Compare, reference, batch, attention, dtype):
    report = compare(reference, references.minilm(attention, dtype), batch)
    assert report.verdict is Verdict.NOISE
    assert report.replayed
    assert all(one.is_honest for one in report.findings)


def test_an_independent_port_is_noise_and_aligns_by_itself(compare: Compare, reference, batch):
    report = compare(reference, port(reference), batch)
    assert report.verdict is Verdict.NOISE
    assert report.output is not None
    assert report.output.rel_l2 < 1e-5
    paired = {row.reference: row.candidate for row in report.taps}
    for layer in range(6):
        for index, name in enumerate(("query", "key", "value")):
            fused = f"blocks.{layer}.attention.qkv:out[{384 * index}:{384 * (index + 1)}]"
            assert paired[f"encoder.layer.{layer}.attention.self.{name}:out"] == fused
        assert paired[f"encoder.layer.{layer}.output.LayerNorm:out"] == f"blocks.{layer}.norm2:out"


BUGS = [
    ("eps", None, "embeddings.LayerNorm"),
    ("eps", 3, "encoder.layer.3.attention.output.LayerNorm"),
    ("query_key_swapped", 3, "encoder.layer.3.attention.self.query"),
    ("mask_ignored", None, "encoder.layer.0.attention.self"),
    ("mask_ignored", 4, "encoder.layer.4.attention.self"),
    ("gelu_tanh", None, "encoder.layer.0.intermediate.intermediate_act_fn"),
    ("gelu_tanh", 2, "encoder.layer.2.intermediate.intermediate_act_fn"),
]


@pytest.mark.parametrize(("bug", "layer", "module"), BUGS)
def test_a_bug_of_the_port_is_found_at_its_module(compare: Compare, reference, batch, bug, layer, module):
    report = compare(reference, port(reference, bug, layer), batch)
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.module == module
    assert report.findings[0].module == module


def test_a_bug_in_every_layer_is_one_finding(compare: Compare, reference, batch):
    report = compare(reference, port(reference, "gelu_tanh"), batch)
    assert [len(finding.modules) for finding in report.findings] == [6]


def test_swapped_query_and_key_are_both_named_and_the_weights_say_so(compare: Compare, reference, batch):
    report = compare(reference, port(reference, "query_key_swapped", 3), batch)
    modules = [module for finding in report.findings for module in finding.modules]
    assert modules == ["encoder.layer.3.attention.self.query", "encoder.layer.3.attention.self.key"]
    said = " ".join(check.message for check in report.trust)
    assert "encoder.layer.3.attention.self.query" in said
    paths = Path(report.reference_path), Path(report.candidate_path)
    drawn = pictures(report, *paths)
    assert all(picture.svg for picture in drawn), [picture.missing for picture in drawn]
    page = document(report, *map(run_of, paths), drawn, ())
    assert page.count("encoder.layer.3.attention.self.query") > 5
    assert "<strong>WEIGHTS</strong>" in page


def test_the_reference_is_left_as_it_was(compare: Compare, reference, batch):
    before = {name: value.clone() for name, value in reference.state_dict().items()}
    compare(reference, references.minilm("eager", torch.bfloat16), batch)
    assert all(torch.equal(before[name], value) for name, value in reference.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in reference.modules())
