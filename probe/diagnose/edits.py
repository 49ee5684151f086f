"""Small changes of one call."""

from collections.abc import Callable
from typing import Any

from probe.replay.program import Edit


def constant(argument: int | str, value: Any) -> Edit:
    """The call with another value for one argument: a position, or a keyword."""

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(argument, int):
            return function(*args[:argument], value, *args[argument + 1 :], **kwargs)
        return function(*args, **{**kwargs, argument: value})

    return edit


def result(change: Callable[[Any], Any]) -> Edit:
    """The call's result, changed."""
    return lambda function, args, kwargs: change(function(*args, **kwargs))
