"""Which pairs the zoo has: every bug in several models, styles and dtypes, benign ones, and several bugs at once."""

import zlib
from dataclasses import dataclass, replace

import torch

from tests.zoo.benign import BENIGN, Benign, benign_pair
from tests.zoo.bug import Bug
from tests.zoo.decoder.convert import INPUT as DECODERS
from tests.zoo.decoder.settings import VIEWS as DECODED
from tests.zoo.draw import choose
from tests.zoo.pairs import Pair, pair
from tests.zoo.planted import attention, embeddings, experts, linears, mlps, norms, residuals, ropes, shards, specs
from tests.zoo.ported import PORTS, SAME_CODE, fits, styles_of
from tests.zoo.views import VIEWS

FAMILIES = (norms, linears, attention, ropes, mlps, experts, embeddings, residuals, shards, specs)
BUGS: list[Bug] = specs.with_specs([bug for family in FAMILIES for bug in family.BUGS])
ROUNDS = ("fp32", "fp32", "bf16", "fp16")
"""The candidates' dtypes in which each bug is planted, in each part."""
NUM_SEVERAL = 16
"""In each part."""
SUBTLE = ("norm.eps", "attn.softcap", "head.softcap", "mlp.activation", "residual.scale")
"""Not among several in a narrow dtype: whether the input can tell is measured for one bug at a time."""


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


def bug_named(name: str) -> Bug:
    return next(bug for bug in BUGS if bug.name == name)


def planned(part: str, shift: int = 0) -> list[Planned]:
    """All pairs of a part; `shift` draws other ones."""
    return [
        *(one for bug in BUGS for one in _planted(bug, part, shift)),
        *(_plain(bug, part, shift) for bug in BUGS if _decoded(bug)),
        *(one for different in BENIGN for one in _benign(different, part, shift)),
        *(_several(part, number, shift) for number in range(NUM_SEVERAL)),
    ]


def _draws(what: str, part: str, shift: int) -> tuple[int, torch.Generator]:
    seed = zlib.crc32(f"{what} {part}".encode()) % 100_000 + shift
    return seed, torch.Generator().manual_seed(seed)


def _planted(bug: Bug, part: str, shift: int) -> list[Planned]:
    """One after the other through the models that it fits, from a drawn one on; ports where there are some."""
    seed, generator = _draws(bug.name, part, shift)
    start = choose(generator, range(len(bug.fits)))
    pairs = []
    for number, wanted in enumerate(ROUNDS):
        dtype = wanted if wanted in bug.dtypes else bug.dtypes[0]
        view = bug.fits[(start + number) % len(bug.fits)]
        styles = styles_of(bug, view)
        style = choose(generator, styles[1:] or styles) if number else choose(generator, styles)
        both_narrow = dtype != "fp32" and style == SAME_CODE and choose(generator, (True, False))
        reference_dtype = dtype if both_narrow else "fp32"
        pairs.append(Planned((bug.name,), view, style, part, dtype, reference_dtype, seed + number))
    return pairs


def _decoded(bug: Bug) -> list[str]:
    """Views in which the bug can be planted into a decoder of tests/zoo/decoder."""
    return [view for view in bug.fits if set(styles_of(bug, view)) & set(DECODERS)]


def _plain(bug: Bug, part: str, shift: int) -> Planned:
    """One pair whose two sides are both strangers to every library."""
    seed, generator = _draws(f"plain {bug.name}", part, shift)
    view = choose(generator, _decoded(bug))
    style = choose(generator, [style for style in styles_of(bug, view) if style not in PORTS])
    dtype = choose(generator, [dtype for dtype in ("fp32", "bf16") if dtype in bug.dtypes])
    return Planned((bug.name,), view, style, part, dtype, "fp32", seed, plain=True)


def _benign(one: Benign, part: str, shift: int) -> list[Planned]:
    """Every model that it fits, in every style, each in a drawn dtype."""
    seed, generator = _draws(one.name, part, shift)
    pairs = []
    for view in one.fits:
        styles = [name for name in one.styles if name == SAME_CODE or fits(name, view)]
        for style in styles:
            dtype = choose(generator, one.dtypes)
            reference_dtype = "fp32" if "fp32" in one.reference_dtypes else dtype
            pairs.append(
                Planned((one.name,), view, style, part, dtype, reference_dtype, seed + len(pairs), benign=True)
            )
            if style in DECODERS:
                pairs.append(replace(pairs[-1], plain=True))
    return pairs


def _several(part: str, number: int, shift: int) -> Planned:
    """Three or four bugs of different causes; every third time in one layer."""
    seed, generator = _draws(f"several {number}", part, shift)
    dtype = ("fp32", "fp32", "bf16")[number % 3]
    view = choose(generator, [name for name in VIEWS if name != "vit"])
    style = choose(generator, (SAME_CODE, *DECODERS)) if view in DECODED else SAME_CODE
    fitting = [
        bug
        for bug in BUGS
        if view in bug.fits and style in styles_of(bug, view) and not bug.fed and not bug.config and dtype in bug.dtypes
    ]
    if dtype != "fp32":
        fitting = [bug for bug in fitting if bug.cause not in SUBTLE]
    wanted, chosen = choose(generator, (3, 4)), []
    for index in torch.randperm(len(fitting), generator=generator).tolist():
        if len(chosen) < wanted and all(_apart(fitting[index], other) for other in chosen):
            chosen.append(fitting[index])
    in_one_layer = number % 3 == 0
    seed += -seed % 3 + (0 if in_one_layer else 1)
    return Planned(tuple(bug.name for bug in chosen), view, style, part, dtype, "fp32", seed)


MASKS = ("attn.window", "attn.causal", "attn.padding_mask", "attn.mask_value", "attn.sink")


def _apart(one: Bug, other: Bug) -> bool:
    """Whether both can be seen: two in attention's core if they change different things, else different modules."""
    if one.cause == other.cause or set(one.config) & set(other.config):
        return False
    families = [bug.cause.partition(".")[0] for bug in (one, other)]
    if "attn" in one.places and "attn" in other.places:
        both_masks = one.cause in MASKS and other.cause in MASKS
        return not both_masks and families != ["rope", "rope"]
    return not set(one.places) & set(other.places)
