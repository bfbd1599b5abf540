"""Themes that can be read, signs that every terminal has, and choices that are remembered."""

import itertools
import json
import re
from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import Theme

from tests.tui.demo_state import demo_state, log_lines
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, screen_strips, staged
from workbench.tui.plain_signs import _SIGNS, plain
from workbench.tui.preferences import Preferences, load, preferences_path
from workbench.tui.theme import DARK, DEFAULTS, LIGHT, MONO, SAFE, THEMES

SOURCES = Path(__file__).parents[2] / "workbench" / "tui"
# Brettel, Viénot and Mollon's way of seeing as Machado, Oliveira and Fernandes give it (2009, severity 1.0).
SIGHTS = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}
STATES = ("success", "warning", "error")


def linear(channel: int) -> float:
    share = channel / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def luminance(color: str) -> float:
    red, green, blue = (linear(channel) for channel in Color.parse(color).rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """As WCAG 2 counts it, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def seen(color: str, sight: str) -> tuple[float, ...]:
    """Linear red, green and blue as an eye with that sight has them."""
    rgb = [linear(channel) for channel in Color.parse(color).rgb]
    return tuple(
        min(max(sum(part * value for part, value in zip(row, rgb, strict=True)), 0.0), 1.0) for row in SIGHTS[sight]
    )


def lab(rgb: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = rgb
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def apart(one: str, other: str, sight: str) -> float:
    """CIE 1976 colour difference."""
    pairs = zip(lab(seen(one, sight)), lab(seen(other, sight)), strict=True)
    return float(sum((a - b) ** 2 for a, b in pairs)) ** 0.5


def colors(theme: Theme) -> dict[str, str]:
    names = ("foreground", "accent", *STATES)
    return {**{n: str(getattr(theme, n)) for n in names}, **{n: theme.variables[n] for n in DEFAULTS}}


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_tone_can_be_read_on_every_ground(theme: Theme) -> None:
    shown = colors(theme)
    grounds = [str(theme.background), str(theme.surface), str(theme.panel)]
    for name in ("foreground", "accent", *STATES, "wb-busy", "wb-info", "wb-user", "wb-dim"):
        for ground in grounds:
            assert contrast(shown[name], ground) >= 4.5, (name, ground)


@pytest.mark.parametrize("sight", SIGHTS)
def test_the_safe_theme_tells_states_apart_for_every_eye(sight: str) -> None:
    shown = colors(SAFE)
    for one, other in itertools.combinations(STATES, 2):
        assert apart(shown[one], shown[other], sight) > 40, (one, other)
    worst = min(apart(colors(DARK)[a], colors(DARK)[b], sight) for a, b in itertools.combinations(STATES, 2))
    assert worst < min(apart(shown[a], shown[b], sight) for a, b in itertools.combinations(STATES, 2))


# --- signs -------------------------------------------------------------------------------------------


def test_every_sign_that_the_screen_draws_has_a_plain_likeness() -> None:
    for file in SOURCES.rglob("*.py"):
        if file.name != "plain_signs.py":
            assert set(re.findall(r"[^\x00-\x7f]", file.read_text())) <= set(_SIGNS), file


def test_states_stay_apart_in_plain_signs() -> None:
    states = "●○◌◐✗▲■✓◆·"
    assert len({plain(sign) for sign in states}) == len(states)


def test_plain_text_keeps_its_width() -> None:
    assert plain("naïve 日本 ✓ ok") == "na?ve ???? + ok"
    assert plain("all ASCII") == "all ASCII"


async def test_with_ascii_nothing_else_reaches_the_screen() -> None:
    async with staged(preferences=Preferences(ascii=True)) as stage:
        for keys in ("1", "2", "escape", "question_mark", "escape", "T", "escape"):
            await stage.press(keys)
            assert painted(stage).isascii()
        assert "* busy" in painted(stage)
        assert "! stalled" in painted(stage)


def painted(stage: Stage) -> str:
    """What a terminal would get, through the filters."""
    strips = stage.app.screen._compositor.render_strips()
    filters, ground = stage.app._filters, Color.parse("black")
    shown = []
    for strip in strips:
        segments = list(strip)
        for line_filter in filters:
            segments = line_filter.apply(segments, ground)
        shown.append("".join(segment.text for segment in segments))
    return "\n".join(shown)


# --- what is remembered ------------------------------------------------------------------------------


def test_a_choice_is_kept_and_what_only_a_flag_said_is_not(tmp_path: Path) -> None:
    path = preferences_path({"XDG_CONFIG_HOME": str(tmp_path)})
    assert path == tmp_path / "workbench" / "screen.json"
    first = load(path)
    assert (first.theme, first.ascii) == ("", False)
    Preferences("workbench-light", True, path).remember(theme="workbench-safe")
    assert json.loads(path.read_text()) == {"theme": "workbench-safe", "ascii": False}
    assert [file.name for file in path.parent.iterdir()] == ["screen.json"]


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", '{"theme": 7, "ascii": "yes"}', '{"later": true}'])
def test_a_file_that_cannot_be_read_counts_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "screen.json").write_text(text)
    found = load(tmp_path / "screen.json")
    assert (found.theme, found.ascii) == ("", False)


async def test_a_theme_chosen_on_the_screen_is_there_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "screen.json"
    async with staged(preferences=load(path)) as stage:
        assert stage.app.theme == DARK.name
        stage.app.theme = LIGHT.name
        await stage.settle()
        stage.app.action_toggle_ascii()
        await stage.settle()
        assert painted(stage).isascii()
    async with staged(preferences=load(path)) as stage:
        assert stage.app.theme == LIGHT.name
        assert painted(stage).isascii()
        stage.app.action_toggle_ascii()
        await stage.settle()
        assert "●" in painted(stage)


async def test_a_choice_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with staged(preferences=Preferences(path=tmp_path / "file" / "screen.json")) as stage:
        stage.app.theme = SAFE.name
        await stage.settle()
        assert any(told.startswith("not remembered: ") for told in stage.told)
        assert stage.app.theme == SAFE.name


async def test_a_theme_chosen_while_it_runs_looks_as_if_it_had_been_chosen_before() -> None:
    """Every cell, also those of panes that nothing else repaints."""
    looks = []
    for before in (DARK.name, LIGHT.name):
        source = FakeSource(demo_state(), log_lines())
        async with staged(source, preferences=Preferences(before)) as stage:
            await stage.until(lambda: len(stage.logs.store) == 120, "the logs")
            stage.app.theme = LIGHT.name
            await stage.settle()
            looks.append(screen_strips(stage.app))
    assert looks[0] == looks[1]


async def test_a_theme_of_another_version_is_no_trouble() -> None:
    async with staged(preferences=Preferences("gone")) as stage:
        assert stage.app.theme == DARK.name


async def test_without_colours_the_remembered_theme_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with staged(preferences=Preferences(LIGHT.name)) as stage:
        assert stage.app.theme == MONO.name


async def test_the_palette_names_each_action_once_by_area_verb_and_object() -> None:
    async with staged() as stage:
        commands = list(stage.app.get_system_commands(stage.app.screen))
        ours = [command.title for command in commands if ": " in command.title]
        assert len(ours) == len(set(ours))
        assert {"Job: Start a job", "Workbench: Leave", "Screen: Go to tune", "Worker: Take no new jobs"} <= set(ours)
        assert all(re.fullmatch(r"[A-Z][a-z]+: [A-Z][^;]+", title) for title in ours)
        start = next(command for command in commands if command.title == "Job: Start a job")
        assert start.help == "start a job (key n)"
        assert not any("Next" in title for title in ours)
        await start.callback()
        await stage.asked("dispatch")


async def test_the_palette_leads_to_every_option_and_every_look() -> None:
    async with staged() as stage:
        found = {command.title: command for command in stage.app.get_system_commands(stage.app.screen)}
        assert {f"Options: Change {name}" for name in stage.app.board.state.options} <= found.keys()
        found["Options: Change memory_limit_mb"].callback()
        await stage.settle()
        assert stage.app.board_screen.tune.view.option == "memory_limit_mb"
        assert "kill a job at this much memory" in stage.of("#tune")
        found["Screen: Use the safe theme"].callback()
        assert stage.app.theme == SAFE.name
