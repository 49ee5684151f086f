"""Was each model run as one runs it to compare: whole, in eval mode, with no dropout?"""

from collections.abc import Iterator

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.report import Status, TrustCheck
from probe.tap import Tap


def recorded_whole(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    for name, dump in (("reference", reference), ("candidate", candidate)):
        if not dump.complete:
            message = (
                f"the {name}'s recording is unfinished ({dump.path}): only its first {len(dump.taps)} taps are there"
            )
            yield TrustCheck("complete", Status.WARN, message)


def same_mode(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Dropout that dropped something makes every verdict chance; train mode alone need not."""
    for name, dump in (("reference", reference), ("candidate", candidate)):
        dropped = dropout_at_work(dump)
        told = dump.environment.get("training")
        training = [str(module) for module in told if _minds(dump, module)] if isinstance(told, list) else []
        if dropped:
            message = f"dropout was on when the {name} ran: {dropped.module} does not return what it was given"
            yield TrustCheck("mode", Status.FAIL, message)
        elif training:
            which = training[0] or "the model"
            message = f"the {name} ran in train mode ({which}): dropout makes runs differ; call .eval()"
            yield TrustCheck("mode", Status.WARN, message)


def _minds(dump: Dump, module: str) -> bool:
    """Whether train mode may change what a module computes: one with code of its own, dropout or batch norm.

    A lone nn.GELU that was put in afterwards is in train mode too, and does the same in both.
    """
    kind = next((tap.module_class for tap in dump.module_taps if tap.module == module), None)
    is_container = any(tap.module.startswith(f"{module}.") or module == "" for tap in dump.module_taps)
    return kind is None or is_container or "Dropout" in kind or "BatchNorm" in kind


def dropout_at_work(dump: Dump) -> Tap | None:
    """The output of the first nn.Dropout that changed its input. Functional dropout leaves no trace."""
    given: dict[tuple[int, str, int], Tap] = {}
    for tap in dump.module_taps:
        if "Dropout" not in tap.module_class:
            continue
        call = (tap.step, tap.module, tap.call)
        if tap.port == "in":
            given[call] = tap
        elif tap.port == "out" and call in given and tap.statistics.hash != given[call].statistics.hash:
            return tap
    return None
