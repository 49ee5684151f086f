"""What a rule about gaps sees, and what it says: something that an input cannot show.

T tokens of the longest sentence, over all steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.trust.fed import tokens


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that this input cannot show."""

    what: str
    num_tokens: int | None = None
    """So many tokens would show it."""
    words: str | None = None
    """Words of `probe dump` that would, after the target; with {reference}, the reference's dump."""
    otherwise: str | None = None
    """What to do where there is no such command."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the rules look at."""

    reference: Dump
    candidate: Dump
    mapping: Mapping
    config: dict[str, Any]
    """The reference's, of its language model where it has several; empty where it has none."""
    num_tokens: int
    """T; 0 where the model was fed none."""


Rule = Callable[[Shown], Iterator[Gap]]


def shown(reference: Dump, candidate: Dump, mapping: Mapping) -> Shown:
    config = reference.attribute("config")
    config = config if isinstance(config, dict) else {}
    text = next((config[key] for key in ("text_config", "llm_config") if isinstance(config.get(key), dict)), config)
    fed_T = [ids.shape[-1] for step in reference.steps if (ids := tokens(reference, step)) is not None and ids.ndim]
    return Shown(reference, candidate, mapping, text, sum(fed_T))


def whole_number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
