"""Candidates that look something up otherwise, and the one finding that each must give."""

from typing import Any

import pytest
import torch
from torch import nn

from probe.report import Finding
from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.pairs import cast

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
WORDS = {"llama": "model.embed_tokens", "gemma3": "model.embed_tokens", "bert": "embeddings.word_embeddings"}
PLACES = {
    "gpt2": "transformer.wpe",
    "bert": "embeddings.position_embeddings",
    "whisper": "model.decoder.embed_positions",
}
narrow = pytest.mark.parametrize("dtype", DTYPES)


def finding_of(compare: Compare, name: str, candidate: nn.Module, dtype: str, fed: Any = None) -> Finding:
    fed = fed or inputs(name)
    report = compare(build(name), candidate.to(DTYPES[dtype]), fed, candidate_inputs=cast(fed, dtype))
    (finding,) = report.findings
    return finding
