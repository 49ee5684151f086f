"""The signature of a target, and the key that it is made with."""

import stat
from pathlib import Path

import pytest

from probe.targets import Target, sign

TARGET = Target("py", "/models/port.py:build", {"layers": 6})


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "state" / "probe" / "key"


def test_the_key_is_made_once_and_for_its_user_alone(key: Path):
    first = sign(TARGET)
    made = key.read_bytes()
    assert len(made) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert sign(TARGET) == first
    assert key.read_bytes() == made
    assert list(key.parent.iterdir()) == [key]


def test_a_signature_is_its_target_s_and_its_key_s(key: Path):
    others = [
        Target("hf", TARGET.place, TARGET.arguments),
        Target("py", "/models/other.py:build", TARGET.arguments),
        Target("py", TARGET.place, {"layers": 7}),
        Target("py", TARGET.place, {}),
    ]
    signatures = {sign(target)["signature"] for target in (TARGET, *others)}
    key.write_bytes(bytes(32))
    signatures.add(sign(TARGET)["signature"])
    assert len(signatures) == 6
    assert {len(signature) for signature in signatures} == {64}


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)], ids=len)
def test_a_key_of_another_length_signs_nothing(content: bytes, key: Path):
    key.parent.mkdir(parents=True)
    key.write_bytes(content)
    assert sign(TARGET)["signature"] == ""


def test_where_no_key_can_be_kept_a_dump_is_unsigned(tmp_path: Path):
    (tmp_path / "state").write_text("a file where a folder should be")
    assert sign(TARGET)["signature"] == ""


def test_of_two_runs_that_make_the_key_at_once_the_second_takes_the_first_one_s(
    key: Path, monkeypatch: pytest.MonkeyPatch
):
    theirs = b"the key of the run that was first"[:32]

    def while_we_draw_ours_they_finish(length: int) -> bytes:
        key.write_bytes(theirs)
        return bytes(length)

    monkeypatch.setattr("secrets.token_bytes", while_we_draw_ours_they_finish)
    assert sign(TARGET) == sign(TARGET)
    assert sign(TARGET)["signature"] != ""
    assert key.read_bytes() == theirs
