"""A GGUF file, run by llama.cpp, is told as modules: in what order, under which names, with which numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from probe.dump import Dump
from probe.errors import ProbeError
from probe.targets.gguf.play import play
from probe.targets.inputs import InputRequest
from probe.targets.runtime import Job
from probe.targets.target import Target
from tests.converted.convert import contents, write
from tests.converted.models import CLASSES, tiny, tokens


def dumped(
    path: Path, ids: torch.Tensor | None = None, options: dict[str, object] | None = None, **how: object
) -> Dump:
    """The dump of a file's run."""
    text = ",".join(str(int(token)) for token in (tokens(10) if ids is None else ids)[0])
    target = Target("gguf", str(path), {"threads": 1} | (options or {}))
    output = path.with_suffix(".h5")
    play(Job(target, InputRequest(tokens=text), output, force=True, **how), lambda *_: None)
    return Dump(output)


@pytest.mark.parametrize("name", CLASSES)
def test_logits_are_those_of_transformers(tmp_path: Path, name: str):
    model = tiny(name)
    dump = dumped(write(contents(model), tmp_path / "m.gguf"))
    with torch.no_grad():
        expected = model(tokens(10)).logits.numpy()
    error = np.square(dump[":out.logits"] - expected).sum() / np.square(expected).sum()
    assert error < (2e-7 if name.startswith("gemma") else 5e-12)  # 6e-8 and 5e-13 measured; Gemma's GELU is a table


def test_a_module_is_named_as_its_weight_and_given_what_came_before(tmp_path: Path):
    dump = dumped(write(contents(tiny("llama")), tmp_path / "m.gguf"))
    weights = {weight.module for weight in dump.weights}
    modules = {tap.module for tap in dump.module_taps if not tap.is_functional}
    assert weights - modules == set()
    assert modules - weights == {"", "blk.0", "blk.1", "blk.2"}
    np.testing.assert_array_equal(dump["blk.1:in"], dump["blk.0:out"])
    np.testing.assert_array_equal(dump["blk.0.attn_norm:in"], dump["token_embd:out"])
    np.testing.assert_array_equal(dump["blk.2.ffn_down:in"], dump["blk.2.@ffn_swiglu:out"])
    np.testing.assert_array_equal(dump[":out.logits"], dump["output:out"])


def test_without_a_file_nothing_is_recorded(tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ProbeError, match="no GGUF file, or not all of one"):
        dumped(path)
