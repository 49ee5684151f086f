"""What an import could not know, and how to tell it."""

from collections.abc import Mapping

from probe.targets.importing.plan import Plan

PAST = "past"
"""The input that is no tensor of the model: how many tokens it held in its cache before a step."""


def notes_of(plan: Plan, has_weights: bool, num_others: int, skipped: Mapping[str, str], *, rounded: bool) -> list[str]:
    """`num_others`: files of a folder that hold no arrays; `rounded`: float32 holds nothing but bfloat16's numbers."""
    notes = []
    if num_others:
        notes.append(f"{num_others} files of other kinds were passed over")
    if plan.ordered_by not in ("--order", "their numbers"):
        notes.append(
            f"the order of execution is taken from {plan.ordered_by}: number the arrays (0003_model.norm) or give "
            "--order FILE if that is not it"
        )
    if rounded:
        notes.append(
            "all its float32 numbers are bfloat16's: if it computed in that, say --computed-in bf16, or a diff "
            "takes its rounding for errors"
        )
    if not plan.inputs:
        notes.append(
            "nothing tells what the model was fed, so that a diff cannot hold it against the reference's: "
            "--input input_ids=KEY, or keys that begin with inputs/"
        )
    steps = {key.step for key, _ in plan.taps}
    if len(steps) > 1 and not any(key.name == PAST for key, _ in plan.inputs):
        notes.append(
            f"its {len(steps)} steps count as runs of their own: step1/inputs/{PAST}, how many tokens the cache held "
            "before the step, makes them one sequence"
        )
    if not has_weights:
        notes.append("without weights a diff pairs taps by names and order: --weights FILE, or keys under weights/")
    if skipped:
        name, reason = next(iter(skipped.items()))
        notes.append(f"{len(skipped)} arrays were left out, as {name}: {reason}")
    return notes
