"""How weights are quantized: a whole number, or a small float, times a scale that so many elements share."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Scheme:
    """Matrices are [O channels out, I channels in]; computed in float32, as quantizers do."""

    bits: int
    """Of a whole number; 0 of float8_e4m3."""
    group: int
    """Elements along a row that share a scale; 0 for the whole row, -1 for the whole matrix."""
    by_column: bool = False
    """Of the transposed matrix, as [in, out] kernels are stored."""

    @property
    def name(self) -> str:
        what = f"int{self.bits}" if self.bits else "fp8 (e4m3)"
        if self.group < 0:
            return f"{what}, one scale"
        shared = f"{self.group} elements" if self.group else "column" if self.by_column else "row"
        return f"{what}, a scale for each {shared}"

    @property
    def by_row(self) -> bool:
        return not self.group and not self.by_column and self.bits in (4, 8)

    @property
    def largest(self) -> float:
        return 2.0 ** (self.bits - 1) - 1 if self.bits else 448.0

    def fits(self, weight_OI: torch.Tensor) -> bool:
        return self.group <= 0 or (weight_OI.shape[1] % self.group == 0 and weight_OI.shape[1] > self.group)

    def parts(self, weight_OI: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Whole numbers [.., ..], and their scales: the largest magnitude over the largest number."""
        with torch._C.DisableTorchFunction():  # a replay's mode would compute in float64
            wide = weight_OI.float()
            size = wide.abs().amax() if self.group < 0 else wide.abs().amax(-1, keepdim=True)
            scale = (size / self.largest).clamp(min=torch.finfo(torch.float32).tiny)
            if self.bits:
                return (wide / scale).round(), scale
            return (wide / scale).to(torch.float8_e4m3fn).float(), scale

    def rounded(self, weight_OI: torch.Tensor) -> torch.Tensor:
        """The matrix as it is after that."""
        shape = weight_OI.shape
        if self.by_column:
            whole, scale = self.parts(weight_OI.T)
            return (whole * scale).T
        whole, scale = self.parts(weight_OI.reshape(-1, self.group) if self.group > 0 else weight_OI)
        return (whole * scale).reshape(shape)


SCHEMES = tuple(
    Scheme(bits, group, by_column)
    for bits in (8, 6, 5, 4, 3, 2, 0)
    for group, by_column in ((0, False), (0, True), (-1, False), (32, False), (64, False), (128, False))
)
