"""What is written is read back bit for bit, whatever its dtype, its shape and its bits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from probe.dump import Dump, DumpWriter
from probe.dump.dtypes import COMPLEX, DTYPES, SMALL_FLOATS, decode, storage
from tests.dump.small import random_bits, tap, written

DTYPE = st.sampled_from(sorted(DTYPES))
SHAPE = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)


@st.composite
def tensors(draw):
    dtype, shape = draw(DTYPE), draw(SHAPE)
    kind = storage(dtype)
    num_bytes = math.prod(shape) * kind.itemsize
    raw = np.frombuffer(draw(st.binary(min_size=num_bytes, max_size=num_bytes)), np.uint8)
    return (raw & 1 if dtype == "bool" else raw).view(kind).reshape(shape), dtype


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("round") / "trip.h5"


@settings(deadline=None, max_examples=150)
@given(tensor=tensors())
def test_every_bit_of_every_dtype_and_shape_comes_back(path, tensor):
    bits, dtype = tensor
    with Dump(written(path, {"layer:out": (bits, dtype)})) as dump:
        found = dump.tap("layer:out")
        back = dump.bits(found)
        assert (found.shape, found.dtype) == (bits.shape, dtype)
        assert (back.shape, back.dtype, back.tobytes()) == (bits.shape, bits.dtype, bits.tobytes())


@settings(deadline=None, max_examples=50)
@given(tensor=tensors(), length=st.integers(1, 40))
def test_blocks_are_the_values_in_order(path, tensor, length):
    bits, dtype = tensor
    with Dump(written(path, {"layer:out": (bits, dtype)})) as dump:
        blocks = [block.copy() for block in dump.blocks(dump.tap("layer:out"), length)]
        values = decode(np.ascontiguousarray(bits).reshape(-1), dtype)
    assert all(len(block) <= length for block in blocks)
    assert b"".join(block.tobytes() for block in blocks) == values.tobytes()


@settings(deadline=None, max_examples=50)
@given(tensor=tensors(), step=st.integers(0, 2**31 - 1))
def test_inputs_come_back_with_their_dtype(path, tensor, step):
    bits, dtype = tensor
    with DumpWriter(path, force=True) as writer:
        writer.add_input(step, "x", bits, dtype)
    with Dump(path) as dump:
        ((name, (back, found)),) = dump.inputs(step).items()
    assert (name, back.shape, back.tobytes()) == ("x", bits.shape, bits.tobytes())
    assert found == dtype or (found == back.dtype.name and dtype not in (*SMALL_FLOATS, *COMPLEX))


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_a_tensor_of_many_blocks_comes_back(tmp_path, dtype):
    bits = random_bits((301, 1009), dtype)
    with Dump(written(tmp_path / "x.h5", {"layer:out": (bits, dtype)})) as dump:
        assert dump.bits(dump.tap("layer:out")).tobytes() == bits.tobytes()


@pytest.mark.parametrize(
    "view",
    [lambda x: x.T, lambda x: x[::2, ::-3], lambda x: np.broadcast_to(x[:1], (9, 40)), lambda x: x[3:3]],
    ids=["transposed", "strided", "broadcast", "empty"],
)
def test_views_are_stored_in_c_order(tmp_path, view):
    bits = view(random_bits((30, 40), "float32"))
    with Dump(written(tmp_path / "x.h5", {"layer:out": (bits, "float32")})) as dump:
        assert dump["layer:out"].shape == bits.shape
        assert dump["layer:out"].tobytes() == bits.tobytes()


def test_float32_keeps_negative_zero_infinities_and_nan_payloads(tmp_path):
    patterns = np.array([0x80000000, 0x7F800000, 0xFF800000, 0x7FC01234, 0xFFC00001, 0x7FA00001, 1], np.uint32)
    with Dump(written(tmp_path / "x.h5", {"layer:out": (patterns.view(np.float32), "float32")})) as dump:
        assert dump["layer:out"].view(np.uint32).tolist() == patterns.tolist()


def test_a_zero_dimensional_tensor_is_not_one_of_one_element(tmp_path):
    scalar, vector = np.array(3, np.int64), np.array([3], np.int64)
    with Dump(written(tmp_path / "x.h5", {"a:out": (scalar, "int64"), "b:out": (vector, "int64")})) as dump:
        assert (dump["a:out"].shape, dump["b:out"].shape) == ((), (1,))


def test_a_linked_tap_reads_as_the_tensor_that_it_is(tmp_path):
    bits = random_bits((4, 6), "bfloat16")
    with DumpWriter(tmp_path / "x.h5") as writer:
        stored = writer.add(tap("first:out", bits, "bfloat16"), bits)
        writer.link(tap("second:in", bits, "bfloat16", step=3), stored)
    with Dump(tmp_path / "x.h5") as dump:
        second = dump.tap("second:in", step=3)
        assert dump.bits(second).tobytes() == bits.tobytes()
        assert second.statistics == dump.tap("first:out").statistics
