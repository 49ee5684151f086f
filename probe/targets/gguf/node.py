"""A tensor of ggml's graph: what it is called, what makes it of what, and its numbers as a torch tensor.

ggml names sizes from the innermost on (`ne`); a shape here is that reversed, as everywhere else: `ne` [C, T, 1, 1] is
[1, 1, T, C].
"""

import ctypes
import struct
from dataclasses import dataclass

import numpy as np
import torch

from probe.targets.gguf.layout import COMPUTED, NODE
from probe.targets.gguf.native import library

PLAIN = {
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "f64": torch.float64,
    "i8": torch.int8,
    "i16": torch.int16,
    "i32": torch.int32,
    "i64": torch.int64,
}
"""ggml's types whose bits are kept; all others are told as what they stand for, in float32."""
VIEWS = frozenset({"NONE", "RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE"})
"""Operations that compute nothing: the tensor is another one's memory, or a leaf."""

_types: dict[int, str] = {}


@dataclass(frozen=True, slots=True)
class Node:
    address: int
    type: str
    sizes: tuple[int, ...]
    """`ne`: 4 numbers, the innermost first."""
    strides: tuple[int, ...]
    """`nb`: bytes."""
    op: str
    parameters: bytes
    is_computed: bool
    """As far as flags tell."""
    sources: tuple[int, ...]
    """Addresses."""
    base: int
    """Whose memory it is: its own address, or that of the tensor that it is a view of."""
    offset: int
    """Bytes into that memory."""
    data: int
    """Where its numbers begin."""
    name: str

    @property
    def is_view(self) -> bool:
        return self.op in VIEWS

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sizes[::-1]

    def number(self, index: int) -> float:
        """One of the operation's parameters, which are float32."""
        found: float = struct.unpack_from("<f", self.parameters, 4 * index)[0]
        return found


def node_at(address: int) -> Node:
    told = NODE.unpack(ctypes.string_at(address, NODE.size))
    kind = told[0]
    if kind not in _types:
        _types[kind] = library().ggml_type_name(kind).decode()
    return Node(
        address,
        _types[kind],
        told[2:6],
        told[6:10],
        library().ggml_op_desc(address).decode(),
        told[11],
        bool(told[12] & COMPUTED),
        tuple(source for source in told[13:23] if source),
        told[23] or address,
        told[24],
        told[25],
        told[26].split(b"\0")[0].decode(errors="replace"),
    )


def values(node: Node) -> torch.Tensor:
    """A copy of the numbers that lie there now, four axes, as `shape`."""
    dtype = PLAIN.get(node.type)
    if dtype is None:
        return _dequantized(node)
    raw = torch.empty(library().ggml_nbytes(node.address), dtype=torch.uint8)
    if raw.numel():
        library().ggml_backend_tensor_get(node.address, raw.data_ptr(), 0, raw.numel())
    return _strided(raw.view(dtype), node, 0)


def viewed(base: torch.Tensor, node: Node) -> torch.Tensor:
    """A view's numbers, out of a copy of the whole that it is a view of."""
    return _strided(base.reshape(-1), node, node.offset // base.element_size())


def _strided(flat: torch.Tensor, node: Node, offset: int) -> torch.Tensor:
    size = flat.element_size()
    return torch.as_strided(flat, node.shape, [stride // size for stride in node.strides[::-1]], offset)


def _dequantized(node: Node) -> torch.Tensor:
    """Its rows lie whole, wherever they lie."""
    import gguf

    kind = gguf.GGMLQuantizationType[node.type.upper()]
    block, num_bytes = gguf.GGML_QUANT_SIZES[kind]
    raw = np.empty(library().ggml_nbytes(node.address), np.uint8)
    library().ggml_backend_tensor_get(node.address, raw.ctypes.data, 0, raw.nbytes)
    row = node.sizes[0] // block * num_bytes
    packed = np.ndarray((*node.shape[:3], row), np.uint8, raw, 0, (*node.strides[:0:-1], 1))
    return torch.from_numpy(gguf.quants.dequantize(np.ascontiguousarray(packed), kind)).reshape(node.shape)
