"""What a dump says of the weights: statistics, and sketches of rows and columns that survive conversion.

A sketch of a row is its norm and its direction's projection on eight fixed vectors: a linear map, so equal rows have
equal sketches whatever tensor they lie in, under whatever name, and rows rounded to bf16 or quantised have near ones.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from probe.capture.tensors import dtype_name, mark, to_bits, why_not_stored
from probe.dump import Sketches, Weight, projections
from probe.dump.statistics import statistics
from probe.dump.weight import inner_blocks, is_kernel
from probe.errors import ProbeError

Bits = NDArray[Any]
ROWS_AT_ONCE = 4096
"""Rows that are brought to float32 together, so that a large matrix is never there twice."""

SAMPLE = 64
"""Elements of a matrix that are compared to see whether it changed."""

_seen: WeakKeyDictionary[nn.Module, tuple[Any, "WeightTable"]] = WeakKeyDictionary()


class WeightTable:
    """Weights by their names, measured one after the other: they need not all be there at once."""

    def __init__(self, named: Iterable[tuple[str, torch.Tensor]]) -> None:
        self.weights: list[Weight] = []
        self.values: dict[str, tuple[Bits, str]] = {}
        """One-dimensional parameters in full: bits and dtype."""
        self.skipped: dict[str, str] = {}
        """Parameters without plain bits, and why."""
        self._norms: list[NDArray[np.float32]] = []
        self._directions: list[NDArray[np.float32]] = []
        self._num_sketches = 0
        first_names: dict[tuple[Any, ...], tuple[str, ref[torch.Tensor]]] = {}
        for name, tensor in named:
            reason = why_not_stored(tensor)
            if reason:
                self.skipped[name] = reason
                continue
            place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
            first, owner = first_names.get(place, ("", None))
            tied_to = first if owner is not None and owner() is not None else ""
            if tensor.numel() and not tied_to:
                first_names[place] = name, ref(tensor)
            try:
                self._add(name, tensor.detach(), tied_to)
            except ProbeError as error:
                self.skipped[name] = str(error)
        self.sketches = Sketches(
            np.concatenate([np.zeros(0, np.float32), *self._norms]),
            np.concatenate([projections(0), *self._directions]).astype(np.float16),
        )

    def _add(self, name: str, tensor: torch.Tensor, tied_to: str) -> None:
        module = name.rpartition(".")[0]
        dtype = dtype_name(tensor.dtype)
        if tied_to:
            first = next(weight for weight in self.weights if weight.name == tied_to)
            places = (first.first_row, first.num_rows, first.first_column, first.num_columns)
            self.weights.append(Weight(name, module, tied_to, first.shape, dtype, first.statistics, *places))
            return
        bits = to_bits(tensor)
        if tensor.dim() <= 1:
            self.values[name] = (bits.copy(), dtype)
        real = _real(tensor)
        matrix = real.flatten(1) if tensor.dim() > 1 else real.reshape(1, -1)
        rows = self._sketch(matrix)
        columns = self._sketch(matrix.T) if tensor.dim() > 1 else (rows[0], 0)
        blocks = inner_blocks(tuple(tensor.shape))
        if blocks is not None:
            inner = real.reshape(*blocks, -1)
            if not is_kernel(tuple(tensor.shape)):
                self._sketch(inner.flatten(0, 1))
                self._sketch(inner.flatten(0, 1).T)
            for part in torch.split(inner, max(1, ROWS_AT_ONCE // inner.shape[2])):
                self._sketch(part.transpose(1, 2).flatten(0, 1))
        measured = statistics(bits.reshape(-1), dtype)
        self.weights.append(Weight(name, module, "", tuple(tensor.shape), dtype, measured, *rows, *columns))

    def _sketch(self, matrix: torch.Tensor) -> tuple[int, int]:
        """Sketch every row; where the sketches begin, and how many they are."""
        first, count = self._num_sketches, len(matrix)
        vectors = _vectors(matrix.shape[1]).to(matrix.device)
        for start in range(0, count, ROWS_AT_ONCE):
            rows = matrix[start : start + ROWS_AT_ONCE].float()
            norms = torch.linalg.vector_norm(rows, dim=1)
            safe = torch.where(norms > 0, norms, 1)
            self._norms.append(norms.cpu().numpy())
            with _no_autocast(rows.device.type):
                self._directions.append(((rows @ vectors) / safe[:, None]).cpu().numpy())
        self._num_sketches += count
        return first, count


def weight_table(model: nn.Module) -> WeightTable:
    """The table of `model`, measured once and kept until a weight changes.

    torch counts in-place changes, but not those made through `.data`: a sample of each weight is compared too.
    """
    state = [(name, _state(tensor)) for name, tensor in named_weights(model)]
    known = _seen.get(model)
    if known is None or known[0] != state:
        known = (state, WeightTable(named_weights(model)))
        _seen[model] = known
    return known[1]


def named_weights(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter under each of its names, tied ones too; buffers are no weights."""
    yield from model.named_parameters(remove_duplicate=False)


def _state(tensor: torch.Tensor) -> tuple[Any, ...]:
    """What changes when a weight does; one-dimensional weights are looked at whole."""
    if why_not_stored(tensor):
        return (id(tensor),)
    flat = tensor.detach().reshape(-1)
    stride = 1 if tensor.dim() <= 1 else max(1, len(flat) // SAMPLE)
    try:
        sample = to_bits(flat[::stride]).tobytes()
    except ProbeError:
        sample = b""
    return *mark(tensor), sample


def _real(tensor: torch.Tensor) -> torch.Tensor:
    """Numbers that a sketch can be made of: real and imaginary parts side by side, packed ones as their bytes."""
    if tensor.is_complex():
        pairs = torch.view_as_real(tensor.resolve_conj())
        return pairs.flatten(-2) if tensor.dim() else pairs
    return tensor.view(torch.uint8) if dtype_name(tensor.dtype) == "float4_e2m1fn_x2" else tensor


def _no_autocast(device: str) -> AbstractContextManager[Any]:
    """Inside a user's autocast too, sketches are float32."""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


@lru_cache(maxsize=64)
def _vectors(length: int) -> torch.Tensor:
    return torch.from_numpy(projections(length))
