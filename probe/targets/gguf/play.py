"""A file's run from the job to the dump."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from probe.capture.arrays import ArrayRecorder
from probe.errors import ProbeError
from probe.targets.gguf.about import environment
from probe.targets.gguf.fed import IDS, one_row, within
from probe.targets.gguf.file import ModelFile, opened
from probe.targets.gguf.graph import Graph
from probe.targets.gguf.node import Node
from probe.targets.gguf.session import KINDS, Session
from probe.targets.runtime import Job, Progress
from probe.targets.trusted import sign


def known_options() -> dict[str, Any]:
    """What stands without --arg: a run in float32, as faithful as llama.cpp has it. 0: as many as are needed."""
    threads = torch.get_num_threads()
    return {"flash": False, "kv": "f32", "repack": False, "threads": threads, "batch": 0, "context": 0}


def play(job: Job, progress: Progress) -> list[str]:
    """Run it and write the dump; notes."""
    options = job.options(known_options())
    _check(options)
    progress("reading the file", 0, 0)
    model = opened(Path(job.target.place))
    inputs, sizes, num_greedy = job.fed(model.vocabulary)
    ids, left_out = one_row(inputs)
    steps = [*within(sizes, options["batch"]), *[1] * num_greedy]
    total = len(ids) + num_greedy
    context = options["context"] or total
    if context < total:
        raise ProbeError(f"{total} tokens do not fit into a context of {context}", hint=f"--arg context={total}")
    progress("loading the model", 0, 0)
    with Session(model.path, options, context, max(steps)) as session:
        notes = left_out + _notes(model, session, total)
        with ArrayRecorder(
            job.path,
            weights=model.weights(),
            about={
                "target": sign(job.target),
                "environment": environment(model, options),
                "config": model.config,
                "stored": model.stored,
            },
            selection=job.selection,
            detail=job.detail,
            compress=job.compress,
            force=job.force,
        ) as recorder:
            session.before_it_aborts(recorder.rescue)
            _run(session, model, recorder, ids, steps, progress)
    return notes


def _run(
    session: Session,
    model: ModelFile,
    recorder: ArrayRecorder,
    ids: list[int],
    sizes: list[int],
    progress: Progress,
) -> None:
    """Step by step; where `ids` are at an end, the likeliest token follows."""
    past = 0
    for step, size in enumerate(sizes):
        tokens = ids[past : past + size]
        fed = torch.tensor([tokens])
        recorder.feed(step, {IDS: fed}, past)
        add = partial(recorder.add, step)
        add("", model.architecture, f"in.{IDS}", fed)
        graph = Graph(model.names, size, past, add)

        def computed(node: Node, graph: Graph = graph, step: int = step) -> None:
            progress(f"step {step}: {node.op} {node.name}", recorder.num_taps, 0)
            graph.tell(node)

        session.run(tokens, past, computed)
        past += size
        if graph.logits is not None:
            add("", model.architecture, "out.logits", graph.logits)
            if past >= len(ids):
                ids = [*ids, int(graph.logits[0, -1].argmax())]


def _check(options: dict[str, Any]) -> None:
    if options["kv"] not in KINDS:
        raise ProbeError(f"--arg kv={options['kv']} is no type of keys and values", hint=f"one of {', '.join(KINDS)}")
    for name in ("threads", "batch", "context"):
        if options[name] < (name == "threads"):
            raise ProbeError(f"--arg {name}={options[name]}: a positive number is needed")


def _notes(model: ModelFile, session: Session, total: int) -> list[str]:
    trained, unread, notes = session.trained_context, model.unread, []
    if total > trained:
        notes.append(f"{total} tokens, and {model.path.name} says that it was trained on {trained} at most")
    if unread:
        notes.append(f"{len(unread)} weights, as {unread[0]}, are of types that the gguf package cannot read")
    return notes
