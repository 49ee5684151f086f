"""Small graphs written by hand, that no exporter made. B sentences of T tokens, C channels, V words."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

VOCABULARY, CHANNELS = 16, 4


def value(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constants(*, seed: int = 0) -> list[Any]:
    generator = np.random.default_rng(seed)
    table_VC = generator.normal(size=(VOCABULARY, CHANNELS)).astype(np.float32)
    head_CV = generator.normal(size=(CHANNELS, VOCABULARY)).astype(np.float32)
    return [numpy_helper.from_array(table_VC, "embed.weight"), numpy_helper.from_array(head_CV, "head.weight")]


def saved(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], opset: int = 20) -> Path:
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants())
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(proto, path)
    return path


def language_model(path: Path, *, more_inputs: tuple[str, ...] = (), opset: int = 20, op: str = "MatMul") -> Path:
    """A table and a head; `more_inputs` [B, T] are added to the ids, one after the other."""
    nodes, ids = [], "input_ids"
    for name in more_inputs:
        nodes.append(helper.make_node("Mul", [ids, name], [f"{ids}_{name}"]))
        ids = f"{ids}_{name}"
    nodes += [
        helper.make_node("Gather", ["embed.weight", ids], ["embedded"], name="look_up"),
        helper.make_node(op, ["embedded", "head.weight"], ["logits"], name="head"),
    ]
    fed = [value(name, ["B", "T"], TensorProto.INT64) for name in ("input_ids", *more_inputs)]
    return saved(path, nodes, fed, [value("logits", ["B", "T", VOCABULARY])], opset)


def with_cache(path: Path, *, free: str | int = "P") -> Path:
    """Every token's logits are of the sum of all tokens before it, which it has from a cache [B, P, C]."""
    nodes = [
        helper.make_node("Gather", ["embed.weight", "input_ids"], ["embedded"]),
        helper.make_node("Concat", ["past_key_values.0", "embedded"], ["present.0"], axis=1),
        helper.make_node("CumSum", ["present.0", "one"], ["sums"]),
        helper.make_node("Shape", ["input_ids"], ["fed"], start=1, end=2),
        helper.make_node("Neg", ["fed"], ["first"]),
        helper.make_node("Slice", ["sums", "first", "end", "axis"], ["own"]),
        helper.make_node("MatMul", ["own", "head.weight"], ["logits"]),
    ]
    fed = [value("input_ids", ["B", "T"], TensorProto.INT64), value("past_key_values.0", ["B", free, CHANNELS])]
    returned = [value("logits", ["B", "T", VOCABULARY]), value("present.0", ["B", "S", CHANNELS])]
    graph = helper.make_graph(nodes, "cached", fed, returned, [*constants(), *_numbers()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    return path


def _numbers() -> list[Any]:
    known = {"one": np.array(1), "end": np.array([np.iinfo(np.int64).max]), "axis": np.array([1])}
    return [numpy_helper.from_array(array.astype(np.int64), name) for name, array in known.items()]
