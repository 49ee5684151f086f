"""What a graph is fed: by its inputs' names, and what nobody gave is made where only one thing can be meant.

B sentences of T tokens.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from probe.errors import ProbeError
from probe.targets.onnx.graph import Array, Fed

IDS = ("input_ids", "decoder_input_ids", "input", "tokens", "ids")


def fed_to(graph_inputs: Sequence[Fed], given: Mapping[str, torch.Tensor]) -> tuple[dict[str, Array], list[str]]:
    """By the graph's names, and notes on what was made or left out. ProbeError where an input is nobody's."""
    ids_name, ids = next(iter(given.items()))
    found: dict[str, Array] = {}
    notes: list[str] = []
    used: set[str] = set()
    first = _first(graph_inputs, given)
    for one in graph_inputs:
        name = one.name if one.name in given else ids_name if one is first else ""
        if name:
            found[one.name] = given[name].numpy().astype(one.dtype)
            used.add(name)
        else:
            found[one.name] = _made(one, ids, given)
            notes.append(f"the graph also takes {one.name}, which nobody gave: {_in_words(one.name)}")
    notes += [f"{name} was not passed on: the graph has no such input" for name in given if name not in used]
    return found, notes


def _first(graph_inputs: Sequence[Fed], given: Mapping[str, torch.Tensor]) -> Fed | None:
    """The input that takes the token ids under another name."""
    main = next(iter(given))
    if any(one.name == main for one in graph_inputs):
        return None
    kind = "f" if given[main].is_floating_point() else "i"
    return next((one for one in graph_inputs if one.name not in given and one.dtype.kind == kind), None)


def _made(one: Fed, ids: torch.Tensor, given: Mapping[str, torch.Tensor]) -> Array:
    shape = tuple(ids.shape)
    if "mask" in one.name:
        return np.ones(shape, one.dtype)
    if "position" in one.name:
        return np.broadcast_to(np.arange(shape[-1]), shape).astype(one.dtype)
    if "token_type" in one.name or "segment" in one.name:
        return np.zeros(shape, one.dtype)
    raise ProbeError(
        f"the graph takes {one.name} {list(one.shape)}, and nobody gave it: there is {', '.join(given)}",
        hint="record a reference that is fed it, and give --inputs REF.h5",
    )


def _in_words(name: str) -> str:
    return "all ones" if "mask" in name else "0, 1, 2, ..." if "position" in name else "all zeros"
