"""What a comparison found: all that renderers and the TUI see."""

import math
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from probe.frame import frame
from probe.shown import of_finding, of_place, of_report
from probe.words import verdict_in_words

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1


class Verdict(StrEnum):
    IDENTICAL = "identical"
    NOISE = "noise"
    DIVERGED = "diverged"


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Seen(StrEnum):
    """What two dumps hold of a pair of taps."""

    VALUES = "values"
    SKETCH = "sketch"
    """Projections: `rel_l2` is an estimate with a standard error, `max_abs` unknown."""
    STATISTICS = "statistics"
    """`rel_l2` is the least that it can be."""
    NOTHING = "nothing"
    """Sketches or statistics that cannot be laid side by side, as of a part of a fused tensor: no figure is known."""


@dataclass(frozen=True, slots=True)
class TrustCheck:
    """One reason to believe, or not to believe, that the two dumps can be compared."""

    check: str
    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class TapComparison:
    """One reference tap r beside its candidate c, brought into the reference's axes; d = c - r.

    The formulas are those of probe.metrics.Sums, over all elements of the tap.
    """

    reference: str
    """The tap's name, `module:port`."""
    candidate: str
    """Its counterpart's, with the channels that are meant: `blocks.0.wqkv:out[0:64]`."""
    step: int
    """The call of the model: 0 is the prefill."""
    shape: tuple[int, ...]
    """The reference's."""
    dtype: str
    """The candidate's."""
    max_abs: float
    """max |d|, in the tap's own unit."""
    rel_l2: float
    """||d|| / ||r||; infinite where one side alone has a NaN."""
    nmse: float
    """mean(d**2) / var(r)."""
    cosine: float
    """<r, c> / (||r|| ||c||)."""
    sqnr_db: float
    """20 log10(||r|| / ||d||), in decibels; infinite where the two are equal."""
    local_error: float | None = None
    """The error that arose since the taps before, relative to the tap's norm; None where nothing was replayed."""
    floor: float | None = None
    """What honest rounding causes there, relative to the same norm."""
    ratio: float | None = None
    """local_error / floor."""
    one_sided_nonfinite: bool = False
    """One side has a NaN or an infinity that the other has not."""
    seen: Seen = Seen.VALUES
    """What of the tensors the figures come from. A figure that it does not tell is NaN."""
    rel_l2_stderr: float | None = None
    """Standard error of `rel_l2`, where it is an estimate."""


