"""A tensor's sketch, computed where the tensor is: a few numbers a token leave the device.

N tokens (all axes but the last), C channels, K projections, W folded channels.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from probe.capture.tensors import dtype_name
from probe.dump.detail import Detail
from probe.dump.dtypes import LARGEST
from probe.dump.projection import projection

TINY = 1e-15
"""Norms below this are taken again in float64: squares may have underflowed in float32."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is kept of one tensor."""

    rows: torch.Tensor
    """[..., K + 1]: of each token its projections and its norm. float64 for a float64 tensor, else float32."""
    l2: float
    """Of all finite elements."""
    num_nan: int = 0
    num_inf: int = 0


def sketch(tensor: torch.Tensor, detail: Detail) -> Sketch:
    """What is not finite counts as 1 or -1 in the projections and as nothing in the norms, and so does the most
    negative number of a dtype, which masks use for minus infinity."""
    with torch.no_grad(), plain_arithmetic(tensor.device.type):
        x_NC = tensor.detach().reshape(-1, tensor.shape[-1])
        if x_NC.dtype.itemsize == 1:
            x_NC = x_NC.float()
        kind = torch.float64 if x_NC.dtype == torch.float64 else torch.float32
        made = x_NC.new_empty(len(x_NC), detail.num_projections + 1, dtype=kind)
        norms_N = made[:, -1]
        norms_N.copy_(torch.linalg.vector_norm(x_NC, dim=-1, dtype=kind))
        known = norms_N.cpu().numpy().astype(np.float64)
        rows = made.reshape(*tensor.shape[:-1], -1)
        if not known.max() < math.inf:
            filled, norms_N[:] = _filled(x_NC)
            made[:, :-1] = projections(filled, kind, detail)
            finite = torch.where(x_NC.isfinite(), x_NC, 0)
            counts = (int(is_so(x_NC).sum()) for is_so in (torch.isnan, torch.isinf))
            return Sketch(rows, float(torch.linalg.vector_norm(finite, dtype=torch.float64)), *counts)
        if known.min() < TINY:
            norms_N[:] = torch.linalg.vector_norm(x_NC, dim=-1, dtype=torch.float64)
            known = norms_N.cpu().numpy().astype(np.float64)
        made[:, :-1] = projections(x_NC, kind, detail)
        return Sketch(rows, math.sqrt(known @ known))


def _filled(x_NC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tensor with 1, -1 for what is no finite number; and the norms of the rest."""
    largest = 0.99 * LARGEST.get(dtype_name(x_NC.dtype), math.inf)
    is_finite = x_NC.isfinite() & (x_NC > -largest)
    norms_N = torch.linalg.vector_norm(torch.where(is_finite, x_NC, 0), dim=-1, dtype=torch.float64)
    return torch.where(is_finite, x_NC, torch.where(x_NC < 0, -1, 1).to(x_NC.dtype)), norms_N


def projections(x_NC: torch.Tensor, kind: torch.dtype, detail: Detail) -> torch.Tensor:
    """See probe.dump.projection.projected."""
    by = projection(x_NC.shape[1], detail.num_projections, detail.seed)
    signs_C, matrix = _on_device(x_NC.shape[1], detail, x_NC.device, kind)
    if not by.shifts:
        return _product(x_NC.to(kind), matrix)
    width = by.width
    turned = x_NC.new_zeros(len(x_NC), 2 * width, dtype=kind)
    for number, shift in enumerate(by.shifts):
        block = slice(number * width, (number + 1) * width)
        part = x_NC[:, block]
        turned[:, shift : shift + part.shape[1]].addcmul_(part, signs_C[block])
    folded_NW = turned[:, :width]
    folded_NW += turned[:, width:]
    return _product(folded_NW, matrix)


def _product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """In float32 at least, whatever precision the user has chosen for products."""
    return one.double() @ other.double() if _is_coarse(one) else one @ other


def _is_coarse(tensor: torch.Tensor) -> bool:
    if tensor.device.type == "cuda":
        return bool(torch.backends.cuda.matmul.allow_tf32)
    return tensor.device.type == "cpu" and torch.get_float32_matmul_precision() != "highest"


@lru_cache(maxsize=256)
def _on_device(
    num_channels: int, detail: Detail, device: torch.device, kind: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    by = projection(num_channels, detail.num_projections, detail.seed)
    signs_C, matrix = (torch.from_numpy(array).to(device, kind) for array in (by.signs, by.matrix))
    return signs_C, matrix


def plain_arithmetic(device: str) -> AbstractContextManager[object]:
    """Inside a user's autocast too, a sketch is float32."""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()
