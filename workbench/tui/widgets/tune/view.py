"""The list of options, with a cursor, and the keys that try values."""

from collections.abc import Callable

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding
from textual.message import Message

from workbench.tui.board import Board
from workbench.tui.lines import Line, fit
from workbench.tui.messages import PendingChanged, TuneWanted
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.tune.rows import FOR_A_TIME_S, detail, head, row

PAGE = 8


class TuneView(LineWidget, can_focus=True):
    """The options; the one under the cursor is what the keys act on."""

    BINDING_GROUP_TITLE = "Tuning"
    BINDINGS = [
        Binding("enter", "edit", "Edit", tooltip="type a value; nothing is sent before it is applied", id="tune.edit"),
        Binding("plus,equals_sign", "step(1)", "Up", key_display="+", tooltip="step the value up", id="tune.up"),
        Binding("minus", "step(-1)", "Down", key_display="-", tooltip="step the value down", id="tune.down"),
        Binding("space", "flip", "Flip", show=False, tooltip="flip the value, or take the next choice", id="tune.flip"),
        Binding("a", "wanted('apply')", "Apply", tooltip="apply what is pending", id="tune.apply"),
        Binding("A", "for_a_time", "For 10 min", tooltip="apply it for 10 minutes, then back", id="tune.for_a_time"),
        Binding("u", "wanted('undo')", "Undo", tooltip="undo what was applied last", id="tune.undo"),
        Binding("w", "wanted('save')", "Save", tooltip="write live values into the project's file", id="tune.save"),
        Binding("c", "wanted('copy')", "Copy", tooltip="copy what differs as Options(...) code", id="tune.copy"),
        Binding("slash", "find", "Find", key_display="/", show=False, tooltip="find an option by name", id="tune.find"),
        Binding("escape", "drop", "Drop", show=False, tooltip="drop the search, then what is pending", id="tune.drop"),
        Binding("j,down", "move(1)", "Next", show=False, tooltip="go to the next option", id="tune.next"),
        Binding("k,up", "move(-1)", "Previous", show=False, tooltip="go to the previous option", id="tune.previous"),
        Binding("ctrl+d,pagedown", f"move({PAGE})", "Page down", show=False, id="tune.page_down"),
        Binding("ctrl+u,pageup", f"move(-{PAGE})", "Page up", show=False, id="tune.page_up"),
        Binding("g,home", "move(-10000)", "First", show=False, tooltip="go to the first option", id="tune.first"),
        Binding("G,end", "move(10000)", "Last", show=False, tooltip="go to the last option", id="tune.last"),
    ]

    class Changed(Message):
        """Another option, or something about it, is to be told of in the pane."""

    class ClearWanted(Message):
        """Close the search."""

    def __init__(self, edit: Callable[[], None], find: Callable[[], None], *, id: str) -> None:
        """`edit` and `find` open their fields at once: what is typed next, however fast, is for those."""
        super().__init__(id=id)
        self._edit, self._find = edit, find
        self.wanted = ""  # what is searched for
        self.selected = ""
        self._top = 0

    # --- what is selected -----------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The options that the search leaves."""
        words = self.wanted.strip().lower().replace("-", "_").replace(" ", "_")
        return [name for name in (self.board.state.options if self.board else ()) if words in name]

    @property
    def option(self) -> str:
        """The option under the cursor."""
        names = self.names
        return self.selected if self.selected in names else names[0] if names else ""

    def select(self, name: str) -> None:
        """Put the cursor on an option, whatever was searched for."""
        self.wanted, self.selected = "", name
        self._changed()

    # --- drawing --------------------------------------------------------------------------------

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        names = self.names
        if not names:
            words = "no option has that in its name; Esc shows all" if board.state.options else "not connected yet"
            return [fit([(f"  {words}", "faint")], width)]
        here = names.index(self.option)
        room = max(height - 1, 1)
        self._top = min(max(self._top, here - room + 1, 0), here, max(len(names) - room, 0))
        lines = [head(width)]
        for index in range(self._top, min(self._top + room, len(names))):
            lead = ("▌" if index == here else " ", "accent" if self.has_focus else "faint")
            lines.append(row(names[index], board, lead, width))
        return lines

    def row_tone(self, y: int) -> str:
        """See `LineWidget`."""
        names = self.names
        here = names.index(self.option) if names else -1
        return "cursor" if self.has_focus and y and y - 1 + self._top == here else ""

    def search(self, words: str) -> None:
        """Show the options with `words` in their names."""
        self.wanted, self._top = words, 0
        self._changed()

    # --- keys and mouse -------------------------------------------------------------------------

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        names = self.names
        if names:
            self.selected = names[min(max(names.index(self.option) + rows, 0), len(names) - 1)]
        self._quiet()
        self._changed()

    def action_edit(self) -> None:
        """Type a value."""
        if self.option:
            self._edit()

    def action_step(self, direction: int) -> None:
        """One step up or down."""
        if self.board is not None and self.option:
            self.board.tuning.step(self.option, direction, self.board.state.options)
            self.tried()

    def action_flip(self) -> None:
        """The other value."""
        if self.board is not None and self.option:
            self.board.tuning.flip(self.option, self.board.state.options)
            self.tried()

    def action_wanted(self, what: str) -> None:
        """What only the app can do."""
        self.post_message(TuneWanted(what))  # type: ignore[arg-type]  # the bindings above name what there is

    def action_for_a_time(self) -> None:
        """Apply for a time."""
        self.post_message(TuneWanted("apply", FOR_A_TIME_S))

    def action_find(self) -> None:
        """Search by name."""
        self._find()

    def action_drop(self) -> None:
        """One step back: the search, then what is pending; where there is neither, the screen's own step."""
        if self.wanted:
            self.post_message(self.ClearWanted())
        elif self.board is not None and self.board.tuning.pending:
            self.board.tuning.pending.clear()
            self._quiet()
            self.tried()
        else:
            raise SkipAction

    def tried(self) -> None:
        """Another value is pending: the gauges show it, too."""
        self.post_message(PendingChanged())
        self._changed()

    def _quiet(self) -> None:
        if self.board is not None:
            self.board.tuning.quiet()

    def _changed(self) -> None:
        self.redraw()
        self.post_message(self.Changed())
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing now are not offered."""
        tuning = self.board.tuning if self.board is not None else None
        if action == "for_a_time" or parameters == ("apply",):
            return tuning is not None and bool(tuning.to_apply)
        if parameters == ("undo",):
            return tuning is not None and bool(tuning.steps)
        return True

    def on_focus(self) -> None:
        """The cursor becomes visible."""
        self.redraw()

    def on_blur(self) -> None:
        """The cursor fades."""
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """A click selects."""
        names = self.names
        if event.y >= 1 and names:
            self.action_move(self._top + event.y - 1 - names.index(self.option))

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves the cursor."""
        self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves the cursor."""
        self.action_move(-1)


class TuneDetail(LineWidget):
    """What the option under the cursor means, and how it stands with it."""

    def __init__(self, view: TuneView, *, id: str) -> None:
        super().__init__(id=id)
        self._view = view

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        return detail(self._view.option, board, width, height)
