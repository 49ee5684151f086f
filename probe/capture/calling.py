"""Calls of torch functions that a model's own code makes: they are looked at, and answered as ever.

A call is a pseudo-child `@function` of the module whose code makes it, and what it is given and returns are taps of
that. What a module merely is (nn.Linear calls `linear`, nn.SiLU `silu`) adds nothing: such a call waits until the
module has returned, and is forgotten where all it was given and returned are the module's own input and output.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from probe.capture.attention import Attention
from probe.capture.functions import FUNCTIONS, Function, Kind, is_weight, writes
from probe.capture.hooks import Call, OnInputs, OnOutput, watching, why_not_watched
from probe.capture.modes import exchange, modes
from probe.capture.places import Places, memory, version
from probe.capture.scores import Seen
from probe.capture.structure import input_tensors, output_tensors

OnFunction = Callable[[Call, str, Iterable[Seen]], None]
"""Given the pseudo-child's call, the function's name, and tensors with their ports."""
Guard = Callable[[Callable[[], None]], None]


@dataclass(slots=True)
class _Waiting:
    """A call that may be all that its module is."""

    call: Call
    name: str
    made: Places
    tensors: list[tuple[Seen, int | None]]
    """Each with its version when the call was made."""


ASIDE = (nn.MultiheadAttention, nn.TransformerEncoder)
"""Modules that compute otherwise where any TorchFunctionMode is there; what they call cannot be seen in one anyway."""


@contextmanager
def watching_functions(
    model: nn.Module,
    on_inputs: OnInputs,
    on_output: OnOutput,
    on_function: OnFunction,
    guarded: Guard = lambda work: work(),
    beneath: Callable[[Callable[[], Call | None]], AbstractContextManager[Any]] = lambda current: nullcontext(),
) -> Iterator[Callable[[], Call | None]]:
    """`watching`, and torch functions that the model's code calls in this thread are shown to `on_function`.

    `beneath` makes a mode that answers the calls before `on_function` is shown what they returned.
    """
    calls: FunctionCalls

    def before(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with calls.looking_away():
            guarded(lambda: calls.begin(call, args, kwargs))
            return on_inputs(call, args, kwargs)

    def after(call: Call, output: Any) -> Any:
        with calls.looking_away():
            guarded(lambda: calls.end(call, output))
            return on_output(call, output)

    with watching(model, before, after) as current:
        calls = FunctionCalls(current, on_function, guarded)
        with beneath(current), calls:
            yield current


class FunctionCalls(TorchFunctionMode):
    """Within this block, `on_function` is shown the calls. `begin` and `end` are to be told of every module call."""

    def __init__(self, current: Callable[[], Call | None], on_function: OnFunction, guarded: Guard) -> None:
        """`current` says which module call is under way. All work is done within `guarded`."""
        super().__init__()
        self._current = current
        self._on_function = on_function
        self._guarded = guarded
        self._attention = Attention(self._show)
        self._given: list[tuple[Call, Places]] = []
        """Of the module calls under way, the memory of what they were given."""
        self._waiting: _Waiting | None = None
        self._counts: Counter[tuple[int, str, int, str]] = Counter()
        self._looks_away = False
        self._blurred: dict[int, bool] = {}
        """By id of a module, which lives as long as its hooks."""
        self._aside: tuple[Call, int] | None = None
        """The call during which this is no mode, and its place among modes."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self._looks_away or torch.compiler.is_compiling():
            return func(*args, **(kwargs or {}))
        function = FUNCTIONS.get(func)
        if function is None or function.kind is Kind.CARRIES:
            if self._waiting is not None and writes(func, args, kwargs or {}):
                self._guarded(self._let_go)
            result = func(*args, **(kwargs or {}))
            if function is not None and self._attention.minds(function.name):
                self._guarded(lambda: self._attention.carry(function.name, args, kwargs or {}, result))
            return result
        owner = self._current()
        if owner is None or self._is_blurred(owner.module):
            return func(*args, **(kwargs or {}))
        self._guarded(self._let_go)
        shown: list[Call | None] = [None]
        self._guarded(lambda: shown.append(self._before(owner, function, func, args, kwargs or {})))
        try:
            result = func(*args, **(kwargs or {}))
        except BaseException:
            self._waiting = None
            raise
        self._guarded(lambda: self._after(owner, function, shown[-1], args, kwargs or {}, result))
        return result

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Within this block, calls are the hooks' own."""
        before, self._looks_away = self._looks_away, True
        try:
            yield
        finally:
            self._looks_away = before

    def begin(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module is called."""
        self._let_go()
        if call.name == "":
            self._counts.clear()
        while self._given and self._given[-1][0] is not call.parent:  # calls that ended by an exception
            self._given.pop()
        self._given.append((call, memory(tensor for _, tensor in input_tensors(args, kwargs))))
        self._come_back()
        if self._aside is None and (isinstance(call.module, ASIDE) or why_not_watched(call.module)):
            self._step_aside(call)

    def end(self, call: Call, output: Any) -> None:
        """A module has returned."""
        waiting, self._waiting = self._waiting, None
        while self._given and self._given.pop()[0] is not call:
            pass
        self._come_back()
        returned = memory(tensor for _, tensor in output_tensors(output))
        if waiting is not None and not (waiting.call.parent is call and waiting.made <= returned):
            self._show_late(waiting)

    def _is_blurred(self, module: nn.Module) -> bool:
        """Whether its own calls cannot be told from those of a part that was compiled in place, which has no hooks."""
        if id(module) not in self._blurred:
            compiled = (getattr(child, "_compiled_call_impl", None) is not None for child in module.children())
            self._blurred[id(module)] = bool(why_not_watched(module)) or any(compiled)
        return self._blurred[id(module)]

    def __exit__(self, *error: Any) -> None:
        if self._aside is None:
            super().__exit__(*error)  # type: ignore[no-untyped-call]

    def _step_aside(self, call: Call) -> None:
        """Until this call has ended, calls go by unseen."""
        place = next((place for place, mode in enumerate(modes()) if mode is self), None)
        if place is not None:
            exchange(place, modes()[place + 1 :])
            self._aside = call, place

    def _come_back(self) -> None:
        """Where the call that this stepped aside for has ended."""
        if self._aside is not None and not any(call is self._aside[0] for call, _ in self._given):
            place, self._aside = self._aside[1], None
            exchange(place, [self, *modes()[place:]])

    def _before(
        self, owner: Call, function: Function, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Call | None:
        """The call as it is to be shown; None where that is left to attention."""
        if self._attention.takes(function, args, kwargs):
            return None
        call = self._numbered(owner, function.name)
        given = [Seen(port, tensor) for port, tensor in input_tensors(args, kwargs) if not is_weight(tensor)]
        known = self._given[-1][1] if self._given and self._given[-1][0] is owner else frozenset()
        if memory(seen.tensor for seen in given) <= known:
            tensors = [(seen, version(seen.tensor)) for seen in given]
            self._waiting = _Waiting(call, function.name, frozenset(), tensors)
        else:
            self._on_function(call, function.name, given)
        return call

    def _after(
        self,
        owner: Call,
        function: Function,
        shown: Call | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
    ) -> None:
        made = [Seen(port, tensor) for port, tensor in output_tensors(result)]
        if self._waiting is not None:
            self._waiting.made = memory(seen.tensor for seen in made)
            self._waiting.tensors += [(seen, version(seen.tensor)) for seen in made]
        elif shown is not None:
            self._on_function(shown, function.name, made)
        self._attention.follow(owner, function, args, kwargs, result)

    def _let_go(self) -> None:
        """What waited is no module by itself: show it."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._show_late(waiting)

    def _show_late(self, waiting: _Waiting) -> None:
        unchanged = [seen for seen, before in waiting.tensors if version(seen.tensor) == before]
        self._on_function(waiting.call, waiting.name, unchanged)

    def _show(self, owner: Call, tensors: Iterable[Seen], known: Call | None) -> Call:
        call = known or self._numbered(owner, "attention")
        self._on_function(call, "attention", tensors)
        return call

    def _numbered(self, owner: Call, function: str) -> Call:
        """The call of a pseudo-child: the first one of a function in a module call has no number."""
        key = (owner.step, owner.name, owner.number, function)
        number = self._counts[key]
        self._counts[key] += 1
        name = f"@{function}.{number}" if number else f"@{function}"
        return replace(owner, name=f"{owner.name}.{name}" if owner.name else name, parent=owner)
