"""`onnx:FILE` end to end: graphs as the exporter makes them beside the transformers models that they were made of."""

from pathlib import Path

import pytest
import torch

import probe
from probe.report import Verdict
from probe.targets import InputRequest, Target
from probe.targets.runtime import Job, record_runtime
from tests.targets import onnx_models

pytestmark = pytest.mark.filterwarnings("ignore")


def recorded(graph: Path, request: InputRequest, path: Path, **how) -> list[str]:
    return record_runtime(Job(Target("onnx", str(graph)), request, path, **how), lambda what, done, total: None)


def reference_of(model, path: Path) -> Path:
    ids_BT = torch.randint(3, 256, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), probe.record(model, path):
        model(input_ids=ids_BT)
    return path


@pytest.mark.parametrize("kind", onnx_models.KINDS)
def test_a_clean_export_is_noise_and_every_module_is_found(kind: str, tmp_path: Path):
    model = onnx_models.tiny(kind)
    graph = onnx_models.export(model, tmp_path / "x.onnx")
    reference = reference_of(model, tmp_path / "ref.h5")
    notes = recorded(graph, InputRequest(dump=reference), tmp_path / "cand.h5")
    assert any("untouched graph" in note for note in notes)
    report = probe.diff(reference, tmp_path / "cand.h5", reference=model)
    assert report.verdict is Verdict.NOISE
    assert report.replayed
    assert not report.findings
    assert report.output is not None
    assert report.output.rel_l2 < 1e-5
    modules = {tap.rpartition(":")[0] for tap in report.reference_only if tap.endswith((":in", ":out"))}
    assert all("@" in module or "pooler" in module for module in modules)
