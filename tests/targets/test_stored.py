"""A dump may name any file as its model: only a model's own file tells of its weights."""

import os
from pathlib import Path

import pytest
import torch

import probe
from probe.capture.arrays import ArrayRecorder
from probe.targets.stored import Lost, stored_file


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
        found = stored_file(dump)
        if kind == "hf":
            assert not found.trouble
            assert found.weight("layer.weight") is None
        else:
            assert ("cannot be read" if what == "text" else "is gone") in found.trouble
            with pytest.raises(Lost):
                found.weight("layer.weight")
