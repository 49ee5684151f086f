"""A GGUF file, run by llama.cpp, is told as modules: in what order, under which names, with which numbers."""

import ctypes
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from probe.errors import ProbeError
from probe.targets.gguf.file import opened
from probe.targets.gguf.session import Session
from tests.converted.convert import contents, write
from tests.converted.models import CLASSES, tiny, tokens
from tests.targets.gguf_runs import dumped, file_of


@pytest.mark.parametrize("name", CLASSES)
def test_logits_are_those_of_transformers(tmp_path: Path, name: str):
    model = tiny(name)
    dump = dumped(write(contents(model), tmp_path / "m.gguf"))
    with torch.no_grad():
        expected = model(tokens(10)).logits.numpy()
    error = np.square(dump[":out.logits"] - expected).sum() / np.square(expected).sum()
    assert error < (2e-7 if name.startswith("gemma") else 5e-12)  # 6e-8 and 5e-13 measured; Gemma's GELU is a table


def test_a_module_is_named_as_its_weight_and_given_what_came_before(tmp_path: Path):
    dump = dumped(file_of("llama", tmp_path))
    weights = {weight.module for weight in dump.weights}
    modules = {tap.module for tap in dump.module_taps if not tap.is_functional}
    assert weights - modules == set()
    assert modules - weights == {"", "blk.0", "blk.1", "blk.2"}
    np.testing.assert_array_equal(dump["blk.1:in"], dump["blk.0:out"])
    np.testing.assert_array_equal(dump["blk.0.attn_norm:in"], dump["token_embd:out"])
    np.testing.assert_array_equal(dump["blk.2.ffn_down:in"], dump["blk.2.@ffn_swiglu:out"])
    np.testing.assert_array_equal(dump[":out.logits"], dump["output:out"])


def test_a_head_that_is_the_embedding_is_a_module_of_its_own_with_the_same_weight(tmp_path: Path):
    dump = dumped(file_of("gemma", tmp_path))
    assert {weight.name: weight.tied_to for weight in dump.weights}["output.weight"] == "token_embd.weight"
    np.testing.assert_array_equal(dump["output:in"], dump["output_norm:out"])


def test_a_bias_belongs_to_the_module_of_its_weight(tmp_path: Path):
    made = contents(tiny("llama"))
    bias = np.linspace(-1, 1, 64, dtype=np.float32)
    made.tensors["blk.1.attn_q.bias"] = bias
    dump = dumped(write(made, tmp_path / "m.gguf"))
    assert dump.tap("blk.1.attn_q:out").module_class == "MUL_MAT"
    np.testing.assert_array_equal(dump["blk.1.attn_q:out"], dump["blk.1.attn_q.@mul_mat:out"] + bias)


def test_every_tensor_is_told_under_ggml_s_own_name_or_its_operation(tmp_path: Path):
    dump = dumped(file_of("gemma3", tmp_path))
    functions = [tap for tap in dump.taps if tap.module.startswith("blk.1.@") and "@attention" not in tap.module]
    assert [(tap.module.removeprefix("blk.1."), tap.module_class) for tap in functions] == [
        ("@norm", "RMS_NORM"),
        ("@norm.1", "RMS_NORM"),
        ("@Qcur", "ROPE"),
        ("@scale", "SCALE"),
        ("@norm.2", "RMS_NORM"),
        ("@Kcur", "ROPE"),
        ("@kq", "MUL_MAT"),
        ("@kqv_out", "CONT"),
        ("@norm.3", "RMS_NORM"),
        ("@sa_out", "ADD"),
        ("@norm.4", "RMS_NORM"),
        ("@ffn_geglu", "GEGLU"),
        ("@norm.5", "RMS_NORM"),
    ]
    assert dump["@inp_pos:out"].tolist() == [list(range(10))]


