"""The last line: the keys that do something here and now, read off the real bindings."""

from typing import Any

from textual import events
from textual.binding import ActiveBinding

from workbench.tui.lines import Line, width_of
from workbench.tui.widgets.line_widget import Painted

ALWAYS = ("help", "quit")
# What stays where there is little room, first to last; what is not named here comes before all of it.
ORDER = (
    "retry_link", "new_job", "dispatch", "talk", "end_job", "detail", "go('tune')", "filter", "reload", "logs", "kill",
    "drain", "admit", "register", "unregister", *ALWAYS,
)  # fmt: skip


class KeyBar(Painted[object]):
    """As many keys as fit; the focused pane's come first, help and quit always stay."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._spots: list[tuple[int, int, ActiveBinding]] = []

    def on_mount(self) -> None:
        """Follow what the keys mean."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Any) -> None:
        if self.is_attached:
            self.redraw()

    def offered(self) -> list[tuple[str, ActiveBinding]]:
        """Key as shown and binding, each action once, without those a text field would swallow."""
        field, found, seen = self.screen.focused, [], set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.show or not active.enabled or binding.action in seen:
                continue
            if field is not None and field.check_consume_key(binding.key, _character(binding.key)):
                continue
            seen.add(binding.action)
            found.append((self.app.get_key_display(binding), active))
        return sorted(found, key=lambda item: _rank(item[1].binding.action))

    def draw(self, board: object, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        offered = self.offered()
        last = [item for item in offered if item[1].binding.action in ALWAYS]
        room = width - sum(len(key) + len(active.binding.description) + 3 for key, active in last)
        line: Line = [(" ", "")]
        self._spots = []
        for key, active in [item for item in offered if item not in last] + last:
            binding = active.binding
            size = len(key) + len(binding.description) + 3
            if binding.action not in ALWAYS and width_of(line) + size > room:
                continue
            self._spots.append((width_of(line), size, active))
            line += [(key, "accent"), (f" {binding.description}", "dim"), ("  ", "")]
        return [line]

    async def on_click(self, event: events.Click) -> None:
        """A click on a key presses it."""
        for start, size, active in self._spots:
            if start <= event.x < start + size:
                await self.app.run_action(active.binding.action, active.node)
                return


def _rank(action: str) -> int:
    action = action.removeprefix("app.")
    return ORDER.index(action) if action in ORDER else -1


CHARACTERS = {"slash": "/", "question_mark": "?", "left_square_bracket": "[", "right_square_bracket": "]"}


def _character(key: str) -> str | None:
    return key if len(key) == 1 else CHARACTERS.get(key)
