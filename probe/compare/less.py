"""Dumps that hold less than all values: what a comparison of them cannot tell, and how to learn it."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.report import Place, Seen, Status, TapComparison, TrustCheck
from probe.tap import template

DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}


def told_by_less(ours: Dump, theirs: Dump) -> Iterator[TrustCheck]:
    """What such dumps cannot tell."""
    less = [(name, dump) for name, dump in (("reference", ours), ("candidate", theirs)) if not dump.detail.is_whole]
    if not less:
        return
    which = f"the {less[0][0]} holds" if len(less) == 1 else "both hold"
    if ours.detail.tokens != theirs.detail.tokens:
        message = f"the reference holds {ours.detail.token_words}, the candidate {theirs.detail.token_words}"
        yield TrustCheck("detail", Status.FAIL, message)
        return
    sketched = {dump.detail for _, dump in less if dump.detail.num_projections}
    if len(sketched) > 1:
        one, other = (f"{dump.detail.num_projections} projections (seed {dump.detail.seed})" for _, dump in less)
        message = f"one holds sketches of {one} a token, the other of {other}"
        yield TrustCheck("detail", Status.FAIL, message)
        return
    place = "nothing was replayed, and places are approximate"
    if ours.detail.tokens:
        yield TrustCheck("detail", Status.WARN, f"both hold {ours.detail.token_words} alone: {place}")
    if all(dump.detail.has_values for _, dump in less):
        if not sketched:
            return
        what = f"{which} sketches of {less[0][1].detail.num_projections} projections a token"
        yield TrustCheck("detail", Status.WARN, f"{what}: errors are estimates; {place}")
    else:
        bare = [name for name, dump in less if not dump.detail.has_values]
        which = "both hold" if len(bare) == 2 else f"the {bare[0]} holds"
        blind = "what keeps norms (another order of heads or channels, a sign, a rotation) shows in no statistic"
        yield TrustCheck("detail", Status.WARN, f"{which} statistics alone: errors are the least they can be; {blind}")


def not_seen(rows: Sequence[TapComparison]) -> Iterator[str]:
    """Pairs that neither values nor sketches nor statistics tell anything of."""
    found = [row.reference for row in rows if row.seen is Seen.NOTHING]
    if found:
        why = (
            "the candidate's lie in another order or in a part of a tensor, which sketches and statistics cannot follow"
        )
        yield f"{len(found)} pairs are not compared, as {found[0]}: {why}"


def next_commands(ours: Dump, theirs: Dump, mapping: Mapping, first: Place | None) -> tuple[str, ...]:
    """What records in full the block in which the first difference lies; nothing where both dumps are whole."""
    if first is None or (ours.detail.is_whole and theirs.detail.is_whole):
        return ()
    block = _block(first.module)
    other = next((p.sources[0].tap.module for p in mapping.pairs if p.reference.module == block), block)
    return commands_in_full([ours, theirs], [block, other])


def commands_in_full(dumps: Sequence[Dump], modules: Sequence[str]) -> tuple[str, ...]:
    """What records these modules of each dump once more, with all values; every run is fed as the first dump's was."""
    return tuple(_record(dump, module, dumps[0]) for dump, module in zip(dumps, modules, strict=True))


def _block(module: str) -> str:
    """`model.layers.3` of `model.layers.3.mlp.up_proj`; what lies in no layer is its own block."""
    parts = module.split(".")
    inside = [end for end in range(1, len(parts) + 1) if template(".".join(parts[:end]))[1]]
    return ".".join(parts[: inside[0]]) if inside else module


def _record(dump: Dump, block: str, fed_by: Dump) -> str:
    """A command where the dump knows what to load again, else the call from Python."""
    include = [block, f"{block}.*"] if block else []
    output = Path(dump.path).with_suffix(".full.h5")
    target = dump.attribute("target")
    if not isinstance(target, dict) or not target.get("place"):
        return f"with probe.record(model, {str(output)!r}, include={include}): ..."
    words = ["probe", "dump", f"{target.get('kind')}:{target['place']}", "--inputs", str(fed_by.path)]
    arguments: dict[str, Any] = target.get("arguments") or {}
    words += [word for key, value in arguments.items() for word in ("--arg", f"{key}={value}")]
    if target.get("kind") == "hf":
        words += ["--dtype", DTYPES.get(dump.dtype, dump.dtype)]
        attention = dump.environment.get("attention")
        words += ["--attn", attention] if isinstance(attention, str) else []
    words += [word for glob in include for word in ("--include", glob)]
    return shlex.join([*words, "-o", str(output)])
