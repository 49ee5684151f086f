"""Changes of attention's scores: before they are masked, without sinks, or under another mask."""

from collections.abc import Callable
from typing import Any

import torch

from probe.diagnose.axes import Change
from probe.diagnose.scores import Scores
from probe.replay.measure import MASKED
from probe.replay.program import Call, Edit, Value


def before_softmax(scores: Scores, change: Change) -> tuple[Call, Edit]:
    """Scores changed before they are masked: an edit of the first mask's call, or of what else comes next."""
    call = next(iter(scores.masks), scores.sink or scores.core.softmax)
    return call, _given(call, scores.given_to(call), change)


def without_sinks(scores: Scores) -> tuple[Call, Edit]:
    """The sinks' call with nothing to be seen in the place of the sinks."""
    assert scores.sink is not None
    keys = scores.core.of(scores.given_to(scores.sink)).shape[-1]

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        parts = [each if each.shape[-1] == keys else torch.full_like(each, float("-inf")) for each in args[0]]
        return function(parts, *args[1:], **kwargs)

    return scores.sink, edit


def remasked(scores: Scores, mask: Change) -> dict[Call, Edit]:
    """`mask` is given scores of which nothing is hidden, in the place of all masks."""
    if not scores.masks:
        return dict([before_softmax(scores, mask)])
    edits = {call: _open(scores, call) for call in scores.masks}
    last = edits[scores.masks[-1]]
    edits[scores.masks[-1]] = lambda function, args, kwargs: mask(last(function, args, kwargs))
    return edits


def _open(scores: Scores, call: Call) -> Edit:
    """A mask's call that hides nothing; what else it adds to scores stays."""
    place = call.args.index(scores.given_to(call))

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        made = function(*args, **kwargs)
        return torch.where(made < MASKED, args[place], made)

    return edit


def _given(call: Call, value: Value, change: Change) -> Edit:
    """The call with `change` of one of its arguments, which may stand in a list."""
    place = next(i for i, a in enumerate(call.args) if a is value or (isinstance(a, (tuple, list)) and value in a))
    inner = call.args[place].index(value) if call.args[place] is not value else None

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = args[place]
        if inner is None:
            given = change(given)
        else:
            given = [change(each) if index == inner else each for index, each in enumerate(given)]
        return function(*args[:place], given, *args[place + 1 :], **kwargs)

    return edit
