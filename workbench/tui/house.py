"""What every app of the house does: looks that are remembered, keys in their order, signals, toasts and questions."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

from textual import events
from textual.app import SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.filter import NoColor
from textual.screen import Screen

from workbench.model.errors import WorkbenchError
from workbench.tui.collector import Collector
from workbench.tui.key_order import KeyOrder, Lap
from workbench.tui.lines import clean
from workbench.tui.plain_signs import PlainSigns
from workbench.tui.preferences import Preferences
from workbench.tui.report import ExitReport
from workbench.tui.theme import DARK, DEFAULTS, MONO, THEMES
from workbench.tui.tones import TonedApp

PAINT_EVERY_S = 0.1
TICK_S = 1.0
Severity = Literal["information", "warning", "error"]
HOUSE_KEYS = [
    Binding("question_mark", "help", "Help", key_display="?", tooltip="show all keys", id="help"),
    Binding("q", "quit", "Quit", tooltip="leave; asks first when jobs are at risk", id="quit"),
    Binding("ctrl+c", "quit", "Quit", show=False, priority=True, tooltip="leave", id="interrupt"),
    Binding(
        "ctrl+z", "suspend_process", "Suspend", show=False, tooltip="go back to the shell; fg returns", id="suspend"
    ),
    Binding("ctrl+p", "command_palette", "Palette", show=False, tooltip="find a command by name", id="palette"),
]


class HouseApp(TonedApp[ExitReport]):
    """The base of the apps. A subclass has a `board` that its screens draw from.

    Args:
        preferences: theme and signs; what the user changes about them is kept there.
    """

    CSS_PATH = "workbench.tcss"
    TITLE = "workbench"

    def __init__(self, preferences: Preferences | None = None) -> None:
        super().__init__()
        self.animation_level = "none"
        for theme in THEMES:
            self.register_theme(theme)
        self._preferences = preferences or Preferences()
        wanted = MONO.name if self.no_color else self._preferences.theme
        self.theme = wanted if wanted in self.available_themes else DARK.name
        if self.no_color:
            self._filters.append(NoColor())  # Textual alone would still paint greys
        if self._preferences.ascii:
            self._filters.append(PlainSigns())
        self._keys = KeyOrder(super().on_event, lambda: self.focused or self.screen)
        self.refused: WorkbenchError | None = None  # why no screen was opened
        self._collector = Collector()
        self._shown_at = 0.0
        self._unwatch: Callable[[], None] | None = None

    # --- what a subclass has --------------------------------------------------------------------

    def begin(self) -> None:
        """The first frame is painted: connect."""

    def show_all(self) -> None:
        """Draw what is known now."""

    def quit_asked(self) -> None:
        """Somebody wants to leave."""
        raise NotImplementedError

    def help_nodes(self) -> list[DOMNode]:
        """Whose keys the help tells."""
        return [self, self.screen]

    # --- life -----------------------------------------------------------------------------------

    @property
    def exit_report(self) -> ExitReport:
        """How the screen closed; after `run()`."""
        return self.return_value or ExitReport("closed", exit_code=self.return_code or 0)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our colours, for themes that are not ours."""
        return DEFAULTS

    def on_mount(self) -> None:
        """Paint first, then connect: what a connection imports takes as long as a paint."""
        self.set_interval(TICK_S, self._tick)
        self.theme_changed_signal.subscribe(self, lambda theme: self._keep(theme=theme.name))
        self.call_after_refresh(self._painted)
        if not self.is_headless:
            from workbench.tui.signals import terminal_gone

            self.set_interval(TICK_S, lambda: self._hung_up() if terminal_gone() else None)
            self._watch()

    def _painted(self) -> None:
        if not self.is_headless:
            self._collector.begin()
        self.begin()

    def _watch(self) -> None:
        if not self.is_headless:
            from workbench.tui.signals import watch_signals

            self._unwatch = watch_signals(self._signalled, self.quit_asked)

    async def on_unmount(self) -> None:
        """Nothing of ours stays behind."""
        if self._unwatch is not None:
            self._unwatch()

    def leave(self, report: ExitReport) -> None:
        """Close the screen."""
        self.exit(report)

    def _signalled(self, number: int) -> None:
        code = 128 + number
        self.exit(ExitReport("closed", exit_code=code), return_code=code)

    def _hung_up(self) -> None:
        """There is no screen to restore, and reading it would spin: the closing owner pipe tells the supervisor."""
        os._exit(128 + signal.SIGHUP)

    def _tick(self) -> None:
        """Ages grow also while nothing is heard."""
        self._collector.tick()
        if time.monotonic() - self._shown_at >= TICK_S / 2:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        self.show_all()

    # --- keys -----------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """Keys wait for their turn."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._collector.key()
            await self._keys.take(event)
        else:
            await super().on_event(event)

    async def on_lap(self, message: Lap) -> None:
        """What a key meant is done."""
        await self._keys.returned(message)

    async def action_quit(self) -> None:
        """`q` and Ctrl-C."""
        self.quit_asked()

    def action_help(self) -> None:
        """All keys."""
        from workbench.tui.screens.help import HelpScreen, group_of

        groups = []
        for node in self.help_nodes():
            bindings = [binding for _, binding in node._bindings if binding.id]
            shown = {binding.key: self.get_key_display(binding) for binding in bindings}
            groups.append(group_of(getattr(node, "BINDING_GROUP_TITLE", None) or "", bindings, shown))
        self.push_screen(HelpScreen(groups))

    # --- looks ----------------------------------------------------------------------------------

    def _keep(self, **chosen: Any) -> None:
        try:
            self._preferences.remember(**chosen)
        except OSError as error:
            self.tell(f"not remembered: {error}", "warning")

    def action_toggle_ascii(self) -> None:
        """Plain signs, or the drawn ones again."""
        plain = [found for found in self._filters if isinstance(found, PlainSigns)]
        for found in plain:
            self._filters.remove(found)
        if not plain:
            self._filters.append(PlainSigns())
        self._keep(ascii=not plain)
        for screen in self.screen_stack:
            screen.refresh(repaint=True, layout=True)
            for widget in screen.query("*"):
                widget.refresh(repaint=True)

    # --- words ----------------------------------------------------------------------------------

    def tell(self, words: str, severity: Severity = "information") -> None:
        """A toast; the words may come from outside."""
        self.notify(clean(words), severity=severity, markup=False, timeout=6 if severity != "error" else 12)

    def confirm(self, title: str, question: list[str], words: str, act: Callable[[], None]) -> None:
        """Act, after a question; at once where there is none because nothing is at risk."""
        if not question:
            act()
            return
        from workbench.tui.screens.choice import ChoiceScreen
        from workbench.tui.widgets.choices import Choice

        def answered(result: str | None) -> None:
            if result == "yes":
                act()

        self.push_screen(ChoiceScreen(self, title, question, [Choice("y", words, "yes")]), answered)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette offers, then Textual's own."""
        from workbench.tui.palette import actions, looks

        yield from actions(self, list(screen.active_bindings.values()))
        yield from self.more_commands()
        yield from looks(self)
        yield from super().get_system_commands(screen)

    def more_commands(self) -> Iterable[SystemCommand]:
        """Commands that have no key."""
        return ()
