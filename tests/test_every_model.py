"""Every way of recording, on every kind of model: the run stays what it is, and a planted bug is found where it is."""

import copy
import os
import signal
import time

import pytest
import torch
from torch.overrides import _get_current_function_mode_stack

import probe
from probe.errors import ProbeError
from probe.report import Verdict
from tests.capture.test_no_trace import HOOKS
from tests.tiny_decoders import ids, sound, tiny

WRONG = {
    "llama": "model.layers.1.mlp.up_proj",
    "gemma3": "model.layers.1.self_attn.v_proj",
    "gpt2": "transformer.h.1.mlp.c_fc",
    "mixtral": "model.layers.1.self_attn.o_proj",
    "whisper": "model.decoder.layers.1.fc1",
    "mamba": "backbone.layers.1.mixer.in_proj",
}
"""Where each model is planted with a bug, or stopped."""
HOWS = {
    "values": {"functional": "none"},
    "functions": {"functional": "all"},
    "sketch": {"sketch": 4},
    "statistics": {"stats_only": True},
    "tokens": {"tokens_slice": "2:7"},
    "compressed": {"compress": True},
}


def fed(name, dtype):
    tokens = ids(8, num_sentences=1)
    if name == "whisper":
        return {"input_features": sound(num_sentences=1).to(dtype), "decoder_input_ids": tokens}
    return {"input_ids": tokens}


def record(model, name, path, **how):
    with torch.no_grad(), probe.record(model, path, **how):
        return model(**fed(name, model.dtype), use_cache=False).logits


def with_wrong_weights(model, name):
    """What one module of layer 1 returns is half as much again."""
    candidate = copy.deepcopy(model)
    candidate.get_submodule(WRONG[name]).weight.data.mul_(1.5)
    return candidate


def otherwise_computed(model, name):
    """In float64, and attention as sums and products."""
    candidate = copy.deepcopy(model).double()
    if name != "mamba":
        candidate.set_attn_implementation("eager")
    if name == "mixtral":
        candidate.set_experts_implementation("eager")
    return candidate


@pytest.fixture(scope="module", params=WRONG)
def runs(request, tmp_path_factory):
    """The name, the model, its logits unwatched and watched, and a folder of dumps."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    model = tiny(name)
    with torch.no_grad():
        unwatched = model(**fed(name, model.dtype), use_cache=False).logits
    sides = {
        "reference": model,
        "wrong": with_wrong_weights(model, name),
        "honest": otherwise_computed(model, name),
    }
    watched = {
        (side, how): record(one, name, folder / f"{side}-{how}.h5", **keywords)
        for side, one in sides.items()
        for how, keywords in HOWS.items()
    }
    return name, model, unwatched, {how: watched["reference", how] for how in HOWS}, folder


def diff(folder, candidate, how):
    return probe.diff(folder / f"reference-{how}.h5", folder / f"{candidate}-{how}.h5", replay=False)


def test_the_run_is_bit_for_bit_what_it_is_unwatched(runs):
    name, model, unwatched, watched, _ = runs
    before = hooks_of(tiny(name))
    assert [how for how, logits in watched.items() if not torch.equal(logits, unwatched)] == []
    assert hooks_of(model) == before
    assert not _get_current_function_mode_stack()


@pytest.mark.parametrize("how", HOWS)
def test_a_bug_is_found_at_its_module_whatever_is_kept(runs, how):
    name, *_, folder = runs
    report = diff(folder, "wrong", how)
    assert report.verdict is Verdict.DIVERGED
    assert report.first.module == WRONG[name]


@pytest.mark.parametrize("how", HOWS)
def test_what_is_computed_otherwise_is_noise_whatever_is_kept(runs, how):
    *_, folder = runs
    report = diff(folder, "honest", how)
    assert report.verdict is Verdict.NOISE, report.first
    assert len(report.taps) > 30


def hooks_of(model):
    """How many of each kind each module has; torch and transformers hang up some themselves."""
    return [(name, hooks, len(getattr(module, hooks))) for name, module in model.named_modules() for hooks in HOOKS]


class Stopped(Exception):
    pass


def stopped_by(model, name, stop):
    """It runs as far as the module that is otherwise planted with a bug."""
    candidate = copy.deepcopy(model)
    candidate.get_submodule(WRONG[name]).register_forward_pre_hook(lambda module, given: stop())
    return candidate


def taps_before_the_stop(folder, name):
    with probe.open(folder / "reference-functions.h5") as whole:
        stop = next(number for number, tap in enumerate(whole.taps) if tap.name == f"{WRONG[name]}:in")
        return [(tap, whole.read(tap)) for tap in whole.taps[:stop]]


def wait_for_taps(partial, number):
    """The file has them some time after they ran, while the run does something else."""
    deadline, found = time.monotonic() + 60, 0
    while found < number and time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            with probe.open(partial) as dump:
                found = len(dump.taps)
        except ProbeError:
            pass  # it is not there yet, or is being written to


def assert_holds(partial, taps):
    """These taps and no others, with these values."""
    assert any(".1." in tap.module for tap, _ in taps)
    with probe.open(partial) as dump:
        assert not dump.complete
        assert dump.taps == [tap for tap, _ in taps]
        assert all((dump.read(tap) == values).all() for tap, values in taps)


def test_an_exception_in_a_layer_is_the_models_own_and_all_that_ran_before_is_in_the_file(runs, tmp_path):
    name, model, *_, folder = runs
    error = Stopped()

    def stop():
        raise error

    candidate = stopped_by(model, name, stop)
    before = hooks_of(candidate)
    with pytest.raises(Stopped) as caught:
        record(candidate, name, tmp_path / "x.h5", functional="all")
    assert caught.value is error
    assert (error.__cause__, error.__context__, getattr(error, "__notes__", [])) == (None, None, [])
    assert hooks_of(candidate) == before != hooks_of(model)
    assert not _get_current_function_mode_stack()
    assert [file.name for file in tmp_path.iterdir()] == ["x.h5.partial"]
    assert_holds(tmp_path / "x.h5.partial", taps_before_the_stop(folder, name))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_of_a_process_that_is_killed_in_a_layer_all_that_ran_before_is_in_the_file(runs, tmp_path):
    name, model, *_, folder = runs
    partial, taps = tmp_path / "x.h5.partial", taps_before_the_stop(folder, name)
    candidate = stopped_by(model, name, lambda: time.sleep(1000))
    child = os.fork()
    if not child:
        try:
            record(candidate, name, tmp_path / "x.h5", functional="all")
        finally:
            os._exit(1)
    try:
        wait_for_taps(partial, len(taps))
    finally:
        os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert_holds(partial, taps)
