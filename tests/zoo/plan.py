"""Which pairs the zoo has: every bug in several models, styles and dtypes, benign ones, and several bugs at once."""

from dataclasses import replace

from tests.zoo.benign import BENIGN, Benign
from tests.zoo.bug import Bug
from tests.zoo.bugs import BUGS
from tests.zoo.decoder.convert import INPUT as DECODERS
from tests.zoo.draw import choose, draws
from tests.zoo.planned import Planned
from tests.zoo.ported import PORTS, SAME_CODE, fits, styles_of
from tests.zoo.several import NUM_SEVERAL, several

ROUNDS = ("fp32", "fp32", "bf16", "fp16")
"""The candidates' dtypes in which each bug is planted, in each part."""


def planned(part: str, shift: int = 0) -> list[Planned]:
    """All pairs of a part; `shift` draws other ones."""
    return [
        *(one for bug in BUGS for one in _planted(bug, part, shift)),
        *(_plain(bug, part, shift) for bug in BUGS if _decoded(bug)),
        *(one for different in BENIGN for one in _benign(different, part, shift)),
        *(several(part, number, shift) for number in range(NUM_SEVERAL)),
    ]


def _planted(bug: Bug, part: str, shift: int) -> list[Planned]:
    """One after the other through the models that it fits, from a drawn one on; ports where there are some."""
    seed, generator = draws(bug.name, part, shift)
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
    seed, generator = draws(f"plain {bug.name}", part, shift)
    view = choose(generator, _decoded(bug))
    style = choose(generator, [style for style in styles_of(bug, view) if style not in PORTS])
    dtype = choose(generator, [dtype for dtype in ("fp32", "bf16") if dtype in bug.dtypes])
    return Planned((bug.name,), view, style, part, dtype, "fp32", seed, plain=True)


def _benign(one: Benign, part: str, shift: int) -> list[Planned]:
    """Every model that it fits, in every style, each in a drawn dtype."""
    seed, generator = draws(one.name, part, shift)
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
