"""Every key, pressed in the real app over the demo's dumps."""

import ast
import json
from pathlib import Path

import pytest
import torch
from pressing import content, module, press, running, status
from textual.widgets import HelpPanel, Input, Static, TextArea
from torch import nn

import probe
from tui.app import ProbeApp, Subject
from tui.browser import Browser
from tui.detail import Detail
from tui.modules import ModuleList
from tui.screens.command import CommandScreen
from tui.screens.export import ExportScreen
from tui.screens.row import RowScreen
from tui.screens.weights import WeightsScreen
from tui.tabs import TABS

ATTENTION = "model.layers.{}.self_attn"
PLACES = [ATTENTION.format(0), ATTENTION.format(2), "model.layers.3.post_feedforward_layernorm", ATTENTION.format(4)]


async def test_it_opens_on_the_first_finding_and_its_cause(app):
    async with running(app) as pilot:
        assert module(app) == PLACES[0]
        assert "attn.window" in await content(pilot)
        head = str(app.query_one("#head", Static).content)
        assert "DIVERGED" in head
        assert "attn.window at model.layers.0.self_attn" in head


async def test_n_jumps_to_each_divergence_and_stops_at_the_last(app):
    async with running(app) as pilot:
        for place in PLACES[1:]:
            await press(pilot, "n")
            assert module(app) == place
        await press(pilot, "n")
        assert module(app) == PLACES[-1]
        assert "last" in status(app)


@pytest.mark.parametrize("key", ["N", "p"])
async def test_and_back_to_the_first(app, key):
    async with running(app) as pilot:
        await press(pilot, "n", "n", "n", *[key] * 3)
        assert module(app) == PLACES[0]
        await press(pilot, key)
        assert "first" in status(app)


async def test_1_is_the_first_divergence_from_anywhere(app):
    async with running(app) as pilot:
        await press(pilot, "G", "1")
        assert module(app) == PLACES[0]


@pytest.mark.parametrize(
    ("there", "back"),
    [("down", "up"), ("j", "k"), ("pagedown", "pageup"), ("ctrl+d", "ctrl+u"), ("end", "home"), ("G", "g")],
)
async def test_the_cursor_moves_and_stops_at_the_ends(app, there, back):
    async with running(app) as pilot:
        rows = app.query_one(ModuleList)
        begin = rows.cursor
        await press(pilot, there)
        assert rows.cursor > begin
        rows.cursor = 1
        await press(pilot, back)
        await press(pilot, back)
        assert rows.cursor == 0
        rows.cursor = last = len(rows.nodes) - 1
        await press(pilot, there)
        assert rows.cursor == last


async def test_slash_narrows_the_list_and_escape_clears_it(app):
    async with running(app) as pilot:
        rows = app.query_one(ModuleList)
        whole = len(rows.nodes)
        await press(pilot, "slash", *"3.mlp")
        assert {node.module.rpartition("3.mlp")[1] for node in rows.nodes if node.entries and node.depth > 3} == {
            "3.mlp"
        }
        await press(pilot, "enter")
        assert app.focused is rows
        await press(pilot, "escape")
        assert len(rows.nodes) == whole


async def test_n_puts_a_filter_away_that_hides_the_next_divergence(app):
    async with running(app) as pilot:
        await press(pilot, "slash", *"layers.0", "enter", "n")
        assert module(app) == PLACES[1]
        assert app.query_one("#filter", Input).value == ""


async def test_u_hides_what_agrees_and_shows_it_again(app):
    async with running(app) as pilot:
        rows = app.query_one(ModuleList)
        whole = len(rows.nodes)
        await press(pilot, "u")
        assert len(rows.nodes) < whole / 2
        assert {*PLACES} <= {node.module for node in rows.nodes}
        await press(pilot, "u")
        assert len(rows.nodes) == whole


async def test_h_shows_another_figure_in_every_cell(app):
    async with running(app) as pilot:
        titles = []
        for _ in range(4):
            titles.append(str(app.query_one("#legend", Static).content).partition(":")[0])
            await press(pilot, "h")
        assert titles == ["own/floor", "rel. error", "1 - cosine", "own/floor"]


async def test_s_sorts_by_the_figure_and_back(app):
    async with running(app) as pilot:
        rows, figure = app.query_one(ModuleList), app.query_one(Browser).figure
        await press(pilot, "s")
        values = [node.value(figure) for node in rows.nodes]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=True)
        assert module(app) == PLACES[0]
        await press(pilot, "s")
        assert rows.nodes[0].module == ""


