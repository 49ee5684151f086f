"""In whose code a model of the zoo may stand: transformers', a port's, or that of a decoder of tests/zoo/decoder."""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tests.ports.styles import STYLES
from tests.zoo.bug import Bug, Site
from tests.zoo.decoder.convert import INPUT as DECODERS
from tests.zoo.decoder.convert import convert
from tests.zoo.decoder.settings import VIEWS as DECODED
from tests.zoo.decoder.settings import from_config
from tests.zoo.views import VIEWS

SAME_CODE = "transformers"
PLAIN = "plain decoder"
PORTS = {style.name: style for style in STYLES}
FIXED = {name: {"rms_norm_eps": 1e-6} for name in PORTS if name.startswith("gemma3")}
"""What a port takes for granted."""


def fits(style: str, view: str) -> bool:
    """Whether there is a port of the view in this style."""
    if style in DECODERS:
        return view in DECODED
    return style in PORTS and PORTS[style].architecture == VIEWS[view][0]


def styles_of(bug: Bug, view: str) -> list[str]:
    """Whose code the bug can be planted in."""
    ports = [name for name in PORTS if bug.weights and fits(name, view)]
    decoders = [name for name in DECODERS if (bug.weights or bug.spec) and fits(name, view)]
    return [*([SAME_CODE] if bug.code or bug.weights else []), *ports, *decoders]


def ported(model: nn.Module, view: str, style: str, changes: Sequence[tuple[Bug, Site]] = ()) -> nn.Module:
    """A port of a transformers model, its settings changed where these sites are."""
    if style in PORTS:
        return PORTS[style].convert(model.state_dict(), model.config)
    settings = from_config(model.config, view)
    for bug, site in changes:
        if bug.scope == "model":
            settings = bug.spec(settings)
        else:
            layers = [bug.spec(s) if n in site.layers else s for n, s in enumerate(settings.layers)]
            settings = replace(settings, layers=tuple(layers))
    return convert(style, model.state_dict(), settings)


def renamings(style: str) -> dict[str, str]:
    """What a port calls its inputs, where that is not the reference's name."""
    return dict(PORTS[style].renamed) if style in PORTS else {"input_ids": DECODERS.get(style, "input_ids")}
