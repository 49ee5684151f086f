"""What was done to a weight, in words."""

from probe.align.audit.comparison import Layout, Value
from probe.align.audit.verdict import Kind, Verdict, template


def factor(verdict: Verdict) -> str:
    found = verdict.comparison
    if found is None:
        return "times a constant"
    part = f" in {found.share:.0%} of its rows or columns alone" if found.value is Value.PARTLY_SCALED else ""
    return f"times {found.constant:.3g}{part}"


def layers(members: list[Verdict]) -> str:
    """Where {i} is, in words."""
    if len(members) < 2:
        return ""
    indices = [template(verdict.reference)[1] for verdict in members]
    shown = ", ".join(".".join(map(str, index)) for index in indices[:8])
    return f", i = {shown}{', ...' if len(indices) > 8 else ''}"


def doing(verdict: Verdict) -> str:
    """What was done to a weight that is in its place."""
    if verdict.kind is Kind.MOVED:
        return "found by their values, under other names or in several parts"
    if verdict.kind in (Kind.TIED, Kind.UNTIED):
        return "tied to another weight" + (" on one side, a copy on the other" if verdict.kind is Kind.UNTIED else "")
    found = verdict.comparison
    if found is None or not found.is_same_weight:
        return str(verdict.kind)
    words = []
    if found.layout in (Layout.HALVES_INTERLEAVED, Layout.INTERLEAVED_HALVED):
        words.append(f"with each head's {found.head_dim} rows from {found.layout} order (RoPE)")
    elif found.layout is Layout.PERMUTED:
        words.append("with its rows in another order")
    elif found.layout is Layout.TRANSPOSED:
        words.append("transposed")
    elif found.layout is Layout.AXES:
        words.append("with its axes in another order")
    if found.value is Value.OFFSET:
        words.append(f"plus {found.constant:g}")
    elif found.value is Value.VECTORS_SCALED:
        words.append("with its rows or columns scaled one by one")
    elif found.value is Value.PERTURBED:
        words.append("perturbed")
    elif found.value is Value.ROUNDED and not words:
        words.append("rounded")
    if verdict.kind is Kind.INCONSISTENT and not words:
        return "in another order" if found.digest else "unchanged"
    return " and ".join(words) or "equal"
