"""What is in a dump, as text: its run and all its taps, or one tap's numbers."""

import numpy as np
from rich.table import Table
from rich.text import Text

from probe.dump import Dump
from probe.printable import printable
from probe.render.console import console, prose
from probe.render.steps import steps_in_words
from probe.tap import Tap
from probe.words import number

RUNTIMES = ("torch", "transformers", "llama.cpp", "xllamacpp", "llama-cpp-python", "onnxruntime")
"""What runs models: whose versions matter to a reader first."""


def print_contents(dump: Dump) -> None:
    out = console()
    environment = dump.environment
    versions = environment.get("versions", {})
    if not dump.complete:
        cut_short = "UNFINISHED: the run that wrote this was cut short; what it recorded until then is here"
        prose(out, Text(cut_short, style="bold yellow"))
    prose(out, Text(printable(origin(dump))), "model")
    ran = [f"{key} {versions[key]}" for key in RUNTIMES if key in versions]
    ran += [str(environment[key]) for key in ("dtype", "device", "attention") if environment.get(key)]
    ran += [f"weights in {environment['weights']}"] if environment.get("weights") else []
    if ran:
        prose(out, Text(printable(", ".join(ran))), "ran with")
    for name, (bits, dtype) in dump.inputs().items():
        prose(out, Text(f"{printable(name)} {list(bits.shape)} {dtype}"), "fed")
    described = steps_in_words(dump)
    steps = f" in {len(dump.steps)} steps" + (f" ({described})" if described else "") if len(dump.steps) > 1 else ""
    gradients = f", {len(dump.gradients)} gradients" if dump.gradients else ""
    prose(out, Text(f"{len(dump.taps)} taps{steps}{gradients}, {len(dump.weights)} weights"), "holds")
    if not dump.detail.is_whole:
        prose(out, Text(dump.detail.words, style="yellow"), "kept")
    notes = dump.attribute("notes") or {}
    if notes.get("gradients"):
        prose(out, Text(f"no gradients: {printable(notes['gradients'])}", style="yellow"), "note")
    skipped = notes.get("skipped", {})
    if skipped:
        name, reason = next(iter(skipped.items()))
        text = f"{len(skipped)} tensors, as {printable(name)}: {printable(reason)}"
        prose(out, Text(text, style="yellow"), "skipped")
    if left_out := notes.get("left_out", {}):
        text = f"{len(left_out)} kinds, as {printable(next(iter(left_out)))}: --functional all records them"
        prose(out, Text(text), "left out")
    out.print()
    out.print(_table(dump))


def print_tap(dump: Dump, tap: Tap) -> None:
    out = console()
    s = tap.statistics
    place = f"{printable(tap.name)}   step {tap.step}, number {tap.order} in order of execution"
    prose(out, Text(place, style="bold"))
    prose(out, Text(f"{printable(tap.module) or '(the model itself)'}: {printable(tap.module_class)}"), "module")
    prose(out, Text(f"{list(tap.shape)} {printable(tap.dtype)}"), "tensor")
    figures = f"{s.minimum:.6g} to {s.maximum:.6g}, mean {s.mean:.6g}, std {s.std:.6g}, l2 {s.l2:.6g}"
    if dump.detail.is_sketched(tap.shape, tap.dtype):
        figures = f"l2 {s.l2:.6g}; of a sketched tensor no more was measured"
    prose(out, Text(figures), "values")
    if s.num_nan or s.num_inf:
        prose(out, Text(f"of which {s.num_nan} NaN and {s.num_inf} infinite", style="bold red"), " ")
    if not dump.has_values(tap):
        prose(out, Text(f"not kept: the dump holds {dump.detail.words}", style="yellow"), "numbers")
        return
    values = dump.read(tap)
    with np.printoptions(threshold=60, edgeitems=3, precision=5, suppress=False):
        out.print(Text(np.array2string(values)))


def origin(dump: Dump) -> str:
    """What ran: `py:port.py:build --arg gain=2`, or why that is not known."""
    target, imported = dump.attribute("target"), dump.environment.get("imported")
    if isinstance(imported, dict):
        return f"not known: imported from {imported.get('from')}"
    if not isinstance(target, dict):
        return "a model that was live when it was recorded"
    told = target.get("arguments")
    arguments = "".join(f" --arg {key}={value}" for key, value in (told if isinstance(told, dict) else {}).items())
    return f"{target.get('kind')}:{target.get('place')}{arguments}"


def _table(dump: Dump) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("tap", "shape", "dtype"):
        table.add_column(title, overflow="fold")
    for title in ("min", "max", "mean", "std", *(("l2",) if dump.detail.num_projections else ())):
        table.add_column(title, justify="right")
    for tap in (*dump.taps, *dump.gradients):
        s = tap.statistics
        bad = "  NaN!" if s.num_nan else "  inf!" if s.num_inf else ""
        name = f"{tap.step}/{tap.name}" if len(dump.steps) > 1 else tap.name
        shape = "x".join(map(str, tap.shape)) or "scalar"
        figures = ["" if value != value else number(value) for value in (s.minimum, s.maximum, s.mean, s.std)]
        if dump.detail.num_projections:
            figures.append(number(s.l2))
        table.add_row(Text(printable(name) + bad), shape, Text(printable(tap.dtype)), *figures)
    return table
