"""Norms: another eps, weights that belong elsewhere or were never loaded, left out, of another kind."""

from probe.diagnose import norm_eps, norm_form, norm_order, norm_swapped, norm_weight
from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = [
    norm_eps.eps,
    norm_weight.offset,
    norm_weight.missing,
    norm_swapped.swapped,
    norm_form.missing,
    norm_form.kind,
    norm_order.order,
]
