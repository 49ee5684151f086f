"""Choices among experts and words: made in another order of steps, or on a near tie, they are no bug."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from probe.report import Report, Verdict
from tests.conftest import Compare
from tests.ports import mixtral
from tests.zoo.architectures import VOCABULARY, Size, build, inputs

SIZE = Size(hidden=64, layers=3, heads=4, tokens=29)
Rule = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""From [N, E] router logits to the [N, A] weights and numbers of the experts chosen."""


def softmax_last(logits_NE: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Top-k of the logits, then softmax of what was chosen; of equal ones the first."""
    best_NA, chosen_NA = logits_NE.sort(dim=1, descending=True, stable=True)
    return best_NA[:, :count].softmax(1), chosen_NA[:, :count]


def not_renormalised(logits_NE: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return logits_NE.softmax(1).topk(count)


def last_of_equals(logits_NE: Tensor, count: int) -> tuple[Tensor, Tensor]:
    weights_NA, chosen_NA = softmax_last(logits_NE.flip(1), count)
    return weights_NA, logits_NE.shape[1] - 1 - chosen_NA


def second_best(logits_NE: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Off by one: the best is never chosen."""
    weights_NA, chosen_NA = softmax_last(logits_NE, count + 1)
    return weights_NA[:, 1:] / weights_NA[:, 1:].sum(1, keepdim=True), chosen_NA[:, 1:]


class Router(nn.Module):
    """Written independently of transformers; the same name, weight and outputs."""

    def __init__(self, weight: Tensor, count: int, rule: Rule) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.count, self.rule = count, rule

    def forward(self, x_NC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits_NE = x_NC.flatten(0, -2) @ self.weight.T
        weights_NA, chosen_NA = self.rule(logits_NE.float(), self.count)
        return logits_NE, weights_NA.to(x_NC.dtype), chosen_NA


def experts(name: str, seed: int, *, tied: bool = False) -> nn.Module:
    """A mixture whose experts count; `tied`: two of them are always equally good."""
    model = build(name, SIZE, seed)
    for weight_name, weight in model.named_parameters():
        if ".experts." in weight_name:
            weight.data.mul_(weight.shape[1] ** 0.5)
    for layer in model.model.layers:
        layer.mlp.gate.norm_topk_prob = True
        if tied:
            layer.mlp.gate.weight.data[2] = layer.mlp.gate.weight.data[1]
    return model


def with_rule(model: nn.Module, rule: Rule) -> nn.Module:
    for layer in model.model.layers:
        layer.mlp.gate = Router(layer.mlp.gate.weight, layer.mlp.gate.top_k, rule)
    return model


@pytest.fixture(params=[("mixtral", 0), ("qwen3-moe", 1)], ids=lambda param: param[0])
def routed(compare: Compare, request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`routed(rule, dtype, tied=...)`: a mixture against itself with routers of that rule."""
    name, seed = request.param

    def run(rule: Rule, dtype: torch.dtype, *, tied: bool = False) -> Report:
        candidate = with_rule(experts(name, seed, tied=tied), rule).to(dtype)
        return compare(experts(name, seed, tied=tied), candidate, inputs(name, SIZE, seed))

    return run


DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


@DTYPES
def test_softmax_before_or_after_the_choice_is_one_when_weights_are_renormalised(routed, dtype):
    """Lightning-AI/litgpt 1286: softmax, top-k, renormalise equals top-k, softmax."""
    report = routed(softmax_last, dtype)
    assert report.verdict is Verdict.NOISE, report.first
    assert not [note for note in report.notes if not note.startswith("rounding hides")]


@DTYPES
@pytest.mark.parametrize("tied", [False, True], ids=["apart", "tied"])
def test_weights_that_are_not_renormalised_are_a_bug(routed, dtype, tied):
    report = routed(not_renormalised, dtype, tied=tied)
    assert report.verdict is Verdict.DIVERGED
    assert report.first.module == "model.layers.0.mlp.gate"


@DTYPES
def test_either_of_two_experts_that_tie_may_be_chosen(routed, dtype):
    """An expert flip on a near tie."""
    report = routed(last_of_equals, dtype, tied=True)
    assert report.verdict is Verdict.NOISE, report.first
    if dtype is torch.float32:
        assert "model.layers.0.mlp.gate:out.2 rests on another choice between numbers that nearly tie" in str(
            report.notes
        )


@DTYPES
@pytest.mark.parametrize("tied", [False, True], ids=["apart", "tied"])
def test_another_choice_where_nothing_ties_is_a_bug(routed, dtype, tied):
    report = routed(second_best, dtype, tied=tied)
    assert report.verdict is Verdict.DIVERGED
    assert report.first.module == "model.layers.0.mlp.gate"


class TiesToTheLast(mixtral.MoeLayer):
    def forward(self, x_NC: Tensor) -> Tensor:
        weights_NA, chosen_NA = last_of_equals(self.gate(x_NC), self.num_experts_per_tok)
        mixed_NC = torch.zeros_like(x_NC)
        for number, expert in enumerate(self.experts):
            token, nth = torch.where(chosen_NA == number)
            mixed_NC[token] += weights_NA[token, nth, None] * expert(x_NC[token])
        return mixed_NC


@DTYPES
@pytest.mark.parametrize("seed", range(2))
def test_a_tie_is_seen_where_a_port_does_not_say_what_it_chose(compare: Compare, dtype, seed):
    """In a port whose router returns no numbers of experts, the flip shows in what the experts return."""
    reference = experts("mixtral", seed, tied=True)
    port = mixtral.convert(reference.state_dict(), reference.config)
    for layer in port.layers:
        layer.feed_forward.__class__ = TiesToTheLast
    fed = inputs("mixtral", SIZE, seed)
    report = compare(reference, port.to(dtype), fed)
    assert report.verdict is Verdict.NOISE, report.first
    with torch.no_grad():
        port.layers[1].feed_forward.experts[0].w2.weight.mul_(3)
    broken = compare(reference, port, fed)
    assert broken.verdict is Verdict.DIVERGED
    assert broken.first.module.startswith("model.layers.1")


class NextWord(nn.Module):
    """Logits of which words `equal` and `equal + 1` are always equal, and the best one's number."""

    def __init__(self, best: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(VOCABULARY, 16), nn.Linear(16, 9, bias=False)
        self.head.weight.data[4] = self.head.weight.data[3]
        self.best = best

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        logits_BTV = self.head(self.embed(input_ids))
        return logits_BTV, self.best(logits_BTV)


def last_best(logits_BTV: Tensor) -> Tensor:
    return logits_BTV.shape[-1] - 1 - logits_BTV.flip(-1).argmax(-1)


@DTYPES
def test_either_of_two_words_that_tie_may_be_the_next(compare: Compare, dtype):
    """An argmax flip on a near tie."""
    reference, fed = NextWord(lambda x: x.argmax(-1)), inputs("llama", Size(tokens=40))
    flipped = NextWord(last_best)
    with torch.no_grad():
        assert not torch.equal(flipped(**fed)[1], reference(**fed)[1])
    assert compare(reference, flipped.to(dtype), fed).verdict in (Verdict.NOISE, Verdict.IDENTICAL)
    worst = compare(reference, NextWord(lambda x: x.argmin(-1)).to(dtype), fed)
    assert worst.verdict is Verdict.DIVERGED
