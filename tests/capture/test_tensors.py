"""A tensor's bits are its own, in C order, whatever it is a view of; and they become the tensor again."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import return_and_correct_aliasing

import probe
from probe.capture.tensors import dtype_name, from_bits, to_bits, why_not_stored
from probe.dump.dtypes import DTYPES, storage
from tests.capture.models import fed

VIEWS = {
    "itself": lambda x: x,
    "transposed": lambda x: x.transpose(0, 2),
    "expanded": lambda x: x[:, :1].expand(-1, 6, -1),
    "strided": lambda x: x[::2, :, 1::2],
    "shifted": lambda x: x[1:],
    "empty": lambda x: x[:0],
    "an element": lambda x: x[1, 2, 3],
    "an element of three axes": lambda x: x[:1, :1, :1],
    "repeated": lambda x: x[0, 0, 0].expand(3, 3),
}
complex_halves = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning")


def any_bits(dtype):
    """(4, 6, 8), every bit drawn."""
    shape = (4, 6, 8 * storage(dtype).itemsize)
    raw = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return (raw % 2).bool() if dtype == "bool" else raw.view(getattr(torch, dtype))


@complex_halves
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", sorted(DTYPES - {"float4_e2m1fn_x2"}))
def test_bits_are_those_of_the_view_and_make_the_tensor_again(dtype, view):
    tensor = VIEWS[view](any_bits(dtype))
    places = VIEWS[view](torch.arange(4 * 6 * 8).reshape(4, 6, 8)).numpy()  # which element stands where
    bits = to_bits(tensor)
    assert (bits.shape, bits.dtype) == (tuple(tensor.shape), storage(dtype))
    assert bits.tobytes() == to_bits(any_bits(dtype)).reshape(-1)[places].tobytes()
    back = from_bits(bits.copy(), dtype)
    assert (back.shape, back.dtype) == (tensor.shape, tensor.dtype)
    assert to_bits(back).tobytes() == bits.tobytes()


@complex_halves
@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_any_dtype_goes_through_a_model_into_a_dump_and_back(tmp_path, dtype):
    value = any_bits(dtype)
    model = nn.Identity()
    with probe.record(model, tmp_path / "x.h5"):
        model(value)
    with probe.open(tmp_path / "x.h5") as dump:
        tap = dump.tap(":out")
        assert (tap.dtype, tap.shape) == (dtype, tuple(value.shape))
        assert dump.bits(tap).tobytes() == to_bits(value).tobytes()
        ((bits, _),) = dump.inputs().values()
        assert bits.tobytes() == to_bits(value).tobytes()


def test_conjugates_and_negatives_are_resolved():
    value = torch.tensor([1 + 2j, -3j])
    assert to_bits(value.conj()).tolist() == [1 - 2j, 3j]
    assert to_bits(value.conj().imag).tolist() == [-2, 3]
    assert value.conj().imag.is_neg()


def test_a_contiguous_tensor_is_not_copied():
    value = torch.zeros(3)
    to_bits(value)[1] = 5
    assert value.tolist() == [0, 5, 0]


def test_dtypes_are_called_as_torch_calls_them():
    assert [dtype_name(torch.bfloat16), dtype_name(torch.long)] == ["bfloat16", "int64"]


class Sharded(torch.Tensor):
    """Stands for a tensor that is somewhere else: any look at its values fails."""

    @staticmethod
    def __new__(cls, value):
        return torch.Tensor._make_wrapper_subclass(cls, value.shape, dtype=value.dtype)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.detach.default:
            return return_and_correct_aliasing(function, args, kwargs or {}, Sharded(args[0]))
        raise RuntimeError("its values are elsewhere")


WITHOUT_BITS = {
    "layout torch.sparse_coo": lambda: torch.eye(3).to_sparse(),
    "layout torch.sparse_csr": lambda: torch.eye(3).to_sparse_csr(),
    "quantised dtype torch.qint8": lambda: torch._empty_affine_quantized(
        [3], scale=0.1, zero_point=0, dtype=torch.qint8
    ),
    "on the meta device, without values": lambda: torch.ones(3, device="meta"),
    "a nested tensor": lambda: torch.nested.as_nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    "dtype torch.bits8": lambda: torch.ones(3, dtype=torch.uint8).view(torch.bits8),
    "not initialised yet": lambda: nn.UninitializedBuffer(),
    "a Sharded, whose values cannot be had": lambda: Sharded(torch.ones(3)),
}


@pytest.mark.filterwarnings("ignore:.*(CSR|quantiz|nested tensor).*:UserWarning")
@pytest.mark.parametrize("reason", WITHOUT_BITS)
def test_what_has_no_bits_is_left_out_with_the_reason_and_the_rest_is_recorded(tmp_path, reason):
    odd = WITHOUT_BITS[reason]()
    assert why_not_stored(odd) in (reason, None)
    model = nn.ModuleDict({"linear": nn.Linear(4, 4)})
    model.forward = lambda x, odd: (model["linear"](x), odd)
    with probe.record(model, tmp_path / "x.h5"):
        assert model(fed(), odd)[1] is odd
    with probe.open(tmp_path / "x.h5") as dump:
        assert [tap.name for tap in dump.taps] == [":in", "linear:in", "linear:out", ":out"]
        assert [tap.order for tap in dump.taps] == [0, 1, 2, 3]
        skipped = dump.attribute("notes")["skipped"]
    assert list(skipped) == ["inputs/0/odd", ":in.1", ":out.1"]
    assert all(told.startswith(reason) for told in skipped.values())
