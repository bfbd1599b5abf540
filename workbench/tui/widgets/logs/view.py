"""The log view: what its keys do."""

import time
from collections.abc import Callable

from textual.binding import Binding

from workbench.tui.messages import CopyWanted, ExportWanted, OpenWanted, TellWanted
from workbench.tui.widgets.logs.layout import HIDDEN, TRACE, Piece, Row
from workbench.tui.widgets.logs.lines import copy_text, export_text
from workbench.tui.widgets.logs.match import Matcher
from workbench.tui.widgets.logs.place import LogPlace
from workbench.tui.widgets.logs.tracebacks import place_in


def _key(keys: str, action: str, words: str, tooltip: str, name: str, *, show: bool = False) -> Binding:
    return Binding(keys, action, words, show=show, tooltip=tooltip, id=f"logs.{name}")


class LogView(LogPlace, can_focus=True):
    """The records that the filter lets through: followed, searched, folded and taken elsewhere by keys."""

    BINDING_GROUP_TITLE = "Logs"
    BINDINGS = [
        _key("n", "match(1)", "Next match", "while searching: the next match", "next_match", show=True),
        _key("N", "match(-1)", "Match before", "while searching: the match before", "previous_match"),
        _key("f", "follow", "Follow", "follow the newest line, or stop following", "follow", show=True),
        _key("L", "level", "Level", "hide lines below INFO, WARNING, ERROR", "level", show=True),
        _key("y", "copy_line", "Copy", "copy the line under the cursor, or the range", "copy_line", show=True),
        _key("v", "range", "Range", "begin a range to copy; again: give it up", "range"),
        _key("Y", "copy_all", "Copy all", "copy all lines shown", "copy_all"),
        _key("enter,z", "fold", "Fold", "open or fold a traceback, or a line that repeats", "fold"),
        _key("w", "wrap", "Wrap", "break long lines, or show them on one row", "wrap"),
        _key("e", "error(1)", "Error", "the next error", "next_error", show=True),
        _key("E", "error(-1)", "Error before", "the error before", "previous_error"),
        _key("m", "mark", "Mark", "draw a line below the newest line", "mark"),
        _key("apostrophe", "last_mark", "Last mark", "go to the last mark; again: to the one before", "last_mark"),
        _key("J", "job", "Job", "only the job of the line under the cursor; again: all", "job"),
        _key("c", "code", "Code", "only the code generation of the line under the cursor; again: all", "code"),
        _key("o", "open", "Open", "the file that the line names in $EDITOR, else all lines in $PAGER", "open"),
        _key("ctrl+s", "export", "Export", "write all lines shown to a file in this folder", "export"),
        _key("G,end", "newest", "Newest", "go to the newest line, and follow", "newest"),
        _key("g,home", "oldest", "Oldest", "go to the oldest line", "oldest"),
        _key("j,down", "move(1)", "Down", "next line", "down"),
        _key("k,up", "move(-1)", "Up", "previous line", "up"),
        Binding("ctrl+d", "move_page(0.5)", "Half down", show=False, id="logs.half_down"),
        Binding("ctrl+u", "move_page(-0.5)", "Half up", show=False, id="logs.half_up"),
        Binding("space,pagedown", "move_page(1)", "Page down", show=False, id="logs.page_down"),
        Binding("b,pageup", "move_page(-1)", "Page up", show=False, id="logs.page_up"),
        _key("left", "shift(-1)", "Left", "see the start of long lines", "left"),
        _key("right", "shift(1)", "Right", "see the rest of long lines", "right"),
    ]

    clock: Callable[[], float] = time.time

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing here are left to others: `n` without a search, `z` where nothing folds."""
        if action == "match":
            return self.store.rows.matches.matcher.active
        if action == "fold":
            here = self.here
            return here is not None and self.store.rows.folds(here.head)
        return action != "shift" or not self.wrapped

    def _tell(self, words: str) -> None:
        self.post_message(TellWanted(words))

    # --- what is shown --------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Follow, or stop following."""
        if self.following:
            self.pause()
        else:
            self.action_newest()
        self.refresh()

    def action_level(self) -> None:
        """One level stricter, and round again."""
        self.set_filter(self.store.filter.next_level())

    def action_job(self) -> None:
        """Only the job of the line under the cursor, or all again."""
        chosen, record = self.store.filter, self.cursor
        if not chosen.job_id and (record is None or not record.job_id):
            self._tell("the line under the cursor belongs to no job")
            return
        self.set_filter(chosen.of_job("" if chosen.job_id or record is None else record.job_id))

    def action_code(self) -> None:
        """Only the generation of the code of the line under the cursor, or all again."""
        chosen, record = self.store.filter, self.cursor
        if not chosen.generation and (record is None or not record.generation):
            self._tell("the line under the cursor comes from no generation of the code")
            return
        self.set_filter(chosen.of_generation(0 if chosen.generation or record is None else record.generation))

    def action_wrap(self) -> None:
        """Break long lines, or no longer."""
        self.wrapped = not self.wrapped
        self.settle()

    def action_fold(self) -> None:
        """Open the unit under the cursor a step further, or fold it; what is opened is brought into sight."""
        rows, here = self.store.rows, self.here
        if here is None:
            return
        self.pause()
        head = here.head
        rows.toggle(head)
        self._cursor = Row(head, Piece(head, rows.kind(head)))
        self.settle()
        self._bring_in(rows.find(self._cursor), rows.unit_height(head))

    # --- finding --------------------------------------------------------------------------------

    def search(self, matcher: Matcher) -> None:
        """Light up what was typed."""
        self.store.search(matcher)
        self.settle()
        self.refresh_bindings()

    @property
    def match_number(self) -> int:
        """Which match is under the cursor; 0 when none is."""
        here = self.here
        return self.store.rows.matches.place(here.head, here.piece.serial) if here is not None else 0

    def action_match(self, step: int) -> None:
        """Go to the next match, or to the one before; a fold around it opens."""
        rows, here = self.store.rows, self.here
        serial = None
        if here is not None:
            inside = here.piece.serial if here.piece.kind != TRACE else here.head - (step > 0)
            serial = rows.matches.step(here.head, inside, step)
        if serial is None:
            self._tell("no line has it")
            return
        self.pause()
        rows.reveal(serial)
        self.settle()
        self.go(rows.find(Row(serial, Piece(serial))))

    def action_error(self, step: int) -> None:
        """Go to the next error or the one before; while following, to the newest."""
        rows, here = self.store.rows, self.here
        found = rows.errors()
        if here is None or not found:
            self._tell("no error is shown")
            return
        if not self.following:
            found = [head for head in found if (head > here.head if step > 0 else head < here.head)]
        if not found:
            self._tell("no error below this line" if step > 0 else "no error above this line")
            return
        head = found[0 if step > 0 and not self.following else -1]
        self.go(rows.find(Row(head, Piece(head, rows.kind(head)))))

    def action_mark(self) -> None:
        """A mark below the newest line."""
        self.store.mark(self.clock())
        self.settle()

    def action_last_mark(self) -> None:
        """Go to the last mark, or from a mark to the one before."""
        marks, here = self.store.marks, self.here
        if here is None or not marks:
            self._tell("there is no mark; m sets one")
            return
        before = [mark for mark in marks if mark < here.head] if here.head in marks and not self.following else marks
        mark = (before or marks)[-1]
        self.go(self.store.rows.find(Row(mark, Piece(mark))))

    # --- taking elsewhere -----------------------------------------------------------------------

    def action_range(self) -> None:
        """Begin a range at the cursor, or give it up."""
        if self.range_start is not None:
            self.range_start = None
        else:
            self.pause()
            self.range_start = self.here
        self.refresh()
        self.post_message(self.Changed())

    @property
    def taken(self) -> list[int]:
        """The serials of the range, or of the row under the cursor."""
        ends, here, rows = self.range_rows, self.here, self.store.rows
        if ends is not None:
            return list(rows.between(*ends))
        return rows.serials(here) if here is not None else []

    def action_copy_line(self) -> None:
        """Copy the row under the cursor with all that is folded into it, or the range."""
        self._copy(self.taken)
        if self.range_start is not None:
            self.action_range()

    def action_copy_all(self) -> None:
        """Copy all lines shown."""
        self._copy(self._all())

    def _copy(self, serials: list[int]) -> None:
        if serials:
            self.post_message(CopyWanted("\n".join(copy_text(self.store.record(n)) for n in serials), len(serials)))

    def _all(self) -> list[int]:
        rows = self.store.rows
        return [serial for head in rows.heads for serial in rows.members(head)]

    def action_export(self) -> None:
        """Write all lines shown to a file."""
        lines = [export_text(self.store.record(serial)) for serial in self._all()]
        if lines:
            self.post_message(ExportWanted(lines))
        else:
            self._tell("there is no line to write")

    def action_open(self) -> None:
        """Open the place that the line under the cursor names, or all lines."""
        here, record = self.here, self.cursor
        if here is None or record is None:
            self._tell("there is no line to open")
            return
        trace, place = self.store.rows.trace(here.head), None
        if trace is not None and here.piece.kind == TRACE:
            place = trace.place
        elif here.piece.kind != HIDDEN:
            place = place_in(record.text)
        self.post_message(OpenWanted(place, [export_text(self.store.record(serial)) for serial in self._all()]))
