"""Other shapes, one token for all, sentences in another order, and nothing compared at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.align.pairs import align
from probe.dump import Dump
from probe.errors import ProbeError
from probe.report import Status, Verdict
from probe.tap import Tap
from probe.trust.compared import nothing_broadcast, same_tokens_tapped
from tests.trust.conftest import Doubts, Recorded, only
from tests.trust.model import build, ids
from tests.trust.retelling import instead, retold

MIX = "model.layers.3.mix:out"


def test_nothing_in_common_is_an_error_even_if_trusted_anyway(reference: Path, tmp_path: Path):
    stranger, path = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), tmp_path / "stranger.h5"
    with torch.no_grad(), probe.record(stranger, path):
        stranger(torch.ones(1, 3))
    with pytest.raises(ProbeError, match=r"fed different inputs.*and 1 more such checks failed"):
        probe.diff(reference, path, replay=False)
    with pytest.raises(ProbeError, match="nothing in common"):
        probe.diff(reference, path, replay=False, trust_anyway=True)


def last_token(dump: Dump, tap: Tap) -> Any:
    """[B, 1, C] of [B, T, C], as an engine computes logits."""
    bits = dump.bits(tap)
    return bits[:, -1:] if bits.ndim == 3 and not tap.is_input else bits


@pytest.mark.parametrize("shape", [(2, 1, 16), (2, 16)])
def test_only_the_last_token_on_one_side(shape: tuple[int, ...], reference: Path, tmp_path: Path, doubts: Doubts):
    """paiml/aprender 1550: a layer "18 times too large" was all tokens' statistics against the last one's."""
    few = instead({MIX: lambda dump, tap: last_token(dump, tap).reshape(shape)})
    said = only(doubts(reference, retold(reference, tmp_path / "b.h5", few)), "tokens", Status.WARN)
    shapes = f"{MIX} [2, 9, 16] against {MIX} {list(shape)}"
    assert said == f"the candidate has one token of what the other side has all of: {shapes}; they are not compared"
    assert (
        "the reference has one token" in doubts(retold(reference, tmp_path / "c.h5", few), reference)["tokens"].message
    )


def test_only_the_last_tokens_logits(reference: Path, tmp_path: Path, doubts: Doubts):
    few = instead({"head:out": last_token, ":out": last_token})
    assert "and 1 more" in doubts(reference, retold(reference, tmp_path / "b.h5", few))["tokens"].message


def test_tokens_that_were_dropped(reference: Path, tmp_path: Path, doubts: Doubts):
    """sglang 26163: hidden states were cut off where speculative decoding had rejected tokens."""
    few = instead({MIX: lambda dump, tap: dump.bits(tap)[:, :7]})
    said = only(doubts(reference, retold(reference, tmp_path / "b.h5", few)), "tokens", Status.WARN)
    shapes = f"{MIX} [2, 9, 16] against {MIX} [2, 7, 16]"
    assert said == f"the candidate has fewer tokens: {shapes}; they are not compared"


@pytest.mark.parametrize("shape", [(1, 16), (16,), (1, 9, 16)], ids=str)
def test_nothing_is_broadcast(shape: tuple[int, ...], reference: Path, tmp_path: Path, doubts: Doubts):
    """[1, C] against [B, T, C] has a difference in numpy, and it means nothing."""
    few = instead({MIX: lambda dump, tap: dump.bits(tap).reshape(-1)[: np.prod(shape)].reshape(shape)})
    other = retold(reference, tmp_path / "b.h5", few)
    said = only(doubts(reference, other), "shapes", Status.WARN)
    assert said == f"{MIX} [2, 9, 16] is not compared with {MIX} {list(shape)}: only broadcasting would make them alike"
    report = probe.diff(reference, other, replay=False)
    assert MIX in report.reference_only
    assert MIX not in [row.reference for row in report.taps]


def test_t_against_t_1_is_compared_element_by_element(reference: Path, tmp_path: Path, doubts: Doubts):
    """(T,) - (T, 1) is T by T in numpy: every token less every other."""
    flat = retold(reference, tmp_path / "a.h5", instead({MIX: lambda dump, tap: dump.bits(tap).reshape(-1)}))
    column = retold(reference, tmp_path / "b.h5", instead({MIX: lambda dump, tap: dump.bits(tap).reshape(-1, 1)}))
    assert doubts(flat, column) == {}
    [row] = [row for row in probe.diff(flat, column, replay=False).taps if row.reference == MIX]
    assert (row.max_abs, row.rel_l2) == (0, 0)


def test_axes_of_one_and_flattened_tokens_pass(reference: Path, tmp_path: Path):
    def flat(dump: Dump, tap: Tap) -> Any:
        bits = dump.bits(tap)
        return bits.reshape(-1, bits.shape[-1]) if bits.ndim == 3 else bits

    other = retold(reference, tmp_path / "b.h5", flat)
    with Dump(reference) as ours, Dump(other) as theirs:
        mapping = align(ours, theirs)
        assert list(same_tokens_tapped(ours, theirs, mapping)) == []
        assert list(nothing_broadcast(ours, theirs, mapping)) == []


def permuted(order: list[int]) -> Any:
    return lambda dump, tap: dump.bits(tap) if tap.is_input or tap.name == "model.embed:out" else dump.bits(tap)[order]


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [1, 2, 3, 0]], ids=str)
def test_rows_of_another_request(order: list[int], recorded: Recorded, tmp_path: Path, doubts: Doubts):
    """sglang 4997: hidden states were stacked in the order in which requests ended."""
    source = recorded("reference", None, {"input_ids": ids(num_sentences=4)})
    other = retold(source, tmp_path / "b.h5", permuted(order))
    said = doubts(source, other)["rows"].message
    places = ", ".join(str(order.index(place)) for place in range(4))
    assert said == f"the candidate's sentences lie in another order at :out: the reference's are its number {places}"


class Reordered(nn.Module):
    """As a server does it: requests are sorted inside, and the logits, but not the hidden states, put back in order."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        whole = build()
        self.model, self.head, self.config = whole.model, whole.head, whole.config
        self.order = torch.tensor(order)
        self.model.embed.register_forward_hook(lambda module, given, returned: returned[self.order])

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.model(input_ids))[self.order.argsort()]


