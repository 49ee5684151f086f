"""Any dtype, shape, view and name goes through a real model into a dump, and comes back bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import probe
from probe.capture.tensors import to_bits
from probe.dump.dtypes import DTYPES, storage
from tests.dump.test_names import ANY_TEXT

VIEWS = {
    "itself": lambda x: x,
    "transposed": lambda x: x.mT if x.dim() > 1 else x,
    "every other": lambda x: x[::2] if x.dim() else x,
    "expanded": lambda x: x.unsqueeze(0).expand(3, *x.shape),
    "channels last": lambda x: x.to(memory_format=torch.channels_last) if x.dim() == 4 else x,
    "conjugate": lambda x: x.conj() if x.is_complex() and x.dtype != torch.complex32 else x,
    "negative": lambda x: x.conj().imag if x.dtype in (torch.complex64, torch.complex128) else x,
}
NAME = ANY_TEXT.filter(lambda name: "." not in name and name not in vars(nn.Module()) and not hasattr(nn.Module, name))


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(sorted(DTYPES - {"float4_e2m1fn_x2"})))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    num_bytes = torch.Size(shape).numel() * storage(dtype).itemsize
    raw = torch.frombuffer(
        bytearray(draw(st.binary(min_size=num_bytes, max_size=num_bytes)) + b"\0"), dtype=torch.uint8
    )
    raw = raw[:num_bytes].clone()
    flat = (raw % 2).bool() if dtype == "bool" else raw.view(getattr(torch, dtype))
    return VIEWS[draw(st.sampled_from(sorted(VIEWS)))](flat.reshape(shape))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("any") / "x.h5"


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning")
@settings(deadline=None, max_examples=150)
@given(tensor=tensors(), name=NAME)
def test_it_comes_back_bit_for_bit(path, tensor, name):
    model = nn.Sequential()
    model.add_module(name, nn.Identity())
    with probe.record(model, path, force=True):
        assert model(tensor) is tensor
    with probe.open(path) as dump:
        found = dump.tap(f"{name}:out")
        assert (found.shape, f"torch.{found.dtype}") == (tuple(tensor.shape), str(tensor.dtype))
        assert dump.bits(found).tobytes() == to_bits(tensor).tobytes()
