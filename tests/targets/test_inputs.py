"""What a model is fed: by which parameter, on what terms, and what it is told about the rest."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import probe
from probe.errors import ProbeError
from probe.targets import InputRequest, Loaded, inputs_for


class Takes(nn.Module):
    """Looks token ids up; its table of positions comes first, and is shorter than its vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Embedding(4, 2)
        self.words = nn.Embedding(9, 2)

    def forward(self, ids: torch.Tensor, pixels: torch.Tensor | None = None) -> torch.Tensor:
        words = self.words(ids) + self.positions.weight[: ids.shape[1]]
        return words if pixels is None else words + pixels.mean()


class TakesAnything(Takes):
    def forward(self, **given: torch.Tensor) -> torch.Tensor:
        return self.words(given["input_ids"])


def fed(model: nn.Module, inputs: Any = None, **request: Any) -> tuple[dict[str, Any], list[str]]:
    return inputs_for(Loaded(model, inputs), InputRequest(**request))


def test_ids_go_to_the_first_parameter_or_to_input_ids():
    assert list(fed(Takes(), tokens="1,2")[0]) == ["ids"]
    assert list(fed(TakesAnything(), tokens="1,2")[0]) == ["input_ids"]


def test_the_vocabulary_is_the_longest_table_of_a_model_that_does_not_say():
    assert fed(Takes(), tokens="8")[0]["ids"].tolist() == [[8]]
    with pytest.raises(ProbeError, match="token id 9 is outside the vocabulary of 9"):
        fed(Takes(), tokens="9")
    assert set(fed(Takes(), num_random_tokens=200)[0]["ids"].flatten().tolist()) == set(range(9))


def test_random_tokens_need_a_table():
    with pytest.raises(ProbeError, match="no embedding that tells its vocabulary") as raised:
        fed(nn.Linear(2, 2), num_random_tokens=3)
    assert raised.value.hint == "use --tokens"


def test_what_a_target_brings_besides_tensors_is_passed_on():
    assert fed(Takes(), {"ids": torch.tensor([[1]]), "pixels": None})[0]["pixels"] is None


@pytest.fixture
def recorded() -> Path:
    """A run that was fed ids and pixels."""
    model = Takes()
    with torch.no_grad(), probe.record(model, "fed.h5"):
        model(torch.tensor([[1, 2]]), pixels=torch.ones(3))
    return Path("fed.h5")


def test_another_run_s_inputs_go_to_parameters_of_the_same_name(recorded: Path):
    inputs, notes = fed(Takes(), dump=recorded)
    assert (inputs["ids"].tolist(), inputs["pixels"].tolist()) == ([[1, 2]], [1.0, 1.0, 1.0])
    assert notes == []


def test_another_run_s_numbers_are_cast_to_the_model_s_dtype_and_its_ids_are_not(recorded: Path):
    inputs, _ = fed(Takes().to(torch.bfloat16), dump=recorded)
    assert (inputs["ids"].dtype, inputs["pixels"].dtype) == (torch.int64, torch.bfloat16)


def test_what_finds_no_parameter_is_told(recorded: Path):
    class TakesOther(Takes):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.words(tokens)

    inputs, notes = fed(TakesOther(), dump=recorded)
    assert inputs["tokens"].tolist() == [[1, 2]]
    assert notes == ["pixels of fed.h5 was not passed on: forward has no such parameter"]


def test_a_model_that_takes_nothing_of_it_is_refused(recorded: Path):
    class TakesNothing(nn.Module):
        def forward(self) -> None:
            return None

    with pytest.raises(ProbeError, match="was fed ids, pixels, and this model's forward takes nothing"):
        fed(TakesNothing(), dump=recorded)