def test_hidden_states_of_another_request_behind_logits_in_order(recorded: Recorded, doubts: Doubts):
    """sglang 4997, where the answers were right and the hidden states returned with them another request's."""
    fed = {"input_ids": ids(num_sentences=4)}
    other = recorded("candidate", Reordered([2, 0, 3, 1]), fed)
    said = doubts(recorded("reference", None, fed), other)["rows"].message
    assert said.startswith("the candidate's sentences lie in another order at model.layers.11")
    assert said.endswith("the reference's are its number 1, 3, 0, 2")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rows_in_order_pass_and_so_do_equal_sentences(dtype, recorded: Recorded, doubts: Doubts):
    for fed in (ids(num_sentences=4), ids(num_sentences=1).repeat(4, 1)):
        pair = (
            recorded("reference", None, {"input_ids": fed}),
            recorded("candidate", build().to(dtype), {"input_ids": fed}),
        )
        assert doubts(*pair) == {}


def test_another_model_has_no_order_of_rows(reference: Path, recorded: Recorded, doubts: Doubts):
    assert "rows" not in doubts(reference, recorded("candidate", build(seed=5)))


@pytest.mark.parametrize("scale", [1e-6, 1e-20], ids=str)
def test_outputs_far_below_any_absolute_tolerance_still_diverge(scale: float, reference: Path, tmp_path: Path):
    """meta-pytorch/tritonbench 1145: outputs of 1e-6 under an absolute tolerance of 1e-5 pass, whatever they are."""

    def small(flip: int) -> Any:
        return lambda dump, tap: dump.bits(tap) * np.float32(scale * (flip if tap.module == "head" else 1))

    pair = [retold(reference, tmp_path / f"{k}.h5", instead({"head:out": small(f)})) for k, f in enumerate((1, -1))]
    assert probe.diff(*pair, replay=False).verdict is Verdict.DIVERGED


def test_a_nan_on_one_side_never_passes(reference: Path, tmp_path: Path):
    """kendryte/nncase 388, flame/blis 279: every comparison with NaN is false, so nothing was above the tolerance."""

    def spoilt(dump: Dump, tap: Tap) -> Any:
        bits = dump.bits(tap).copy()
        bits.reshape(-1)[3] = np.nan
        return bits

    other = retold(reference, tmp_path / "b.h5", instead({"head:out": spoilt}))
    assert probe.diff(reference, other, replay=False).verdict is Verdict.DIVERGED
    assert probe.diff(other, reference, replay=False).verdict is Verdict.DIVERGED


def test_a_whole_tap_of_nan_never_passes(reference: Path, tmp_path: Path):
    spoilt = instead({"head:out": lambda dump, tap: np.full_like(dump.bits(tap), np.nan)})
    other = retold(reference, tmp_path / "b.h5", spoilt)
    assert probe.diff(reference, other, replay=False).verdict is Verdict.DIVERGED
