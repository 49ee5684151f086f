"""What the audit says of quantization is what the tables show: stored types and noise, never an unseen scheme."""

import pytest
import torch
from torch import Tensor, nn

from tests.align.auditing import Auditor, suspicious


class Linear(nn.Module):
    """A linear layer whose matrix is stored in a type of its own, with the scales that undo it."""

    def __init__(self, weight: Tensor, dtype: torch.dtype, dim: int | None) -> None:
        super().__init__()
        largest = 127 if dtype is torch.int8 else 448
        top = weight.abs().amax() if dim is None else weight.abs().amax(dim, keepdim=True)
        scaled = weight / (top / largest)
        stored = scaled.round().to(dtype) if dtype is torch.int8 else scaled.to(dtype)
        self.weight = nn.Parameter(stored, requires_grad=False)
        self.register_buffer("scale", top / largest)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x.float(), self.weight.float() * self.scale)


class InGroups(Linear):
    """int8, with a scale for each 32 numbers of a row: no scale of whole rows or columns explains it."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight.reshape(-1, 32), torch.int8, 1)
        self.weight = nn.Parameter(self.weight.reshape(weight.shape), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        values = self.weight.float().reshape(-1, 32) * self.scale
        return nn.functional.linear(x.float(), values.reshape(self.weight.shape))


def model(width: int, seed: int, heavy: bool = False) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(width, width, bias=False) for _ in range(3)]
    with torch.no_grad():
        for layer in layers:
            normal = torch.randn(width, width, generator=generator)
            squares = torch.randn(5, width, width, generator=generator).square().mean(0)
            layer.weight.copy_(normal / squares.sqrt() if heavy else normal).div_(width**0.5)
    return nn.Sequential(*layers).eval()


def in_groups(bits: int, size: int, weight: Tensor) -> Tensor:
    groups = weight.reshape(len(weight), -1, size)
    scale = groups.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
    return ((groups / scale).round() * scale).reshape(weight.shape)


def said(audit: Auditor, reference: nn.Module, candidate: nn.Module, width: int) -> str:
    """The one message there is."""
    found = audit(reference, candidate, {"input": torch.randn(4, width)})
    assert not suspicious(found), [finding.message for finding in found]
    assert len(found) == 1, [one.message for one in found]
    [finding] = found
    assert finding.kind == "quantized"
    return finding.message


@pytest.mark.parametrize(("dtype", "name"), [(torch.int8, "int8"), (torch.float8_e4m3fn, "float8_e4m3fn")])
@pytest.mark.parametrize(
    ("dim", "words"), [(None, "one scale for all of it"), (1, "a scale for each row"), (0, "a scale for each column")]
)
@pytest.mark.parametrize("width", [64, 256])
def test_a_stored_type_names_its_scheme(dtype, name: str, dim, words: str, width: int, tmp_path):
    reference = model(width, 0)
    candidate = nn.Sequential(*(Linear(layer.weight.detach(), dtype, dim) for layer in reference)).eval()
    assert f"({name}, {words})" in said(Auditor(tmp_path), reference, candidate, width)


@pytest.mark.parametrize("width", [64, 256])
def test_a_stored_type_with_scales_of_groups_has_no_scheme(width: int, tmp_path):
    reference = model(width, 0)
    candidate = nn.Sequential(*(InGroups(layer.weight.detach()) for layer in reference)).eval()
    assert "(int8, scales not seen)" in said(Auditor(tmp_path), reference, candidate, width)


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy tails"])
@pytest.mark.parametrize(("width", "seed"), [(128, 0), (256, 1), (512, 2)])
@pytest.mark.parametrize(
    ("bits", "size", "never"),
    [(8, 0, "4 bits"), (8, 32, "4 bits"), (6, 0, "bits"), (4, 32, "8 bits"), (4, 128, "8 bits"), (3, 32, "bits")],
)
def test_what_was_dequantized_has_a_noise_and_no_scheme(bits, size, never, width, seed, heavy, tmp_path):
    reference, candidate = model(width, seed, heavy), model(width, seed, heavy)
    with torch.no_grad():
        for layer in candidate:
            layer.weight.copy_(in_groups(bits, size or width, layer.weight))
    message = said(Auditor(tmp_path), reference, candidate, width)
    assert "scheme not seen: matrices are not in the dump" in message
    assert never not in message
    if not heavy and never != "bits":
        assert f"as {bits} bits leave" in message
