"""Which pairs the zoo has: every bug, in several models, styles and dtypes, by a seeded draw."""

import zlib
from dataclasses import dataclass

import torch

from tests.zoo.bug import Bug
from tests.zoo.draw import choose
from tests.zoo.pairs import SAME_CODE, Pair, pair, styles_of
from tests.zoo.planted import linears, norms

BUGS = [*norms.BUGS, *linears.BUGS]


@dataclass(frozen=True)
class Planned:
    """One pair, to be built where it is judged."""

    bug: str
    view: str
    style: str
    part: str
    dtype: str
    reference_dtype: str
    seed: int

    @property
    def name(self) -> str:
        side = "" if self.reference_dtype == "fp32" else f", reference {self.reference_dtype}"
        return f"{self.bug} [{self.view}, {self.style}, {self.dtype}{side}, seed {self.seed}]"

    def said(self) -> str:
        return f"{named(self.bug).cause} {self.name}"

    def build(self) -> Pair:
        return pair(
            named(self.bug),
            self.view,
            self.part,
            self.seed,
            style=self.style,
            dtype=self.dtype,
            reference_dtype=self.reference_dtype,
        )


def named(name: str) -> Bug:
    return next(bug for bug in BUGS if bug.name == name)


ROUNDS = ("fp32", "fp32", "bf16")
"""The candidates' dtypes in which each bug is planted, in each part."""


def planned(part: str, shift: int = 0) -> list[Planned]:
    """`shift` draws other pairs."""
    pairs = []
    for bug in BUGS:
        seed = zlib.crc32(f"{bug.name} {part}".encode()) % 100_000 + shift
        generator = torch.Generator().manual_seed(seed)
        start = choose(generator, range(len(bug.fits)))
        for number, dtype in enumerate(ROUNDS):
            view = bug.fits[(start + number) % len(bug.fits)]
            styles = styles_of(bug, view)
            style = choose(generator, styles[1:] or styles) if number else choose(generator, styles)
            narrow = "bf16" if style == SAME_CODE and choose(generator, (True, False)) else "fp32"
            reference_dtype = narrow if dtype == "bf16" else "fp32"
            pairs.append(Planned(bug.name, view, style, part, dtype, reference_dtype, seed + number))
    return pairs
