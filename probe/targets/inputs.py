"""What a model is fed: a prompt, token ids, random tokens, or what another dump was fed."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from probe.errors import ProbeError
from probe.targets.foreign import message
from probe.targets.recorded import recorded_sequence
from probe.targets.target import Loaded

Inputs = dict[str, Any]
"""Forward's keyword arguments; tensors, but for what a target itself adds (use_cache=False)."""
HOW_TO_WRITE_IDS = "write them as 1,2,3, a sentence a line, all of one length"


@dataclass(frozen=True, slots=True)
class InputRequest:
    """What the user asked for; at most one of the first five is set."""

    prompts: tuple[str, ...] = ()
    tokens: str | None = None
    """"1,2,3"; several sentences of equal length are separated by ";"."""
    tokens_file: Path | None = None
    """Ids separated by commas or white space, a sentence a line; or JSON."""
    num_random_tokens: int | None = None
    dump: Path | None = None
    """Another run's dump: the same inputs again, of all its steps that go on from the first."""
    seed: int = 0
    pad_left: bool = False
    """Prompts of several lengths are filled up in front, so that each ends where its next token will stand."""


def inputs_for(loaded: Loaded, request: InputRequest) -> tuple[Inputs, list[str]]:
    """Forward's keyword arguments, and notes on what was left out. ProbeError where the model cannot be fed so."""
    model = loaded.model
    notes: list[str] = []
    if request.dump is not None:
        fed, notes = _from_dump(model, request.dump)
    elif request.prompts:
        if loaded.encode is None:
            raise ProbeError(
                "--prompt needs a tokenizer, and only an hf: target has one", hint="use --tokens or --inputs"
            )
        accepted = forward_parameters(model)
        fed = {
            name: torch.tensor(rows)
            for name, rows in loaded.encode(request.prompts, request.pad_left).items()
            if name in accepted
        }
    elif request.tokens is not None or request.tokens_file is not None:
        fed = _with_ids(loaded, _ids(request))
    elif request.num_random_tokens is not None:
        fed = _with_ids(loaded, _random(vocabulary(model), request.num_random_tokens, request.seed))
    elif loaded.inputs is not None:
        fed = dict(loaded.inputs)
    else:
        raise ProbeError(
            "nothing to feed the model", hint="give --prompt, --tokens, --random-tokens N or --inputs REF.h5"
        )
    _check_ids(model, fed)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    on_device = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in fed.items()}
    return on_device, [*loaded.notes, *notes]


def forward_parameters(model: nn.Module) -> list[str]:
    """Names of forward's parameters; "*" stands at the end if it takes any keyword."""
    parameters = inspect.signature(model.forward).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY, p.POSITIONAL_ONLY)]
    return names + ["*"] * any(p.kind is p.VAR_KEYWORD for p in parameters)


def first_parameter(model: nn.Module) -> str:
    names = forward_parameters(model)
    if "input_ids" in names or not names or names[0] == "*":
        return "input_ids"
    return names[0]


def _with_ids(loaded: Loaded, ids: torch.Tensor) -> Inputs:
    """Whose encoder is fed something else than tokens (sound, pixels) has them in its decoder; that is the target's."""
    names = forward_parameters(loaded.model)
    if "input_ids" not in names and "decoder_input_ids" in names:
        return {**(loaded.inputs or {}), "decoder_input_ids": ids}
    return {first_parameter(loaded.model): ids}


def _from_dump(model: nn.Module, path: Path) -> tuple[Inputs, list[str]]:
    """By name where forward takes that name; token ids and pixels otherwise as its first parameter."""
    recorded = recorded_sequence(path).inputs
    accepted = forward_parameters(model)
    fed = {name: value for name, value in recorded.items() if name in accepted}
    left_over = [name for name in recorded if name not in fed]
    first = first_parameter(model)
    main = next(iter(recorded))
    if accepted and main in left_over and first not in fed:
        fed[first] = recorded[main]
        left_over.remove(main)
    if not fed:
        raise ProbeError(
            f"{path} was fed {', '.join(recorded)}, and this model's forward takes {', '.join(accepted) or 'nothing'}",
            hint="let the target's function return (module, inputs)",
        )
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    fed = {name: value.to(dtype) if value.is_floating_point() else value for name, value in fed.items()}
    return fed, [f"{name} of {path} was not passed on: forward has no such parameter" for name in left_over]


def given_ids(request: InputRequest, num_words: int | None) -> torch.Tensor:
    """Token ids [B, T] that the user wrote down, or random ones. ProbeError where there are none."""
    if request.num_random_tokens is not None:
        return _random(num_words, request.num_random_tokens, request.seed)
    if request.tokens is None and request.tokens_file is None:
        raise ProbeError("nothing to feed the model", hint="give --tokens, --random-tokens N or --inputs REF.h5")
    return _ids(request)


def _ids(request: InputRequest) -> torch.Tensor:
    text = request.tokens if request.tokens is not None else _read(request.tokens_file)
    try:
        if text.lstrip().startswith("["):
            rows: Any = json.loads(text)
            rows = rows if rows and isinstance(rows[0], list) else [rows]
        else:
            lines = [line for line in text.replace(";", "\n").splitlines() if line.strip()]
            rows = [[int(word) for word in line.replace(",", " ").split()] for line in lines]
        ids = torch.tensor(rows)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ProbeError(f"these are no token ids: {message(error)}", hint=HOW_TO_WRITE_IDS) from None
    if ids.numel() and (ids.dim() != 2 or ids.dtype != torch.long):
        raise ProbeError("these are no token ids: rows of whole numbers are needed", hint=HOW_TO_WRITE_IDS)
    return ids


def _read(path: Path | None) -> str:
    assert path is not None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProbeError(f"cannot read {path}: {error}", hint="a text file of token ids is needed") from None


def _random(num_words: int | None, count: int, seed: int) -> torch.Tensor:
    if count < 1:
        raise ProbeError(f"--random-tokens {count}: at least 1 is needed", hint="--random-tokens 64")
    if num_words is None:
        raise ProbeError("--random-tokens: this model has no embedding that tells its vocabulary", hint="use --tokens")
    return torch.randint(0, num_words, (1, count), generator=torch.Generator().manual_seed(seed))


def vocabulary(model: nn.Module) -> int | None:
    """Rows of the token embedding: what the model names as its input embeddings, else its longest nn.Embedding."""
    getter = getattr(model, "get_input_embeddings", None)
    try:
        named = getter() if getter else None
    except NotImplementedError:
        named = None
    if isinstance(named, nn.Embedding):
        return named.num_embeddings
    return max((module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)), default=None)


def _check_ids(model: nn.Module, fed: Inputs) -> None:
    """ProbeError for token ids that the model cannot look up, or where there are none."""
    ids = fed.get(first_parameter(model))
    if not isinstance(ids, torch.Tensor):
        return
    if not ids.numel():
        raise ProbeError("there is not one token to feed the model", hint=HOW_TO_WRITE_IDS)
    num_words = vocabulary(model)
    if num_words is None or ids.dtype not in (torch.int64, torch.int32):
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= num_words:
        wrong = low if low < 0 else high
        raise ProbeError(
            f"token id {wrong} is outside the vocabulary of {num_words}", hint=f"ids run from 0 to {num_words - 1}"
        )
