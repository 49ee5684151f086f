"""Causes at one place of which none helps alone: the tokens that one of them leaves alone show the other."""

from typing import Any

import pytest
from torch import Tensor

from tests.conftest import Compare
from tests.zoo.bug import Bug
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair
from tests.zoo.plants import with_function

FUTURE, TURNED, ANEW = "one token of the future seen", "rotated twice", "second half counted from zero"
SCALE, WINDOW, HALF = "scale of another head size", "window one longer", "half of the sum"
ORDER, EXCHANGED, NOT_TURNED = "heads merged in the other order", "keys and values swapped", "no rotation"
TOGETHER = [
    ((ANEW, SCALE), "granite", "transformers", "fp32"),
    ((ANEW, SCALE), "qwen2", "nano decoder", "bf16"),
    ((ANEW, WINDOW), "gemma3", "transformers", "fp32"),
    ((EXCHANGED, NOT_TURNED), "granite", "fused decoder", "fp32"),
    ((FUTURE, TURNED, HALF), "gemma2", "plain decoder", "fp32"),
    ((FUTURE, ORDER, ANEW), "gemma3", "fused decoder", "fp32"),
]


@pytest.mark.parametrize(("names", "view", "style", "dtype"), TOGETHER)
def test_bugs_of_one_attention_that_hide_each_other(
    compare: Compare, names: tuple[str, ...], view: str, style: str, dtype: str
):
    bugs = [bug_named(name) for name in names]
    planted = pair(bugs, view, seed=3, style=style, dtype=dtype, scope="layer", same_layer=True)
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    findings = [one for one in report.findings if not one.cause.startswith("precision.")]
    assert sorted(one.cause for one in findings) == sorted(bug.cause for bug in bugs)
    for bug, places in zip(bugs, planted.places, strict=True):
        assert all(one.module in places for one in findings if one.cause == bug.cause)
    assert report.explained > 0.9


@pytest.mark.parametrize("view", ["llama", "gemma2"])
def test_what_no_cause_is_like_gets_no_name_of_several(compare: Compare, view: str):
    """Queries bent by a sine are nothing that a port does; a few tokens alone could be explained in many ways."""

    def bent(
        original: Any, module: Any, query: Tensor, key: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        query, key = original(query, key, *args, **kwargs)
        return query + 0.5 * query.sin(), key

    bug = Bug("bent", "rope.twice", (view,), ("attn",), code=with_function("attn", "apply_rotary_pos_emb", bent))
    planted = pair(bug, view, seed=4, scope="layer")
    report = compare(planted.reference, planted.candidate, planted.inputs)
    assert {one.cause for one in report.findings} == {"unknown"}
