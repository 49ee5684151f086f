"""The sketch of a tensor on a device: computed there without a look at any number, so that nobody waits for one.

N tokens (all axes but the last), C channels, K projections.
"""

import math
import struct

import numpy as np
import torch

from probe.capture.sketch import Sketch, plain_arithmetic, projections
from probe.capture.tensors import dtype_name
from probe.dump.detail import Detail
from probe.dump.dtypes import LARGEST, Bits

KNOWN_BYTES = 24
"""The norm of all finite elements (float64), and how many NaN and infinities there are (int64)."""


def packed_sketch(tensor: torch.Tensor, detail: Detail) -> torch.Tensor:
    """One axis: the rows of `probe.capture.sketch.sketch` ([N, K + 1]), then the bits of what else is known.

    Norms are computed in float64, whose squares neither under- nor overflow.
    """
    with torch.no_grad(), plain_arithmetic(tensor.device.type):
        x_NC = tensor.detach().reshape(-1, tensor.shape[-1])
        if x_NC.dtype.itemsize == 1:
            x_NC = x_NC.float()
        kind = torch.float64 if x_NC.dtype == torch.float64 else torch.float32
        masked_NC = x_NC <= -0.99 * LARGEST.get(dtype_name(x_NC.dtype), math.inf)
        filled_NC = torch.nan_to_num(x_NC, 1, 1, -1).masked_fill_(masked_NC, -1)
        kept_NC = torch.nan_to_num(x_NC, 0, 0, 0)
        norm = torch.linalg.vector_norm(kept_NC, dtype=torch.float64)
        kept_NC.masked_fill_(masked_NC, 0)
        made = x_NC.new_empty(len(x_NC), detail.num_projections + 1, dtype=kind)
        made[:, -1] = torch.linalg.vector_norm(kept_NC, dim=-1, dtype=torch.float64)
        made[:, :-1] = projections(filled_NC, kind, detail)
        known = torch.stack([norm.view(torch.int64), torch.isnan(x_NC).sum(), torch.isinf(x_NC).sum()])
        return torch.cat([made.flatten(), known.view(kind)])


def unpacked(bits: Bits, num_projections: int, shape: tuple[int, ...]) -> Sketch:
    """What `packed_sketch` made of a tensor of this shape, on the host."""
    flat, known = np.split(bits.reshape(-1), [bits.size - KNOWN_BYTES // bits.itemsize])
    rows = torch.from_numpy(flat.reshape(*shape[:-1], num_projections + 1))
    norm, num_nan, num_inf = struct.unpack("=dqq", known.tobytes())
    return Sketch(rows, norm, num_nan, num_inf)
