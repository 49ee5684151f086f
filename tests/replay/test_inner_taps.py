"""Functional taps in a replay: they say where between two modules a difference begins, and alarm nobody themselves."""

import pytest
import torch

import probe
from probe.report import Verdict
from tests.zoo.architectures import Size, build, inputs

SIZE = Size(layers=2)


def compared(path, reference, candidate, fed, functional="attention"):
    paths = path / "reference.h5", path / "candidate.h5"
    for model, where in zip((reference, candidate), paths, strict=True):
        with torch.no_grad(), probe.record(model, where, functional=functional):
            model(**fed)
    return probe.diff(*paths, reference=reference)


def functional(report):
    return [row for row in report.taps if ".@" in row.reference]


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral", "whisper", "bert"])
@pytest.mark.parametrize("sides", [("eager", "sdpa"), ("sdpa", "eager")])
def test_an_honest_pair_has_functional_rows_within_their_floor(tmp_path, name, sides):
    reference, candidate = (build(name, SIZE, attention=side) for side in sides)
    report = compared(tmp_path, reference, candidate, inputs(name, SIZE))
    rows = functional(report)
    assert report.verdict in (Verdict.NOISE, Verdict.IDENTICAL)
    assert {row.reference.rpartition(":")[2] for row in rows} >= {"in.query", "in.key", "in.value", "in.scale", "out"}
    assert all(row.ratio is not None and row.ratio < 4 for row in rows)
    only = [tap for tap in (*report.reference_only, *report.candidate_only) if ".@" in tap]
    assert {tap.rpartition(":")[2] for tap in only} <= {
        *("in.mask", "in.is_causal", "in.enable_gqa", "out.scores", "out.probabilities"),
    }
    assert all(check.status == "ok" or ".@" not in check.message for check in report.trust)


def with_attention(model, change):
    """Layer 1's attention given other arguments."""
    attention = model.model.layers[1].self_attn
    original = attention.forward

    def forward(hidden_states, position_embeddings=None, attention_mask=None, **more):
        changed = change(position_embeddings, attention_mask)
        return original(hidden_states, position_embeddings=changed[0], attention_mask=changed[1], **more)

    attention.forward = forward
    return model


def rolled(tables, mask):
    """Sines of the token before: no rotation that any model has."""
    return (tables[0], tables[1].roll(1, 1)), mask


def blind(tables, mask):
    """Some keys hidden that nothing says are."""
    mask = mask.clone()
    mask[..., 7, 2] = mask[..., 11, 5] = torch.finfo(mask.dtype).min
    return tables, mask


def changed(path, change, sides, functional="attention"):
    reference, candidate = (build("llama", SIZE, attention=side) for side in sides)
    return compared(path, reference, with_attention(candidate, change), inputs("llama", SIZE), functional)


@pytest.fixture(scope="module")
def rolled_report(tmp_path_factory):
    return changed(tmp_path_factory.mktemp("rolled"), rolled, ("eager", "eager"))


def assert_first_seen_at(report, port):
    tap = f"model.layers.1.self_attn.@attention:{port}"
    assert report.verdict is Verdict.DIVERGED
    assert (report.first.module, report.first.tap) == (
        "model.layers.1.self_attn",
        "model.layers.1.self_attn.o_proj:in",
    )
    assert report.first.seen_at == tap
    unknown = [one for one in report.findings if one.cause == "unknown"]
    assert all(f"first seen at {tap}" in one.message and one.seen_at == tap for one in unknown)
    assert [one.module for one in report.findings] == ["model.layers.1.self_attn"]


def test_a_bug_between_modules_is_first_seen_at_its_tap(rolled_report):
    assert_first_seen_at(rolled_report, "in.query")


@pytest.mark.parametrize(
    ("change", "sides", "first"), [(rolled, ("sdpa", "eager"), "in.query"), (blind, ("eager", "eager"), "in.mask")]
)
def test_so_is_one_in_another_kernel_and_one_of_the_mask(tmp_path, change, sides, first):
    assert_first_seen_at(changed(tmp_path, change, sides), first)


def test_without_functional_taps_the_finding_is_the_same_but_for_the_inner_tap(rolled_report, tmp_path):
    without = changed(tmp_path, rolled, ("eager", "eager"), "none")
    assert functional(rolled_report)
    assert not functional(without)
    one, other = (
        [(one.cause, one.module, one.span, one.error_before) for one in report.findings]
        for report in (rolled_report, without)
    )
    assert one == other


class Scaled(torch.nn.Module):
    """Attention that scales its query, or its scores."""

    def __init__(self, scales_query):
        super().__init__()
        self.qkv, self.out, self.scales_query = torch.nn.Linear(32, 96), torch.nn.Linear(32, 32), scales_query

    def forward(self, x):
        query, key, value = self.qkv(x).view(2, 6, 3, 4, 8).permute(2, 0, 3, 1, 4)
        scores = (query * 8**-0.5) @ key.mT if self.scales_query else query @ key.mT * 8**-0.5
        return self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def test_a_scale_at_another_place_is_no_difference(tmp_path):
    torch.manual_seed(0)
    reference, candidate = Scaled(True), Scaled(False)
    candidate.load_state_dict(reference.state_dict())
    report = compared(tmp_path, reference, candidate, {"x": torch.randn(2, 6, 32)})
    rows = {row.reference: row for row in report.taps if "@attention" in row.reference}
    assert rows["@attention:in.query"].ratio < 4
    assert "@attention:in.scale" not in rows
    assert report.verdict is Verdict.NOISE
