"""A clean port is not blamed, whatever its style and dtype: no false alarm from a pair or a layout."""

import pytest
import torch

from probe.report import Verdict
from tests.conftest import Compare
from tests.ports.styles import STYLES, Style
from tests.zoo.architectures import Size


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
@pytest.mark.parametrize(("dtype", "seed"), [(torch.float32, 0), (torch.bfloat16, 1)])
def test_a_clean_port_is_not_blamed(compare: Compare, style: Style, dtype, seed):
    reference = style.reference(Size(layers=2), seed)
    inputs, port_inputs = style.fed(seed)
    cast = {name: value.to(dtype) if value.is_floating_point() else value for name, value in port_inputs.items()}
    report = compare(reference, style.candidate(reference).to(dtype), inputs, candidate_inputs=cast)
    assert report.verdict is not Verdict.DIVERGED, report.first
    assert all(one.is_honest for one in report.findings)
