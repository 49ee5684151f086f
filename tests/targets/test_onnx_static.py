"""Graphs of which every operation is quantized statically: what rounding does is told by the graph itself, so honest
ones are noise to the last bit, and what else is wrong is found as without rounding."""

from functools import partial
from pathlib import Path

import onnx
import pytest
from onnxruntime.quantization import QuantType

from probe.report import Verdict
from tests.targets import onnx_plants, onnx_static
from tests.targets.test_onnx import Exported, exported

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's exporter and onnxruntime's quantizers
LAYER = "model.layers.1"
UP, GATE, QUERY = f"{LAYER}.mlp.up_proj", f"{LAYER}.mlp.gate_proj", f"{LAYER}.self_attn.q_proj"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported("bert", tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def static(llama: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_static.static_whole(llama.graph, tmp_path_factory.mktemp("static") / "static.onnx")


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("llama", {"per_channel": True}),
        ("bert", {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8}),
    ],
)
def test_honest_rounding_of_everything_is_noise_that_is_explained(kind, how, tmp_path, request):
    one: Exported = request.getfixturevalue(kind)
    graph = onnx_static.static_whole(one.graph, tmp_path / "static.onnx", **how)
    report = one.compared(graph, tmp_path / "cand.h5")
    assert report.verdict is Verdict.NOISE
    assert {finding.cause for finding in report.findings} == {"linear.quantized", "precision.storage"}
    assert all(finding.message.startswith("harmless") for finding in report.findings)
    assert report.explained is not None
    assert report.explained > 0.9
    assert report.output is not None
    assert report.output.rel_l2 > 1e-3


PLANTS = [
    (partial(onnx_static.weight_scale, module=UP, factor=1.1), "quant.scale", [UP], 1.1),
    (partial(onnx_static.weight_zero_point, module=UP, steps=8), "quant.scale", [UP], "zero point +8"),
    (partial(onnx_static.returned_scale, module=UP, factor=1.1), "quant.scale", [GATE, UP], 1.1),
    (partial(onnx_static.returned_zero_point, module=UP, steps=5), "quant.activation", [GATE, UP], -5),
    (partial(onnx_static.narrow_limits, module=UP, factor=0.4), "quant.activation", [GATE, UP], None),
    (partial(onnx_static.matrix_transposed, module=QUERY), "linear.weight_transposed", [QUERY], "transposed"),
    (partial(onnx_static.matrices_exchanged, module=UP, other=GATE), "linear.weight_swapped", [GATE, UP], None),
]


@pytest.mark.parametrize(
    ("plant", "cause", "modules", "value"), PLANTS, ids=[plant[0].func.__name__ for plant in PLANTS]
)
def test_what_is_wrong_in_a_quantized_graph_is_named(plant, cause, modules, value, llama, static, tmp_path):
    proto = onnx.load(static)
    plant(proto)
    onnx.save(proto, tmp_path / "planted.onnx")
    report = llama.compared(tmp_path / "planted.onnx", tmp_path / "cand.h5")
    assert report.verdict is Verdict.DIVERGED
    found = [finding for finding in report.findings if not finding.is_honest]
    assert {finding.cause for finding in found} == {cause}
    assert sorted(module for finding in found for module in finding.modules) == modules
    if value is not None:
        assert found[0].candidate_value == (pytest.approx(value, rel=0.01) if isinstance(value, float) else value)


def test_a_wrong_eps_is_found_beneath_the_rounding_to_eight_bits(llama, tmp_path):
    proto = onnx.load(llama.graph)
    onnx_plants.edited_eps(proto, f"{LAYER}.input_layernorm")
    onnx.save(proto, tmp_path / "eps.onnx")
    graph = onnx_static.static_whole(tmp_path / "eps.onnx", tmp_path / "static.onnx")
    report = llama.compared(graph, tmp_path / "cand.h5")
    (finding,) = [finding for finding in report.findings if not finding.is_honest]
    assert (finding.cause, finding.module) == ("norm.eps", f"{LAYER}.input_layernorm")
    assert finding.candidate_value == pytest.approx(1e-4, rel=0.01)


def test_scores_that_are_rounded_together_with_their_mask_are_lost_and_that_is_no_noise(tmp_path):
    one = exported("gpt2", tmp_path)
    graph = onnx_static.static_whole(one.graph, tmp_path / "static.onnx", with_masks=True)
    report = one.compared(graph, tmp_path / "cand.h5")
    assert report.verdict is Verdict.DIVERGED
    (finding,) = [finding for finding in report.findings if not finding.is_honest]
    assert finding.cause == "quant.activation"
    assert finding.modules == tuple(f"transformer.h.{layer}.attn" for layer in range(3))
    assert "all is lost" in finding.message
