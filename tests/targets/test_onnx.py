"""`onnx:FILE` end to end: graphs as the exporter makes them beside the transformers models that they were made of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

import probe
from probe.report import Report, Verdict
from probe.targets import InputRequest, Target
from probe.targets.onnx.play import play
from probe.targets.runtime import Job
from tests.targets import onnx_models, onnx_plants

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's exporter and onnxruntime's quantizers


@dataclass(frozen=True)
class Exported:
    model: nn.Module
    graph: Path
    reference: Path

    def compared(self, graph: Path, path: Path) -> Report:
        request = InputRequest(dump=self.reference)
        notes = play(Job(Target("onnx", str(graph)), request, path), lambda what, done, total: None)
        assert any("untouched graph" in note for note in notes)
        return probe.diff(self.reference, path, reference=self.model)

    def edited(self, folder: Path, edit: Callable[[Any], None]) -> Report:
        proto = onnx.load(self.graph)
        edit(proto)
        onnx.save(proto, folder / "edited.onnx")
        return self.compared(folder / "edited.onnx", folder / "cand.h5")


def exported(kind: str, folder: Path, export: Callable[[nn.Module, Path], Path] = onnx_models.export) -> Exported:
    model = onnx_models.tiny(kind)
    graph = export(model, folder / f"{kind}.onnx")
    ids_BT = torch.randint(3, 256, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), probe.record(model, folder / f"{kind}.h5"):
        model(input_ids=ids_BT)
    return Exported(model, graph, folder / f"{kind}.h5")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported("llama", tmp_path_factory.mktemp("llama"))


def modules_without(report: Report) -> set[str]:
    """The reference's modules of which an output, or the first input, has no counterpart."""
    taps = [tap for tap in report.reference_only if "@" not in tap and tap.endswith((":in", ":out"))]
    return {tap.rpartition(":")[0] for tap in taps}


def test_a_clean_export_is_noise_and_every_module_is_found(llama: Exported, tmp_path: Path):
    report = llama.compared(llama.graph, tmp_path / "cand.h5")
    assert report.verdict is Verdict.NOISE
    assert report.replayed
    assert not report.findings
    assert report.output is not None
    assert report.output.rel_l2 < 1e-5
    assert not modules_without(report)
    assert all(found.kind in ("equal", "transposed", "extra") for found in report.weights)
    paired = {row.reference: row.candidate for row in report.taps}
    for port in ("in.query", "in.key", "in.value", "in.scale", "in.mask", "out.probabilities", "out"):
        tap = f"model.layers.0.self_attn.@attention:{port}"
        assert paired[tap] == f"m.{tap}"


@pytest.mark.parametrize(("kind", "export"), [("gpt2", onnx_models.export), ("bert", onnx_models.export_traced)])
def test_biases_and_norms_with_a_mean_are_found_too(kind: str, export, tmp_path: Path):
    one = exported(kind, tmp_path, export)
    report = one.compared(one.graph, tmp_path / "cand.h5")
    assert report.verdict is Verdict.NOISE
    assert not report.findings
    constant = {"embeddings.position_embeddings"}  # traced, its input is a constant
    assert all("pooler" in module for module in modules_without(report) - constant)


def test_a_graph_without_names_is_matched_by_its_weights(llama: Exported, tmp_path: Path):
    report = llama.edited(tmp_path, onnx_plants.nameless)
    assert report.verdict is Verdict.NOISE
    paired = {row.reference for row in report.taps}
    assert all(f"{name}:out" in paired for name, module in llama.model.named_modules() if isinstance(module, nn.Linear))
    assert all(f"model.layers.{layer}.input_layernorm:out" in paired for layer in range(3))


QUERY, OUT = (f"model.layers.1.self_attn.{name}_proj" for name in "qo")
INPUT, POST = "model.layers.1.input_layernorm", "model.layers.1.post_attention_layernorm"
PLANTS = [
    (partial(onnx_plants.edited_eps, module=INPUT), [(INPUT, "norm.eps")]),
    (partial(onnx_plants.transposed, module=QUERY), [(QUERY, "linear.weight_transposed")]),
    (
        partial(onnx_plants.swapped, module=QUERY, other=OUT),
        [(QUERY, "linear.weight_swapped"), (OUT, "linear.weight_swapped")],
    ),
    (
        partial(onnx_plants.swapped, module=INPUT, other=POST, op="Mul"),
        [(INPUT, "norm.weight_swapped"), (POST, "norm.weight_swapped")],
    ),
]


@pytest.mark.parametrize(("edit", "expected"), PLANTS, ids=["eps", "transposed", "swapped", "norms"])
def test_an_edited_graph_is_found_and_named(edit, expected, llama: Exported, tmp_path: Path):
    report = llama.edited(tmp_path, edit)
    assert report.verdict is Verdict.DIVERGED
    assert [(finding.module, finding.cause) for finding in report.findings] == expected
    assert report.explained is not None
    assert report.explained > 0.99
