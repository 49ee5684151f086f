"""A model run again on the same inputs: which taps are not, bit for bit, what was recorded?

What differs is the run's own noise (atomic additions, another algorithm picked), and no port can be nearer than that.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from probe.capture.hooks import Call, watching
from probe.capture.structure import input_tensors, output_tensors
from probe.capture.tensors import to_bits, why_not_stored
from probe.dump import Dump, tensor_hash
from probe.dump.dtypes import decode
from probe.tap import Tap, tap_name

MOST_TAPS = 200
"""Taps that are named in the dump."""
BLOCK = 1 << 20
"""Elements that are compared at once."""


def repetition(model: nn.Module, run: Callable[[], Any], dump: Dump, num_runs: int) -> dict[str, Any]:
    """What the dump's attribute `repetition` holds, after `run` was called `num_runs - 1` times under hooks, and once
    without any.

    `runs`; `taps`, the first of those that differ, each as step, name and ||again - recorded|| / ||recorded||, the
    largest over all runs; `num_differing`, how many there are; `recording_moved_output`: without hooks the model
    returned something else, though under hooks it repeated itself.
    """
    differing: dict[tuple[int, str], float] = {}
    recorded = {(tap.step, tap.name): tap for tap in dump.taps}

    def look(call: Call, port: str, tensor: torch.Tensor) -> None:
        tap = recorded.get((call.step, tap_name(call.name, call.number, port)))
        if tap is None or why_not_stored(tensor):
            return
        bits = to_bits(tensor)
        if tensor_hash(bits) != tap.statistics.hash:
            place = (tap.step, tap.name)
            differing[place] = max(differing.get(place, 0.0), _distance(dump, tap, bits))

    def on_inputs(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for port, tensor in input_tensors(args, kwargs):
            look(call, port, tensor)

    def on_output(call: Call, output: Any) -> None:
        for port, tensor in output_tensors(output):
            look(call, port, tensor)

    for _ in range(num_runs - 1):
        with watching(model, on_inputs, on_output):
            run()
    moved = not differing and _differs(run(), recorded, dump.steps[-1])
    in_order = [(place, differing[place]) for place in recorded if place in differing]
    return {
        "runs": num_runs,
        "num_differing": len(in_order),
        "taps": [[*place, size] for place, size in in_order[:MOST_TAPS]],
        "recording_moved_output": moved,
    }


def _differs(output: Any, recorded: dict[tuple[int, str], Tap], step: int) -> bool:
    """Whether the model's own output is not the recorded one; False where that was not recorded."""
    for port, tensor in output_tensors(output):
        tap = recorded.get((step, tap_name("", 0, port)))
        if tap and not why_not_stored(tensor) and tensor_hash(to_bits(tensor)) != tap.statistics.hash:
            return True
    return False


def _distance(dump: Dump, tap: Tap, again: NDArray[np.generic]) -> float:
    """||again - recorded|| / ||recorded||; infinite for another shape, or where only one side has NaN or infinities."""
    if again.shape != tap.shape:
        return math.inf
    flat, squares, start = again.reshape(-1), 0.0, 0
    for block in dump.blocks(tap, BLOCK):
        other = decode(flat[start : start + len(block)], tap.dtype)
        kind = np.complex128 if np.iscomplexobj(block) else np.float64
        same = (block == other) | ((block != block) & (other != other))
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0, other.astype(kind) - block.astype(kind))
        squares += float(np.sum(np.abs(difference) ** 2))
        start += len(block)
    if not math.isfinite(squares):
        return math.inf
    return math.sqrt(squares) / tap.statistics.l2 if tap.statistics.l2 else math.inf
