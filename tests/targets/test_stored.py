"""A dump may name any file as its model: only a model's own file tells of its weights."""

import os
from pathlib import Path

import pytest
import torch

import probe
from probe.capture.arrays import ArrayRecorder
from probe.targets.stored import stored_weights


@pytest.mark.parametrize("kind", ["gguf", "onnx", "hf"])
@pytest.mark.parametrize("what", ["pipe", "folder", "nothing", "text"])
def test_a_dump_that_names_what_is_no_model_learns_nothing_and_waits_for_nothing(tmp_path: Path, kind: str, what: str):
    place = tmp_path / "model"
    {"pipe": os.mkfifo, "folder": Path.mkdir, "nothing": str, "text": Path.touch}[what](place)
    about = {"target": {"kind": kind, "place": str(place), "arguments": {}}}
    weights = [("layer.weight", torch.ones(2, 2))]
    with ArrayRecorder(tmp_path / "x.h5", weights=weights, about=about) as arrays:
        arrays.add(0, "layer", "f", "out", torch.ones(2))
    with probe.open(tmp_path / "x.h5") as dump:
        assert stored_weights(dump)("layer.weight") is None
