"""Weights of unusual shapes and dtypes are in the table; those without values are named with the reason."""

import pytest
import torch
from torch import nn

import probe
from probe.capture.tensors import dtype_name
from tests.capture.models import fed, holding, table_of


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,), (), (0, 3, 0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64, torch.int32])
def test_weights_of_any_shape_and_dtype_are_in_the_table(shape, dtype):
    value = torch.zeros(shape, dtype=dtype)
    table = table_of(holding(w=value, last=torch.ones(2)))
    assert [(w.name, w.shape, w.dtype) for w in table.weights] == [
        ("w", shape, dtype_name(dtype)),
        ("last", (2,), "float32"),
    ]
    assert ("w" in table.values) == (len(shape) < 2)
    assert table.skipped == {}


def test_packed_and_scaling_dtypes_are_in_the_table_too():
    packed = torch.arange(32, dtype=torch.uint8).reshape(4, 8)
    weights = {n: packed.view(getattr(torch, n)) for n in ("float4_e2m1fn_x2", "float8_e8m0fnu", "float8_e5m2fnuz")}
    model = nn.Module()
    for name, value in weights.items():
        model.register_parameter(name, nn.Parameter(value, requires_grad=False))
    table = table_of(model)
    assert [(weight.name, weight.dtype) for weight in table.weights] == [(name, name) for name in weights]


def test_weights_without_values_are_named_with_the_reason(tmp_path):
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2, device="meta"), nn.Linear(4, 4))
    table = table_of(model)
    assert table.skipped["0.weight"] == "not initialised yet"
    assert table.skipped["1.weight"] == "on the meta device, without values"
    assert [weight.name for weight in table.weights] == ["2.weight", "2.bias"]
    lazy = nn.Sequential(nn.LazyLinear(4), nn.ReLU())
    with probe.record(lazy, tmp_path / "x.h5"):
        lazy(fed())
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.attribute("notes")["skipped"]["0.weight"] == "not initialised yet"
