"""py: a function of the user's that returns an nn.Module, or a module and its inputs."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from probe.errors import ProbeError
from probe.targets.foreign import message, raised_at
from probe.targets.inputs import forward_parameters
from probe.targets.target import Loaded, LoadOptions, Target, to_device


def load_py(target: Target, options: LoadOptions) -> Loaded:
    """Import the file or module and call its function. This runs the user's code."""
    where, _, name = target.place.rpartition(":")
    function = _function(where, name)
    try:
        made = function(**target.arguments)
    except ProbeError:
        raise
    except (Exception, SystemExit) as error:
        raise ProbeError(
            f"{target} raised {type(error).__name__}: {message(error)}{raised_at(error)}",
            hint="the function must return an nn.Module, or (module, inputs); --arg key=value passes it arguments",
        ) from error
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, nn.Module):
        raise ProbeError(
            f"{target} returned {type(made).__name__}, not an nn.Module", hint="return the model, or (model, inputs)"
        )
    return Loaded(to_device(model, options), _named_inputs(model, inputs, target))


def _function(where: str, name: str) -> Callable[..., Any]:
    try:
        module = _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except ProbeError:
        raise
    except (Exception, SystemExit) as error:
        run = f"python {where}" if where.endswith(".py") else f"python -c 'import {where}'"
        raise ProbeError(
            f"cannot import {where}: {type(error).__name__}: {message(error)}{raised_at(error)}",
            hint=f"see where it fails: {run}",
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise ProbeError(f"{where} has no function {name!r}", hint=f"it has {', '.join(own[:8]) or 'none'}")
    return found  # type: ignore[no-any-return]


def _import_file(path: Path) -> ModuleType:
    """The file as a module; its folder goes first on sys.path, as when it is run."""
    if not path.is_file():
        raise ProbeError(f"{path}: no such file", hint="a py: target is py:FILE.py:FUNCTION")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(path.parent))
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickles of the file look it up
    specification.loader.exec_module(module)
    return module


def _named_inputs(model: nn.Module, inputs: Any, target: Target) -> Mapping[str, Any] | None:
    """Inputs given as one tensor, a tuple or a dict, by the names of forward's parameters."""
    if inputs is None or isinstance(inputs, Mapping):
        return inputs
    given = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    names = forward_parameters(model)
    if len(given) > len(names):
        raise ProbeError(
            f"{target} returned {len(given)} inputs, but its forward takes {len(names)}",
            hint="return them as a dict, by the names of forward's parameters",
        )
    return dict(zip(names, given, strict=False))
