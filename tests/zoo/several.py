"""Several bugs in one pair: three or four of different causes, each of which can still be seen."""

import torch

from tests.zoo.bug import Bug
from tests.zoo.bugs import BUGS
from tests.zoo.decoder.convert import INPUT as DECODERS
from tests.zoo.decoder.settings import VIEWS as DECODED
from tests.zoo.draw import choose, draws
from tests.zoo.planned import Planned
from tests.zoo.ported import SAME_CODE, styles_of
from tests.zoo.views import VIEWS

NUM_SEVERAL = 16
"""In each part."""
SUBTLE = ("norm.eps", "attn.softcap", "head.softcap", "mlp.activation", "residual.scale")
"""Not among several in a narrow dtype: whether the input can tell is measured for one bug at a time."""


def several(part: str, number: int, shift: int) -> Planned:
    """Three or four bugs of different causes; every third time in one layer."""
    seed, generator = draws(f"several {number}", part, shift)
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
