"""Quantized graphs: honest ones are noise that is explained to the last bit, one wrong scale is found."""

from pathlib import Path

import onnx
import pytest

import probe
from probe.report import Verdict
from tests.targets import onnx_plants
from tests.targets.test_onnx import Exported, exported

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's exporter and onnxruntime's quantizers
UP = "model.layers.1.mlp.up_proj"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def dynamic(llama: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_plants.dynamic(llama.graph, tmp_path_factory.mktemp("dynamic") / "dynamic.onnx")


def test_int8_whose_inputs_are_rounded_as_they_come_is_noise_that_is_explained(llama, dynamic, tmp_path):
    report = llama.compared(dynamic, tmp_path / "cand.h5")
    assert report.verdict is Verdict.NOISE
    (finding,) = report.findings
    assert finding.cause == "linear.quantized"
    assert len(finding.modules) == 1 + 7 * 3 + 1
    assert report.explained is not None
    assert report.explained > 0.9  # what a sum lies near to the middle of two whole numbers is rounded either way
    with probe.open(tmp_path / "cand.h5") as dump:
        assert {tap.dtype for tap in dump.taps} >= {"uint8", "int32"}
        assert all(weight.dtype == "float32" for weight in dump.weights)


@pytest.mark.parametrize("factor", [0.5, 1.1])
def test_one_wrong_scale_is_found_at_its_module(factor, llama, dynamic, tmp_path):
    proto = onnx.load(dynamic)
    onnx_plants.wrong_scale(proto, "node_linear_12", factor)
    onnx.save(proto, tmp_path / "wrong.onnx")
    report = llama.compared(tmp_path / "wrong.onnx", tmp_path / "cand.h5")
    assert report.verdict is Verdict.DIVERGED
    (finding,) = [one for one in report.findings if not one.is_honest]
    assert (finding.cause, finding.module) == ("quant.scale", UP)
    assert finding.candidate_value == pytest.approx(factor, rel=0.01)


def test_products_in_qdq_form_are_explained_too(llama, tmp_path):
    report = llama.compared(onnx_plants.static(llama.graph, tmp_path / "static.onnx"), tmp_path / "cand.h5")
    assert report.verdict is Verdict.NOISE
    (quantized,) = [finding for finding in report.findings if finding.cause == "linear.quantized"]
    assert len(quantized.modules) == 7 * 3 + 1


def test_four_bits_leave_enough_to_tell_which_matrix_is_which(llama, tmp_path):
    report = llama.compared(onnx_plants.four_bits(llama.graph, tmp_path / "int4.onnx"), tmp_path / "cand.h5")
    assert report.verdict is Verdict.NOISE
    (finding,) = report.findings
    assert (finding.cause, finding.candidate_value) == ("linear.quantized", "int4")
    assert len(finding.modules) == 7 * 3 + 1
    assert report.explained is not None
    assert report.explained > 0.999
