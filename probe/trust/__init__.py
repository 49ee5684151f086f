"""Are these two dumps comparable at all? Most days are lost to a wrong comparison, not to a wrong model.

Tables answer most of it: a hash tells which tensors are one. Values are read of few taps, and in blocks.
"""

from collections.abc import Callable, Iterator

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.errors import NotKept, ProbeError
from probe.report import Status, TrustCheck
from probe.trust.compared import (
    mapping_remarks,
    nothing_broadcast,
    result_compared,
    same_tokens_tapped,
    something_compared,
)
from probe.trust.constant import same_probabilities
from probe.trust.coverage import cannot_show
from probe.trust.environment import repeatable, same_precision
from probe.trust.head import logits_follow
from probe.trust.inputs import same_inputs
from probe.trust.layers import layers_are_chained, layers_in_order
from probe.trust.modes import recorded_whole, same_mode
from probe.trust.points import same_points
from probe.trust.prompts import prompted_well
from probe.trust.rows import sentences_in_order
from probe.trust.stale import filled, new_in_each_step, own_in_each_layer

Check = Callable[[Dump, Dump, Mapping], Iterator[TrustCheck]]

CHECKS: tuple[Check, ...] = (
    recorded_whole,
    same_inputs,
    prompted_well,
    same_mode,
    same_precision,
    repeatable,
    something_compared,
    same_tokens_tapped,
    nothing_broadcast,
    result_compared,
    layers_in_order,
    filled,
    new_in_each_step,
    own_in_each_layer,
    layers_are_chained,
    same_points,
    logits_follow,
    same_probabilities,
    sentences_in_order,
    mapping_remarks,
    cannot_show,
)
"""In the order in which a person would ask."""

NEVER_ANYWAY = "compared"
"""The check that --trust-anyway cannot pass: a verdict over nothing would read "identical"."""

HINTS = {
    "inputs": "feed the candidate what the reference was fed: probe dump TARGET --inputs REF.h5 -o CAND.h5",
    "compared": "are the weights the same ('probe diff REF CAND --weights')? Or give a mapping table: --map FILE",
    "finite": "feed the model finite numbers, and record both again; or compare all the same: --trust-anyway",
    "mode": "call .eval() on the model and record it again; or compare all the same: --trust-anyway",
    "detail": "record both with the same --sketch and --tokens-slice",
    "filled": "record tensors when the run has filled them; or compare all the same: --trust-anyway",
    "stale": "copy each tensor when it is computed; or compare all the same: --trust-anyway",
    "layers": "copy each tensor when it is computed, without graph capture; or compare all the same: --trust-anyway",
}
"""By check: what to do where it fails."""


def trust(reference: Dump, candidate: Dump, mapping: Mapping) -> tuple[TrustCheck, ...]:
    """Every check that applies. Nothing that is odd on both sides alike is a reason to doubt their comparison."""
    found: list[TrustCheck] = []
    not_asked = []
    for ask in CHECKS:
        try:
            found.extend(ask(reference, candidate, mapping))
        except NotKept:
            not_asked.append(ask.__name__.replace("_", " "))
    if not_asked:
        message = f"for want of values it was not checked: {', '.join(not_asked)}"
        found.append(TrustCheck("detail", Status.WARN, message))
    return tuple(found)


def stop_at_failure(checks: tuple[TrustCheck, ...], names: str, *, anyway: bool) -> None:
    """ProbeError at the first failed check, which also says how many more failed."""
    failed = [check for check in checks if check.status is Status.FAIL and not (anyway and check.check != NEVER_ANYWAY)]
    if failed:
        more = f" (and {len(failed) - 1} more such checks failed)" if len(failed) > 1 else ""
        hint = HINTS.get(failed[0].check)
        raise ProbeError(f"{names} cannot be compared: {failed[0].message}{more}", hint=hint)
