"""The app over a scripted source: keys in, screen text out, and events to wait for instead of sleeps."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual._context import visible_screen_stack
from textual.events import Callback, Key
from textual.keys import REPLACED_KEYS, _character_to_key, _get_unicode_name_from_key
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from tests.tui.demo_state import NOW, beginning, demo_state, fill_history
from tests.tui.fakes import FakeOwner, FakeSource
from workbench.model.state import State
from workbench.tui.app import WorkbenchApp
from workbench.tui.preferences import Preferences
from workbench.tui.report import ExitReport

WAIT_S = 20.0  # a bound on hanging, never on speed
SPELLED = {
    " ": "space", "/": "slash", "?": "question_mark", "!": "exclamation_mark", ":": "colon", ".": "full_stop",
    "[": "left_square_bracket", "]": "right_square_bracket", "(": "left_parenthesis", "=": "equals_sign",
    "\\": "backslash", "+": "plus", "|": "vertical_line", "$": "dollar_sign", "^": "circumflex_accent",
}  # fmt: skip


def make_app(
    source: FakeSource,
    owner: FakeOwner | None = None,
    *,
    history: bool = False,
    preferences: Preferences | None = None,
) -> WorkbenchApp:
    """The app with a pinned clock, painting every piece of news at once."""
    app = WorkbenchApp(source, owner, title="bot.py", preferences=preferences, clock=lambda: NOW, paint_every_s=0)
    if history:
        fill_history(app.board, source.state)
    return app


def fresh_state(**options: Any) -> State:
    """A worker that has just come up, without a process."""
    state = State()
    for event in beginning(**options):
        state.apply(event)
    return state


def screen_rows(app: WorkbenchApp) -> list[str]:
    """The text on the screen, dialogs included, row by row."""
    return ["".join(segment.text for segment in strip) for strip in screen_strips(app)]


def screen_strips(app: WorkbenchApp) -> list[Strip]:
    """Everything that would be painted on an empty terminal."""
    visible_screen_stack.set(app._background_screens)
    return app.screen._compositor.render_strips()


async def quiet() -> None:
    """Until nothing on this loop can run: each task waits for time, for another thread or process, or for a message.

    A pilot's own wait asks every widget, and sleeps until the process has used no processor for 20 ms.
    """
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    while ready:
        await asyncio.sleep(0)


def pressed(key: str, app: WorkbenchApp) -> Key:
    """The event of a key, as a driver would send it."""
    if len(key) == 1 and not key.isalnum():
        key = _character_to_key(key)
    name = REPLACED_KEYS.get(key, key)
    try:
        letter = unicodedata.lookup(_get_unicode_name_from_key(name))
    except KeyError:
        letter = key if len(key) == 1 else None
    event = Key(key, letter)
    event.set_sender(app)
    return event


class Stage:
    """A running app and everything around it."""

    pilot: Pilot[ExitReport]

    def __init__(self, app: WorkbenchApp, source: FakeSource, owner: FakeOwner | None) -> None:
        self.app, self.source, self._owner = app, source, owner
        self.told: list[str] = []
        self._heard = asyncio.Event()
        self._notify = app.notify
        app.notify = self._told  # type: ignore[method-assign]

    async def begin(self, pilot: Pilot[ExitReport], connected: bool = True) -> None:
        """The app runs: wait for its first frame."""
        self.pilot = pilot
        for field in self.app.board_screen.query(Input):
            field.cursor_blink = False  # a picture is the same at any moment
        if connected:
            await self.until(lambda: self.app.board.known, "the first frame")
        await self.settle()

    @property
    def owner(self) -> FakeOwner:
        """The owner, where there is one."""
        assert self._owner is not None
        return self._owner

    def heard(self, message: Message) -> None:
        """Every message of the app passes here; the pilot's own say nothing."""
        if not isinstance(message, Callback):
            self._heard.set()

    def _told(self, message: str, **how: Any) -> None:
        self.told.append(message)
        self._notify(message, **how)

    # --- waiting --------------------------------------------------------------------------------

    async def until(self, check: Callable[[], Any], what: str) -> Any:
        """Look again after every message of the app until `check` holds."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not (found := check()):
                    self._heard.clear()
                    await self._heard.wait()
                    await self.settle()
        except TimeoutError:
            raise AssertionError(f"not within {WAIT_S} s: {what}; the screen:\n" + "\n".join(self.rows())) from None
        return found

    async def settle(self) -> None:
        """Until everything that is queued now, and all that follows from it, is handled and drawn."""
        screen = None
        while screen is not self.app.screen or self._heard.is_set() or self._undrawn(screen):
            self._heard.clear()
            screen = self.app.screen
            await quiet()
            screen._on_timer_update()
            await quiet()

    def _undrawn(self, screen: Screen[Any]) -> bool:
        """Whether something is only marked to be laid out or painted soon."""
        marks = (screen._layout_required, screen._scroll_required, screen._repaint_required, screen._dirty_widgets)
        return any(marks) and not self.app._batch_count

    async def sees(self, text: str) -> None:
        """Until `text` stands on the screen."""
        await self.until(lambda: text in self.text(), f"{text!r} on the screen")

    async def asked(self, *what: Any) -> None:
        """Until the worker was asked for exactly that, last."""
        await self.until(lambda: self.source.asked[-1:] == [what], f"the worker is asked for {what}")

    async def tells(self, text: str) -> None:
        """Until a toast with `text` came."""
        await self.until(lambda: any(text in told for told in self.told), f"a toast with {text!r}; told: {self.told}")

    async def left(self) -> ExitReport:
        """Until the app leaves; how."""
        await self.until(lambda: self.app._exit, "the app leaves")
        return self.app.exit_report

    # --- doing ----------------------------------------------------------------------------------

    async def press(self, *keys: str) -> None:
        """Press keys, and let what each means be handled before the next."""
        for key in keys:
            await self.press_at_once(key)

    async def press_at_once(self, *keys: str) -> None:
        """Press keys faster than anything is handled or drawn."""
        for key in keys:
            self.app.post_message(pressed(key, self.app))
        await self.settle()
        await self.until(lambda: self.app._keys.idle or self.app._exit, "the keys have had their effect")

    async def type(self, text: str) -> None:
        """Type text into the focused field."""
        await self.press(*(SPELLED.get(letter, letter) for letter in text))

    async def happen(self, *events: Any) -> None:
        """Something happens in the worker, and is folded."""
        self.source.happen(*events)
        await self.until(lambda: self.source.taken, "the events are folded")
        await self.settle()

    async def log(self, *lines: Any, dropped: int = 0) -> None:
        """The worker logs, and the view has taken it."""
        before = self.logs.store.next_serial
        self.source.log(*lines, dropped=dropped)
        expected = before + len(lines) + (1 if dropped else 0)
        await self.until(lambda: self.logs.store.next_serial >= expected, "the lines arrive")
        await self.settle()

    # --- looking --------------------------------------------------------------------------------

    def rows(self) -> list[str]:
        """The screen's rows."""
        return screen_rows(self.app)

    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.rows())

    def of(self, selector: str) -> str:
        """The text of one widget as the screen shows it."""
        region = self.app.screen.query_one(selector, Widget).region
        return "\n".join(row[region.x : region.right] for row in self.rows()[region.y : region.bottom])

    @property
    def logs(self) -> Any:
        """The log view."""
        return self.app.board_screen.logs.view

    @property
    def table(self) -> Any:
        """The process table."""
        return self.app.board_screen.table

    @property
    def talk(self) -> Any:
        """The talk pane."""
        return self.app.board_screen.talk

    @property
    def offered(self) -> list[str]:
        """The keys in the bottom row."""
        from workbench.tui.widgets.key_bar import KeyBar

        return [key for key, _ in self.app.board_screen.query_one(KeyBar).offered()]


@asynccontextmanager
async def staged(
    source: FakeSource | None = None,
    owner: FakeOwner | None = None,
    size: tuple[int, int] = (120, 40),
    connected: bool = True,
    preferences: Preferences | None = None,
) -> AsyncIterator[Stage]:
    """The app, running over `source`; when it ends, no task of its may be left."""
    source = source if source is not None else FakeSource(demo_state())
    before = asyncio.all_tasks()
    stage = Stage(make_app(source, owner, preferences=preferences), source, owner)
    async with stage.app.run_test(size=size, notifications=True, message_hook=stage.heard) as pilot:
        await stage.begin(pilot, connected)
        try:
            yield stage
        finally:
            if not stage.app._exit:
                stage.app.exit()
            assert stage.app._task is not None
            await asyncio.wait([stage.app._task])  # as in real life, no message is handled once the widgets go
    left = asyncio.all_tasks() - before
    assert not left, f"tasks are left: {left}"
