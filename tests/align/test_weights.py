"""Alignment by weights: through other names, fusion, splits, permutation, dtype, 1 + w; and where weights are wrong."""

from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.align.mapping import Mapping
from probe.align.pairs import align


class Reference(nn.Module):
    """Four layers of a norm and three projections."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ReferenceLayer() for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class ReferenceLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        nn.init.normal_(self.norm.weight, 1.0, 0.2)
        self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        return x + self.q(x) * self.k(x) + self.v(x)


class Fused(nn.Module):
    """The same in one matrix a layer, under other names."""

    def __init__(self, reference: Reference, order: str = "qkv", rows: list[int] | None = None) -> None:
        super().__init__()
        self.order = order
        self.blocks = nn.ModuleList()
        for layer in reference.layers:
            block = nn.Module()
            block.scale = nn.LayerNorm(16)
            block.scale.load_state_dict(layer.norm.state_dict())
            block.qkv = nn.Linear(16, 48)
            with torch.no_grad():
                for kind in ("weight", "bias"):
                    parts = [getattr(getattr(layer, name), kind) for name in order]
                    parts = [part if rows is None else part[rows] for part in parts]
                    getattr(block.qkv, kind).copy_(torch.cat(parts))
            self.blocks.append(block)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block.scale(x)
            parts = dict(zip(self.order, block.qkv(x).chunk(3, -1), strict=True))
            x = x + parts["q"] * parts["k"] + parts["v"]
        return x


def mapping(tmp_path: Path, reference: nn.Module, candidate: nn.Module) -> Mapping:
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    dtype = next(candidate.parameters()).dtype
    for name, model, given in (("r", reference, x), ("c", candidate, x.to(dtype))):
        with torch.no_grad(), probe.record(model, tmp_path / f"{name}.h5", force=True):
            model(given)
    with probe.open(tmp_path / "r.h5") as ours, probe.open(tmp_path / "c.h5") as theirs:
        return align(ours, theirs)


def paired(found: Mapping) -> dict[str, str]:
    return {pair.reference.name: pair.candidate_name for pair in found.pairs}


@pytest.fixture
def reference() -> Reference:
    torch.manual_seed(0)
    return Reference().eval()


@pytest.mark.parametrize("order", ["qkv", "kqv", "vkq"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_fused_weights_are_found_in_any_order_and_dtype(tmp_path, reference, order, dtype):
    names = paired(mapping(tmp_path, reference, Fused(reference, order).to(dtype)))
    for layer in range(4):
        for name in "qkv":
            start = 16 * order.index(name)
            assert names[f"layers.{layer}.{name}:out"] == f"blocks.{layer}.qkv:out[{start}:{start + 16}]"
            assert names[f"layers.{layer}.{name}:in"] == f"blocks.{layer}.qkv:in"
        assert names[f"layers.{layer}.norm:out"] == f"blocks.{layer}.scale:out"


def test_the_other_way_round_split_weights_are_joined(tmp_path, reference):
    names = paired(mapping(tmp_path, Fused(reference), reference))
    assert names["blocks.2.qkv:out"] == "layers.2.q:out + layers.2.k:out + layers.2.v:out"


def test_permuted_rows_are_put_back_in_order(tmp_path, reference):
    rows = [row for half in range(8) for row in (half, half + 8)]
    names = paired(mapping(tmp_path, reference, Fused(reference, rows=rows)))
    assert names["layers.0.q:out"].startswith("blocks.0.qkv:out[0:1,2:3,4:5,6:7")


def test_where_one_layer_is_swapped_the_other_layers_decide_and_it_is_said(tmp_path, reference):
    candidate = Fused(reference)
    with torch.no_grad():
        weight = candidate.blocks[2].qkv.weight
        weight.copy_(torch.cat([weight[16:32], weight[:16], weight[32:]]))
    found = mapping(tmp_path, reference, candidate)
    assert paired(found)["layers.2.q:out"] == "blocks.2.qkv:out[0:16]"
    assert any("layers.2.q" in remark for remark in found.remarks)


def test_a_layer_whose_weights_were_never_loaded_still_has_its_place(tmp_path, reference):
    candidate = Fused(reference)
    nn.init.normal_(candidate.blocks[1].qkv.weight)
    names = paired(mapping(tmp_path, reference, candidate))
    assert names["layers.1.k:out"] == "blocks.1.qkv:out[16:32]"


def test_norms_of_all_ones_are_paired_by_their_place(tmp_path, reference):
    for layer in reference.layers:
        nn.init.ones_(layer.norm.weight)
    names = paired(mapping(tmp_path, reference, Fused(reference)))
    assert [names[f"layers.{layer}.norm:out"] for layer in range(4)] == [f"blocks.{i}.scale:out" for i in range(4)]


def test_unrelated_models_share_no_module(tmp_path, reference):
    torch.manual_seed(9)
    stranger = Fused(Reference())
    for parameter in stranger.parameters():
        nn.init.normal_(parameter)
    names = paired(mapping(tmp_path, reference, stranger))
    assert not [name for name in names if name.startswith("layers") and name.endswith(":out")]


class Core(nn.Module):
    """Holds the three matrices in one, and returns what comes of them: as wide as any of the three."""

    def __init__(self, matrix: nn.Linear) -> None:
        super().__init__()
        self.matrix, self.bias = nn.Parameter(matrix.weight), nn.Parameter(matrix.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = nn.functional.linear(x, self.matrix, self.bias).chunk(3, -1)
        return q * k + v


class Cores(nn.Module):
    def __init__(self, fused: Fused) -> None:
        super().__init__()
        self.scales = nn.ModuleList(block.scale for block in fused.blocks)
        self.cores = nn.ModuleList(Core(block.qkv) for block in fused.blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for scale, core in zip(self.scales, self.cores, strict=True):
            x = scale(x)
            x = x + core(x)
        return x


def test_a_module_that_computes_more_than_its_matrix_is_no_projection(tmp_path, reference):
    names = paired(mapping(tmp_path, reference, Cores(Fused(reference))))
    assert names["layers.1.norm:out"] == "scales.1:out"
    assert not [name for name in names if name.endswith((".q:out", ".k:out", ".v:out"))]
