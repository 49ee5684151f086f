"""One planned pair, built and judged: what a worker process does."""

import tempfile
import warnings
from pathlib import Path

import torch
import transformers

from tests.zoo.judge import Outcome, judge
from tests.zoo.plan import Planned


def quiet() -> None:
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)


def run(one: Planned) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        return judge(one.build(), one.name, one.part, Path(folder))
