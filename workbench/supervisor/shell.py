"""The shell round the core: it reads the clocks, tells the events, has the effects carried out, keeps the timer."""

import asyncio
import time
import traceback
from collections.abc import Callable

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.core import Core, Now
from workbench.model.settings import Settings
from workbench.model.text import cut
from workbench.supervisor.logs import LogStore

AFTER_A_BUG_S = 0.5  # the clock goes on, but not in a loop that only fails
Listener = Callable[[ev.Event], None]


class Shell:
    """Core, log and listeners of one worker, and the one way from news to deeds: tell the core, then `flush`.

    Attributes:
        carry_out: does what the core wants.
        words: the log line of an event, or None.
        bug: called with what happened when something of ours raised where nothing may.
    """

    def __init__(self, settings: Settings, *, strict: bool = False, reload_jobs: str = "keep") -> None:
        self.settings = settings
        self.core = Core(settings.options, strict=strict, reload_jobs=reload_jobs)
        self.state = self.core.state
        self.logs = LogStore()
        self.listeners: list[Listener] = []
        self.carry_out: Callable[[fx.Effect], None] = lambda effect: None
        self.words: Callable[[ev.Event], tuple[str, str] | None] = lambda event: None
        self.bug: Callable[[str], None] = lambda text: None
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._flushing = False

    def now(self) -> Now:
        """Both clocks."""
        return Now(time.monotonic(), time.time())

    def flush(self) -> None:
        """Carry out the core's effects, tell its events, and set the timer for its next deadline.

        What a listener or an effect raises is a bug of ours. It must not keep the others from their news; and a
        process for which something was not done is killed, since nobody knows how it stands.
        """
        if self._flushing:
            return  # the loop below takes what has come
        self._flushing = True
        try:
            while self.core.has_news:
                events, effects = self.core.take()
                for effect in effects:  # first: a job waits for it
                    if not self._guarded(self.carry_out, effect) and not isinstance(effect, fx.Kill):
                        process_id = getattr(effect, "process_id", 0)
                        self.core.doom(process_id, "signalled", "killed: a bug of ours, see the log", self.now())
                for event in events:
                    self._tell(event)
        finally:
            self._flushing = False
        self._set_timer()

    def publish(self, event: ev.Event) -> None:
        """A fact the core need not hear of, in its place among the core's own."""
        self.core.desk.tell(event)
        self.flush()

    def close(self) -> None:
        """Nothing more happens by the clock."""
        self.core.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, event: ev.Event) -> None:
        words = self.words(event)
        if words is not None:
            self.logs.note(*words)
        for listener in list(self.listeners):
            self._guarded(listener, event)

    def _guarded(self, call: Callable[..., None], about: object) -> bool:
        try:
            call(about)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.bug(f"{error!r} at {place.filename}:{place.lineno}, on {cut(repr(about), 200)}")
            return False
        return True

    def _set_timer(self) -> None:
        due = self.core.next_wakeup()
        if self._timer is not None:
            if due == self._due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._due = due
            delay_s = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            self.core.tick(self.now())
            self.flush()
        except Exception:
            if self._timer is None:
                self._due = None
                self._timer = asyncio.get_running_loop().call_later(AFTER_A_BUG_S, self._tick)
            raise
