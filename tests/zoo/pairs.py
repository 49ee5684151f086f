"""A reference, a candidate with bugs in it, and what both are fed."""

import copy
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tests.zoo.bug import Bug, Site
from tests.zoo.draw import Inputs, choose, draw
from tests.zoo.outputs import final, of_tokens, relative
from tests.zoo.plants import num_layers
from tests.zoo.ported import FIXED, PLAIN, SAME_CODE, ported, renamings
from tests.zoo.significance import significance
from tests.zoo.views import PLAIN_DECODER, VIEWS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ENORMOUS = 0.1
"""A change of the output that no rounding hides: it is not measured against it."""


@dataclass(frozen=True)
class Pair:
    """What a user brings, and what is wrong with it."""

    bugs: tuple[Bug, ...]
    view: str
    style: str
    """Whose code the candidate is."""
    dtype: str
    """The candidate's."""
    reference: nn.Module
    candidate: nn.Module
    inputs: Inputs
    candidate_inputs: Inputs
    places: tuple[tuple[str, ...], ...]
    """Of each bug, the reference's modules where it may be found."""
    unlike: float
    """How far the clean candidate's output is from the reference's, in fp32 and relative: a port's own rounding."""
    effect: float
    """How far the candidate's output is from the clean one's: what the bugs do."""
    output: Tensor
    """The candidate's, in fp32."""
    significance: float | None
    """Of a narrow candidate, how far the bugs' own effect is above its rounding, in standard deviations."""
    may_be_quantized: bool = False
    """Whether `linear.quantized` may be said of a candidate without a bug."""


def pair(
    bug: Bug | Sequence[Bug],
    view: str,
    part: str = "seen",
    seed: int = 0,
    *,
    style: str = SAME_CODE,
    dtype: str = "fp32",
    reference_dtype: str = "fp32",
    scope: str = "",
    same_layer: bool = False,
    plain: bool = False,
) -> Pair:
    """`scope` is "layer" or "all"; by default it is drawn where the bug leaves it open.

    With `same_layer`, bugs that are each in one layer are in the same one, where they may be. With `plain`, the
    reference is no transformers model, but the same one as the plain decoder of tests/zoo/decoder.
    """
    bugs = (bug,) if isinstance(bug, Bug) else tuple(bug)
    config = {key: value for one in bugs for key, value in one.config.items()} | FIXED.get(style, {})
    drawn = draw(VIEWS[view][0], part, seed, **config)
    for one in bugs:
        if one.fed:
            drawn = replace(drawn, inputs=one.fed(drawn.inputs, drawn.generator))
    source, changed = copy.deepcopy(drawn.reference), copy.deepcopy(drawn.reference)
    sites = [_site(one, changed, view, scope, "" if same_layer else one.name, seed) for one in bugs]
    clean, candidate = source, changed
    for one, site in zip(bugs, sites, strict=True):
        plant = one.weights if style != SAME_CODE else one.code or one.weights
        assert plant or one.spec, one.name
        if plant:
            plant(site)
    if style != SAME_CODE:
        numbered = [(one, site) for one, site in zip(bugs, sites, strict=True) if one.spec and not one.weights]
        clean, candidate = ported(source, view, style), ported(changed, view, style, numbered)
    renamed = renamings(style)
    fed = {renamed.get(name, name): value for name, value in drawn.inputs.items()}
    reference = ported(drawn.reference, view, PLAIN) if plain else drawn.reference
    theirs, ours = final(clean, fed), final(reference, drawn.inputs)
    unlike = relative(of_tokens(ours, theirs, drawn.inputs), theirs)
    output = final(candidate, fed)
    effect = relative(theirs, output)
    narrow = dtype != "fp32" and effect < ENORMOUS
    strength = significance(clean, candidate, fed, DTYPES[dtype]) if narrow else None
    return Pair(
        bugs,
        view,
        style,
        dtype,
        reference.to(DTYPES[reference_dtype]),
        candidate.to(DTYPES[dtype]),
        cast(drawn.inputs, reference_dtype),
        cast(fed, dtype),
        tuple(one.where(site, style, PLAIN_DECODER if plain else None) for one, site in zip(bugs, sites, strict=True)),
        unlike,
        effect,
        output,
        strength,
    )


def cast(inputs: Inputs, dtype: str) -> Inputs:
    return {name: value.to(DTYPES[dtype]) if value.is_floating_point() else value for name, value in inputs.items()}


def _site(bug: Bug, model: nn.Module, view: str, scope: str, draws: str, seed: int) -> Site:
    """Which layers is drawn from the seed and `draws`, so that a bug stands where it is whatever others are planted."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{draws} {seed}".encode()))
    count = num_layers(Site(model, view, (), generator))
    everywhere = tuple(layer for layer in range(count) if bug.has(model.config, layer))
    open_scope = scope or choose(generator, ("layer", "all"))
    wanted = open_scope if bug.scope == "layers" else bug.scope
    layers = everywhere if wanted in ("all", "model") else (choose(generator, everywhere),)
    return Site(model, view, layers, generator)
