"""Which axis of a tensor its tokens lie along, and the part of it that `tokens_slice` keeps.

B sentences of T tokens, C channels, H heads. What a model was fed says how many there are: ids [B, T] or [T], or
embeddings [B, T, C].
"""

from collections.abc import Iterable

import torch

from probe.dump.joined import fed_tokens
from probe.errors import ProbeError

Fed = tuple[int, int]
"""Sentences, and tokens of each; 1 and 0 where nothing tells."""
Slice = tuple[int | None, int | None]
Shape = tuple[int, ...]


def token_axis(shape: Shape, fed: Fed) -> int | None:
    """The first axis of T tokens after that of the sentences: of [B, T, C], [1, T, D], [B, H, T, T] and [B, T]; the
    first one of a lone sentence's [T, C]. None where there is no such axis."""
    num_sentences, num_tokens = fed
    if num_tokens < 2 or not shape:
        return None
    if len(shape) > 1 and shape[0] in (1, num_sentences):
        return next((axis for axis in range(1, len(shape)) if shape[axis] == num_tokens), None)
    return 0 if num_sentences == 1 and shape[0] == num_tokens else None


class Cut:
    """What is kept of the tensors of a run, whose steps are fed unlike numbers of tokens."""

    def __init__(self, tokens: Slice | None) -> None:
        self._tokens = tokens
        self._fed: dict[int, Fed] = {}

    def feed(self, step: int, arguments: Iterable[tuple[str, torch.Tensor]]) -> None:
        self._fed[step] = fed_tokens(
            (name, tuple(x.shape), not (x.is_floating_point() or x.is_complex())) for name, x in arguments
        )

    def shape(self, step: int, tensor: torch.Tensor) -> Shape:
        """All of a tensor where no axis is that of the tokens, or there is one alone. ProbeError where no token is
        left."""
        whole = tuple(tensor.shape)
        axis = token_axis(whole, self._fed.get(step, (1, 0))) if self._tokens else None
        if axis is None or self._tokens is None:
            return whole
        count = len(range(*slice(*self._tokens).indices(whole[axis])))
        if not count:
            raise ProbeError(
                f"of the {whole[axis]} tokens of step {step} none is in the slice that was asked for",
                hint="START:STOP as in Python: 0:16, :16, -4:",
            )
        return (*whole[:axis], count, *whole[axis + 1 :])


def kept_part(tensor: torch.Tensor, shape: Shape, tokens: Slice | None) -> torch.Tensor:
    """The part of a tensor that has the shape of `Cut.shape`; a view."""
    if tokens is None:
        return tensor
    axis = next((axis for axis, size in enumerate(shape) if size != tensor.shape[axis]), None)
    if axis is None:
        return tensor
    start, stop, _ = slice(*tokens).indices(tensor.shape[axis])
    return tensor.detach().narrow(axis, start, stop - start)
