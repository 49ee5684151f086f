"""A comparison in which every text is hostile: names, sentences, settings and files of two dumps."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from probe.dump import DumpWriter
from probe.report import Report, Status, TrustCheck
from probe.tap import Tap
from tests.tui import made

NAMES = (
    "</script><img src=x onerror=alert(1)>:out",
    "<!--<script>:out",
    "</script <!-- <script :out",
    "]]>&lt;&amp;\"'`</style></title>:out",
    "{{ 7 * 7 }}{% raw %}${1}:out",
    "line\u2028and\u2029line\r\n\t:out",
    "\x1b]0;owned\x07\x1b[31m\u202e\x00\ud800:out",
    "$\\frac{1}{2}$_*[x](javascript:alert(1))|@someone#1:out",
    f"{'layers.' * 700}end:out",
)


def report(reference: Path, candidate: Path) -> Report:
    """Each name as a tap on both sides, one without a counterpart and one left out; the first is at fault, and all are
    in what is said of it."""
    known = made.report(reference, candidate)
    rows = [
        replace(row, reference=name, candidate=name, ratio=0.25) for row, name in zip(known.taps, NAMES, strict=False)
    ]
    guilty, every = NAMES[0], " ".join(NAMES)
    rows[0] = replace(rows[0], ratio=9e3, rel_l2=0.5)
    texts = {"module": guilty, "modules": NAMES, "span": (NAMES[1], guilty), "message": every, "seen_at": guilty}
    finding = replace(known.findings[0], cause=guilty, reference_value=guilty, uncaptured=NAMES, **texts)
    assert known.first is not None
    assert known.output is not None
    return replace(
        known,
        trust=tuple(TrustCheck("length", status, every) for status in Status),
        taps=tuple(rows),
        reference_only=NAMES,
        candidate_only=NAMES,
        output=replace(known.output, tap=guilty),
        first=replace(known.first, module=guilty, tap=guilty, seen_at=guilty),
        findings=(finding,),
        notes=NAMES,
        skipped=tuple((name, name) for name in NAMES),
        next_commands=NAMES,
        weights=tuple(replace(one, message=every, kind=guilty) for one in known.weights),
        unjudged=NAMES,
    )


def write(path: Path) -> None:
    """A dump whose attributes and inputs are named so."""
    names = {name: name for name in NAMES}
    target = {"kind": "py", "place": NAMES[0], "arguments": names}
    environment = {"versions": names, "device": NAMES[1], "command": ["probe", *NAMES], **names}
    with DumpWriter(path) as writer:
        writer.describe(target=target, environment=environment, config=names)
        writer.add_input(0, NAMES[0], np.arange(3)[None], "int64")
        writer.add(Tap("a:out", "a", "A", 0, "out", 0, 0, (2,), "float32"), np.ones(2, np.float32))
