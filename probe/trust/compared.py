"""Was anything compared, and what was not because its shape is another one? Nothing is ever broadcast."""

from collections.abc import Iterator

from probe.align.audit import audit
from probe.align.audit.verdict import Kind
from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.report import Status, TrustCheck
from probe.tap import Tap
from probe.trust.twins import is_float


def something_compared(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    outputs = [pair.reference for pair in mapping.pairs if not pair.reference.is_input]
    inner = [tap for tap in (*outputs, *mapping.reference_only, *mapping.candidate_only) if tap.module]
    if outputs and (not inner or any(tap.module for tap in outputs)):
        total = len(mapping.pairs) + len(mapping.reference_only)
        yield TrustCheck(
            "compared", Status.OK, f"{len(mapping.pairs)} of the reference's {total} taps of modules have a counterpart"
        )
    else:
        why = _weights(reference, candidate, mapping)
        yield TrustCheck(
            "compared", Status.FAIL, f"the two dumps have nothing in common: no module's output could be paired{why}"
        )


def _weights(reference: Dump, candidate: Dump, mapping: Mapping) -> str:
    """What the weights say of two runs that share nothing."""
    found = audit(reference, candidate, mapping) if reference.weights and candidate.weights else ()
    return "".join(f"; {one.message}" for one in found if one.kind == Kind.NOTHING_LOADED)


def mapping_remarks(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    for remark in mapping.remarks:
        yield TrustCheck("weights", Status.WARN, remark)


def same_tokens_tapped(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """One side has only the last token of what the other has whole: [B, 1, C] or [C] against [B, T, C].

    Such taps are not compared, and statistics of the two would not be comparable either.
    """
    for found, how in ((_one_token, "one token of what the other side has all of"), (_fewer, "fewer tokens")):
        few = [pair for pair in _left_alone(mapping) if found(*pair)]
        if few:
            mine, other = few[0]
            side = "reference" if mine.num_elements < other.num_elements else "candidate"
            more = f", and {len(few) - 1} more" if len(few) > 1 else ""
            message = f"the {side} has {how}: {_shaped(mine)} against {_shaped(other)}{more}; they are not compared"
            yield TrustCheck("tokens", Status.WARN, message)
            return


def nothing_broadcast(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Shapes that numpy would broadcast into one another, which makes an error of them that means nothing."""
    wide = [(r, c) for r, c in _left_alone(mapping) if not _one_token(r, c) and _broadcasts(r.shape, c.shape)]
    if wide:
        mine, other = wide[0]
        more = f", and {len(wide) - 1} more" if len(wide) > 1 else ""
        message = (
            f"{_shaped(mine)} is not compared with {_shaped(other)}{more}: only broadcasting would make them alike"
        )
        yield TrustCheck("shapes", Status.WARN, message)


def result_compared(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """What the model returns has other channels: without it, a wrong head would pass as identical."""
    for mine, other in _left_alone(mapping):
        if not mine.module and len(mine.shape) > 1 and mine.shape[:-1] == other.shape[:-1]:
            what = f"{_shaped(mine)} is not compared with {_shaped(other)}"
            message = f"the model's result has other channels, {what}: is a vocabulary padded?"
            yield TrustCheck("result", Status.WARN, message)
            return


def _left_alone(mapping: Mapping) -> list[tuple[Tap, Tap]]:
    """Outputs of counterparts that found no partner: a reference tap and what the candidate has at that port.

    Counterparts are modules of which other taps were paired, or that have one name.
    """
    modules = {pair.reference.module: pair.sources[0].tap.module for pair in mapping.pairs if len(pair.sources) == 1}
    theirs = {(tap.step, tap.module, tap.call, tap.port): tap for tap in mapping.candidate_only if not tap.is_input}
    by_module = {(tap.step, tap.module, tap.call): tap for tap in reversed([*theirs.values()])}
    found = []
    for tap in mapping.reference_only:
        if tap.is_input or not is_float(tap):
            continue
        module = modules.get(tap.module, tap.module)
        other = theirs.get((tap.step, module, tap.call, tap.port)) or by_module.get((tap.step, module, tap.call))
        if other and is_float(other) and other.num_elements and tap.num_elements:
            found.append((tap, other))
    return found


def _one_token(one: Tap, other: Tap) -> bool:
    """[B, 1, C], [B, C], [1, C] or [C] of [B, T, C] or [T, C]: the same channels of one token."""
    few, many = sorted((one.shape, other.shape), key=_size)
    if len(few) < 1 or len(many) < 2 or few[-1] != many[-1] or _size(few) == _size(many):
        return False
    if len(many) == 2:
        return _size(few) == few[-1]
    sentences = _size(many[:-2])
    return _size(few[:-1]) == sentences


def _fewer(one: Tap, other: Tap) -> bool:
    """[B, 7, C] of [B, 9, C]: tokens that were dropped, as speculative decoding does."""
    if len(one.shape) != len(other.shape) or len(one.shape) < 2 or one.shape[-1] != other.shape[-1]:
        return False
    unequal = [(a, b) for a, b in zip(one.shape[:-1], other.shape[:-1], strict=True) if a != b]
    return len(unequal) == 1 and 1 not in unequal[0]


def _broadcasts(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return one != other and all(a == b or 1 in (a, b) for a, b in pairs)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for axis in shape:
        size *= axis
    return size


def _shaped(tap: Tap) -> str:
    return f"{tap.name} {list(tap.shape)}"
