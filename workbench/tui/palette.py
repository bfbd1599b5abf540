"""What the palette offers: every action that makes sense now, every option, every look; each as `area: Verb object`."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.binding import ActiveBinding

from workbench.tui.lines import clean
from workbench.tui.theme import NAMES
from workbench.tui.tuning import meaning

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.house import HouseApp

MOVES = ("move", "move_page", "scroll_rows", "shift", "recall")  # keys one holds, nothing to look for by name
AREAS = {"go": "Screen", "zoom": "Screen", "back": "Screen", "interrupt": "Workbench", "quit": "Workbench"}


def options(app: "WorkbenchApp") -> Iterator[SystemCommand]:
    """A command for each option of the worker."""
    for name in filter(str.isidentifier, app.board.state.options):  # the palette would read others as markup
        title = f"Options: Change {clean(name, 60)}"
        yield SystemCommand(title, meaning(name), partial(app.board_screen.tune_option, name))


def looks(app: "HouseApp") -> Iterator[SystemCommand]:
    """Themes and signs."""
    for short, theme in NAMES.items():
        yield SystemCommand(f"Screen: Use the {short} theme", "remembered", partial(setattr, app, "theme", theme))
    yield SystemCommand(
        "Screen: Draw with plain ASCII signs, or no longer",
        "for terminals and fonts without drawing characters; remembered",
        app.action_toggle_ascii,
    )


def actions(app: "HouseApp", bindings: list[ActiveBinding]) -> Iterator[SystemCommand]:
    """What keys do here and now: one command for each, however many keys it has."""
    found: dict[str, SystemCommand] = {}
    for active in bindings:
        binding = active.binding
        if not (binding.id and binding.tooltip and active.enabled) or binding.action.partition("(")[0] in MOVES:
            continue
        name = command_name(binding.id, binding.tooltip)
        words = f"{binding.tooltip} (key {app.get_key_display(binding)})"
        found.setdefault(name, SystemCommand(name, words, partial(app.run_action, binding.action, active.node)))
    yield from found.values()


def command_name(binding_id: str, tooltip: str) -> str:
    """`area: Verb object`, from the binding's name and the first clause of what it does."""
    area = binding_id.partition(".")[0]
    words = tooltip.partition(";")[0]
    return f"{AREAS.get(area, area.capitalize())}: {words[:1].upper()}{words[1:]}"
