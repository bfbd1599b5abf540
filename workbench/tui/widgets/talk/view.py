"""The conversation, wrapped to the pane."""

from textual.binding import Binding

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, fit, wrap
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.talk.rooms import Conversation
from workbench.tui.widgets.talk.transcript import Entry, Transcript

SIGNS = {"user": "›", "agent": "◆"}
FEW_ROWS = 4  # of so few, none is for how long a reply took: the bar above tells the median


class TalkView(LineWidget, can_focus=True):
    """The newest words stay in sight, unless one has scrolled up: then nothing moves."""

    BINDING_GROUP_TITLE = "Talk"
    BINDINGS = [
        Binding("k,up", "scroll_rows(1)", "Up", show=False, tooltip="earlier words", id="talk.up"),
        Binding("j,down", "scroll_rows(-1)", "Down", show=False, tooltip="later words", id="talk.down"),
        Binding("ctrl+u,pageup", "scroll_rows(10)", "Page up", show=False, id="talk.page_up"),
        Binding("ctrl+d,pagedown", "scroll_rows(-10)", "Page down", show=False, id="talk.page_down"),
        Binding("G,end,f", "scroll_rows(-100000)", "Newest", show=False, tooltip="newest words", id="talk.newest"),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.talk: Conversation | None = None
        self.hint: list[Line] = []

    @property
    def transcript(self) -> Transcript:
        """What was said in the shown conversation."""
        return self.talk.transcript if self.talk is not None else Transcript()

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        timed = height > FEW_ROWS
        rows = [row for entry in self.transcript.entries for row in entry_rows(entry, width, timed=timed)]
        if not rows or self.talk is None:
            return [[], *self.hint]
        talk = self.talk
        if talk.back:
            talk.back = max(talk.back + len(rows) - talk.rows, 0)
        talk.rows = len(rows)
        talk.back = min(talk.back, max(len(rows) - height, 0))
        end = len(rows) - talk.back
        return rows[max(end - height, 0) : end]

    def action_scroll_rows(self, rows: int) -> None:
        """Go back in the conversation, or forth."""
        if self.talk is not None:
            self.talk.back = max(self.talk.back + rows, 0)
            self.redraw()

    def on_mouse_scroll_up(self) -> None:
        """The wheel goes back."""
        self.action_scroll_rows(1)

    def on_mouse_scroll_down(self) -> None:
        """The wheel goes forth."""
        self.action_scroll_rows(-1)


def entry_rows(entry: Entry, width: int, *, timed: bool = True) -> list[Line]:
    """A message with its sign and a hanging indent, and how long it took if `timed`; or a mark across the pane."""
    if entry.role == "mark":
        words = f" {entry.lines[0]} "
        side = max((width - 2 - len(words)) // 2, 1)
        return [[(f" {'─' * side}{words}{'─' * side}", "faint")]]
    texts = [piece for line in entry.lines for piece in wrap(line, width - 4)]
    if entry.partial:
        texts[-1] += "▌"
    first: Line = [(f" {SIGNS[entry.role]} ", entry.role)]
    tone = "user" if entry.role == "user" else "plain"
    rows = [[*(first if index == 0 else [("   ", "")]), (text, tone)] for index, text in enumerate(texts)]
    if timed and entry.latency_s is not None:
        rows.append(fit([("   ", ""), (took(entry), "faint")], width))
    return rows


def took(reply: Entry) -> str:
    """How long a reply took; of one that grows, its first words, and at last the whole."""
    first = fmt.millis((reply.latency_s or 0.0) * 1000)
    if not reply.partial and reply.whole_s is None:
        return f"answered in {first}"
    whole = f", whole {fmt.millis(reply.whole_s * 1000)}" if reply.whole_s is not None and not reply.partial else ""
    return f"first words {first}{whole}"
