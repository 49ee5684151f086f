"""What another run was fed, as one sequence: its prefill, and the steps that went on from it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from probe.capture.tensors import from_bits
from probe.dump import Dump
from probe.dump.joined import sequences
from probe.errors import ProbeError
from probe.targets.sequence import belonging, grown


@dataclass(frozen=True, slots=True)
class Sequence:
    """The tensors that a run's forward was given."""

    inputs: dict[str, torch.Tensor]
    """By the reference's names: what belongs to the tokens for all of them, all else as the first step was given it."""
    sizes: tuple[int, ...]
    """Tokens of each step; empty where there is one alone."""


def recorded_sequence(path: Path) -> Sequence:
    """The first step of a dump, and all that continue it. ProbeError where it holds no inputs."""
    with Dump(path) as dump:
        inputs = _tensors(dump, 0)
        ids = _ids(inputs)
        if not inputs:
            raise ProbeError(f"{path} holds no inputs", hint="record it again, or give --tokens")
        if ids is None:
            return Sequence(inputs, ())
        first, *others = sequences(dump)[0]
        sizes = [first.size]
        for span in others:
            fed = _tensors(dump, span.step)
            if ids not in fed:
                break
            inputs = _continued(inputs, ids, fed)
            sizes.append(span.size)
    return Sequence(inputs, tuple(sizes) if len(sizes) > 1 else ())


def _continued(inputs: dict[str, torch.Tensor], ids: str, fed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With a further step's tokens; of what else the two hold of tokens, as that step was given it."""
    size = fed[ids].shape[-1]
    found = grown(inputs, ids, fed[ids])
    for name in belonging(found, ids)[1:]:
        given = fed.get(name)
        if given is not None and given.shape == found[name].shape:
            found[name] = given
        elif given is not None and given.shape == found[name][..., -size:].shape:
            found[name] = torch.cat([found[name][..., :-size], given], dim=-1)
    return found


def _ids(inputs: dict[str, torch.Tensor]) -> str | None:
    """The token ids: a decoder's, else the first whole numbers that are neither mask nor positions."""
    if "decoder_input_ids" in inputs:
        return "decoder_input_ids"
    for name, value in inputs.items():
        whole = not value.is_floating_point() and value.dtype != torch.bool and value.dim() in (1, 2)
        if whole and "mask" not in name and "pos" not in name:
            return name
    return None


def _tensors(dump: Dump, step: int) -> dict[str, torch.Tensor]:
    return {name: from_bits(bits, dtype) for name, (bits, dtype) in dump.inputs(step).items()}