@pytest.mark.parametrize(("kind", "dtype"), [("F16", "float16"), ("BF16", "bfloat16"), ("Q8_0", "float32")])
def test_weights_are_told_as_the_file_has_them_and_quantised_ones_as_they_count(tmp_path: Path, kind: str, dtype: str):
    model = tiny("llama")
    dump = dumped(write(contents(model), tmp_path / "m.gguf", kind))
    weights = {weight.name: weight for weight in dump.weights}
    assert weights["blk.2.ffn_up.weight"].dtype == dtype
    assert weights["blk.2.ffn_up.weight"].shape == (128, 64)
    ours = model.model.layers[2].mlp.up_proj.weight.norm().item()
    assert weights["blk.2.ffn_up.weight"].statistics.l2 == pytest.approx(ours, rel=3e-3)
    assert dump.environment["weights"] == {"Q8_0": "q8_0"}.get(kind, dtype)
    assert dump.environment["dtype"] == "float32"


@pytest.mark.parametrize(
    ("kind", "most"),  # 1e-6, 5e-5, 6e-4, 6e-3, 0.08 and 0.09 measured: what is left of a random model in so few bits
    [("F16", 5e-6), ("BF16", 3e-4), ("Q8_0", 3e-3), ("Q6_K", 3e-2), ("Q4_K", 0.3), ("Q4_0", 0.3)],
)
def test_a_file_of_each_type_gives_logits_as_near_as_the_type_is(tmp_path: Path, kind: str, most: float):
    model = tiny("llama", width=256)
    dump = dumped(write(contents(model), tmp_path / "m.gguf", kind))
    with torch.no_grad():
        expected = model(tokens(10)).logits.numpy()
    assert most / 50 < np.square(dump[":out.logits"] - expected).sum() / np.square(expected).sum() < most


def test_weights_of_a_type_that_cannot_be_read_are_left_out_with_a_note(tmp_path: Path):
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("token_embd.weight", np.ones((4, 8), np.float32))
    packed = np.zeros((2, gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_K][1]), np.uint8)
    writer.add_tensor("odd.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = opened(path)
    assert [name for name, _ in model.weights()] == ["token_embd.weight", "output.weight"]
    assert model.unread == ["odd.weight"]


def test_what_ggml_overwrites_is_left_out_and_never_told_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = file_of("gemma2", tmp_path)
    with dumped(path) as dump:
        told = {(tap.name, tap.module_class): dump.read(tap) for tap in dump.taps}
    monkeypatch.setattr("probe.targets.gguf.held.NUM_KEPT", 1)
    with dumped(path) as dump:
        left = {(tap.name, tap.module_class): dump.read(tap) for tap in dump.taps}
    for name in told.keys() & left.keys():
        np.testing.assert_array_equal(told[name], left[name], str(name))
    missing = {name for name, _ in told.keys() - left.keys()}
    assert "blk.1.@attention:out.scores" in missing
    assert len(missing) < len(told) / 4


class Unwatched(Session):
    """Nothing is asked of the graph."""

    def _evaluated(self, *_: object) -> bool:
        return False


def test_being_watched_changes_no_bit_of_the_logits(tmp_path: Path):
    path, ids = file_of("gemma2", tmp_path), tokens(10)
    with Unwatched(path, {"flash": False, "kv": "f32", "repack": False, "threads": 1}, 10, 10) as session:
        session.run(ids[0].tolist(), 0, lambda _: None)
        get = session._library.llama_get_logits
        get.restype, get.argtypes = ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p]
        plain = np.ctypeslib.as_array(get(session._context), (1, 10, 256)).copy()
    np.testing.assert_array_equal(dumped(path)[":out.logits"], plain)


@pytest.mark.parametrize("size", [0, 3, 100, 3000, 30_000])
def test_what_is_not_all_of_a_gguf_file_is_refused(tmp_path: Path, size: int):
    path = file_of("llama", tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ProbeError, match="is no GGUF file, or not all of one") as refusal:
        dumped(path)
    assert refusal.value.hint == "is it a model's file (*.gguf), and was it copied whole?"


def test_a_vocabulary_alone_is_no_model(tmp_path: Path):
    made = contents(tiny("llama"))
    made.tensors = {}
    with pytest.raises(ProbeError, match="holds no weights, only a vocabulary"):
        dumped(write(made, tmp_path / "m.gguf"))
