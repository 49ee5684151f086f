"""Hooks on every module of a model: they look, and are gone when the block ends, however it ends."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import local
from typing import Any

import torch
from torch import nn
from torch.jit._script import RecursiveScriptModule
from torch.utils.hooks import RemovableHandle

from probe.capture.passing import Passing


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one module."""

    module: nn.Module
    name: str
    """Dotted path in the model; "" is the model itself."""
    number: int
    """How often this module had been called before in this step."""
    step: int
    """How often the whole model had been called before; what runs before its first call is of step 0 too."""
    parent: "Call | None"
    """The call from within which this one was made."""
    recomputed: bool = False
    """Made by a backward pass, of what had been run before: checkpointing throws away what modules return, and runs
    them once more."""


class _Step:
    """One call of the whole model."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.counts: Counter[str] = Counter()
        """How often each module was called."""


class _Thread(local):
    """What one thread is at. One in which the model was not called as a whole (a worker of its own, autograd's of a
    device) works for the latest step."""

    def __init__(self) -> None:
        self.stack: list[Call] = []
        self.step: _Step | None = None
        self.has_ended = False


OnInputs = Callable[[Call, tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]] | None]
OnOutput = Callable[[Call, Any], Any]


@contextmanager
def watching(model: nn.Module, on_inputs: OnInputs, on_output: OnOutput) -> Iterator[Callable[[], Call | None]]:
    """Within this block, every module call of `model` is shown to the two functions before and after.

    What they return, if not None, takes the place of the inputs or the output. Yields a function that says which call
    is under way. The hooks are the last in the row: they see what the module really gets and what its caller gets.
    Nothing is shown of the modules of `why_not_watched`.
    """
    ours = _Thread()
    numbers, latest = itertools.count(), _Step(0)

    def unwind(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Right after `after`; without it where the call ended by an exception."""
        if not torch.compiler.is_compiling():
            if not ours.has_ended and any(call.module is module for call in ours.stack):
                while ours.stack.pop().module is not module:
                    pass
            ours.has_ended = False

    def hooks_for(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            nonlocal latest
            if torch.compiler.is_compiling():
                return None
            stack = ours.stack
            while stack and stack[-1].recomputed and not in_backward():  # it stopped as soon as it had what it wanted
                stack.pop()
            step = ours.step or latest
            if step.counts[name] and in_backward():
                parent = stack[-1] if stack else None
                stack.append(Call(module, name, step.counts[name] - 1, step.number, parent, True))
                return on_inputs(stack[-1], args, kwargs)
            if name == "":
                stack.clear()
                if number := next(numbers):
                    latest = _Step(number)
                step = ours.step = latest
            call = Call(module, name, step.counts[name], step.number, stack[-1] if stack else None)
            step.counts[name] += 1
            stack.append(call)
            return on_inputs(call, args, kwargs)

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            if torch.compiler.is_compiling():
                return None
            ours.has_ended, stack = True, ours.stack
            while stack and stack[-1].module is not module:  # calls that ended by an exception which somebody caught
                stack.pop()
            return on_output(stack.pop(), output) if stack else None

        return before, after

    handles: list[RemovableHandle] = []
    try:
        for name, module in model.named_modules():
            if isinstance(module, RecursiveScriptModule):
                continue
            before, after = hooks_for(name)
            handles.append(module.register_forward_pre_hook(Passing(before), with_kwargs=True))
            handles.append(module.register_forward_hook(Passing(after)))
            handles.append(module.register_forward_hook(Passing(unwind), always_call=True))
        yield lambda: ours.stack[-1] if ours.stack else None
    finally:
        remove(handles)


def remove(handles: Sequence[RemovableHandle]) -> None:
    """All of them, though ctrl+c be pressed meanwhile."""
    try:
        for handle in handles:
            handle.remove()
    except BaseException:
        for handle in handles:
            handle.remove()
        raise


def in_backward() -> bool:
    """Whether autograd is running a backward pass in this thread."""
    return torch._C._current_graph_task_id() != -1


def why_not_watched(module: nn.Module) -> str | None:
    """In words, why calls of a module, or those inside it, are not shown; None where they are."""
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript runs without hooks"
    if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
        return "torch.compile leaves no module calls inside; record the model that was compiled instead"
    return None
