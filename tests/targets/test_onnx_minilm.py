"""Real weights and real sentences: all-MiniLM-L6-v2's export beside the model, in float32 and in int8."""

from pathlib import Path

import pytest
import torch

import probe
from probe.report import Report, Verdict
from probe.targets import InputRequest, Target
from probe.targets.onnx.play import play
from probe.targets.runtime import Job
from tests.ports import references
from tests.targets import onnx_models, onnx_plants
from tests.targets.onnx_static import static_whole

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's exporter and onnxruntime's quantizers
NAMES = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export, and the run of the model that it was made of, on a padded batch."""
    folder = tmp_path_factory.mktemp("minilm")
    model, batch = references.minilm(), references.minilm_batch()
    onnx_models.export(model, folder / "float32.onnx", tuple(batch[name] for name in NAMES), NAMES)
    with torch.no_grad(), probe.record(model, folder / "ref.h5"):
        model(**batch)
    return folder


def compared(folder: Path, graph: Path) -> Report:
    request = InputRequest(dump=folder / "ref.h5")
    play(Job(Target("onnx", str(graph)), request, graph.with_suffix(".h5")), lambda *told: None)
    return probe.diff(folder / "ref.h5", graph.with_suffix(".h5"), reference=references.minilm())


def test_the_float32_export_is_noise_and_every_weight_is_in_it(folder: Path):
    report = compared(folder, folder / "float32.onnx")
    assert report.verdict is Verdict.NOISE
    assert not report.findings
    assert report.output is not None
    assert report.output.rel_l2 < 1e-5
    absent = {name for found in report.weights if found.kind == "absent" for name in found.weights}
    assert absent == {"pooler.dense.weight", "pooler.dense.bias"}
    paired = {row.reference for row in report.taps}
    for layer in range(6):
        assert f"encoder.layer.{layer}.attention.self.@attention:out.probabilities" in paired
        assert f"encoder.layer.{layer}.output.LayerNorm:out" in paired


def test_int8_is_noise_and_each_quantized_module_is_named(folder: Path):
    report = compared(folder, onnx_plants.dynamic(folder / "float32.onnx", folder / "int8.onnx"))
    assert report.verdict is Verdict.NOISE
    (finding,) = report.findings
    assert finding.cause == "linear.quantized"
    assert len(finding.modules) == 3 + 6 * 6


def test_int8_of_every_operation_is_noise_that_is_explained(folder: Path):
    batch = {name: references.minilm_batch()[name].numpy() for name in NAMES}
    report = compared(folder, static_whole(folder / "float32.onnx", folder / "static.onnx", [batch]))
    assert report.verdict is Verdict.NOISE
    assert {finding.cause for finding in report.findings} == {"linear.quantized", "precision.storage"}
    assert report.explained is not None
    assert report.explained > 0.9
