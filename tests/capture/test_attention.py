"""Attention has one vocabulary: whatever computes it, the same names, axes and numbers."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import probe
from tests.zoo.architectures import Size, build, inputs

SIZE = Size()
ALIKE = ("in.query", "in.key", "in.value", "in.scale", "out")


def recorded(path, model, fed, functional="attention"):
    with torch.no_grad(), probe.record(model, path, functional=functional):
        model(**fed)
    with probe.open(path) as dump:
        return {tap.name: torch.from_numpy(dump[tap.name]) for tap in dump.taps if tap.is_functional}


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral", "whisper", "gpt-neox", "bert", "gpt-bigcode"])
def test_eager_and_sdpa_have_the_same_attention(tmp_path, name):
    eager, fused = (
        recorded(tmp_path / f"{kind}.h5", build(name, SIZE, attention=kind), inputs(name, SIZE))
        for kind in ("eager", "sdpa")
    )
    calls = {tap.partition(":")[0] for tap in eager}
    assert calls == {tap.partition(":")[0] for tap in fused}
    assert len(calls) == SIZE.layers * (3 if name == "whisper" else 1)
    for call in calls:
        for port in ALIKE:
            one, other = eager[f"{call}:{port}"], fused[f"{call}:{port}"]
            assert one.shape == other.shape, (call, port)
            if name != "bert" or port == "in.scale":  # what padding sees of padding is nobody's
                torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        assert {f"{call}:out.scores", f"{call}:out.probabilities"} <= set(eager)
        assert f"{call}:out.scores" not in fused


def test_what_is_recorded_makes_what_is_recorded(tmp_path):
    """softmax(query key^T scale + mask) value, with the heads as they were before they were repeated."""
    model = build("llama", SIZE)
    values = recorded(tmp_path / "x.h5", model, inputs("llama", SIZE))
    call = "model.layers.1.self_attn.@attention"
    query, key, value, scale, mask, out = (
        values[f"{call}:{port}"] for port in ("in.query", "in.key", "in.value", "in.scale", "in.mask", "out")
    )
    assert (query.shape[1], key.shape[1], value.shape[1]) == (4, 2, 2)
    scores = query @ key.repeat_interleave(2, 1).transpose(-1, -2) * scale.float() + mask
    torch.testing.assert_close(values[f"{call}:out.scores"], scores)
    torch.testing.assert_close(values[f"{call}:out.probabilities"], scores.softmax(-1))
    torch.testing.assert_close(out, scores.softmax(-1) @ value.repeat_interleave(2, 1))


def test_softcap_is_told_from_the_scale(tmp_path):
    values = recorded(tmp_path / "x.h5", build("gemma2", SIZE, attn_logit_softcapping=30.0), inputs("gemma2", SIZE))
    call = "model.layers.0.self_attn.@attention"
    assert float(values[f"{call}:in.scale"]) == pytest.approx(0.25)
    assert float(values[f"{call}:in.softcap"]) == pytest.approx(30.0)


def test_a_window_is_seen_in_the_mask(tmp_path):
    values = recorded(tmp_path / "x.h5", build("gemma3", SIZE), inputs("gemma3", SIZE))
    seen = [int((values[f"model.layers.{i}.self_attn.@attention:in.mask"] == 0).sum(-1).max()) for i in range(3)]
    assert seen == [8, 8, SIZE.tokens]


class Masked(nn.Module):
    """Causal attention of one head; `how` it hides the keys to come."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        scores = x @ x.transpose(-1, -2) * 0.5
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        least = torch.tensor(-1e9)
        if self.how == "masked_fill":
            scores = scores.masked_fill(~seen, -1e9)
        elif self.how == "where it is seen":
            scores = torch.where(seen, scores, least)
        elif self.how == "where it is hidden":
            scores = torch.where(~seen, least, scores)
        else:
            return functional.scaled_dot_product_attention(x, x, x, attn_mask=seen, scale=0.5)
        return scores.softmax(-1) @ x


