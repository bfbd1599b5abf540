"""What every part of the core works at: the state, the options, and the trays for what it has to say and wants done."""

from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.options import Options
from workbench.model.state import State


class Now(NamedTuple):
    """One reading of both clocks: `mono` for deadlines, `at` for what people read."""

    mono: float
    at: float


@dataclass(slots=True)
class Desk:
    """State and options as they are, and what has not been taken by the shell yet."""

    options: Options
    state: State = field(default_factory=State)
    events: list[ev.Event] = field(default_factory=list)
    effects: list[fx.Effect] = field(default_factory=list)

    def tell(self, event: ev.Event) -> None:
        """A fact: it changes the state now, and everybody hears of it."""
        self.state.apply(event)
        self.events.append(event)

    def want(self, effect: fx.Effect) -> None:
        """Something to be done in the world."""
        self.effects.append(effect)
