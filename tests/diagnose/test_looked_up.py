"""input.tokens and input.positions: other rows of a table, or other numbers handed to it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from probe.errors import ProbeError
from probe.report import Finding
from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.pairs import cast
from tests.zoo.plants import wrap_forward

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
WORDS = {"llama": "model.embed_tokens", "gemma3": "model.embed_tokens", "bert": "embeddings.word_embeddings"}
ROWS = {**WORDS, "whisper": "model.decoder.embed_tokens"}
PLACES = {
    "gpt2": "transformer.wpe",
    "bert": "embeddings.position_embeddings",
    "whisper": "model.decoder.embed_positions",
}
narrow = pytest.mark.parametrize("dtype", DTYPES)


def finding_of(compare: Compare, name: str, candidate: nn.Module, dtype: str, fed: Any = None) -> Finding:
    fed = fed or inputs(name)
    report = compare(build(name), candidate.to(DTYPES[dtype]), fed, candidate_inputs=cast(fed, dtype))
    (finding,) = report.findings
    return finding


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


def changed_positions(candidate: nn.Module, name: str, shift: int, *, inside: bool) -> nn.Module:
    """Within the table's own code, or before its tap."""
    table = candidate.get_submodule(PLACES[name])
    if name == "whisper":  # it counts by itself
        with torch.no_grad():
            table.weight.copy_(table.weight.roll(-shift, 0))
    elif inside:
        wrap_forward(table, lambda forward, module, positions: forward(positions + shift))
    else:
        table.register_forward_pre_hook(lambda module, args: (args[0] + shift,))
    return candidate


@narrow
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(("name", "shift"), [("gpt2", 2), ("bert", 1), ("whisper", 3)])
def test_positions_further_on_are_named(compare: Compare, name: str, shift: int, inside: bool, dtype: str):
    finding = finding_of(compare, name, changed_positions(build(name), name, shift, inside=inside), dtype)
    assert (finding.cause, finding.reference_value, finding.candidate_value) == ("input.positions", 0, shift)
    assert finding.module in PLACES[name]
    assert finding.share == pytest.approx(1.0, abs=0.05)


@narrow
@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_positions_that_nobody_counts_are_named(compare: Compare, name: str, dtype: str):
    candidate = build(name)
    wrap_forward(candidate.get_submodule(PLACES[name]), lambda forward, module, places: forward(0 * places))
    finding = finding_of(compare, name, candidate, dtype)
    assert (finding.cause, finding.module, finding.candidate_value) == ("input.positions", PLACES[name], 0)
    assert "all tokens have position 0" in finding.message


@narrow
def test_positions_that_count_the_padding_are_named(compare: Compare, dtype: str):
    ids = inputs("gpt2")["input_ids"][:1]
    mask = torch.ones(2, ids.shape[1], dtype=torch.long)
    mask[1, :9] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    fed = {"input_ids": torch.cat([ids, ids.flip(1)]), "attention_mask": mask, "position_ids": positions}
    candidate = build("gpt2")
    counted = torch.arange(ids.shape[1])
    wrap_forward(candidate.transformer.wpe, lambda forward, module, positions: forward(counted.expand(2, -1)))
    finding = finding_of(compare, "gpt2", candidate, dtype, fed)
    assert (finding.cause, finding.module) == ("input.positions", "transformer.wpe")
    assert finding.candidate_value == "0, 1, 2, ..."


@narrow
@pytest.mark.parametrize("at", ["the angles", "attention"])
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_handed_positions_that_a_rotation_does_not_use_are_named(compare: Compare, name: str, at: str, dtype: str):
    """Of a text with a gap: nobody's code turns otherwise, the numbers are not the ones that came in."""
    candidate, ids = build(name), inputs(name)["input_ids"]
    count = torch.arange(ids.shape[1])
    places = torch.where(count < 10, count, count + 7).expand(ids.shape)
    fed = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "position_ids": places}
    rotary = candidate.model.rotary_emb
    if at == "the angles":
        wrap_forward(rotary, lambda forward, module, x, position_ids: forward(x, count[None]))
    for layer in candidate.model.layers if at == "attention" else ():

        def counting(forward: Any, module: nn.Module, *args: Any, position_embeddings: Any, **kwargs: Any) -> Any:
            turned = rotary(position_embeddings[0], count[None])
            return forward(*args, position_embeddings=turned, **kwargs)

        wrap_forward(layer.self_attn, counting)
    finding = finding_of(compare, name, candidate, dtype, fed)
    assert (finding.cause, finding.candidate_value) == ("input.positions", "0, 1, 2, ...")
    assert finding.module == ("model.rotary_emb" if at == "the angles" else "model.layers.0.self_attn")


def padded(name: str) -> dict[str, Tensor]:
    """The second sentence begins with nine tokens that nobody is to see."""
    ids = inputs(name)["input_ids"][:1]
    mask = torch.ones(2, ids.shape[1], dtype=torch.long)
    mask[1, :9] = 0
    return {"input_ids": torch.cat([ids, ids.flip(1)]), "attention_mask": mask}


@narrow
@pytest.mark.parametrize(("change", "value"), [(torch.ones_like, "hides 0"), (lambda mask: mask.flip(1), "hides 9")])
@pytest.mark.parametrize(("name", "body"), [("llama", "model"), ("gpt2", "transformer")])
def test_a_mask_that_is_changed_on_the_way_is_named(
    compare: Compare, name: str, body: str, change: Any, value: str, dtype: str
):
    candidate = build(name)

    def changed(module: nn.Module, args: Any, kwargs: Any) -> Any:
        return args, {**kwargs, "attention_mask": change(kwargs["attention_mask"])}

    candidate.get_submodule(body).register_forward_pre_hook(changed, with_kwargs=True)
    finding = finding_of(compare, name, candidate, dtype, padded(name))
    assert (finding.cause, finding.reference_value, finding.candidate_value) == ("input.mask", "hides 9", value)
    assert "first at place 0 of sentence 1" in finding.message
    assert finding.share == pytest.approx(1.0, abs=0.05)


@narrow
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_mask_of_booleans_is_the_same_mask(compare: Compare, name: str, dtype: str):
    fed = padded(name)
    other = {**fed, "attention_mask": fed["attention_mask"].bool()}
    report = compare(build(name), build(name).to(DTYPES[dtype]), fed, candidate_inputs=other)
    assert report.findings == ()


class Reader(nn.Module):
    """All in one module, and a norm after the sum: the rows themselves cannot be seen."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Parameter(torch.randn(50, 32))
        self.places = nn.Parameter(torch.randn(40, 32))
        self.head = nn.Linear(32, 50)
        self.shift = shift

    def forward(self, idx: Tensor) -> Tensor:
        x = self.words[idx] + self.places[torch.arange(idx.shape[1]) + self.shift]
        return self.head(F.layer_norm(x, (32,)))


@narrow
@pytest.mark.parametrize("shift", [1, 2])
def test_positions_are_told_through_a_norm(compare: Compare, shift: int, dtype: str):
    fed = {"idx": torch.randint(50, (2, 16), generator=torch.Generator().manual_seed(1))}
    (finding,) = compare(Reader(), Reader(shift).to(DTYPES[dtype]), fed).findings
    assert (finding.cause, finding.module, finding.candidate_value) == ("input.positions", "", shift)


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