@dataclass(frozen=True, slots=True)
class Place:
    """The first tap with an error of its own."""

    module: str
    """The reference's name of the deepest module that holds all code since the last agreeing tap."""
    tap: str
    step: int
    local_error: float
    """Relative to the tap's norm, as `floor`; the two, and `ratio`, are as in TapComparison."""
    floor: float
    ratio: float
    seen_at: str = ""
    """The first tap of a function, inside `module` and before `tap`, that differs; "" where none was recorded."""
    span: tuple[str, str] = ("", "")
    """The last tap that still agreed, "" where none did, and `tap`."""
    uncaptured: tuple[str, ...] = ()
    """What modules return inside the span and in the reference, and has no counterpart in the candidate."""

    def _repr_html_(self) -> str:
        return of_place(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and why this is believed. One bug in many layers is one finding."""

    cause: str
    """From the list in probe.diagnose.causes; "unknown" where nothing explains it."""
    module: str
    """The reference's name of the first module at fault."""
    modules: tuple[str, ...]
    span: tuple[str, str]
    """The last reference tap that still agreed and the first that did not."""
    message: str
    reference_value: float | str | None = None
    """What the reference has: an eps, a window in tokens, the name of an activation, of a weight, ..."""
    candidate_value: float | str | None = None
    """What the candidate has in its place, in the same unit."""
    error_before: float | None = None
    """Relative local error at the end of the span."""
    error_after: float | None = None
    """The same once the cause is planted into the reference."""
    coefficient: float | None = None
    """Of a cause below the rounding: how much of its effect the candidate shows; 1 is all of it, 0 none."""
    stderr: float | None = None
    """Standard error of `coefficient`."""
    share: float | None = None
    """Of the candidate's squared output error, the part that is gone once this finding is planted into the reference;
    None where that was not tried."""
    seen_at: str = ""
    """Inside the span, the first tap of a function that differs; "" where none was recorded, or a cause is named."""
    harmless: bool = False
    """Nothing that follows depends on it."""
    uncaptured: tuple[str, ...] = ()
    """What modules return inside the span and in the reference, and has no counterpart in the candidate."""

    @property
    def is_honest(self) -> bool:
        """Nobody is to blame, as for rounding of some kind: it makes no verdict."""
        is_usual = str(self.candidate_value).startswith(("int8", "int4", "fp8", "Q", "IQ"))
        return self.harmless or self.cause.startswith("precision.") or (self.cause == "linear.quantized" and is_usual)

    def __repr__(self) -> str:
        return f"Finding({self.cause!r}, {self.module!r}, {self.message!r})"

    def _repr_html_(self) -> str:
        return of_finding(self)


@dataclass(frozen=True, slots=True)
class WeightFinding:
    """What the candidate has in a weight's place; what repeats through the layers is one finding."""

    kind: str
    """From the vocabulary in probe.align.audit.verdict."""
    suspicious: bool
    """False: an honest conversion (equal, rounded, transposed, ...), or something that may be meant."""
    reference: str
    """Name of the weight, with {i} where it repeats; the candidate's name of an extra weight."""
    candidate: str
    """What stands in its place, named likewise; "" where nothing does."""
    weights: tuple[str, ...]
    """Names of all the weights meant."""
    message: str
    sqnr_db: float | None = None
    """Signal to quantization noise, where values are near and not equal: the lowest of them."""


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """The model's result, end to end: figures as in TapComparison, and of logits as in probe.metrics.LogitAgreement."""

    tap: str
    max_abs: float
    rel_l2: float
    nmse: float
    kl: float | None = None
    """KL(reference || candidate) in nats, mean over tokens; None where the output is not logits."""
    argmax_match: float | None = None
    """Share of tokens (0 to 1) with the same most likely next token."""
    top10_overlap: float | None = None
    """Share (0 to 1) of the reference's ten most likely tokens that are among the candidate's ten, mean over tokens."""


@dataclass(frozen=True, slots=True)
class Report:
    """A verdict and everything it rests on."""

    reference_path: str
    candidate_path: str
    verdict: Verdict
    """Diverged: a local error stands above its floor, or a cause that is no rounding is certain."""
    trust: tuple[TrustCheck, ...]
    """Every check of whether the comparison means anything, and how it went."""
    taps: tuple[TapComparison, ...]
    """Every compared pair, in the reference's order of execution."""
    reference_only: tuple[str, ...]
    candidate_only: tuple[str, ...]
    output: OutputComparison | None
    """None where no pair of what the models return was found."""
    first: Place | None
    """Where the candidate first does something of its own; None where it does not."""
    findings: tuple[Finding, ...]
    """In the order of execution."""
    replayed: bool
    """False: errors could not be told inherited from local, and places are approximate."""
    explained: float | None = None
    """Of the candidate's squared output error, the part that is gone once all findings are planted together."""
    notes: tuple[str, ...] = field(default=())
    """Sentences: what was not compared, what rounding hides, what may surprise."""
    skipped: tuple[tuple[str, str], ...] = field(default=())
    """Reference taps that a mapping table leaves out, and its reason for each."""
    next_commands: tuple[str, ...] = field(default=())
    """What to run to learn more, where the dumps have not kept all values."""
    weights: tuple[WeightFinding, ...] = field(default=())
    """What became of each weight, where both dumps have their tables of them."""
    unjudged: tuple[str, ...] = field(default=())
    """Taps whose error is as large as that of honestly quantized weights; no more can be told, for want of the file.
    Where nothing was replayed, the first of them: what follows inherits from it."""
    digests: tuple[str, ...] = field(default=())
    """Of both sides' recorded numbers (probe.dump.digest), by which a saved report knows its dumps."""

    @property
    def undecided(self) -> bool:
        """Nothing is seen to differ by more than rounding, but what is recorded does not show all that may differ."""
        told = (Seen.VALUES, Seen.SKETCH)
        unseen = any(tap.rel_l2 != 0 and tap.seen not in told for tap in self.taps)
        return self.verdict is Verdict.NOISE and (unseen or bool(self.unjudged))

    def __repr__(self) -> str:
        """One line, however many taps there are."""
        causes = ", ".join(finding.cause for finding in self.findings)
        found = f", {causes}" if causes else ""
        return f"Report({str(self.verdict)!r}, {verdict_in_words(self)!r}, {len(self.taps)} pairs of taps{found})"

    def _repr_html_(self) -> str:
        return of_report(self)

    def to_pandas(self) -> "pd.DataFrame":
        """A row a compared pair, in the reference's order of execution; the columns are TapComparison's fields.

        ProbeError where pandas is not installed.
        """
        return frame({one.name: [getattr(tap, one.name) for tap in self.taps] for one in fields(TapComparison)})

    def to_dict(self) -> dict[str, Any]:
        """The object that `probe diff --json` prints: schema 1, JSON types only."""
        first = asdict(self.first) if self.first else None
        output = asdict(self.output) if self.output else None
        taps = [asdict(replace(tap, shape=tuple(tap.shape))) for tap in self.taps]
        whole = {
            "schema": SCHEMA,
            "verdict": str(self.verdict),
            "trust": [asdict(check) for check in self.trust],
            "compared": {
                "pairs": len(self.taps),
                "reference_only": list(self.reference_only),
                "candidate_only": list(self.candidate_only),
                "skipped": [{"tap": tap, "reason": reason} for tap, reason in self.skipped],
            },
            "output": output,
            "first": first,
            "explained": self.explained,
            "findings": [asdict(finding) for finding in self.findings],
            "weights": [asdict(weight) for weight in self.weights],
            "taps": taps,
            "reference": self.reference_path,
            "candidate": self.candidate_path,
            "digests": list(self.digests),
            "replayed": self.replayed,
            "unjudged": list(self.unjudged),
            "notes": list(self.notes),
            "next": list(self.next_commands),
        }
        return _plain(whole)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become the strings "nan", "inf" and "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(child) for child in value]
    return value
