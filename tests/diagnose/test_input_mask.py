"""input.mask: a mask that is changed on its way into the model."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Compare
from tests.diagnose.looked_up import DTYPES, finding_of, narrow
from tests.zoo.architectures import build, inputs


def padded(name: str) -> dict[str, Tensor]:
    """The second sentence begins with nine tokens that nobody is to see."""
    ids = inputs(name)["input_ids"][:1]
    mask = torch.ones(2, ids.shape[1], dtype=torch.long)
    mask[1, :9] = 0
    return {"input_ids": torch.cat([ids, ids.flip(1)]), "attention_mask": mask}


@narrow
@pytest.mark.parametrize(("change", "value"), [(torch.ones_like, "hides 0"), (lambda mask: mask.flip(1), "hides 9")])
@pytest.mark.parametrize(("name", "body"), [("llama", "model"), ("gpt2", "transformer")])
def test_a_mask_that_is_changed_on_the_way_is_named(
    compare: Compare, name: str, body: str, change: Any, value: str, dtype: str
):
    candidate = build(name)

    def changed(module: nn.Module, args: Any, kwargs: Any) -> Any:
        return args, {**kwargs, "attention_mask": change(kwargs["attention_mask"])}

    candidate.get_submodule(body).register_forward_pre_hook(changed, with_kwargs=True)
    finding = finding_of(compare, name, candidate, dtype, padded(name))
    assert (finding.cause, finding.reference_value, finding.candidate_value) == ("input.mask", "hides 9", value)
    assert "first at place 0 of sentence 1" in finding.message
    assert finding.share == pytest.approx(1.0, abs=0.05)


@narrow
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_mask_of_booleans_is_the_same_mask(compare: Compare, name: str, dtype: str):
    fed = padded(name)
    other = {**fed, "attention_mask": fed["attention_mask"].bool()}
    report = compare(build(name), build(name).to(DTYPES[dtype]), fed, candidate_inputs=other)
    assert report.findings == ()
