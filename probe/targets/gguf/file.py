"""What a GGUF file says of itself, and its weights, one after the other."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.errors import ProbeError
from probe.targets.foreign import message
from probe.targets.gguf.native import HOW_TO_INSTALL

SHORT = 256
"""Elements of a list that is kept in the dump's config; a tokenizer's lists are longer than what is of use there."""
PLAIN = ("F32", "F16", "F64", "I8", "I16", "I32", "I64")
EMBEDDING, HEAD = "token_embd.weight", "output.weight"


@dataclass(frozen=True, slots=True)
class ModelFile:
    path: Path
    config: dict[str, Any]
    """Its keys and values: numbers, texts and short lists of them."""
    reader: Any
    """gguf's own."""

    @property
    def architecture(self) -> str:
        return str(self.config.get("general.architecture", "unknown"))

    @property
    def names(self) -> frozenset[str]:
        """Of its weights."""
        return frozenset(tensor.name for tensor in self.reader.tensors)

    @property
    def vocabulary(self) -> int | None:
        """Rows of the embedding."""
        return next((int(tensor.shape[1]) for tensor in self.reader.tensors if tensor.name == EMBEDDING), None)

    @property
    def dtype(self) -> str:
        """That most of its elements have; torch's name where torch has that type."""
        sizes: dict[str, int] = {}
        for tensor in self.reader.tensors:
            kind = tensor.tensor_type.name
            sizes[kind] = sizes.get(kind, 0) + int(tensor.n_elements)
        found = max(sizes, key=lambda kind: sizes[kind], default="F32")
        return {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}.get(found, found.lower())

    @property
    def stored(self) -> dict[str, list[str]]:
        """By type, the names of the weights that are quantized."""
        found: dict[str, list[str]] = {}
        for tensor in self.reader.tensors:
            if tensor.tensor_type.name not in (*PLAIN, "BF16"):
                found.setdefault(tensor.tensor_type.name, []).append(tensor.name)
        return found

    @property
    def unread(self) -> list[str]:
        """Weights of types that the gguf package does not know to read; llama.cpp may."""
        return [tensor.name for tensor in self.reader.tensors if not _is_read(tensor.tensor_type.name)]

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """By the file's names; quantised ones as the float32 that they stand for. The head that an embedding is."""
        embedding: torch.Tensor | None = None
        for tensor in self.reader.tensors:
            if not _is_read(tensor.tensor_type.name):
                continue
            weight = values_of(tensor)
            if tensor.name == EMBEDDING:
                embedding = weight
            yield tensor.name, weight
        if embedding is not None and HEAD not in self.names:
            yield HEAD, embedding


def opened(path: Path) -> ModelFile:
    """ProbeError for what is no whole GGUF file."""
    try:
        import gguf
    except ImportError:
        raise ProbeError("a gguf: target needs gguf, which is not installed", hint=HOW_TO_INSTALL) from None
    try:
        reader = gguf.GGUFReader(path)
        config = {field.name: value for field in reader.fields.values() if (value := _value(field)) is not None}
        missing = [tensor.name for tensor in reader.tensors if tensor.data.nbytes != int(tensor.n_bytes)]
    except OSError as error:
        raise ProbeError(f"cannot read {path}: {error}") from None
    except (ValueError, IndexError, KeyError, TypeError, UnicodeDecodeError, OverflowError) as error:
        raise ProbeError(f"{path} is no GGUF file, or not all of one: {message(error)}", hint=_HINT) from None
    if not reader.tensors:
        raise ProbeError(f"{path} holds no weights, only a vocabulary or a description", hint="give the model's file")
    if missing:
        raise ProbeError(f"{path} ends before its weight {missing[0]} does", hint=_HINT)
    if (parts := config.get("split.count", 1)) > 1:
        raise ProbeError(
            f"{path} is one of {parts} parts of a model",
            hint=f"join them with llama.cpp's own tool: llama-gguf-split --merge {path.name} whole.gguf",
        )
    return ModelFile(path, config, reader)


_HINT = "is it a model's file (*.gguf), and was it copied whole?"


def _value(field: Any) -> Any:
    """JSON; None for what is not kept."""
    found = field.contents()
    if isinstance(found, list):
        return found if len(found) <= SHORT and not field.name.startswith("tokenizer.") else None
    if isinstance(found, float) and not math.isfinite(found):
        return str(found)
    return found if isinstance(found, (bool, int, float, str)) else None


def values_of(tensor: Any) -> torch.Tensor:
    """A copy, so that it may outlive the file."""
    import gguf

    kind = tensor.tensor_type.name
    shape = tuple(int(size) for size in tensor.shape[::-1])
    if kind in PLAIN:
        return torch.from_numpy(np.array(tensor.data)).reshape(shape)
    if kind == "BF16":
        return torch.from_numpy(np.array(tensor.data).view(np.int16)).view(torch.bfloat16).reshape(shape)
    return torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).reshape(shape)


def offsets_of(tensor: Any) -> torch.Tensor | None:
    """[rows, blocks] of a matrix of Q4_1 or Q5_1: what each block of 32 adds to its whole numbers; None of others."""
    if tensor.tensor_type.name not in ("Q4_1", "Q5_1"):
        return None
    import gguf

    _, num_bytes = gguf.GGML_QUANT_SIZES[tensor.tensor_type]
    blocks = np.array(tensor.data, np.uint8).reshape(int(tensor.shape[1]), -1, num_bytes)
    return torch.from_numpy(np.ascontiguousarray(blocks[:, :, 2:4]).view(np.float16)[:, :, 0].astype(np.float32))


@cache
def _is_read(kind: str) -> bool:
    import gguf

    if kind in (*PLAIN, "BF16"):
        return True
    found = gguf.GGMLQuantizationType[kind]
    try:
        gguf.quants.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[found][1]), np.uint8), found)
    except NotImplementedError:
        return False
    return True
