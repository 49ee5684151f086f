"""Write the mapping table that pairs two dumps, check one, or add to one what it lacks.

Rows are inferred from weights, order, values and names. Each says why it is believed and how sure it is; a row that is
not is put to you as a question, commented out. What has no counterpart is listed at the end.

In a table, {i} and {j} are numbers, and {q,k,v} are alternatives, chosen on both sides in parallel:
  [sizes]                                             # other names are those of the reference's config
  h = "num_attention_heads"
  d = "hidden_size // num_attention_heads"
  [[pair]]
  reference = "model.layers.{i}.self_attn.q_proj"     # a module, or one tap: "...q_proj:out"
  candidate = "blocks.{i}.attn.wqkv[0:h*d]"           # channels; a list of names is joined side by side
  layout = "b t (h d) -> b h t d"                     # einops, candidate -> reference; if shapes do not tell
  scale = 8.0                                         # compared is candidate * scale + offset
  [[skip]]
  reference = "model.layers.{i}.self_attn"
  reason = "the port has no such point"
The more specific of two rows counts: a tap before its module, a name before a template.

examples:
  probe map ref.h5 cand.h5 -o map.toml
  probe map ref.h5 cand.h5 | less
  probe map --check map.toml ref.h5 cand.h5
  probe map --edit map.toml ref.h5 cand.h5
  probe map --check nanogpt ref.h5 cand.h5

exit codes: 0 written, or the checked table fits; 1 the checked table has problems; 2 trouble
"""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file

if TYPE_CHECKING:
    from probe.dump import Dump


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference_dump", type=file, metavar="REF", help="dump of the run taken as true")
    parser.add_argument("candidate_dump", type=file, metavar="CAND", help="dump of the run under suspicion")
    parser.add_argument("-o", "--output", type=file, metavar="FILE.toml", help="the table (default: stdout)")
    parser.add_argument("--force", action="store_true", help="replace FILE.toml if it exists")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--check", type=file, metavar="FILE.toml", help="hold this table against the two dumps")
    one.add_argument("--edit", type=file, metavar="FILE.toml", help="add to this table what it lacks; change nothing")
    parser.add_argument("--json", action="store_true", help="rows or problems as JSON")


def run(args: argparse.Namespace) -> bool:
    from probe.dump import Dump
    from probe.errors import ProbeError
    from probe.render.progress import Progress

    for flag in ("check", "edit"):
        given = "-o" if args.output else "--force" if args.force else None
        if getattr(args, flag) and given:
            raise ProbeError(f"{given} has no effect with --{flag}", hint="leave one of the two away")
    if args.force and not args.output:
        raise ProbeError("--force has no effect without -o", hint="name the file: -o FILE.toml")
    if args.output and not args.force and args.output.exists():
        raise ProbeError(f"{args.output} exists already", hint="give another name with -o, --force, or --edit it")
    with (
        Progress(quiet=args.quiet) as progress,
        Dump(args.reference_dump) as reference,
        Dump(args.candidate_dump) as candidate,
    ):
        progress("aligning", 0, 0)
        if args.check:
            return _check(args, reference, candidate)
        return _edit(args, reference, candidate) if args.edit else _propose(args, reference, candidate)


def _propose(args: argparse.Namespace, reference: "Dump", candidate: "Dump") -> bool:
    from probe.align.table.propose import infer, table_text
    from probe.align.table.save import save
    from probe.errors import ProbeError
    from probe.render.json import print_json
    from probe.render.mapping import row_of
    from probe.render.progress import say

    found = infer(reference, candidate)
    if not any(one.row.reference.partition(":")[0] for one in found.rows):
        raise ProbeError(
            f"nothing in {candidate.path} could be paired with {reference.path}",
            hint="is it the same model? If names and weights were both changed, write rows by hand: probe map --help",
        )
    text = table_text(found, reference, candidate)
    if args.output:
        save(args.output, text)
        print_summary = say if args.json else print
        print_summary(
            f"{args.output}: {len(found.rows)} rows; {len(found.mapping.pairs)} of the reference's"
            f" {len(reference.module_taps)} taps of modules have a counterpart"
        )
    if found.num_asked:
        say(f"note: {found.num_asked} rows are questions: take the '# ' away where yes", quiet=args.quiet)
    if args.json:
        unmatched = found.mapping.reference_only, found.mapping.candidate_only
        names = ([tap.name for tap in taps] for taps in unmatched)
        rows = {"schema": 1, "rows": [row_of(one) for one in found.rows], "pairs": len(found.mapping.pairs)}
        print_json(rows | dict(zip(("reference_only", "candidate_only"), names, strict=True)))
    elif not args.output:
        print(text, end="")
    else:
        say(f"next: probe diff {reference.path} {candidate.path} --map {args.output}", quiet=args.quiet)
    return False


def _check(args: argparse.Namespace, reference: "Dump", candidate: "Dump") -> bool:
    from probe.align.table.check import check
    from probe.align.table.read import read_table
    from probe.render.json import print_json
    from probe.render.mapping import print_check

    found = check(read_table(args.check), reference, candidate)
    if args.json:
        print_json(found.to_dict())
    else:
        print_check(found)
    return bool(found.problems)


def _edit(args: argparse.Namespace, reference: "Dump", candidate: "Dump") -> bool:
    from probe.align.table.edit import edited
    from probe.align.table.read import read_text
    from probe.align.table.save import save
    from probe.render.json import print_json
    from probe.render.mapping import row_of
    from probe.render.progress import say

    text = read_text(args.edit)
    found = edited(text, str(args.edit), reference, candidate)
    if found.text != text:
        save(args.edit, found.text)
    if args.json:
        print_json({"schema": 1, "added": [row_of(one) for one in found.added]})
    else:
        print(f"{args.edit}: {len(found.added)} row{'' if len(found.added) == 1 else 's'} added at the end")
        say(f"next: probe map --check {args.edit} {reference.path} {candidate.path}", quiet=args.quiet)
    return False