async def test_space_folds_what_is_inside(app):
    async with running(app) as pilot:
        rows = app.query_one(ModuleList)
        whole = len(rows.nodes)
        await press(pilot, "space")
        assert len(rows.nodes) < whole
        assert not any(node.module.startswith(PLACES[0] + ".") for node in rows.nodes)
        await press(pilot, "space")
        assert len(rows.nodes) == whole


async def test_left_and_right_go_through_the_taps_of_a_module(app):
    async with running(app) as pilot:
        chosen = app.query_one(Browser).scene
        await press(pilot, "right")
        other = app.query_one(Browser).scene
        assert other.node is chosen.node
        assert other.entry is not chosen.entry
        await press(pilot, "left")
        assert app.query_one(Browser).scene.entry is chosen.entry


async def test_brackets_turn_the_tabs_and_each_says_something(app):
    async with running(app) as pilot:
        told = []
        for tab in TABS:
            assert app.query_one(Detail).tab is tab
            told.append(await content(pilot))
            await press(pilot, "right_square_bracket")
        assert app.query_one(Detail).tab is TABS[0]
        await press(pilot, "left_square_bracket")
        assert app.query_one(Detail).tab is TABS[-1]
        expected = (
            "window of 17",
            "worst at",
            "heights",
            "begins at token 16",
            "48 of 4096 places",
            "came in",
            "because",
        )
        for text, words in zip(told, expected, strict=True):
            assert words in text


async def test_w_shows_the_weights(app):
    async with running(app) as pilot:
        await press(pilot, "w")
        assert isinstance(app.screen, WeightsScreen)
        await press(pilot, "escape")
        assert not isinstance(app.screen, WeightsScreen)


async def test_y_copies_the_taps_name(app):
    async with running(app) as pilot:
        await press(pilot, "y")
        assert app.clipboard == "model.layers.0.self_attn:out"


async def test_e_writes_the_picture_and_the_report_and_nothing_over_another(app, demo, tmp_path):
    async with running(app) as pilot:
        for name in ("x.svg", "x.json"):
            await press(pilot, "e")
            app.screen.query_one(Input).value = str(tmp_path / name)
            await press(pilot, "enter")
            assert "written" in status(app)
        assert "attn.window" in (tmp_path / "x.svg").read_text().replace("&#160;", " ")
        assert json.loads((tmp_path / "x.json").read_text()) == demo.report.to_dict()
        for name, complaint in (
            ("x.svg", "exists already"),
            ("x.png", "must end in .svg"),
            ("no/x.svg", "cannot write"),
        ):
            await press(pilot, "e")
            app.screen.query_one(Input).value = str(tmp_path / name)
            await press(pilot, "enter")
            assert isinstance(app.screen, ExportScreen)
            assert complaint in str(app.screen.query_one("#refused", Static).content)
            await press(pilot, "escape")


async def test_r_shows_the_commands_and_enter_runs_them(app, demo):
    async with running(app) as pilot:
        await press(pilot, "r")
        assert isinstance(app.screen, CommandScreen)
        assert "--include blocks.0.attn" in app.screen.commands[1]
        await press(pilot, "y")
        assert app.clipboard == "\n".join(app.screen.commands)
        await press(pilot, "enter")
        told = str(app.screen.query_one("#outcome", Static).content)
        assert "dumps/demo-port.full.h5" in told
        with probe.open(demo.folder / "dumps/demo-reference.full.h5") as dump:
            assert {tap.owner for tap in dump.taps} >= {ATTENTION.format(0)}
        await press(pilot, "escape")
    for name in ("reference", "port"):
        Path(f"dumps/demo-{name}.full.h5").unlink()


async def test_m_tries_a_row_on_the_data_saves_it_and_compares_again(app, demo):
    table = Path("dumps/map.toml")
    async with running(app) as pilot:
        await press(pilot, "n", "m")
        assert isinstance(app.screen, RowScreen)
        row = app.screen.query_one(TextArea)
        assert row.text == f'[[pair]]\nreference = "{PLACES[1]}:out"\ncandidate = "blocks.2.attn:out"\n'
        good = row.text
        row.text = good.replace("blocks.2", "blocks.9")
        await press(pilot, "ctrl+s")
        assert isinstance(app.screen, RowScreen), "what does not fit is not saved"
        assert "blocks.9" in str(app.screen.query_one("#trial", Static).content)
        row.text = good.replace("blocks.2", "blocks.1")
        await press(pilot)
        assert "relative error" in str(app.screen.query_one("#trial", Static).content)
        await pilot.press("ctrl+s")
        await pilot.press("w")  # a sheet that is open when the answer comes
        await press(pilot)
        await press(pilot, "escape")
        assert module(app) == PLACES[1], "where the cursor was"
        assert "compared again" in status(app)
        assert tuple(app.report.taps) != tuple(demo.report.taps)
        wrong = next(row for row in app.report.taps if row.reference == f"{PLACES[1]}:out")
        assert wrong.candidate == "blocks.1.attn:out"
    table.unlink()


