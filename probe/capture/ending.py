"""What is said when a recording ends without a dump."""

from collections.abc import Mapping
from pathlib import Path

from probe.errors import ProbeError


def failed(path: Path, num_taps: int, trouble: BaseException) -> ProbeError:
    return ProbeError(
        f"recording into {path} failed after {num_taps} taps: {trouble}",
        hint=getattr(trouble, "hint", None) or "make room, write to another disk, or record less (--include)",
    )


def nothing_recorded(path: Path, num_calls: int, skipped: Mapping[str, str]) -> ProbeError:
    """`num_calls` of modules were seen; `skipped` says of tensors why they were left out."""
    what = f"nothing was recorded into {path}"
    if not num_calls:
        return ProbeError(
            f"{what}: no module of the model ran inside the block",
            hint="call the model itself inside 'with probe.record(model, path):', not a compiled or wrapped copy",
        )
    if skipped:
        name, reason = next(iter(skipped.items()))
        return ProbeError(
            f"{what}: {len(skipped)} tensors were left out, as {name!r}: {reason}",
            hint="record other modules too (--include, --exclude)",
        )
    return ProbeError(f"{what}: no tap of what ran matches", hint="see --include and --exclude; a tap is 'layer:out'")
