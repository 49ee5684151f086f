"""Attention of a module as both sides computed it: its taps, its masks, its scores and its probabilities.

B sentences, H heads, T queries, S keys. A fused kernel shows no scores: they are made of the query, key and scale that
it was given.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from probe.align.heads import Values
from probe.align.mapping import Numbers
from probe.align.opened import Opened
from probe.dump import Dump
from probe.dump.joined import spans
from probe.errors import NotKept
from probe.tap import Tap
from probe.views import Grid, attention_scores, masked, probabilities


@dataclass(frozen=True, slots=True)
class Attention:
    """Of one side. None where it is not known, or there is none."""

    masks: tuple[Numbers, ...]
    """Each [.., T, S]: boolean, True where a key is seen, or added to the scores."""
    scores: Grid | None
    """[.., T, S], as softmax was given them."""
    probabilities: Grid | None
    is_made: bool
    """Of query and key, since no scores were recorded."""


def calls(files: Opened, step: int, module: str) -> list[dict[str, Tap]]:
    """Reference taps by port, of each attention that the code of `module` computes, or that has this name itself."""
    found: dict[tuple[str, int], dict[str, Tap]] = {}
    for tap in files.dumps[0].taps:
        if tap.step == step and tap.module_class == "attention" and module in (tap.module, tap.owner):
            found.setdefault((tap.module, tap.call), {})[tap.port] = tap
    return list(found.values())


def values(files: Opened, step: int, call: Mapping[str, Tap]) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
    """Both sides' by port, in the reference's layout; what has no pair is taken as the candidate has it, if its axes
    lie as the reference's do. NotKept where nothing was kept."""
    ours: dict[str, Numbers] = {}
    theirs: dict[str, Numbers] = {}
    partner: tuple[str, int] | tuple[()] = ()
    left_out: NotKept | None = None
    for port, tap in call.items():
        both = files.tap(step, tap.name)
        if both.candidate:
            partner = both.candidate[0].module, both.candidate[0].call
        try:
            r, c = both.read()
        except NotKept as error:
            left_out = error
            continue
        ours[port] = r
        if c is not None:
            theirs[port] = c
    if left_out is not None and not any(numbers.ndim >= 2 for numbers in ours.values()):
        raise left_out
    candidate = files.dumps[-1]
    alone = {
        tap.port: tap
        for tap in (candidate.taps if partner else ())
        if (tap.step, tap.module, tap.call) == (step, *partner)
    }
    is_alike = "in.query" in call and "in.query" in alone and alone["in.query"].shape == call["in.query"].shape
    for port in alone.keys() - theirs.keys():
        tap = alone[port]
        if (is_alike or all(size == 1 for size in tap.shape[:-2])) and candidate.has_values(tap):
            theirs[port] = candidate.read(tap)
    for side, dump in zip((ours, theirs), files.dumps, strict=False):
        side |= _there_yet(side, dump, step)
    return ours, theirs


def _there_yet(given: Values, dump: Dump, step: int) -> dict[str, Numbers]:
    """Of steps that go on from each other, read as one: the keys that were there when a query was computed, as a mask.
    A kernel that is given one query and all keys so far needs no other."""
    followed = spans(dump).get(step, ())
    sizes = {given[port].shape[-2] for port in ("in.query", "in.key") if port in given}
    if not followed or sizes != {followed[-1].stop}:
        return {}
    stops = np.repeat([span.stop for span in followed], [span.size for span in followed])
    return {"in.mask.steps": np.arange(followed[-1].stop) < stops[:, None]}


def scores(given: Values) -> Grid | None:
    """Before any mask: of query, key and scale. None where they are not there, or lie in axes of their own."""
    if not {"in.query", "in.key", "in.scale"} <= given.keys():
        return None
    try:
        return attention_scores(given["in.query"], given["in.key"], float(given["in.scale"]))
    except ValueError:
        return None


def attention(given: Values) -> Attention:
    """What one side recorded, and what follows from it."""
    masks = tuple(given[port] for port in sorted(given) if port.startswith("in.mask"))
    made, is_made = given.get("out.scores"), "out.scores" not in given
    if made is None and (made := scores(given)) is not None:
        cap = float(given["in.softcap"]) if "in.softcap" in given else 0.0
        made = cap * np.tanh(made / cap) if cap else made
    if made is not None and bool(given.get("in.is_causal", np.False_)):
        masks = (*masks, np.tri(*made.shape[-2:], dtype=np.bool_))
    if is_made and made is not None:
        try:
            for mask in masks:
                made = masked(np.asarray(made, np.float64), mask)
        except ValueError:
            made = None
    wide = None if made is None else np.asarray(made, np.float64)
    if "out.probabilities" in given:
        return Attention(masks, wide, given["out.probabilities"].astype(np.float64), is_made=False)
    return Attention(masks, wide, None if wide is None else probabilities(wide), is_made)
