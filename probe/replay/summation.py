"""How long the sums are that a computation takes: an honest engine may add them up in any order, one by one at worst.

Adding K products of random sign one after the other in float32 leaves a relative error of 0.30 u sqrt(K), u = 2**-24
(measured: 4.9e-7 at K = 768, 1.2e-6 at 4096, 1.9e-6 at 11008, where a blocked product has 3.5e-7). The mean of K
squares under a root, as norms have it, leaves u sqrt(K) / 6: each partial sum is rounded by u / sqrt(3) of itself, and
the root halves the relative error. Independent errors add as squares, so `terms` are squares too.
"""

import math

import torch

PRODUCT = 0.30**2
MEAN = (1 / 6) ** 2
_PRODUCTS = {
    "linear",
    "matmul",
    "__matmul__",
    "__rmatmul__",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "mv",
    "_grouped_mm",
    "grouped_mm",
}
_MEANS = {"mean", "sum", "var", "std", "var_mean", "norm", "vector_norm", "softmax", "log_softmax"}
_NORMS = {"layer_norm", "rms_norm", "group_norm", "batch_norm"}


def is_sum_of_products(function: str) -> bool:
    """Whether torch wants one dtype of all that is multiplied."""
    return function in _PRODUCTS or function == "scaled_dot_product_attention" or function.startswith("conv")


def summed_terms(function: str, given: list[torch.Tensor], made: list[torch.Tensor]) -> float:
    """What one torch call adds to `terms`; 0 for calls that sum nothing."""
    if not given or not made or not given[0].dim():
        return 0.0
    first = given[0]
    if function in _PRODUCTS:
        return PRODUCT * first.shape[-1]
    if function == "scaled_dot_product_attention":
        return PRODUCT * max(given[1].shape[-2:]) if len(given) > 1 else 0.0
    if function.startswith("conv") and len(given) > 1:
        return PRODUCT * math.prod(given[1].shape[1:])
    if function in _NORMS:
        return MEAN * first.shape[-1]
    if function in _MEANS and made[0].numel():
        return MEAN * (first.shape[-1] if "softmax" in function else first.numel() / made[0].numel())
    return 0.0
