"""`probe show`: a dump's run, its taps, one tap's numbers; for people and for programs."""

import json
from pathlib import Path

from probe.dump import Dump
from tests.commands.running import TINY, Refused, Run
from tests.stepwise import record_steps
from tests.tiny_decoders import ids, tiny


def test_a_dump_says_what_ran_what_it_was_fed_and_what_it_holds(faulty: Path, probe: Run):
    lines = [line.rstrip() for line in probe("show", faulty).out.splitlines()]
    assert lines[0] == f"model     {TINY}:build --arg gain=1.5"
    assert lines[1].endswith(", float32, cpu")
    assert lines[2:4] == ["fed       input_ids [1, 5] int64", "holds     24 taps, 14 weights"]
    names = [line.split()[0] for line in lines[6:]]
    assert (len(names), names[0], names[-1]) == (24, ":in.input_ids", ":out")


def test_one_tap_is_shown_with_its_statistics_and_values(reference: Path, probe: Run):
    with Dump(reference) as dump:
        values = dump["blocks.1:out"]
    text = probe("show", reference, "blocks.1:out").out
    assert "module    blocks.1: Block\ntensor    [1, 5, 16] float32\n" in text
    assert f"values    {values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}" in text


def test_json_of_a_dump_lists_every_tap_with_its_statistics(faulty: Path, probe: Run):
    shown = json.loads(probe("show", faulty, "--json").out)
    assert shown["complete"] is True
    assert shown["target"]["arguments"] == {"gain": 1.5}
    assert shown["inputs"] == {"input_ids": {"shape": [1, 5], "dtype": "int64"}}
    assert len(shown["taps"]) == 24
    assert {"name", "shape", "dtype", "statistics"} <= shown["taps"][0].keys()


def test_json_of_a_tap_has_its_first_values(reference: Path, probe: Run):
    with Dump(reference) as dump:
        values = dump["head:out"].reshape(-1)[:8].tolist()
    assert json.loads(probe("show", reference, "head:out", "--json").out)["values"] == values


def test_what_is_not_finite_is_a_word_in_json(reference: Path, probe: Run):
    words = ["--arg", "overflow=nan", "--arg", "gain=1e999", "--inputs", reference, "-o", "x.h5"]
    assert probe("dump", f"{TINY}:build", *words).code == 0
    tap = json.loads(probe("show", "x.h5", "blocks.1:out", "--json").out)
    assert tap["values"][0] == "nan"
    assert json.loads(probe("show", "x.h5", "--json").out)["target"]["arguments"]["gain"] == "inf"


def test_a_tap_that_is_not_there_is_answered_with_near_ones(reference: Path, refused: Refused):
    refusal = refused("show", reference, "blocks.1.norm:output")
    assert refusal.error == "ref.h5 has no tap 'blocks.1.norm:output' in step 0"
    assert refusal.hint == "did you mean blocks.1.norm:in, blocks.1.norm:out?"
    of_module = refused("show", reference, "blocks.1").hint  # whose modules ran between the two
    assert of_module.startswith("did you mean blocks.1:in, blocks.1:out, blocks.1.")


def test_a_tap_of_a_later_step_goes_by_the_name_that_the_list_shows(probe: Run, refused: Refused, tmp_path: Path):
    path = record_steps(tiny("llama"), tmp_path / "steps.h5", ids(7), (5, 1, 1))
    listed = next(line.split()[0] for line in probe("show", path).out.splitlines() if "/model.norm:out" in line)
    assert listed == "0/model.norm:out"
    assert "step 2, " in probe("show", path, "2/model.norm:out").out
    refusal = refused("show", path, "model.norm:out", "--step", "9")
    assert refusal.error.endswith("has no step 9")
    assert refusal.hint == "it has steps 0 to 2"
