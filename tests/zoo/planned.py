"""One pair of the zoo as a plan: names and a seed, to be built where it is judged."""

from dataclasses import dataclass

from tests.zoo.benign import BENIGN, benign_pair
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import Pair, pair


@dataclass(frozen=True)
class Planned:
    """One pair, to be built where it is judged."""

    names: tuple[str, ...]
    """Of the bugs; or the one name of a benign difference."""
    view: str
    style: str
    part: str
    dtype: str
    reference_dtype: str
    seed: int
    benign: bool = False
    plain: bool = False
    """Whether the reference is the plain decoder, of which no library knows."""

    @property
    def name(self) -> str:
        side = "" if self.reference_dtype == "fp32" else f", reference {self.reference_dtype}"
        plain = ", plain reference" if self.plain else ""
        return f"{' + '.join(self.names)} [{self.view}, {self.style}, {self.dtype}{side}{plain}, seed {self.seed}]"

    @property
    def said(self) -> str:
        """What `--only` looks in."""
        causes = ["benign"] if self.benign else [bug_named(name).cause for name in self.names]
        return f"{' '.join(causes)} {'several' if len(self.names) > 1 else ''} {self.name}"

    @property
    def same_layer(self) -> bool:
        """Whether several bugs stand in one layer."""
        return len(self.names) > 1 and self.seed % 3 == 0

    def build(self, scope: str = "", same_layer: bool = False) -> Pair:
        """With `scope` and `same_layer` as of tests/zoo/pairs.py, where they are not those of the plan."""
        if self.benign:
            one = next(one for one in BENIGN if one.name == self.names[0])
            return benign_pair(
                one, self.view, self.part, self.seed, self.style, self.dtype, self.reference_dtype, self.plain
            )
        return pair(
            [bug_named(name) for name in self.names],
            self.view,
            self.part,
            self.seed,
            style=self.style,
            dtype=self.dtype,
            reference_dtype=self.reference_dtype,
            scope=scope or ("layer" if len(self.names) > 1 else ""),
            same_layer=same_layer or self.same_layer,
            plain=self.plain,
        )
