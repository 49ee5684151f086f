"""llama.cpp runs in a process of its own: whatever ends that, the tool goes on and says what it was."""

import os
import re
from pathlib import Path

import pytest

from probe.dump import Dump
from probe.errors import ProbeError
from probe.render.listing import print_contents
from probe.targets.gguf import record
from probe.targets.inputs import InputRequest
from probe.targets.runtime import Job
from probe.targets.target import Target
from tests.converted.convert import contents, write
from tests.converted.models import tiny


def quiet(*_: object) -> None:
    """Progress that nobody follows."""


def job(path: Path, tokens: str = "3,4,5", options: dict[str, object] | None = None, **how: object) -> Job:
    target = Target("gguf", str(path), {"threads": 1} | (options or {}))
    return Job(target, InputRequest(tokens=tokens), path.with_suffix(".h5"), **how)


def written(path: Path, **keys: object) -> Path:
    """A file with some keys changed."""
    made = contents(tiny("llama"))
    made.keys |= {name.replace("__", "."): value for name, value in keys.items()}
    return write(made, path)


def no_child_is_left() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return True


def test_the_dump_is_there_and_complete_and_progress_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    told: list[str] = []
    assert record(job(written(tmp_path / "m.gguf")), lambda what, *_: told.append(what)) == []
    with Dump(tmp_path / "m.h5") as dump:
        assert dump.complete
        assert dump.environment["versions"].keys() >= {"llama.cpp", "gguf"}
        assert dump.attribute("config")["general.architecture"] == "llama"
        print_contents(dump)
    assert re.search(
        r"ran with +llama.cpp .*, (xllamacpp|llama-cpp-python) \d.*, float32, cpu, eager, weights in",
        capsys.readouterr().out,
    )
    assert told[:2] == ["reading the file", "loading the model"]
    assert "step 0: ADD l_out-2" in told


def test_an_assertion_inside_of_llama_cpp_is_told_and_what_ran_before_is_kept(tmp_path: Path):
    path = written(tmp_path / "m.gguf", attention__layer_norm_rms_epsilon=-1.0)
    with pytest.raises(
        ProbeError, match=r"was ended by SIGABRT after step 0: GET_ROWS embd: .*GGML_ASSERT\(eps >= 0"
    ) as crash:
        record(job(path), quiet)
    partial = tmp_path / "m.h5.partial"
    assert crash.value.hint == f"what ran until then is in {partial}"
    with Dump(partial) as dump:
        assert [tap.name for tap in dump.taps] == [":in.input_ids", "token_embd:in", "token_embd:out"]
    assert not (tmp_path / "m.h5").exists()
    assert no_child_is_left()


def test_what_llama_cpp_cannot_load_is_told_in_its_words(tmp_path: Path):
    path = written(tmp_path / "m.gguf", feed_forward_length=100)
    with pytest.raises(ProbeError, match=r"llama.cpp cannot load .*m.gguf: .*has wrong shape"):
        record(job(path), quiet)
    made = contents(tiny("llama"))
    made.architecture = "lama"
    with pytest.raises(ProbeError, match=r"llama.cpp cannot load .*unknown model architecture: 'lama'"):
        record(job(write(made, path)), quiet)
    assert no_child_is_left()


def test_options_that_llama_cpp_refuses_are_told_in_its_words(tmp_path: Path):
    path = written(tmp_path / "m.gguf")
    with pytest.raises(ProbeError, match="quantized V cache requires flash_attn") as refusal:
        record(job(path, options={"kv": "q8_0"}), quiet)
    assert refusal.value.hint == "leave the options of --arg away"
    assert not list(tmp_path.glob("*.h5*"))


def test_ctrl_c_ends_the_child_and_keeps_what_ran(tmp_path: Path):
    def interrupt(what: str, *_: object) -> None:
        if re.match("step 3", what):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(job(written(tmp_path / "m.gguf"), decode=200), interrupt)
    assert no_child_is_left()
    assert not (tmp_path / "m.h5").exists()
    with Dump(tmp_path / "m.h5.partial") as dump:
        assert not dump.complete
        assert dump.tap("blk.2:out", 1).shape == (1, 1, 64)
