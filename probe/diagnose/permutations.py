"""A permutation of channels: each of the candidate's is looked up among the reference's; and it is put in words."""

import torch

from probe.diagnose.products import Products

NUM_TRIED = 64
"""Channels that are looked up before all are."""
FOUND = 0.9
"""Of those tried."""
SAME = 0.5
"""Relative distance under which two channels may be the same; the span is run to make sure. Weights of two bits leave
0.33, two channels that have nothing to do with each other 1.4."""


def permutation(seen: Products) -> torch.Tensor | None:
    """[O]: of each of the candidate's channels, which of the reference's it is; None where that is no permutation."""
    num_out = seen.reference_NO.shape[1]
    tried = torch.arange(0, num_out, -(-num_out // NUM_TRIED))
    index, is_same = _nearest(seen, tried)
    if is_same.double().mean() < FOUND or bool((index == tried).all()):
        return None
    index, _ = _nearest(seen, torch.arange(num_out))
    is_permutation = len(set(index.tolist())) == num_out
    return index if is_permutation and not bool((index == torch.arange(num_out)).all()) else None


def _nearest(seen: Products, channels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each candidate channel, the index of the nearest reference channel, and whether it is the same."""
    found, near = [], []
    for some in torch.split(channels, 256):
        factor_NC = seen.counts_NO[:, some].double()
        factor_NC = factor_NC if seen.factor_NO is None else factor_NC * seen.factor_NO[:, some]
        wanted_NC = seen.candidate_NO[:, some].where(seen.counts_NO[:, some], 0.0)
        far_CO = wanted_NC.square().sum(0)[:, None] - 2 * (wanted_NC * factor_NC).T @ seen.reference_NO
        far_CO += factor_NC.square().T @ seen.reference_NO.square()
        least = far_CO.min(1)
        found.append(least.indices)
        near.append(least.values <= SAME**2 * wanted_NC.square().sum(0))
    return torch.cat(found), torch.cat(near)


def in_words(order: torch.Tensor) -> str:
    """What was done to 0, 1, 2, ... to make `order`."""
    count = len(order)
    plain = torch.arange(count)
    if torch.equal(order, plain.roll(int((order == 0).nonzero()))):
        shift = int((order == 0).nonzero())
        return f"rolled by {shift if shift <= count // 2 else shift - count}"
    if torch.equal(order, plain.flip(0)):
        return "reversed"
    for size in (size for size in range(count, 3, -1) if count % size == 0 and size % 2 == 0):
        blocks = plain.reshape(-1, size)
        pairs = blocks.reshape(-1, 2, size // 2).transpose(1, 2).reshape(-1)
        halves = blocks.reshape(-1, size // 2, 2).transpose(1, 2).reshape(-1)
        where = "" if size == count else f" within each {size}"
        if torch.equal(order, pairs):
            return f"interleaved where the reference has halves{where}"
        if torch.equal(order, halves):
            return f"in halves where the reference interleaves them{where}"
    breaks = (order.diff() != 1).nonzero()[:, 0] + 1
    pieces = torch.tensor_split(order, breaks)
    if len(pieces) <= 16:
        return "in another order: " + ", ".join(f"{int(piece[0])}-{int(piece[-1])}" for piece in pieces)
    return "in another order"
