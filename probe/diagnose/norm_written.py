"""Norms that are written out: a root of a mean of squares, by which what was squared is multiplied or divided."""

from collections.abc import Iterator
from dataclasses import replace

from probe.diagnose.norm_site import TORCH, Norm, of_torch, stored
from probe.diagnose.values import ADD, CASTS, DIVIDE, MULTIPLY, SUBTRACT, Users, after, bare, places, same, users_in
from probe.replay.program import Call, Leaf, Program, Result, Value

ROOTS = {"rsqrt", "sqrt", "pow", "__pow__", "rsqrt_", "sqrt_"}
_BETWEEN = ADD | CASTS | {"clamp", "clamp_min"}
"""What may stand between a mean and its root."""
_AFTER_ROOT = ADD | {"reciprocal"}


def norms(program: Program) -> list[Norm]:
    """All norms of a program, torch's own too, in order of execution."""
    users = users_in(program)
    found: list[Norm] = []
    for call in program.calls:
        if call.name in TORCH:
            found.append(of_torch(call, program))
        elif call.name in ROOTS:
            found += (_with_weights(norm, program, users) for norm in _written_out(call, users))
    return found


def _written_out(root: Call, users: Users) -> Iterator[Norm]:
    mean = mean_below(root)
    if mean is None:
        return
    square = None if mean.name == "var" else _square(mean)
    source = square or mean
    if mean.name != "var" and square is None:
        return
    squared = source.inputs[0]
    for call, scale in _multiplied(root, users):
        given = [value for value in call.inputs if not same(value, scale)]
        if len(given) != 1 or not places(call, given[0]):
            continue
        centering = _centering(given[0])
        if same(given[0], squared) or (centering is not None and same(centering.inputs[0], squared)):
            yield Norm(call, given[0], mean, square, centering)


def _multiplied(root: Call, users: Users) -> Iterator[tuple[Call, Value]]:
    """Who multiplies with a root or divides by it, and the value that they are given of it."""
    for call in after(root, users):
        if call.name in MULTIPLY | DIVIDE:
            yield call, Result(root)
        elif call.name in _AFTER_ROOT:
            yield from ((user, Result(call)) for user in after(call, users) if user.name in MULTIPLY | DIVIDE)


def mean_below(root: Call) -> Call | None:
    """The mean or the variance that a root is taken of."""
    value = root.inputs[0] if root.inputs else None
    while isinstance(value, Result) and value.call.inputs:
        if value.call.name in ("mean", "var"):
            return value.call
        if value.call.name not in _BETWEEN:
            return None
        value = value.call.inputs[0]
    return None


def _square(mean: Call) -> Call | None:
    """What squares one value, of which the mean is taken."""
    value = bare(mean.inputs[0])
    if not isinstance(value, Result):
        return None
    call = value.call
    to_two = call.name in ("pow", "__pow__") and call.args[1:] == (2,)
    by_itself = call.name in MULTIPLY and len(call.inputs) == 2 and same(*call.inputs)
    return call if call.name == "square" or to_two or by_itself else None


def _centering(value: Value) -> Call | None:
    """x - mean(x), if that is what a value is."""
    value = bare(value)
    if not isinstance(value, Result) or value.call.name not in SUBTRACT or len(value.call.inputs) != 2:
        return None
    x, mean = value.call.inputs[0], bare(value.call.inputs[1])
    is_mean = isinstance(mean, Result) and mean.call.name == "mean" and same(mean.call.inputs[0], x)
    return value.call if is_mean and places(value.call, x) else None


def _with_weights(norm: Norm, program: Program, users: Users) -> Norm:
    """Multiplied with a weight and then added to one, as far as that follows."""
    parts: dict[str, Leaf] = {}
    uses: dict[Call, Value] = {}
    offset, last = 0.0, norm.call
    for name, kind in (("weight", MULTIPLY), ("bias", ADD)):
        following = after(last, users)
        if len(following) != 1 or following[0].name not in kind or len(following[0].inputs) != 2:
            continue
        call = following[0]
        normed, others = ([v for v in call.inputs if same(v, Result(last)) == is_it] for is_it in (True, False))
        leaf, added = stored(others[0], program) if len(normed) == 1 and places(call, normed[0]) else (None, 0.0)
        if leaf is not None:
            parts[name], uses[call], last = leaf, normed[0], call
            offset = added if name == "weight" else offset
    return replace(norm, uses=uses, parts=parts, offset=offset)
