"""The few fields of a load: what is left empty has its usual value."""

from collections.abc import Callable
from typing import TypeVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label

from workbench.client.load.plan import Plan, make_plan, rate_of, span_of, whole_of
from workbench.model.errors import UsageError
from workbench.tui.messages import FieldsLeft, PourWanted
from workbench.tui.widgets.clean_input import CleanInput

Value = TypeVar("Value")

SAY = "nothing: jobs are left alone, and end after hold; a | b says both"
FIELDS = {"jobs": "20", "rate": "5/s", "burst": "1", "hold": "1s"}


class LoadForm(Vertical):
    """Two rows of fields; Enter in any of them starts."""

    def compose(self) -> ComposeResult:
        """The parts."""
        with Horizontal(classes="load-row"):
            for name, usual in FIELDS.items():
                yield Label(name, markup=False)
                yield CleanInput(usual, compact=True, id=f"load-{name}")
        with Horizontal(classes="load-row"):
            yield Label("say", markup=False)
            yield CleanInput(placeholder=SAY, compact=True, id="load-say")

    def field(self, name: str) -> CleanInput:
        """One of the fields."""
        return self.query_one(f"#load-{name}", CleanInput)

    def plan(self) -> Plan:
        """What the fields say.

        Raises:
            UsageError: a field holds what cannot be; it has the focus then.
        """
        say = tuple(line.strip() for line in self.field("say").value.split("|") if line.strip())
        return make_plan(
            jobs=self._read("jobs", lambda text: whole_of(text, "jobs")),
            rate_per_s=self._read("rate", rate_of),
            burst=self._read("burst", lambda text: whole_of(text, "burst")),
            hold_s=self._read("hold", lambda text: span_of(text, "hold")),
            say=say,
        )

    def _read(self, name: str, reader: Callable[[str], Value]) -> Value:
        try:
            return reader(self.field(name).value.strip() or FIELDS[name])
        except UsageError:
            self.screen.set_focus(self.field(name))
            raise

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(PourWanted())

    @on(CleanInput.Left)
    def _left(self, event: CleanInput.Left) -> None:
        event.stop()
        self.post_message(FieldsLeft())
