"""Where a run that was fed another run's tokens would have gone on with others."""

from pathlib import Path

from probe.targets.calls import Played
from probe.targets.recorded import recorded_sequence

MOST_TOLD = 3
"""Steps that are told of one by one."""


def other_tokens(played: Played, path: Path) -> list[str]:
    """A note where the run says another next token than the one that the run in `path` went on with, step by step."""
    sizes = recorded_sequence(path).sizes
    if played.likeliest is None or not sizes:
        return []
    ids = played.calls.inputs[played.calls.ids]
    found, start = [], sizes[0]
    for step, size in enumerate(sizes[1:], 1):
        said, given = played.likeliest[..., start - 1].reshape(-1).tolist(), ids[..., start].reshape(-1).tolist()
        start += size
        if size == 1 and said != given:
            row = next(row for row, (own, other) in enumerate(zip(said, given, strict=True)) if own != other)
            sentence = f", sentence {row}" if len(said) > 1 else ""
            found.append(f"step {step}{sentence}: this run would have said {said[row]}, {path} said {given[row]}")
    more = [f"{len(found)} of {len(sizes) - 1} steps would have said another token"] if len(found) > MOST_TOLD else []
    return [*found[:MOST_TOLD], *more]
