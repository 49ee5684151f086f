"""Two dumps and a report made by hand, of numbers that are exact everywhere: pictures of them are the same on every
machine."""

from pathlib import Path

import numpy as np

from probe.dump import DumpWriter
from probe.report import (
    Finding,
    OutputComparison,
    Place,
    Report,
    Status,
    TapComparison,
    TrustCheck,
    Verdict,
    WeightFinding,
)
from probe.tap import Tap

TOKENS, CHANNELS, HEADS, WINDOW = 24, 32, 2, 8
ATTENTION, NORM = "model.layers.0.self_attn", "model.layers.1.post_norm"
Arrays = dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"]


def _exact(seed: int, *shape: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Sixty-fourths: sums of them are exact in float32, in whatever order."""
    return (np.random.default_rng(seed).integers(-64, 65, shape) / 64).astype(np.float32)


def _mask(window: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    q, k = np.indices((TOKENS, TOKENS))
    return ((k <= q) & (q - k < window))[None, None]


def arrays(*, bugs: bool) -> Arrays:
    """All taps of one run, in order."""
    found: Arrays = {":in.input_ids": np.arange(TOKENS)[None]}
    wrong = np.zeros((1, TOKENS, CHANNELS), np.float32)
    for layer in range(2):
        module = f"model.layers.{layer}"
        found[f"{module}.norm:in"] = _exact(layer, 1, TOKENS, CHANNELS) + wrong
        found[f"{module}.norm:out"] = _exact(10 + layer, 1, TOKENS, CHANNELS) + wrong
        found[f"{module}.self_attn.@attention:in.mask"] = _mask(WINDOW + (bugs and layer == 0))
        found[f"{module}.self_attn.@attention:in.query"] = _exact(20 + layer, 1, HEADS, TOKENS, CHANNELS // HEADS)
        if bugs and layer == 0:
            wrong[:, WINDOW:] = _exact(99, 1, TOKENS - WINDOW, CHANNELS) / 8
        found[f"{module}.self_attn:out"] = _exact(30 + layer, 1, TOKENS, CHANNELS) + wrong
        found[f"{module}.mlp:out"] = _exact(40 + layer, 1, TOKENS, CHANNELS) + wrong
        if bugs and layer == 1:
            wrong = wrong + np.float32(1 / 64)
        found[f"{module}.post_norm:out"] = _exact(50 + layer, 1, TOKENS, CHANNELS) + wrong
    found[":out.logits"] = _exact(60, 1, TOKENS, 64)
    return found


def _class(module: str) -> str:
    return "attention" if "@" in module else "Part"


def write(path: Path, *, bugs: bool) -> None:
    with DumpWriter(path) as writer:
        ids = np.arange(TOKENS)[None]
        writer.describe(target={"kind": "py", "place": "model.py:build", "arguments": {}}, environment={}, config={})
        writer.add_input(0, "input_ids", ids, "int64")
        for order, (name, values) in enumerate(arrays(bugs=bugs).items()):
            module, _, port = name.partition(":")
            dtype = {"b": "bool", "i": "int64"}.get(values.dtype.kind, "float32")
            writer.add(Tap(name, module, _class(module), 0, port, 0, order, values.shape, dtype), values)


def report(reference: Path, candidate: Path) -> Report:
    """Two bugs: a window in layer 0, an eps in layer 1."""
    rows = []
    for number, (name, r) in enumerate(arrays(bugs=False).items()):
        c = arrays(bugs=True)[name]
        apart = float(np.linalg.norm(c.astype(float) - r) / (np.linalg.norm(r.astype(float)) or 1))
        own = name in (f"{ATTENTION}:out", f"{ATTENTION}.@attention:in.mask", f"{NORM}:out")
        local = apart if own else 1e-8 * (number + 1)
        figures = {"max_abs": apart, "rel_l2": apart, "nmse": apart**2, "cosine": 1 - apart**2 / 2, "sqnr_db": 20.0}
        ratio = local / 6e-8 if own else 0.25 * (number % 4)
        rows.append(
            TapComparison(name, name, 0, r.shape, "float32", **figures, local_error=local, floor=6e-8, ratio=ratio)
        )
    window = Finding(
        cause="attn.window",
        module=ATTENTION,
        modules=(ATTENTION,),
        span=(f"{ATTENTION}.@attention:in.query", f"{ATTENTION}:out"),
        message="attention has a window of 9 where the reference has a window of 8",
        reference_value=8.0,
        candidate_value=9.0,
        error_before=0.04,
        error_after=3.1e-7,
        share=0.984,
        seen_at=f"{ATTENTION}.@attention:in.mask",
    )
    eps = Finding(
        "norm.eps", NORM, (NORM,), ("model.layers.1.mlp:out", f"{NORM}:out"), "eps is 1e-05, not 1e-06",
        1e-6, 1e-5, 0.012, 4.9e-8, share=0.018,
    )  # fmt: skip
    return Report(
        str(reference),
        str(candidate),
        Verdict.DIVERGED,
        (TrustCheck("length", Status.WARN, "24 tokens do not exercise rope scaling past 8192"),),
        tuple(rows),
        ("model.layers.1.mlp.act_fn:out",),
        (),
        OutputComparison(":out.logits", 0.0, 0.0, 0.0),
        Place(ATTENTION, f"{ATTENTION}:out", 0, 0.04, 6e-8, 6e5),
        (window, eps),
        True,
        explained=0.99998,
        weights=(
            WeightFinding("equal", False, "model.layers.{i}.mlp.weight", "", ("a", "b"), "2 weights: equal"),
            WeightFinding("swapped", True, f"{NORM}.weight", "model.norm.weight", ("c",), "holds model.norm's"),
        ),
    )  # fmt: skip
