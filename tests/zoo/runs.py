"""One planned pair, built and judged: what a worker process does."""

import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import torch
import transformers

from tests.zoo.judge import VISIBLE, Outcome, judge
from tests.zoo.outputs import relative
from tests.zoo.pairs import Pair
from tests.zoo.planned import Planned


def quiet() -> None:
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)


def run(one: Planned) -> Outcome:
    pair = one.build()
    with tempfile.TemporaryDirectory() as folder:
        outcome = judge(pair, one.name, one.part, Path(folder))
    hidden = [name for name in one.names if len(one.names) > 1 and is_hidden(name, one, pair)]
    return replace(outcome, trouble=f"hidden by the others: {', '.join(hidden)}") if hidden else outcome


def is_hidden(name: str, one: Planned, pair: Pair) -> bool:
    """Whether a bug changes nothing beside the others."""
    others = replace(one, names=tuple(other for other in one.names if other != name))
    alone = others.build(scope="layer", same_layer=one.same_layer)
    return relative(alone.output, pair.output) < VISIBLE
