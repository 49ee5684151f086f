"""In which steps a run took its tokens, in words."""

from probe.dump import Dump
from probe.dump.joined import Span, sequences


def steps_in_words(dump: Dump) -> str:
    """`prefill of 12 tokens, 5 decoded`; "" where no step goes on from another."""
    told = [_sequence(spans) for spans in sequences(dump) if len(spans) > 1]
    if len(told) > 1:
        return f"{told[0]}; {len(told) - 1} more sequence{'s' * (len(told) > 2)} of steps"
    return told[0] if told else ""


def _sequence(spans: tuple[Span, ...]) -> str:
    sizes = [span.size for span in spans]
    num_decoded = 0
    while num_decoded < len(sizes) - 1 and sizes[-1 - num_decoded] == 1:
        num_decoded += 1
    chunks = sizes[: len(sizes) - num_decoded]
    prefill = f"prefill of {sum(chunks)} tokens" + (f" in {len(chunks)} chunks" if len(chunks) > 1 else "")
    return f"{prefill}, {num_decoded} decoded" if num_decoded else prefill
