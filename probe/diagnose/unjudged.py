"""Products with weights in few bits whose file cannot be read again: what rounds them is not known bit for bit.

They are blamed where they are further off than rounding of that size leaves any product, and else not judged.
"""

import torch

from probe.diagnose.as_stored import is_lost
from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Plan, computed
from probe.replay.program import Leaf

AS_NOISE = 3.0
"""Times what noise of the weights' size does to a product: 0.81 to 2.04 in honest llama.cpp runs (Q8_0, Q6_K, Q4_K and
Q4_0; Llama, Qwen 3, Gemma 1 to 3 and Phi-3), most where what is multiplied is rounded to eight bits too."""


def unread(case: Case) -> tuple[Leaf, ...]:
    """Matrices of the place that are quantized in the candidate, by the dump, and lost with its file."""
    return tuple(leaf for leaf in case.program.leaves if _is_quantized(case, leaf) and is_lost(case, leaf))


def is_as_noise(case: Case, leaves: tuple[Leaf, ...]) -> bool:
    """Whether the candidate is about as far off as it is with noise in these weights as large as theirs is."""
    noisy = {leaf: with_noise(leaf.tensor, case.audited[leaf.name].sqnr_db or 0.0) for leaf in leaves}
    values = computed(case, case.program, Plan(leaves=noisy))
    if values is None:
        return False
    with torch._C.DisableTorchFunction():
        expected = float(torch.linalg.vector_norm((values - case.exact)[case.counts].double()))
    return case.before <= AS_NOISE * expected


def with_noise(weight: torch.Tensor, sqnr_db: float) -> torch.Tensor:
    """Each row with noise as far below its norm; the same for each call."""
    with torch._C.DisableTorchFunction():
        plain = weight.detach()
        rows = plain.reshape(len(plain), -1)
        size = rows.square().mean(1, keepdim=True).sqrt() * 10 ** (-sqnr_db / 20)
        noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        return (rows + size * noise.to(rows)).reshape(plain.shape)


def _is_quantized(case: Case, leaf: Leaf) -> bool:
    found = case.audited.get(leaf.name) if leaf.is_weight and leaf.tensor.dim() == 2 else None
    return found is not None and found.kind == "quantized" and not found.suspicious
