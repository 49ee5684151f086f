"""--edit adds what a table lacks; of what a hand wrote, not a byte is changed."""

import tomllib

import pytest
import torch

import probe
from probe.align.mapping import Mapping
from probe.align.pairs import align
from probe.align.table.apply import pairs_of_table
from probe.align.table.edit import edited
from probe.align.table.merge import merged
from probe.align.table.read import parse_table
from probe.dump import Dump
from probe.errors import ProbeError
from tests.ports.llama import convert
from tests.ports.references import prompts, reference

HAND = """# mine
[sizes]
q   =  'num_attention_heads * head_dim'   # as in the config


[[pair]]  # by hand
  reference = "model.layers.{i}.self_attn.q_proj"
  candidate = 'layers.{i}.attention.wqkv[0:q]' # tab:\t.
[[skip]]
reason = "none"
reference = "model.layers.{i}.self_attn"
# the last word"""


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dump, Dump]:
    folder = tmp_path_factory.mktemp("edit")
    ours = reference("llama", 0)
    for model, name in ((ours, "r"), (convert(ours.state_dict(), ours.config), "c")):
        with torch.no_grad(), probe.record(model, folder / f"{name}.h5"):
            model(prompts(0, num_tokens=9))
    return probe.open(folder / "r.h5"), probe.open(folder / "c.h5")


def paired(text: str, sides: tuple[Dump, Dump]) -> set[str]:
    mapping = merged(pairs_of_table(parse_table(text, "t"), *sides), Mapping((), (), ()), *sides)
    return {pair.reference.name for pair in mapping.pairs}


@pytest.mark.parametrize("text", [HAND, HAND + "\n", HAND.replace("\n", "\r\n"), "# nothing but this\n[sizes]\n"])
def test_what_was_there_stays_byte_for_byte_and_all_is_paired(text: str, sides):
    found = edited(text, "t", *sides)
    assert found.text.startswith(text)
    assert len(found.added) > 10
    assert ("\r\n" in found.text) == ("\r\n" in text)
    assert found.text.count("\n") == found.text.count("\r\n") or "\r\n" not in text
    inferred = {pair.reference.name for pair in align(*sides).pairs if pair.reason != "the same numbers"}
    skipped = {name for name in inferred if ".self_attn:" in name} if "skip" in text else set()
    assert inferred - skipped <= paired(found.text, sides)
    assert not skipped & paired(found.text, sides)


def test_a_second_edit_finds_nothing_to_add(sides):
    once = edited(HAND, "t", *sides).text
    again = edited(once, "t", *sides)
    assert (again.text, again.added) == (once, [])


def test_what_a_hand_paired_otherwise_is_not_paired_again(sides):
    """k and v are swapped by hand; inference would say the opposite."""
    text = (
        '[[pair]]\nreference = "model.layers.{i}.self_attn.k_proj"\ncandidate = "layers.{i}.attention.wqkv[144:192]"\n'
    )
    added = edited(text, "t", *sides).added
    references = {one.row.reference for one in added}
    outputs = {name.removesuffix(":out") for name in references if not name.endswith(":in")}
    assert not any("k_proj" in name or "v_proj" in name for name in outputs)
    assert any("q_proj" in name for name in outputs)


def test_rows_for_single_layers_stand_beside_those_for_the_others(sides):
    text = '[[pair]]\nreference = "model.layers.2.self_attn.q_proj"\ncandidate = "layers.2.attention.wqkv[0:96]"\n'
    found = edited(text, "t", *sides)
    assert not pairs_of_table(parse_table(found.text, "t"), *sides).problems
    assert {f"model.layers.{i}.self_attn.q_proj:out" for i in range(4)} <= paired(found.text, sides)


def test_rows_that_are_a_list_of_inline_tables_get_their_like(sides):
    text = '# mine\npair = [\n  {reference = "lm_head", candidate = "output"},  # first\n]\n'
    found = edited(text, "t", *sides)
    assert '  {reference = "lm_head", candidate = "output"},  # first\n' in found.text
    assert found.text.startswith("# mine\n")
    rows = tomllib.loads(found.text)["pair"]
    assert rows[0] == {"reference": "lm_head", "candidate": "output"}
    assert len(rows) == 1 + len(found.added)
    assert "model.layers.3.mlp.up_proj:out" in paired(found.text, sides)


def test_a_row_put_aside_as_a_comment_is_not_added_again(sides):
    whole = edited("[sizes]\n", "t", *sides).text
    aside = whole.replace('[[pair]]\nreference = "lm_head"\ncandidate', '#[[pair]]\n#reference = "lm_head"\n#candidate')
    assert aside != whole
    assert edited(aside, "t", *sides).added == []


def test_a_table_with_a_problem_is_not_edited(sides):
    with pytest.raises(ProbeError, match=r"t, pair 1 \('nowhere'\): the reference has no module 'nowhere'"):
        edited('[[pair]]\nreference = "nowhere"\ncandidate = "output"\n', "t", *sides)
