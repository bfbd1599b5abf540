"""The tuning pane: values are tried, seen on the gauges, applied, undone, copied and saved."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tui.demo_state import demo_state
from tests.tui.fakes import NOW, FakeSource
from tests.tui.stage import Stage, staged
from workbench.model import events as ev
from workbench.model.options import FIELDS
from workbench.model.settings import Layers
from workbench.tui.format import bar
from workbench.tui.tuning import Tuning, code_of, stepped
from workbench.tui.widgets.tune.view import TuneView

SIZES = [(80, 24), (120, 40), (200, 60)]


def table(**live: Any) -> dict[str, dict[str, Any]]:
    """The table of options of a worker with these live changes; a pair is a value and when it falls back."""
    layers = Layers(agent_stem="support-agent")
    layers.put("code", {"max_processes": 6, "memory_limit_mb": 800.0}, "Options(...) in bot.py")
    layers.put("environment", {"close_timeout": 30.0}, "WORKBENCH_CLOSE_TIMEOUT")
    below = layers.settings().table()
    pairs = {name: given if isinstance(given, tuple) else (given, None) for name, given in live.items()}
    layers.put("live", {name: value for name, (value, _) in pairs.items()}, "live")
    found = layers.settings().table()
    for name, (_, at) in pairs.items():
        found[name]["below"] = {"value": below[name]["value"], "origin": below[name]["origin"]}
        found[name]["revert_at"] = at
    return found


def told(**live: Any) -> ev.OptionsChanged:
    return ev.OptionsChanged(at=NOW, options=table(**live))


def tuned(folder: str = "", **live: Any) -> FakeSource:
    state = demo_state()
    state.apply(told(**live))
    state.worker.folder = folder
    return FakeSource(state)


async def at(stage: Stage, name: str) -> None:
    """Put the cursor on an option."""
    view = stage.app.board_screen.query_one(TuneView)
    if stage.app.focused is not view:
        await stage.press("T")
    await stage.press("g", *("j" for _ in range(view.names.index(name))))
    assert view.option == name


def row(stage: Stage, name: str) -> str:
    return next(line for line in stage.of("#tune-view").splitlines() if f" {name} " in line)


@pytest.mark.parametrize("size", [*SIZES, (50, 20)], ids="{0[0]}x{0[1]}".format)
async def test_the_pane_shows_each_option_and_what_it_means(size: tuple[int, int]) -> None:
    async with staged(tuned(max_processes=4, job_timeout=(60.0, NOW + 581)), size=size) as stage:
        await stage.press("5", "g")
        for number, name in enumerate(FIELDS):
            await stage.press(*["j"] * (number > 0))
            assert name in stage.of("#tune-view")
            shown = " ".join(stage.of("#tune-detail").split())
            assert str(FIELDS[name].description)[:90] in shown
        await at(stage, "max_processes")
        assert row(stage, "max_processes").startswith("▌• max_processes")
        assert "4 processes" in row(stage, "max_processes")
        assert "live; without it 6 (Options(...)" in stage.of("#tune-detail")
        await at(stage, "ping_timeout")
        assert row(stage, "ping_timeout").startswith("▌  ping_timeout")
        assert "30 s" in row(stage, "ping_timeout")
        if size[0] >= 80:
            assert " now " in row(stage, "ping_timeout")
            assert "default" in row(stage, "ping_timeout")
            await stage.sees("↺ job_timeout back in 9:41")
        await at(stage, "job_timeout")
        assert "↺ 9:41 → 0" in row(stage, "job_timeout")
        assert "falls back to 0 (default) in 9:41" in stage.of("#tune-detail")


async def test_nothing_is_sent_before_it_is_applied_and_the_gauges_show_it_at_once() -> None:
    async with staged(tuned()) as stage:
        await at(stage, "load_threshold")
        before = stage.of("LoadGauge")
        assert "◇" not in before
        await stage.press("minus", "minus", "minus")
        assert "0.75 → 0.6 share" in row(stage, "load_threshold")
        assert "pending" in row(stage, "load_threshold")
        after = stage.of("LoadGauge").splitlines()[1]
        assert after.index("◇") < after.index("┃") == before.splitlines()[1].index("┃")
        await at(stage, "memory_limit_mb")
        await stage.press("plus")
        assert "800 → 850 MB" in row(stage, "memory_limit_mb")
        marks = stage.of("MemoryGauge").splitlines()[1]
        assert marks.index("┊") < marks.index("┃") < marks.index("◇")
        await stage.sees("◇ 2 pending")
        assert stage.source.asked == []
        await stage.press("a")
        await stage.asked("set_options", {"load_threshold": 0.6, "memory_limit_mb": 850.0}, None)
        await stage.sees("✓ applied: load_threshold 0.6, memory_limit_mb 850; u undoes")
        await stage.happen(told(load_threshold=0.6, memory_limit_mb=850.0))
        assert "◇" not in stage.text()
        assert "live" in row(stage, "load_threshold")


async def test_what_is_pending_is_dropped_by_escape_after_the_search() -> None:
    async with staged(tuned()) as stage:
        await at(stage, "max_processes")
        await stage.press("plus", "slash")
        await stage.type("max p")
        view = stage.app.board_screen.query_one(TuneView)
        assert view.names == ["max_processes"]
        await stage.press("enter")
        assert stage.app.focused is view
        assert "6 → 7 processes" in row(stage, "max_processes")
        await stage.press("escape")
        assert view.names == list(FIELDS)
        assert stage.app.board.tuning.pending == {"max_processes": 7}
        await stage.press("escape")
        assert stage.app.board.tuning.pending == {}
        assert "6 processes" in row(stage, "max_processes")
        assert view.display
        assert stage.app.focused is view
        await stage.press("escape")
        assert stage.app.focused is stage.table
        assert stage.source.asked == []


async def test_a_name_that_nothing_has() -> None:
    async with staged(tuned()) as stage:
        await stage.press("T", "slash")
        await stage.type("xyz")
        await stage.sees("no option has that in its name")
        await stage.press("enter", "enter", "plus", "space", "a", "u", "j", "escape")
        assert len(stage.app.board_screen.query_one(TuneView).names) == len(FIELDS)


async def test_a_value_is_typed_and_what_cannot_be_is_told_below() -> None:
    async with staged(tuned()) as stage:
        await at(stage, "max_processes")
        await stage.press("enter")
        field = stage.app.board_screen.query_one("#tune-field")
        assert (field.value, stage.app.focused) == ("6", field)  # type: ignore[attr-defined]
        await stage.press("end")  # the value is selected: what is typed takes its place
        await stage.type("x")
        await stage.press("enter")
        assert "✗ must be a whole number from 1 to 1,000 (processes), not '6x'" in stage.of("#tune-detail")
        assert stage.app.focused is field
        await stage.press("backspace")
        await stage.type("0")
        await stage.press("enter")
        assert "6 → 60 processes" in row(stage, "max_processes")
        await stage.press("enter")
        await stage.type("1")
        await stage.press("escape")
        assert stage.app.board.tuning.pending == {"max_processes": 60}
        await stage.press("enter", "backspace", "enter")
        assert stage.app.board.tuning.pending == {}, "the value in force is no change"
        await at(stage, "load_threshold")
        await stage.press("enter")
        await stage.type("inf")
        await stage.press("enter", "a")
        await stage.asked("set_options", {"load_threshold": None}, None)


async def test_switches_and_choices_flip() -> None:
    async with staged(tuned()) as stage:
        await at(stage, "load")
        await stage.press("space")
        assert "cpu → jobs" in row(stage, "load")
        await at(stage, "log_level")
        await stage.press("space")
        assert "INFO → WARNING" in row(stage, "log_level")
        await stage.press("minus", "minus")
        assert "INFO → DEBUG" in row(stage, "log_level")
        await at(stage, "max_processes")
        await stage.press("space")
        assert "has more than two values" in stage.of("#tune-detail")
        await stage.press("a")
        await stage.asked("set_options", {"load": "jobs", "log_level": "DEBUG"}, None)


async def test_a_refused_change_stays_pending_and_says_why() -> None:
    async with staged(tuned()) as stage:
        stage.source.refusal = "num_idle_processes: must be at most max_processes"
        await at(stage, "num_idle_processes")
        await stage.press("plus", "a")
        await stage.tells("must be at most max_processes")
        assert stage.app.board.tuning.pending == {"num_idle_processes": 2}
        assert "✗ num_idle_processes: must be at most max_processes" in stage.of("#tune-detail")
        assert stage.app.board.tuning.steps == []


async def test_ten_minutes_and_the_way_back() -> None:
    async with staged(tuned(job_timeout=(60.0, NOW + 100), max_processes=4)) as stage:
        await at(stage, "max_processes")
        await stage.press("plus")
        await at(stage, "num_idle_processes")
        await stage.press("plus")
        await at(stage, "job_timeout")
        await stage.press("plus", "A")
        await stage.asked("set_options", {"max_processes": 5, "num_idle_processes": 2, "job_timeout": 90.0}, 600.0)
        until = NOW + 600
        await stage.happen(told(max_processes=(5, until), num_idle_processes=(2, until), job_timeout=(90.0, until)))
        await stage.sees("↺ 3 options back in 10:00")
        await at(stage, "ping_timeout")
        await stage.press("minus", "a")
        await stage.asked("set_options", {"ping_timeout": 25.0}, None)
        await stage.happen(
            told(max_processes=(5, until), num_idle_processes=(2, until), job_timeout=(90.0, until), ping_timeout=25.0)
        )
        await stage.press("u")
        await stage.asked("take_back_options", ["ping_timeout"])
        await stage.sees("✓ undone: ping_timeout")
        await stage.press("u")
        await stage.until(lambda: len(stage.source.asked) == 6, "three requests")
        assert stage.source.asked[-3:] == [
            ("take_back_options", ["num_idle_processes"]),
            ("set_options", {"max_processes": 4}, None),
            ("set_options", {"job_timeout": 60.0}, 100.0),
        ]
        assert "u" not in stage.offered


async def test_what_is_over_already_is_not_undone_again() -> None:
    async with staged(tuned()) as stage:
        await at(stage, "max_processes")
        await stage.press("plus", "A")
        await stage.happen(told(max_processes=(7, NOW + 600)), told())
        await stage.press("u")
        await stage.sees("max_processes: the change is over already")
        assert [what[0] for what in stage.source.asked] == ["set_options"]


async def test_what_needs_a_restart_says_so_and_is_only_saved(tmp_path: Path) -> None:
    file = tmp_path / "workbench.toml"
    file.write_text("# ours\nport = 1  # p\n")
    async with staged(tuned(str(tmp_path), max_processes=(4, NOW + 60), close_timeout=5.0)) as stage:
        await at(stage, "auth_token")
        await stage.press("enter")
        await stage.type("canary-canary")
        await stage.press("enter")
        assert "a secret is neither shown nor kept here" in stage.of("#tune-detail")
        await stage.press("escape")
        await at(stage, "registry_url")
        await stage.press("enter")
        await stage.type("wss://me:canary@x.example")
        await stage.press("enter")
        assert "holds a password" in stage.of("#tune-detail")
        await stage.press("escape")
        await at(stage, "port")
        assert "cannot change while the worker runs" in stage.of("#tune-detail")
        await stage.press("plus")
        assert "a" not in stage.offered
        assert "w saves it for the next start" in stage.of("#tune-detail")
        await at(stage, "job_timeout")
        await stage.press("plus", "w")
        await stage.tells(f"wrote max_processes = 4; close_timeout = 5; port = 8131 to {file}")
        await stage.tells("stronger than the file at the next start: close_timeout by WORKBENCH_CLOSE_TIMEOUT")
        await stage.tells("in this run still for a time only: max_processes")
        await stage.tells("1 pending value not applied, and not saved")
        assert file.read_text() == "# ours\nport = 8131  # p\nmax_processes = 4\nclose_timeout = 5\n"
        assert stage.app.board.tuning.pending == {"job_timeout": 0.1}
        await at(stage, "port")
        assert "next start 8131" in row(stage, "port")
        assert stage.source.asked == []
        assert "canary" not in stage.text()


@pytest.mark.parametrize("local", [True, False])
async def test_a_file_of_another_machine_is_not_written(tmp_path: Path, local: bool) -> None:
    source = tuned(str(tmp_path / "gone") if local else str(tmp_path), max_processes=4)
    source.local = local
    async with staged(source) as stage:
        await stage.press("T", "w")
        await stage.tells("there is no folder" if local else "the file is on the worker's machine; c copies")
    assert list(tmp_path.iterdir()) == []


async def test_nothing_to_save_and_nothing_to_apply_is_said() -> None:
    async with staged(tuned("/nowhere")) as stage:
        await stage.press("T", "w")
        await stage.tells("nothing to save: no option was changed live")
        stage.source.cut(reachable=False)
        await stage.sees("stale")
        await at(stage, "max_processes")
        await stage.press("plus", "a")
        await stage.tells("not connected to a supervisor")
        assert stage.app.board.tuning.pending == {"max_processes": 7}


async def test_the_values_are_copied_as_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.tui.clipboard.native_tool", lambda: None)
    async with staged(tuned(load_threshold=math.inf)) as stage:
        stage.app.board.state.options["auth_token"].update(value="********", origin="TOKEN")
        await stage.press("T", "c")
        await stage.tells("left out, secret: auth_token")
        await stage.tells("sent 6 lines to the terminal's clipboard")
        assert stage.app.clipboard.splitlines() == [
            "Options(", "    max_processes=6,", '    load_threshold=float("inf"),', "    memory_limit_mb=800.0,",
            "    close_timeout=30.0,", ")",
        ]  # fmt: skip


async def test_another_worker_knows_nothing_of_what_was_tried() -> None:
    async with staged(tuned()) as stage:
        await at(stage, "max_processes")
        await stage.press("plus")
        stage.source.state.worker.worker_id = "w-2"
        stage.source.cut()
        await stage.until(lambda: not stage.app.board.tuning.pending, "it is forgotten")


async def test_the_keys_are_offered_only_in_the_pane() -> None:
    async with staged(tuned()) as stage:
        assert "+" not in stage.offered
        await stage.press("T")
        assert {"+", "-", "w", "c"} <= set(stage.offered)
        assert not {"a", "A", "u"} & set(stage.offered)
        await stage.press("j", "plus")
        assert {"a", "A"} <= set(stage.offered)


def test_the_first_paint_does_not_wait_for_the_model_of_the_options() -> None:
    program = "import sys, workbench.cli.tui, workbench.tui.app; print('pydantic' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


# --- without a screen ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "up", "down"),
    [(5, "processes", 6, 4), (1000, "processes", 1050, 950), (20, "jobs", 25, 19), (0.75, "share", 0.8, 0.7),
     (500.0, "MB", 550, 450), (100.0, "MB", 150, 90), (0.0, "MB", 10, -10), (1000.0, "MB", 1100, 950),
     (30.0, "s", 35, 25), (60.0, "s", 90, 55), (600.0, "s", 900, 570), (1.0, "s", 2, 0.9), (0.3, "s", 0.4, 0.2)],
)  # fmt: skip
def test_steps_are_as_big_as_makes_sense(value: float, unit: str, up: float, down: float) -> None:
    assert (stepped(value, 1, unit), stepped(value, -1, unit)) == (up, down)
    assert type(stepped(value, 1, unit)) is type(value)


def test_steps_end_where_the_range_does() -> None:
    tuning, options = Tuning(), table(num_idle_processes=0, load_threshold=0.95)
    assert not tuning.step("num_idle_processes", -1, options)
    assert tuning.error[1].startswith("must be a whole number from 0 to 1,000")
    for expected in (1.0, None, None):
        assert tuning.step("load_threshold", 1, options)
        assert tuning.pending["load_threshold"] == expected
    assert tuning.step("load_threshold", -1, options)
    assert tuning.pending == {"load_threshold": 1.0}
    tuning.step("load_threshold", -1, options)
    assert tuning.pending == {}


def test_derived_values_are_no_code_of_their_own() -> None:
    assert (
        code_of(table())[0] == "Options(\n    max_processes=6,\n    memory_limit_mb=800.0,\n    close_timeout=30.0,\n)"
    )
    layers = Layers()
    layers.put("live", {"memory_limit_mb": 100.0}, "live")
    found = layers.settings().table()
    assert found["memory_warn_mb"]["value"] == 80
    assert code_of(found) == ("Options(\n    memory_limit_mb=100.0,\n)", [])
    assert code_of(Layers().settings().table()) == ("Options()", [])


def test_a_mark_that_is_tried_stands_beside_the_one_in_force() -> None:
    def marks(*at: tuple[float, str]) -> str:
        return "".join(text for text, _ in bar(0.0, 1.0, 10, at, "good"))

    assert marks((0.5, "┃"), (0.52, "◇")) == "─────┃◇───"
    assert marks((0.55, "┃"), (0.52, "◇")) == "────◇┃────"
    assert marks((0.99, "┃"), (1.0, "◇")) == "────────◇┃"
    assert marks((0.01, "┃"), (0.005, "◇")).count("◇") == 1
