"""The weight table: equal rows have equal sketches under any name, dtype and fusion; vectors are kept in full."""

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.capture.tensors import to_bits
from probe.dump import projections, tensor_hash
from tests.capture.models import fed, holding, table_of


def sketches(table, name, *, columns=False):
    """Norms and directions of a weight's rows, or of its columns."""
    weight = next(weight for weight in table.weights if weight.name == name)
    first, count = (weight.first_column, weight.num_columns) if columns else (weight.first_row, weight.num_rows)
    place = slice(first, first + count)
    return table.sketches.norms[place], table.sketches.directions[place].astype(np.float32)


def assert_near(ones, others, *, tolerance):
    for one, other in zip(ones, others, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_a_dump_says_of_each_weight_what_it_is(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)).bfloat16()
    with probe.record(model, tmp_path / "x.h5"):
        model(fed(torch.bfloat16))
    with probe.open(tmp_path / "x.h5") as dump:
        found = {weight.name: weight for weight in dump.weights}
        assert {name: (w.module, w.shape, w.dtype, w.tied_to) for name, w in found.items()} == {
            "0.weight": ("0", (3, 4), "bfloat16", ""),
            "0.bias": ("0", (3,), "bfloat16", ""),
            "1.weight": ("1", (3,), "bfloat16", ""),
            "1.bias": ("1", (3,), "bfloat16", ""),
        }
        for name, value in model.named_parameters():
            assert found[name].statistics.hash == tensor_hash(to_bits(value))
            assert found[name].statistics.maximum == value.max().item()
        assert torch.equal(torch.from_numpy(dump.weight_value("0.bias", "bfloat16")), model[0].bias.float())
        assert dump.weight_value("0.weight", "bfloat16") is None
        assert (found["0.weight"].num_rows, found["0.weight"].num_columns) == (3, 4)


@pytest.mark.parametrize("shape", [(6, 40), (5000, 3), (3, 5000), (4, 3, 2, 2), (1, 1)])
def test_a_sketch_is_the_norm_and_the_projections_of_a_row(shape):
    weight = torch.randn(shape)
    matrix = weight.flatten(1).numpy()
    table = table_of(holding(w=weight))
    for columns, rows in ((False, matrix), (True, matrix.T)):
        norms = np.linalg.norm(rows, axis=1)
        expected = norms, (rows / norms[:, None]) @ projections(rows.shape[1])
        assert_near(sketches(table, "w", columns=columns), expected, tolerance=2e-3)


def test_rows_of_a_fused_weight_are_those_of_its_parts():
    query, key, value = (torch.randn(rows, 64) for rows in (8, 4, 4))
    split = table_of(holding(q=query, k=key, v=value))
    fused = table_of(holding(qkv=torch.cat([query, key, value])))
    parts = [np.concatenate(parts) for parts in zip(*(sketches(split, name) for name in "qkv"), strict=True)]
    assert_near(sketches(fused, "qkv"), parts, tolerance=1e-3)


def test_columns_of_a_weight_are_rows_of_its_transpose():
    weight = torch.randn(8, 48)
    upright, lying = table_of(holding(w=weight)), table_of(holding(w=weight.T.contiguous()))
    assert_near(sketches(upright, "w", columns=True), sketches(lying, "w"), tolerance=1e-3)
    assert_near(sketches(upright, "w"), sketches(lying, "w", columns=True), tolerance=1e-3)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-3), ("float16", 2e-3), ("bfloat16", 1e-2), ("float8_e4m3fn", 0.2)]
)
def test_rows_in_another_dtype_have_near_sketches_and_other_rows_have_not(dtype, tolerance):
    weight = torch.randn(32, 256)
    exact = table_of(holding(w=weight))
    rounded = table_of(holding(other=weight.to(getattr(torch, dtype))))
    assert_near(sketches(exact, "w"), sketches(rounded, "other"), tolerance=tolerance)
    moved = np.abs(sketches(exact, "w")[1] - np.roll(sketches(exact, "w")[1], 1, axis=0)).max(1)
    assert moved.min() > tolerance


def test_tied_weights_are_measured_once_and_say_whose_they_are():
    model = nn.ModuleDict({"embed": nn.Embedding(8, 4), "norm": nn.LayerNorm(4), "head": nn.Linear(4, 8, bias=False)})
    model["head"].weight = model["embed"].weight
    table = table_of(model)
    embed, head = (next(w for w in table.weights if w.name == name) for name in ("embed.weight", "head.weight"))
    assert (embed.tied_to, head.tied_to, head.module) == ("", "embed.weight", "head")
    assert (head.first_row, head.num_rows, head.statistics) == (embed.first_row, embed.num_rows, embed.statistics)
    assert len(table.sketches.norms) == 8 + 4 + 1 + 1


def test_a_square_weight_is_not_tied_to_its_own_transpose():
    weight = torch.randn(4, 4)
    table = table_of(holding(one=weight, other=weight.T))
    assert [w.tied_to for w in table.weights] == ["", ""]
    assert_near(sketches(table, "one"), sketches(table, "other", columns=True), tolerance=1e-3)


@pytest.mark.parametrize(
    "inside", [lambda: torch.autocast("cpu", torch.bfloat16), torch.inference_mode, lambda: torch.device("meta")]
)
def test_the_callers_modes_do_not_change_the_table(inside):
    model = nn.Linear(64, 64)
    outside = table_of(model)
    with inside():
        within = table_of(model)
    assert np.array_equal(outside.sketches.directions, within.sketches.directions)
    assert np.array_equal(outside.sketches.norms, within.sketches.norms)
    assert outside.weights == within.weights