@pytest.mark.parametrize("how", ["masked_fill", "where it is seen", "where it is hidden", "fused"])
def test_a_boolean_mask_is_true_where_a_key_is_seen(tmp_path, how):
    values = recorded(tmp_path / "x.h5", Masked(how), {"x": torch.randn(1, 2, 6, 4)})
    assert values["@attention:in.mask"].equal(torch.ones(6, 6, dtype=torch.bool).tril())


def test_mamba_has_no_attention_but_its_activations(tmp_path):
    import transformers

    settings = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
    model = transformers.MambaForCausalLM(transformers.MambaConfig(**settings)).eval()
    values = recorded(tmp_path / "x.h5", model, {"input_ids": torch.arange(3, 9)[None]}, functional="all")
    calls = {tap.partition(":")[0].partition("@")[2] for tap in values}
    assert {"silu", "softplus", "matmul"} <= calls
    assert not any("attention" in call for call in calls)


class Written(nn.Module):
    """Attention as people write it: heads by reshape, bmm or @, in place or not, dropout as a module."""

    def __init__(self, style):
        super().__init__()
        self.qkv, self.dropout, self.style = nn.Linear(32, 96), nn.Dropout(0.5), style

    def forward(self, x):
        query, key, value = self.qkv(x).view(2, 6, 3, 4, 8).permute(2, 0, 3, 1, 4)
        if self.style == "fused":
            return functional.scaled_dot_product_attention(query, key, value)
        if self.style == "in place":
            scores = query @ key.mT
            scores *= 8**-0.5
            scores = scores.softmax(dim=-1)
        elif self.style == "einsum":
            query, key, value = (tensor.transpose(1, 2) for tensor in (query, key, value))
            scores = torch.einsum("bthd,bshd->bhts", query, key).mul(8**-0.5).softmax(-1)
            return torch.einsum("bhts,bshd->bthd", scores, value)
        elif self.style == "einsum of groups":
            query, key, value = (tensor.transpose(1, 2) for tensor in (query, key, value))
            query = query.unflatten(2, (4, 1))
            scores = torch.softmax(torch.einsum("btkgd, bskd -> btkgs", [query, key]) / 8**0.5, -1)
            return torch.einsum("btkgs,bskd->btkgd", scores, value)
        elif self.style == "written out":
            scores = torch.softmax(torch.matmul(query, key.transpose(2, 3)).div(8**0.5).float(), 3).to(query.dtype)
        else:
            scores = nn.Softmax(-1)(query * 8**-0.5 @ key.permute(0, 1, 3, 2))
        return self.dropout(scores) @ value


@pytest.mark.parametrize("style", ["in place", "written out", "scaled before", "einsum", "einsum of groups"])
def test_any_way_of_writing_it_is_the_same_attention(tmp_path, style):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 32)
    one, other = Written("fused").eval(), Written(style).eval()
    other.load_state_dict(one.state_dict())
    fused, written = (recorded(tmp_path / f"{m.style}.h5", m, {"x": x}) for m in (one, other))
    for port in ("in.key", "in.value", "out"):
        torch.testing.assert_close(fused[f"@attention:{port}"], written[f"@attention:{port}"])
    products = [float(v["@attention:in.scale"]) * v["@attention:in.query"] for v in (fused, written)]
    torch.testing.assert_close(*products)


def test_a_router_is_no_attention(tmp_path):
    class Router(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = nn.Parameter(torch.randn(4, 32, 8))

        def forward(self, x):
            return torch.softmax(x @ self.experts, -1) @ self.experts.transpose(1, 2)

    values = recorded(tmp_path / "x.h5", Router(), {"x": torch.randn(4, 6, 32)}, functional="all")
    assert {tap.partition(":")[0] for tap in values} == {"@matmul", "@softmax", "@matmul.1"}
