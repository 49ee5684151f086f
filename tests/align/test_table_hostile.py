"""Whatever a table file holds, the answer is one line that says what is wrong and what to do, and it comes soon."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.align.pairs import align
from probe.align.table import apply_table
from probe.errors import ProbeError

PAIR = b"[[pair]]\nreference = '0'\ncandidate = '0'\n"
SKIP = b"[[skip]]\nreference = '0'\n"


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("hostile") / "d.h5"
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with torch.no_grad(), probe.record(model, path):
        model(torch.ones(2, 4))
    with probe.open(path) as opened:
        yield opened


def refusal(dump, path: Path) -> ProbeError:
    with pytest.raises(ProbeError) as raised:
        apply_table(path, align(dump, dump), dump, dump)
    assert raised.value.hint
    assert "\n" not in f"{raised.value}{raised.value.hint}"
    assert len(str(raised.value)) < len(str(path)) + 500
    return raised.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "is no TOML: byte 0 is not UTF-8"),
        (b"\x00", "is no TOML: "),
        (b"a = [" + b"[" * 5000, "is no TOML: "),
        (b"a = " + b"9" * 6000, "is no TOML: "),
        (b"\xef\xbb\xbf" + PAIR, "is no TOML: "),
        (b"pair = 3", "'pair' is no list of rows"),
        (b"pair = [3]", "'pair' is no list of rows"),
        (b"[pair]\nreference = 'x'", "'pair' is no list of rows"),
        (b"[pair.pair.pair]\n", "'pair' is no list of rows"),
        (b"sizes = 3\n" + PAIR, "[sizes]: sizes is no table of names"),
        (b"[sizes]\na = -1\n" + PAIR, "the size 'a' is neither a whole number above 0 nor an expression"),
        (b"[sizes]\na = 1.5\n" + PAIR, "the size 'a' is neither"),
        (PAIR + b"candidat = 'x'", "pair 1 ('0'): unknown key 'candidat'"),
        (PAIR + b"layout = 3", "layout is no text"),
        (PAIR + b"layout = 'b t c'", "'b t c' is no einops pattern"),
        (PAIR + b"layout = 'b t -> t b'", "makes (4, 2)"),
        (PAIR + b"scale = '8'", "scale is no finite number"),
        (PAIR + b"scale = nan", "scale is no finite number"),
        (PAIR + b"scale = inf", "scale is no finite number"),
        (PAIR + b"scale = true", "scale is no finite number"),
        (PAIR + b"scale = 0", "scale is 0"),
        (PAIR + b"offset = [1]", "offset is no finite number"),
        (PAIR + b"firm = 1", "firm is neither true nor false"),
        (PAIR + b"sizes = {h = []}", "the size 'h' is neither"),
        (SKIP, "skip 1 ('0'): reason is missing"),
        (SKIP + b"reason = '  '", "reason is missing"),
        (SKIP + b"reason = 'r'\ncandidate = '0'", "unknown key 'candidate'"),
        (b"[[pair]]\nreference = '0'\ncandidate = []", "candidate is missing"),
        (b"[[pair]]\nreference = '0'\ncandidate = ['0', 3]", "candidate is missing"),
        (b"[[pair]]\nreference = ['0']\ncandidate = '0'", "reference is missing"),
        (
            b"[[pair]]\nreference = '" + b"{a,b}" * 40 + b"'\ncandidate = '" + b"{a,b}" * 40 + b"'",
            "more than 4096 rows",
        ),
        (b"[[pair]]\nreference = '" + b"{i}." * 500 + b"'\ncandidate = '0'", "is longer than 1000"),
        (b"[[pair]]\nreference = '" + b"{" * 5000 + b"'\ncandidate = '0'", "is longer than 1000"),
        (b"[[pair]]\nreference = '{i}'\ncandidate = '{i" + b"+1" * 900 + b"}'", "cannot read the braces"),
        (b"[[pair]]\nreference = '0'\ncandidate = '0[" + b"(" * 190 + b"]'", "cannot read"),
        (b"[[pair]]\nreference = '0'\ncandidate = '0[0:" + b"9*" * 90 + b"9]'", "there are no channels"),
        (b"[[pair]]\nreference = '0'\ncandidate = '0[0:" + b"1+" * 900 + b"1]'", "is longer than 200 characters"),
        (b"[[pair]]\nreference = '0'\ncandidate = '0]['", "cannot read '0]['"),
        (b"[[pair]]\nreference = '0'\ncandidate = '0[]'", "cannot read '0[]'"),
        (b"[[pair]]\nreference = '\\n\x1b'\ncandidate = '0'", "is no TOML"),
        (b'[[pair]]\nreference = "\\n\\u001b[31m"\ncandidate = "0"', "cannot read"),
        (b"# nothing but this", "is empty"),
    ],
)
def test_a_hostile_table_is_one_line_of_error(content: bytes, said: str, dump, tmp_path: Path):
    path = tmp_path / "t.toml"
    path.write_bytes(content)
    assert said in str(refusal(dump, path))


@pytest.mark.parametrize("kind", ["folder", "pipe", "missing", "huge"])
def test_what_is_no_table_file_is_refused(kind: str, dump, tmp_path: Path):
    path = tmp_path / "t.toml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "huge":
        path.write_bytes(b"#" * (5 << 20))
    said = {"folder": "Is a directory|is no file", "pipe": "is no file", "missing": "No such file", "huge": "4 MiB"}
    assert any(word in str(refusal(dump, path)) for word in said[kind].split("|"))


def test_an_honest_row_is_not_refused(dump, tmp_path: Path):
    path = tmp_path / "t.toml"
    path.write_bytes(PAIR)
    mapping = apply_table(path, align(dump, dump), dump, dump)
    assert {pair.reason for pair in mapping.pairs if pair.reference.module == "0"} == {"table"}