async def test_question_mark_shows_the_keys_and_takes_them_away(app):
    async with running(app) as pilot:
        await press(pilot, "question_mark")
        assert app.screen.query(HelpPanel)
        await press(pilot, "question_mark")
        assert not app.screen.query(HelpPanel)


async def test_ctrl_p_opens_the_palette_which_has_every_key(app):
    async with running(app) as pilot:
        known = {command.title: command.callback for command in app.get_system_commands(app.screen)}
        assert {"Next", "Weights", "Export", "Next tap of the module"} <= known.keys()
        await known["Next tap of the module"]()
        await press(pilot)
        assert app.query_one(Browser).scene.entry.tap != "model.layers.0.self_attn:out"
        await press(pilot, "ctrl+p")
        assert type(app.screen).__name__ == "CommandPalette"
        await press(pilot, "escape")
        assert type(app.screen).__name__ != "CommandPalette"


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_q_leaves(app, key):
    async with running(app) as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert not app.is_running


async def test_enter_reads_the_tab_and_escape_goes_back(app):
    async with running(app, size=(70, 24)) as pilot:
        left, right = app.query_one("#left"), app.query_one(Detail)
        assert (left.display, right.display) == (True, False)
        await press(pilot, "enter")
        assert (left.display, right.display) == (False, True)
        assert "attn.window" in await content(pilot)
        for key in ("escape", "backspace"):
            await press(pilot, key)
            assert (left.display, right.display) == (True, False)
            await press(pilot, "enter")


async def test_the_mouse_chooses_and_opens_a_module(app):
    async with running(app) as pilot:
        await pilot.click(ModuleList, offset=(8, 2))
        await press(pilot)
        assert app.query_one(ModuleList).cursor == app.query_one(ModuleList).scroll_offset.y + 2
        await pilot.click("#numbers")
        await press(pilot)
        assert app.query_one(Detail).tab.key == "numbers"


class Doubling(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.norm, self.factor = nn.LayerNorm(4), factor

    def forward(self, x):
        return self.norm(x) * self.factor


async def test_t_goes_through_the_steps(tmp_path):
    for name, factor in (("r", 2.0), ("c", 2.5)):
        torch.manual_seed(0)
        with torch.no_grad(), probe.record(model := Doubling(factor), tmp_path / f"{name}.h5"):
            for seed in range(3):
                model(torch.full((2, 4), 1.0).cumsum(-1) * (seed + 1))
    paths = tmp_path / "r.h5", tmp_path / "c.h5"
    app = ProbeApp(Subject(*paths), probe.diff(*paths, reference=Doubling(2.0)))
    async with running(app) as pilot:
        seen = [app.query_one(Browser).scene.entry.step]
        for _ in range(3):
            await press(pilot, "t")
            seen.append(app.query_one(Browser).scene.entry.step)
        assert seen == [0, 1, 2, 0]
        assert "step 0 (1 of 3)" in str(app.query_one("#legend", Static).content)


async def test_keys_that_lead_nowhere_are_not_in_the_footer(demo):
    """Of a lone dump there is no divergence, no weight audit and no row."""
    with probe.open("dumps/demo-port.h5") as dump:
        taps = dump.taps
    app = ProbeApp(Subject(Path("dumps/demo-port.h5")), None, taps)
    async with running(app) as pilot:
        actions = {one.binding.action for one in app.screen.active_bindings.values() if one.enabled}
        assert not any(
            action.startswith(("divergence", "first", "hide", "step", "weights", "row")) for action in actions
        )
        assert "filter" in actions
        before = module(app)
        await press(pilot, "n", "1", "u", "t", "w", "m", "h")
        assert module(app) == before
        await press(pilot, "right_square_bracket")
        assert "heights" in await content(pilot)


def test_every_key_of_the_help_is_pressed_in_a_test():
    pressed = {node.value for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.Constant)}
    kinds = (ProbeApp, Browser, ModuleList, WeightsScreen, CommandScreen, RowScreen, ExportScreen)
    bound = {key for kind in kinds for binding in kind.BINDINGS for key in binding.key.split(",")}
    assert len(bound) > 25
    assert bound <= pressed
