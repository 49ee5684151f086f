"""A batch padded on the left compared with the same sentences padded on the right."""

import copy

import pytest
import torch

import probe
from probe.report import Verdict
from tests.tiny_decoders import tiny

LENGTHS = (9, 5, 7)
LONGEST = max(LENGTHS)


def padded(side, *, other_token=False):
    """ids, mask and positions of sentences with padding on that side: [B, T]."""
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.zeros(len(LENGTHS), LONGEST, dtype=torch.long)
    mask_BT = torch.zeros_like(ids_BT)
    for row, length in enumerate(LENGTHS):
        here = slice(LONGEST - length, LONGEST) if side == "left" else slice(length)
        ids_BT[row, here] = torch.randint(3, 64, (length,), generator=generator)
        mask_BT[row, here] = 1
    if other_token:
        ids_BT[0, 2] = 3 if ids_BT[0, 2] != 3 else 4
    return {"input_ids": ids_BT, "attention_mask": mask_BT, "position_ids": (mask_BT.cumsum(1) - 1).clamp(min=0)}


@pytest.mark.parametrize(("reference_side", "candidate_side"), [("left", "right"), ("right", "left")])
@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral"])
def test_the_same_sentences_agree_wherever_their_padding_is(name, reference_side, candidate_side, compare):
    model = tiny(name)
    report = compare(model, model, padded(reference_side), candidate_inputs=padded(candidate_side))
    assert report.verdict is not Verdict.DIVERGED
    assert report.output.tap == ":out.logits"
    assert report.output.rel_l2 < 1e-5


def test_a_bug_is_found_in_a_batch_that_is_padded_elsewhere(compare):
    model = tiny("llama")
    candidate = copy.deepcopy(model)
    for norm in (candidate.model.layers[1].input_layernorm,):
        norm.variance_epsilon = 1e-2
    report = compare(model, candidate, padded("left"), candidate_inputs=padded("right"))
    assert [(one.cause, one.module) for one in report.findings] == [("norm.eps", "model.layers.1.input_layernorm")]


def test_other_sentences_are_refused_wherever_their_padding_is(compare):
    model = tiny("llama")
    with pytest.raises(probe.errors.ProbeError, match="fed different inputs: input_ids"):
        compare(model, model, padded("left"), candidate_inputs=padded("right", other_token=True))
