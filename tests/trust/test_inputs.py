"""Other ids, positions, masks, a BOS too many: what the two models were fed is held side by side before all else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from probe.report import Status
from tests.trust.conftest import Doubts, Recorded, only
from tests.trust.model import VOCABULARY, build, ids
from tests.trust.retelling import retold

BOS = 1


def one_sentence(*before: int, after: tuple[int, ...] = ()) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.tensor([[*before, 5, 6, 7, 8, 9, *after]])}


def test_the_same_run_gives_no_doubt(reference: Path, recorded: Recorded, doubts: Doubts):
    assert doubts(reference, recorded("candidate")) == {}


def test_other_ids(reference: Path, recorded: Recorded, doubts: Doubts):
    other = ids().clone()
    other[1, 3] = (other[1, 3] + 1) % VOCABULARY
    said = only(doubts(reference, recorded("candidate", None, {"input_ids": other})), "inputs", Status.FAIL)
    assert "input_ids differs at 1 of 18 places, first at 12" in said


def test_the_same_ids_in_another_step_of_another_width_pass(recorded: Recorded, doubts: Doubts):
    steps = ({"input_ids": ids(0)}, {"input_ids": ids(1, num_tokens=1)})
    assert doubts(recorded("reference", None, *steps), recorded("candidate", None, *steps)) == {}


def test_other_ids_in_a_later_step(recorded: Recorded, doubts: Doubts):
    first = {"input_ids": ids(0)}
    paths = [recorded(f"run{seed}", None, first, {"input_ids": ids(seed, num_tokens=1)}) for seed in (1, 2)]
    assert only(doubts(*paths), "inputs", Status.FAIL).endswith("in step 1")


@pytest.mark.parametrize("mine", [(BOS,), ()], ids=["reference", "candidate"])
def test_a_bos_on_one_side(mine: tuple[int, ...], recorded: Recorded, doubts: Doubts):
    other = () if mine else (BOS,)
    pair = recorded("reference", None, one_sentence(*mine)), recorded("candidate", None, one_sentence(*other))
    said = doubts(*pair)["inputs"].message
    side, lacking = ("reference", "candidate") if mine else ("candidate", "reference")
    assert f"input_ids begins in the {side} with BOS (token 1), which the {lacking} lacks" in said


def test_a_bos_that_pushed_the_last_token_out(recorded: Recorded, doubts: Doubts):
    long = one_sentence(BOS)["input_ids"]
    pair = (
        recorded("reference", None, {"input_ids": long[:, 1:]}),
        recorded("candidate", None, {"input_ids": long[:, :-1]}),
    )
    said = only(doubts(*pair), "inputs", Status.FAIL)
    assert "begins in the candidate with BOS (token 1), which the reference lacks: all after it is shifted" in said


def test_an_eos_on_one_side(recorded: Recorded, doubts: Doubts):
    pair = recorded("reference", None, one_sentence(after=(2,))), recorded("candidate", None, one_sentence())
    assert "ends in the reference with EOS (token 2), which the candidate lacks" in doubts(*pair)["inputs"].message


def test_a_chat_template_on_one_side(recorded: Recorded, doubts: Doubts):
    pair = (
        recorded("reference", None, one_sentence(BOS, 30, 31, after=(32,))),
        recorded("candidate", None, one_sentence()),
    )
    said = doubts(*pair)["inputs"].message
    assert "4 tokens more (3 before them and 1 after): a chat template?" in said


def test_sentences_in_another_order(recorded: Recorded, doubts: Doubts):
    pair = recorded("reference"), recorded("candidate", None, {"input_ids": ids().flip(0)})
    assert "holds the same sentences in another order" in doubts(*pair)["inputs"].message


def test_the_last_token_alone(recorded: Recorded, doubts: Doubts):
    pair = recorded("reference"), recorded("candidate", None, {"input_ids": ids()[:, -1:]})
    assert "input_ids is the last token alone in the candidate" in doubts(*pair)["inputs"].message


def test_ids_under_another_name_beside_equal_masks_are_compared_all_the_same(
    reference: Path, tmp_path: Path, doubts: Doubts
):
    mask = np.ones((2, 9), np.int64)
    mine = retold(reference, tmp_path / "a.h5", inputs=lambda fed: fed | {"attention_mask": mask})
    other = {"tokens": ids(7).numpy(), "attention_mask": mask}
    theirs = retold(reference, tmp_path / "b.h5", inputs=lambda fed: other)
    assert "input_ids / tokens differs at" in only(doubts(mine, theirs), "inputs", Status.FAIL)


def test_ids_flattened_under_another_name_pass(reference: Path, tmp_path: Path, doubts: Doubts):
    flat = retold(
        reference, tmp_path / "b.h5", inputs=lambda fed: {"idx": fed["input_ids"].reshape(-1).astype(np.int32)}
    )
    assert doubts(reference, flat) == {}


def fed_positions(source: Path, path: Path, positions: np.ndarray | None, mask: np.ndarray | None = None) -> Path:
    more = {"position_ids": positions, "attention_mask": mask}
    return retold(source, path, inputs=lambda fed: fed | {k: v for k, v in more.items() if v is not None})


COUNTED = np.tile(np.arange(9), (2, 1))
LEFT_PADDED = np.array([[1] * 9, [0, 0, 0, 1, 1, 1, 1, 1, 1]])
FROM_MASK = np.maximum(LEFT_PADDED.cumsum(1) - 1, 0)


def test_other_positions(reference: Path, tmp_path: Path, doubts: Doubts):
    pair = [fed_positions(reference, tmp_path / f"{k}.h5", p) for k, p in enumerate((COUNTED, COUNTED[:, ::-1]))]
    assert "position_ids differs at 16 of 18 places" in only(doubts(*pair), "inputs", Status.FAIL)


def test_positions_that_begin_elsewhere_are_only_warned_of(reference: Path, tmp_path: Path, doubts: Doubts):
    pair = [fed_positions(reference, tmp_path / f"{k}.h5", COUNTED + 2 * k) for k in range(2)]
    assert "position_ids is 2 more in the candidate, everywhere" in only(doubts(*pair), "inputs", Status.WARN)


def test_positions_of_left_padding_on_one_side(reference: Path, tmp_path: Path, doubts: Doubts):
    mine = fed_positions(reference, tmp_path / "a.h5", None, LEFT_PADDED)
    theirs = fed_positions(reference, tmp_path / "b.h5", FROM_MASK, LEFT_PADDED)
    said = only(doubts(mine, theirs), "inputs", Status.WARN)
    assert said.startswith("only the candidate was fed position_ids, and they do not just count 0, 1, 2")


@pytest.mark.parametrize("other", [COUNTED, COUNTED[:1], COUNTED[0], None], ids=["[B, T]", "[1, T]", "[T]", "none"])
def test_positions_that_count_pass_in_any_shape_and_unsaid(other, reference: Path, tmp_path: Path, doubts: Doubts):
    pair = [fed_positions(reference, tmp_path / f"{k}.h5", p) for k, p in enumerate((COUNTED, other))]
    assert doubts(*pair) == {}
    assert doubts(*pair[::-1]) == {}


def test_positions_of_padding_alone_may_differ(reference: Path, tmp_path: Path, doubts: Doubts):
    ones = np.where(LEFT_PADDED == 1, FROM_MASK, 1)
    pair = [fed_positions(reference, tmp_path / f"{k}.h5", p, LEFT_PADDED) for k, p in enumerate((FROM_MASK, ones))]
    assert doubts(*pair) == {}


def additive(mask: np.ndarray) -> np.ndarray:
    """[B, 1, T, T] in float32: causal, and hiding what `mask` [B, T] hides."""
    seen = np.tril(np.ones((9, 9), bool)) & mask.astype(bool)[:, None]
    return np.where(seen, 0, -np.inf).astype(np.float32)[:, None]


def fed_mask(source: Path, path: Path, mask: np.ndarray | None) -> Path:
    return fed_positions(source, path, None, mask)


def test_another_mask(reference: Path, tmp_path: Path, doubts: Doubts):
    pair = [fed_mask(reference, tmp_path / f"{k}.h5", m) for k, m in enumerate((LEFT_PADDED, LEFT_PADDED[:, ::-1]))]
    assert "attention_mask hides 3 tokens in the reference and 3 in the candidate" in doubts(*pair)["inputs"].message


def test_a_mask_of_padding_on_one_side(reference: Path, tmp_path: Path, doubts: Doubts):
    pair = [fed_mask(reference, tmp_path / f"{k}.h5", m) for k, m in enumerate((LEFT_PADDED, None))]
    said = only(doubts(*pair), "inputs", Status.WARN)
    assert said == "only the reference was fed attention_mask, and it hides tokens that the candidate may see"


def test_padding_that_was_removed_needs_no_mask(reference: Path, tmp_path: Path, doubts: Doubts):
    def unpadded(fed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"tokens": fed["input_ids"][LEFT_PADDED == 1]}

    packed = retold(reference, tmp_path / "b.h5", inputs=unpadded)
    assert doubts(fed_mask(reference, tmp_path / "a.h5", LEFT_PADDED), packed) == {}


def test_a_mask_that_was_not_extended(reference: Path, tmp_path: Path, doubts: Doubts):
    """A false cliff in decoding: the attention mask kept the length of the prompt."""
    pair = [fed_mask(reference, tmp_path / f"{k}.h5", np.ones((2, width), np.int64)) for k, width in enumerate((9, 8))]
    assert "attention_mask covers 9 tokens in the reference and 8 in the candidate" in doubts(*pair)["inputs"].message


MASKS = {
    "bool": LEFT_PADDED.astype(bool),
    "float": LEFT_PADDED.astype(np.float32),
    "additive": additive(LEFT_PADDED),
    "inverted": ~LEFT_PADDED.astype(bool),
}


@pytest.mark.parametrize("other", MASKS)
def test_one_mask_in_another_form_passes(other: str, reference: Path, tmp_path: Path, doubts: Doubts):
    pair = [fed_mask(reference, tmp_path / f"{k}.h5", m) for k, m in enumerate((LEFT_PADDED, MASKS[other]))]
    assert doubts(*pair) == {}


@pytest.mark.parametrize("mask", [np.ones((2, 9), np.int64), additive(np.ones((2, 9))), np.tril(np.ones((9, 9), bool))])
def test_a_mask_that_hides_nothing_may_be_on_one_side(mask, reference: Path, tmp_path: Path, doubts: Doubts):
    pair = [fed_mask(reference, tmp_path / f"{k}.h5", m) for k, m in enumerate((mask, None))]
    assert doubts(*pair) == {}
    assert doubts(*pair[::-1]) == {}


@pytest.mark.parametrize(("value", "said"), [(np.nan, "holds 1 NaN"), (np.inf, "holds 1 infinite values")])
def test_a_nan_or_an_infinity_in_what_was_fed(value, said, reference: Path, tmp_path: Path, doubts: Doubts):
    pixels = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    pixels[1, 2] = value
    pair = [
        retold(reference, tmp_path / f"{k}.h5", inputs=lambda fed: fed | {"pixel_values": pixels}) for k in range(2)
    ]
    from probe.align.pairs import align
    from probe.dump import Dump
    from probe.trust.inputs import same_inputs

    with Dump(pair[0]) as ours, Dump(pair[1]) as theirs:
        found = [check for check in same_inputs(ours, theirs, align(ours, theirs)) if check.status is Status.FAIL]
    assert [check.message.partition(":")[0] for check in found] == [
        f"the {side}'s pixel_values {said}" for side in ("reference", "candidate")
    ]


def test_a_bos_twice(recorded: Recorded, doubts: Doubts):
    pair = [recorded(name, None, one_sentence(BOS, BOS)) for name in ("reference", "candidate")]
    assert "begins with BOS (token 1) twice" in only(doubts(*pair), "template", Status.WARN)


def test_one_bos_and_a_bos_that_is_padding_pass(recorded: Recorded, doubts: Doubts):
    assert doubts(*[recorded(f"{k}", None, one_sentence(BOS)) for k in range(2)]) == {}
    model = build()
    model.config.settings = {"bos_token_id": 1, "eos_token_id": 1}
    assert doubts(*[recorded(f"{k}", model, one_sentence(BOS, BOS)) for k in range(2)]) == {}
