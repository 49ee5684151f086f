"""Did both run under the same precision, and does each run give the same numbers twice?"""

from collections.abc import Iterator
from typing import Any

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.report import Status, TrustCheck

Places = dict[str, tuple[str, ...]]

GPU_FLAGS: Places = {
    "TF32 in matrix products": ("tf32", "matmul"),
    "TF32 in convolutions": ("tf32", "cudnn"),
    "fp16 sums in fp16 products": ("reduced_precision", "fp16"),
    "bf16 sums in bf16 products": ("reduced_precision", "bf16"),
}
"""How people call them, and where an environment has them; they do nothing on a CPU."""
FLAGS: Places = {"autocast": ("autocast",), "float32_matmul_precision": ("float32_matmul_precision",)}
CHOICES: Places = {"dtype": ("dtype",), "attention": ("attention",), "device": ("device",)}
"""What users choose on purpose, and what replay and its floor allow for: said, but no reason to doubt."""


def same_precision(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Hidden flags that differ are warned of; dtype, kernel and device are only told."""
    ours, theirs = reference.environment, candidate.environment
    if not ours or not theirs:
        return
    on_gpu = any(str(side.get("device", "")).startswith("cuda") for side in (ours, theirs))
    flags = _unequal(ours, theirs, {**FLAGS, **(GPU_FLAGS if on_gpu else {})})
    if flags:
        yield TrustCheck("precision", Status.WARN, f"the two ran under other precision flags: {flags}")
    choices = _unequal(ours, theirs, CHOICES)
    if choices:
        yield TrustCheck("precision", Status.OK, f"the two ran with {choices}")


def _unequal(ours: dict[str, Any], theirs: dict[str, Any], places: Places) -> str:
    """ "dtype float32 against bfloat16, ..."; a side that does not say, or has no such flag, is not compared."""
    unequal = []
    for name, place in places.items():
        mine, other = _at(ours, place), _at(theirs, place)
        if mine is not None and other is not None and mine != other:
            unequal.append(f"{name} {_word(mine)} against {_word(other)}")
    return ", ".join(unequal)


def _at(environment: dict[str, Any], place: tuple[str, ...]) -> Any:
    value: Any = environment
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _word(value: Any) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def repeatable(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """What `probe dump --repeat` saw; nothing where a dump does not say."""
    for name, dump in (("reference", reference), ("candidate", candidate)):
        seen = dump.attribute("repetition")
        if not isinstance(seen, dict):
            continue
        moved = seen.get("taps")
        if isinstance(moved, list) and moved:
            step, tap, size = moved[0] if isinstance(moved[0], list) and len(moved[0]) == 3 else (0, "a tap", "some")
            where = f" in step {step}" if step else ""
            count = seen.get("num_differing")
            rest = f", and {count - 1} more taps after it" if isinstance(count, int) and count > 1 else ""
            message = f"the {name} does not repeat itself: run again on the same inputs, {tap}{where} differs by "
            yield TrustCheck("repetition", Status.WARN, f"{message}{_size(size)} of it{rest}")
        elif seen.get("recording_moved_output"):
            message = f"recording moved the {name}'s output: without hooks the same run gives other numbers"
            yield TrustCheck("repetition", Status.WARN, message)


def _size(size: Any) -> str:
    return f"{size:.1e}" if isinstance(size, float) else str(size)
