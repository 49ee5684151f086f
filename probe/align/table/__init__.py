"""The mapping table: TOML, made to be read and edited. Its rows come before anything that is inferred.

    [sizes]                                          # whole numbers by name; other names are the reference's config's
    h = "num_attention_heads"
    d = "hidden_size // num_attention_heads"

    [[pair]]
    reference = "model.layers.{i}.self_attn.q_proj"  # a module, or one tap ("...q_proj:out"); {i}, {j}: numbers
    candidate = "blocks.{i}.attn.wqkv[0:h*d]"        # channels of its last axis; also {i+1}
    layout = "b t (h d) -> b h t d"                  # einops, candidate -> reference; only if shapes do not tell

    [[pair]]
    reference = "model.layers.{i}.self_attn.{q,k,v}_proj"          # alternatives are chosen on both sides in parallel
    candidate = "blocks.{i}.attn.{query,key,value}"

    [[pair]]
    reference = "model.layers.{i}.mlp.gate_up_proj"
    candidate = ["blocks.{i}.gate", "blocks.{i}.up"]               # joined side by side

    [[pair]]
    reference = "model.embed_tokens"
    candidate = "wte"
    scale = 8.0                                      # compared is candidate * scale + offset
    firm = false                                     # shown, but neither judged nor put into the reference's place

    [[skip]]
    reference = "model.layers.{i}.self_attn"
    reason = "the port has no such point"            # demanded

`norm@1:out` is a tap of a module's second call; without @ a row speaks for all calls, and for all steps. `kv[1,...]` is
the second of tensors that come stacked.

Of two rows for one place the more specific one counts: a tap before its module, a name before a template. `layout`,
`scale`, `offset` and channels are those of a module's first output; its inputs and further outputs follow by port.
"""

from pathlib import Path

from probe.align.mapping import Mapping
from probe.align.table.apply import pairs_of_table
from probe.align.table.merge import merged
from probe.align.table.read import read_table
from probe.dump import Dump


def apply_table(path: Path, mapping: Mapping, reference: Dump, candidate: Dump) -> Mapping:
    """`mapping`, with the table's rows in place of what was inferred. ProbeError says which row is wrong and why."""
    table = read_table(path)
    applied = pairs_of_table(table, reference, candidate)
    for problem in applied.problems:
        raise table.error(problem)
    return merged(applied, mapping, reference, candidate)
