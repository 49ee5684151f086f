"""Which factor of attention's two products is the query, the key and the values, by the axes that they share."""

from dataclasses import dataclass

from probe.diagnose.axes import Axes, letters_of, named
from probe.replay.program import Call, Program, Value


@dataclass(frozen=True)
class Operand:
    """One factor of a product."""

    position: int
    """Among the call's arguments."""
    value: Value
    axes: Axes


def queries_and_keys(program: Program, call: Call) -> tuple[Operand, Operand] | None:
    """Query and key, where the product ends in (..., T, S)."""
    found = letters_of(program, call)
    if found is None or len(found[2]) < 3:
        return None
    first, second, result, places = found
    heads, tokens, asked = result[-3], result[-2], result[-1]
    if tokens in second:
        first, second, places = second, first, places[::-1]
    contracted = sorted(set(first) & set(second) - set(result))
    if tokens not in first or asked not in second or len(contracted) != 1:
        return None
    known = heads if len(result) == 4 and heads in first and heads in second else ""
    query, key = (
        Operand(place, call.args[place], named(letters, token, contracted[0], known))
        for place, letters, token in zip(places, (first, second), (tokens, asked), strict=True)
    )
    return None if any(_is_weight(operand.value) for operand in (query, key)) else (query, key)


def values_of(program: Program, call: Call, softmax: Call) -> tuple[Operand, Axes] | tuple[None, None]:
    """Values, and the axes of what they are mixed into."""
    found = letters_of(program, call)
    if found is None:
        return None, None
    first, second, result, places = found
    if not any(made is softmax for made in Program(call.args[places[0]]).calls):
        first, second, places = second, first, places[::-1]
    asked = sorted(set(first) & set(second) - set(result))
    channels = sorted(set(second) - set(first))
    if len(asked) != 1 or len(channels) != 1:
        return None, None
    tokens = next(letter for letter in reversed(first) if letter != asked[0])
    known = first[-3] if len(first) == 4 and first[-3] in second and first[-3] in result else ""
    values = Operand(places[1], call.args[places[1]], named(second, asked[0], channels[0], known))
    return values, named(result, tokens, channels[0], known)


def _is_weight(value: Value) -> bool:
    return all(leaf.is_weight for leaf in Program(value).leaves)
