"""input.tokens: other rows of a table, and tables where nothing of the kind is to be said."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from probe.errors import ProbeError
from tests.conftest import Compare
from tests.diagnose.looked_up import DTYPES, PLACES, WORDS, finding_of, narrow
from tests.zoo.architectures import build, inputs
from tests.zoo.plants import wrap_forward

ROWS = {**WORDS, "whisper": "model.decoder.embed_tokens"}


def others_zeroed(forward: Any, module: nn.Module, ids: Tensor) -> Tensor:
    return forward(torch.where(ids >= 128, 0, ids))


@narrow
@pytest.mark.parametrize("name", ROWS)
def test_tokens_that_are_looked_up_as_another_are_named(compare: Compare, name: str, dtype: str):
    candidate = build(name)
    wrap_forward(candidate.get_submodule(ROWS[name]), others_zeroed)
    ids = inputs(name)["decoder_input_ids" if name == "whisper" else "input_ids"]
    finding = finding_of(compare, name, candidate, dtype)
    assert (finding.cause, finding.module) == ("input.tokens", ROWS[name])
    assert (finding.reference_value, finding.candidate_value) == (int(ids[ids >= 128][0]), 0)
    assert f"{int((ids >= 128).sum())} of {ids.numel()} tokens" in finding.message


@narrow
@pytest.mark.parametrize("name", WORDS)
def test_a_token_too_many_in_front_is_named(compare: Compare, name: str, dtype: str):
    """Both models are fed the same; the candidate's code puts a token before it."""
    candidate = build(name)

    def with_bos(module: nn.Module, args: Any, kwargs: Any) -> Any:
        (ids,) = args
        return (F.pad(ids, (1, 0), value=9)[:, :-1],), kwargs

    candidate.get_submodule(WORDS[name]).register_forward_pre_hook(with_bos, with_kwargs=True)
    finding = finding_of(compare, name, candidate, dtype)
    assert (finding.cause, finding.candidate_value) == ("input.tokens", "one in front in the candidate")
    assert finding.module in WORDS[name]
    assert "token 9 stands in front" in finding.message


@pytest.mark.parametrize(("name", "table"), [("bert", WORDS["bert"]), ("gpt2", PLACES["gpt2"])])
def test_a_table_that_was_never_loaded_is_looked_up_nowhere_else(compare: Compare, name: str, table: str):
    """Not even where the reference has a row of zeros."""
    reference, candidate = build(name), build(name)
    with torch.no_grad():
        reference.get_submodule(table).weight[5] = 0
        candidate.get_submodule(table).weight.zero_()
    (finding,) = compare(reference, candidate, inputs(name)).findings
    assert finding.cause == "embed.missing_weight"
    assert "input." not in finding.message


@narrow
@pytest.mark.parametrize("name", ["llama", "bert"])
def test_a_token_whose_row_is_the_references_own_is_no_other(compare: Compare, name: str, dtype: str):
    """Half of the table is there twice: only the token that is really another one counts."""
    reference, candidate = build(name), build(name)
    with torch.no_grad():
        for model in (reference, candidate):
            words = model.get_submodule(WORDS[name]).weight
            words[128:] = words[:128]
    last = inputs(name)["input_ids"][0, -1]
    other = lambda forward, module, ids: forward(torch.where(ids == last, (last + 1) % 128, ids))  # noqa: E731
    wrap_forward(candidate.get_submodule(WORDS[name]), other)
    (finding,) = compare(reference, candidate.to(DTYPES[dtype]), inputs(name)).findings
    wrong = int((inputs(name)["input_ids"] == last).sum())
    assert (finding.cause, finding.reference_value) == ("input.tokens", int(last))
    assert finding.message.startswith(f"{wrong} of ")


def test_two_runs_that_were_fed_other_tokens_are_not_compared(compare: Compare):
    fed = inputs("llama")
    other = {"input_ids": F.pad(fed["input_ids"], (1, 0), value=9)[:, :-1]}
    with pytest.raises(ProbeError, match="input_ids begins in the candidate with token 9"):
        compare(build("llama"), build("llama"), fed, candidate_inputs=other)
