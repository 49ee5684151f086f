"""What llama.cpp can be fed: the tokens of one sentence, whose positions are 0, 1, 2, ..."""

from collections.abc import Mapping

import torch

from probe.errors import ProbeError

IDS = "input_ids"


def one_row(inputs: Mapping[str, torch.Tensor]) -> tuple[list[int], list[str]]:
    """The tokens, and notes on what is not passed on. ProbeError for several sentences, for padding and other
    positions, and where other things than tokens are fed."""
    main = IDS if IDS in inputs else next(iter(inputs))
    ids = inputs[main]
    if ids.is_floating_point() or ids.dim() not in (1, 2):
        raise ProbeError(f"llama.cpp is fed tokens, and this is {', '.join(inputs)}", hint="give --tokens 1,2,3")
    rows = ids.reshape(-1, ids.shape[-1])
    if len(rows) > 1:
        raise ProbeError(f"a gguf: target runs one sentence at a time, and these are {len(rows)}")
    others = {name: value for name, value in inputs.items() if name != main}
    notes = [f"{name} was not passed on: llama.cpp is fed tokens alone" for name in others if not _is_told(name)]
    for name, value in others.items():
        if "mask" in name and not value.bool().all():
            raise ProbeError("a gguf: target knows no padding", hint="record the reference with one sentence, unpadded")
        if "position" in name and not torch.equal(value.reshape(-1).long(), torch.arange(value.numel())):
            raise ProbeError(
                f"a gguf: target counts positions from 0 on, and {name} does not", hint=f"leave {name} away"
            )
    return [int(token) for token in rows[0]], notes


def _is_told(name: str) -> bool:
    """Whether it says nothing new: a mask that hides nothing, positions one after the other."""
    return "mask" in name or "position" in name


def within(sizes: tuple[int, ...], most: int) -> list[int]:
    """Steps of `most` tokens at most: 0 for any."""
    if not most:
        return list(sizes)
    return [min(most, size - start) for size in sizes for start in range(0, size, most)]
