"""Attention: scale, softcap, mask, heads, sinks."""

from probe.diagnose import attention_heads, attention_mask, attention_scores, handed_mask
from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = [
    *attention_scores.FAMILIES,
    *attention_mask.FAMILIES,
    *handed_mask.FAMILIES,
    *attention_heads.FAMILIES,
]
