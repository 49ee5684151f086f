"""Hooks on every module of a model: they look, and are gone when the block ends, however it ends."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.jit._script import RecursiveScriptModule


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


OnInputs = Callable[[Call, tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]] | None]
OnOutput = Callable[[Call, Any], Any]


@contextmanager
def watching(model: nn.Module, on_inputs: OnInputs, on_output: OnOutput) -> Iterator[Callable[[], Call | None]]:
    """Within this block, every module call of `model` is shown to the two functions before and after.

    What they return, if not None, takes the place of the inputs or the output. Yields a function that says which call
    is under way. The hooks are the last in the row: they see what the module really gets and what its caller gets.
    Nothing is shown of the modules of `why_not_watched`.
    """
    stack: list[Call] = []
    counts: Counter[str] = Counter()
    num_steps = 0
    has_ended = False

    def unwind(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Right after `after`; without it where the call ended by an exception."""
        nonlocal has_ended
        if not torch.compiler.is_compiling():
            if not has_ended and any(call.module is module for call in stack):
                while stack.pop().module is not module:
                    pass
            has_ended = False

    def hooks_for(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            nonlocal num_steps
            if torch.compiler.is_compiling():
                return None
            while stack and stack[-1].recomputed and not in_backward():  # it stopped as soon as it had what it wanted
                stack.pop()
            if counts[name] and in_backward():
                stack.append(Call(module, name, counts[name] - 1, num_steps - 1, stack[-1] if stack else None, True))
                return on_inputs(stack[-1], args, kwargs)
            if name == "":
                stack.clear()
                if num_steps:
                    counts.clear()
                num_steps += 1
            call = Call(module, name, counts[name], max(num_steps - 1, 0), stack[-1] if stack else None)
            counts[name] += 1
            stack.append(call)
            return on_inputs(call, args, kwargs)

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            nonlocal has_ended
            if torch.compiler.is_compiling():
                return None
            has_ended = True
            while stack and stack[-1].module is not module:  # calls that ended by an exception which somebody caught
                stack.pop()
            return on_output(stack.pop(), output) if stack else None

        return before, after

    handles = []
    try:
        for name, module in model.named_modules():
            if isinstance(module, RecursiveScriptModule):
                continue
            before, after = hooks_for(name)
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after))
            handles.append(module.register_forward_hook(unwind, always_call=True))
        yield lambda: stack[-1] if stack else None
    finally:
        for handle in handles:
            handle.remove()


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
