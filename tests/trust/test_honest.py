"""Honest pairs of real architectures give no doubt at all: a false alarm costs trust. `make zoo` has more of them."""

from pathlib import Path

import pytest
import torch

import probe
from tests.ports.styles import STYLES
from tests.trust.conftest import Doubts
from tests.zoo.architectures import Size, build, inputs

SIZE = Size(hidden=32, layers=3, heads=4, tokens=13)


def record(model: torch.nn.Module, path: Path, fed: dict[str, torch.Tensor]) -> Path:
    with torch.no_grad(), probe.record(model, path, force=True):
        model(**fed)
    return path


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "qwen3-moe", "bert", "vit", "whisper"])
def test_another_dtype_is_no_reason_to_doubt(name: str, tmp_path: Path, doubts: Doubts):
    fed = inputs(name, SIZE, 4)
    small = {key: value.bfloat16() if value.is_floating_point() else value for key, value in fed.items()}
    reference = record(build(name, SIZE, 4), tmp_path / "a.h5", fed)
    candidate = record(build(name, SIZE, 4).to(torch.bfloat16), tmp_path / "b.h5", small)
    assert doubts(reference, candidate) == {}
    assert doubts(candidate, reference) == {}


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_another_style_is_no_reason_to_doubt(style, tmp_path: Path, doubts: Doubts):
    model = style.reference(Size(hidden=64, layers=3))
    ours, theirs = style.fed(2)
    reference = record(model, tmp_path / "a.h5", ours)
    assert doubts(reference, record(style.candidate(model), tmp_path / "b.h5", theirs)) == {}
