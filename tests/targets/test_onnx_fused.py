"""Graphs whose attention is one operation: as onnxruntime's optimizer fuses it, and as opset 23 has it."""

from pathlib import Path

import pytest
from onnxruntime.transformers import optimizer

from probe.report import Verdict
from tests.targets import onnx_models
from tests.targets.test_onnx import exported

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's exporter and onnxruntime's optimizer


def test_a_fused_bert_is_noise_with_every_product_in_its_place(tmp_path: Path):
    one = exported("bert", tmp_path, onnx_models.export_traced)
    fused = optimizer.optimize_model(str(one.graph), model_type="bert", num_heads=4, hidden_size=64, opt_level=0)
    fused.save_model_to_file(str(tmp_path / "fused.onnx"))
    assert {"Attention", "SkipLayerNormalization", "BiasGelu"} <= {node.op_type for node in fused.model.graph.node}
    report = one.compared(tmp_path / "fused.onnx", tmp_path / "cand.h5")
    assert report.verdict is Verdict.NOISE
    assert not report.findings
    paired = {row.reference for row in report.taps}
    for layer in range(3):
        assert f"encoder.layer.{layer}.output.LayerNorm:out" in paired
        assert f"encoder.layer.{layer}.attention.output.dense:in" in paired
