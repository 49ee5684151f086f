"""Convolutions: weights of three and four axes, in frameworks' other orders of axes, and wrong ones."""

from functools import lru_cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.align.auditing import Auditor, counts, suspicious
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.weight_bugs import change, fresh

SIZE = Size(tokens=4)
PATCHES = "embeddings.patch_embeddings.projection.weight"


class Convolutions(nn.Module):
    """Images (B, 3, 64, 64) to (B, 48): a patch embedding, a 3 x 3 and a 1 x 1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 16, stride=16)
        self.square = nn.Conv2d(32, 32, 3, padding=1)
        self.point = nn.Conv2d(32, 64, 1)
        self.head = nn.Linear(64, 48)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.point(torch.relu(self.square(self.patches(x)))).mean((2, 3)))


class Other(nn.Module):
    """A convolution whose kernel has its axes in another order; `back` undoes it."""

    def __init__(self, convolution: nn.Conv2d, order: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel = nn.Parameter(convolution.weight.detach().permute(order).contiguous())
        self.bias = nn.Parameter(convolution.bias.detach().clone())
        self.back = [order.index(axis) for axis in range(4)]
        self.stride, self.padding = convolution.stride, convolution.padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel.permute(self.back), self.bias, self.stride, self.padding)


@lru_cache
def convolutions(seed: int = 0) -> Convolutions:
    torch.manual_seed(seed)
    return Convolutions().eval()


def copy() -> Convolutions:
    model = Convolutions().eval()
    model.load_state_dict(convolutions().state_dict())
    return model


IMAGES = {"x": torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))}


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("audit"))


@pytest.mark.parametrize("order", [(2, 3, 1, 0), (0, 2, 3, 1), (3, 2, 1, 0)], ids=["JAX", "MLX", "reversed"])
def test_kernels_with_their_axes_in_another_order(order: tuple[int, ...], audit: Auditor):
    candidate = copy()
    for name in ("patches", "square", "point"):
        setattr(candidate, name, Other(getattr(candidate, name), order))
    found = audit(convolutions(), candidate, IMAGES)
    assert set(counts(found)) <= {"equal", "transposed"}, [finding.message for finding in found]
    assert {"patches.weight", "square.weight"} <= {name for f in found if f.kind == "transposed" for name in f.weights}
    assert any("with its axes in another order" in finding.message for finding in found)


@pytest.mark.parametrize("weight", ["patches.weight", "square.weight", "point.weight"])
@pytest.mark.parametrize(
    ("how", "kind", "says"),
    [
        (fresh, "never loaded", "none of the reference's rows"),
        (torch.zeros_like, "never loaded", "all 0"),
        (lambda w: 1.01 * w, "scaled", "times 1.01"),
        (lambda w: w.roll(3, 0), "inconsistent", "its rows in another order"),
        (lambda w: w.flip(1), "inconsistent", "its rows in another order"),
        (lambda w: torch.cat([w[:16], fresh(w[16:])]), "partly loaded", "of its rows are there"),
    ],
    ids=["random", "zeros", "scaled", "outputs rolled", "inputs flipped", "half"],
)
def test_a_kernel_that_is_wrong(weight: str, how, kind: str, says: str, audit: Auditor):
    candidate = copy()
    change(weight, how, candidate)
    [found] = suspicious(audit(convolutions(), candidate, IMAGES))
    assert (found.kind, found.weights) == (kind, (weight,))
    assert says in found.message


@pytest.mark.parametrize(
    ("weight", "how"),
    [
        ("square.weight", lambda w: w.transpose(0, 1)),
        ("square.weight", lambda w: w.transpose(2, 3)),
        ("square.weight", lambda w: 2 * w.transpose(0, 1)),
        ("patches.weight", lambda w: w.transpose(2, 3)),
    ],
    ids=["in and out", "height and width", "in and out, doubled", "of patches"],
)
def test_a_square_kernel_with_its_axes_exchanged(weight: str, how, audit: Auditor):
    candidate = copy()
    change(weight, how, candidate)
    [found] = suspicious(audit(convolutions(), candidate, IMAGES))
    assert found.kind in ("inconsistent", "scaled"), found.message
    assert found.weights == (weight,)


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        (fresh, "never loaded"),
        (lambda w: w.flip(1), "inconsistent"),
        (lambda w: w.transpose(2, 3), "inconsistent"),
        (lambda w: 0.5 * w, "scaled"),
    ],
    ids=["random", "BGR", "height and width", "scaled"],
)
def test_the_patches_of_a_vit(how, kind: str, audit: Auditor):
    reference, candidate = build("vit", SIZE), build("vit", SIZE)
    change(PATCHES, how, candidate)
    [found] = suspicious(audit(reference, candidate, inputs("vit", SIZE)))
    assert (found.kind, found.weights) == (kind, (PATCHES,)), found.message


@pytest.mark.parametrize(
    ("how", "kind"),
    [(fresh, "never loaded"), (lambda w: w.transpose(0, 1), "inconsistent"), (lambda w: w.flip(2), "inconsistent")],
    ids=["random", "in and out", "back to front"],
)
def test_the_convolutions_of_whisper(how, kind: str, audit: Auditor):
    reference, candidate = build("whisper", SIZE), build("whisper", SIZE)
    change("model.encoder.conv2.weight", how, candidate)
    [found] = suspicious(audit(reference, candidate, inputs("whisper", SIZE)))
    assert (found.kind, found.weights) == (kind, ("model.encoder.conv2.weight",)), found.message
