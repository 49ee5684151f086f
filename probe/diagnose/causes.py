"""The names of causes: a closed list, so that programs may rely on them. `unknown` is the one more that a finding has.

`*.weight_missing` was never loaded: it still has its initial value. `precision.*` are honest differences of arithmetic.
"""

CAUSES = frozenset(
    """
    input.tokens input.positions input.mask
    embed.scale embed.rounding embed.missing_weight
    norm.eps norm.weight_offset norm.weight_swapped norm.weight_missing norm.missing norm.order norm.kind
    linear.weight_missing linear.weight_transposed linear.weight_swapped linear.row_order linear.bias_missing
    linear.quantized
    attn.window attn.causal attn.padding_mask attn.scale attn.softcap attn.kv_repeat attn.head_order attn.mask_value
    attn.sink
    rope.theta rope.layout rope.position rope.scaling rope.missing rope.twice rope.order
    mlp.activation mlp.gate_up_swapped
    moe.router_normalization moe.router_order moe.top_k moe.expert_order moe.shared_expert
    residual.scale residual.order
    head.untied head.softcap head.scale
    cache.position cache.stale cache.dtype
    quant.scale quant.granularity quant.activation
    shard.missing_reduce shard.order
    precision.compute precision.accumulate precision.storage
    """.split()  # noqa: SIM905 (names read better in rows)
)
