"""Live changes of options: all or none, for good or for a time, and taken back again."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.model.durations import duration
from workbench.model.errors import LONGEST_NAME, WorkbenchError, nearest
from workbench.model.option_words import value_words
from workbench.model.options import FIELDS, check, plain, shown
from workbench.model.settings import ORDER, Given, Layers, Settings
from workbench.model.text import cut

LIVE = "live"


@dataclass(frozen=True, slots=True)
class Due:
    """When a change falls back (monotonic, and for people), and the live value from before it, if there was one."""

    mono: float
    at: float
    before: Given | None


class NotLive(WorkbenchError):
    """There is no live change of that option to take back."""


class LiveChanges:
    """The strongest layer of the options, with the moments at which parts of it fall away.

    Args:
        layers: all that was said of the options; this is the only place that changes the live ones.
        in_force: the settings that hold now.
        use: puts new settings to work.
        note: tells people: level and text.
    """

    def __init__(
        self,
        layers: Layers,
        in_force: Callable[[], Settings],
        use: Callable[[Settings], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._layers, self._in_force, self._use, self._note = layers, in_force, use, note
        self._due: dict[str, Due] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # --- what is asked for ----------------------------------------------------------------------

    def set(self, values: Mapping[str, Any], source: str = LIVE, for_s: float | None = None) -> None:
        """Change options, all or none; with `for_s` only for so long.

        Raises:
            OptionsError: an impossible value or a contradiction.
        """
        given = {name: Given(check(name, value, text=False, source=source), source) for name, value in values.items()}
        live = {**self._layers.by_name[LIVE], **given}
        settings = self._with(live)
        due = {name: moment for name, moment in self._due.items() if name not in given}
        if for_s is not None:
            mono, at = time.monotonic() + for_s, time.time() + for_s
            due.update({name: Due(mono, at, self._for_good(name)) for name in given})
        self._take(live, due, settings, "changed live" + (f" for {duration(for_s)}" if for_s is not None else ""))

    def take_back(self, names: Iterable[str]) -> None:
        """Let the layers below speak again, for all of these options or for none.

        Raises:
            NotLive: one of them was not changed live.
            OptionsError: what the layers below say contradicts another live change.
        """
        live = dict(self._layers.by_name[LIVE])
        for name in names:
            if live.pop(name, None) is None:
                why = "no live change of" if name in FIELDS else "no such option"
                hint = "" if name in FIELDS else nearest(name, FIELDS)
                raise NotLive(f"{why} {cut(name, LONGEST_NAME)}{hint}")
        due = {name: moment for name, moment in self._due.items() if name in live}
        self._take(live, due, self._with(live), "taken back")

    def table(self, settings: Settings) -> dict[str, dict[str, Any]]:
        """The table of options; where there is a live change also what is `below` it, and `revert_at` if it has one."""
        table = settings.table()
        for name in self._layers.by_name[LIVE]:
            table[name]["below"] = self._below(name)
            table[name]["revert_at"] = self._due[name].at if name in self._due else None
        return table

    def close(self) -> None:
        """Nothing falls back any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- inside ---------------------------------------------------------------------------------

    def _take(self, live: dict[str, Given], due: dict[str, Due], settings: Settings, what: str) -> None:
        before = self._in_force()
        self._layers.by_name[LIVE], self._due = live, due
        self._set_timer()
        self._use(settings)
        if changes := _changes(before, settings):
            self._note("INFO", f"options {what}: {changes}")

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and not self._closed:
            first = min(due.mono for due in self._due.values())
            self._timer = asyncio.get_running_loop().call_later(max(first - time.monotonic(), 0.0), self._fall_back)

    def _fall_back(self) -> None:
        """The time of some changes is over; of those that depend on them, too."""
        self._timer = None
        now = time.monotonic()
        over = [name for name, due in self._due.items() if due.mono <= now]
        due = {name: moment for name, moment in self._due.items() if name not in over}
        live = {name: given for name, given in self._layers.by_name[LIVE].items() if name not in over}
        live.update({name: before for name in over if (before := self._due[name].before) is not None})
        try:
            live, settings = self._consistent(live)
        except WorkbenchError as error:  # the layers below contradict each other by now: a file was loaded again
            self._due = due
            self._set_timer()
            self._use(self._in_force())  # who shows a countdown hears that there is none any more
            self._note("WARNING", f"{', '.join(over)}: the time is over, but the live value holds on: {error}")
            return
        due = {name: moment for name, moment in due.items() if name in live}
        self._take(live, due, settings, "back, the time is over")

    def _consistent(self, live: dict[str, Given]) -> tuple[dict[str, Given], Settings]:
        """The live changes that agree with the layers below, and the settings with them: one that does not goes."""
        try:
            return live, self._with(live)
        except WorkbenchError as error:
            for name in live:
                fewer = {other: given for other, given in live.items() if other != name}
                try:
                    settings = self._with(fewer)
                except WorkbenchError:
                    continue
                self._note("WARNING", f"the live change of {name} is taken back, too: {error}")
                return fewer, settings
            if not live:
                raise
            return {}, self._with({})

    def _for_good(self, name: str) -> Given | None:
        """The live value that holds without an end: what a change for a time falls back to."""
        if name in self._due:
            return self._due[name].before
        return self._layers.by_name[LIVE].get(name)

    def _with(self, live: dict[str, Given]) -> Settings:
        return Layers({**self._layers.by_name, LIVE: live}, self._layers.agent_stem).settings()

    def _below(self, name: str) -> dict[str, Any]:
        """Value and origin that hold without the live change."""
        live = {other: given for other, given in self._layers.by_name[LIVE].items() if other != name}
        if name in self._due and (before := self._due[name].before) is not None:
            return {"value": shown(name, plain(before.value)), "origin": LIVE}
        for fewer in (live, {}):
            try:
                settings = self._with(fewer)
            except WorkbenchError:  # only together with another one it can go, or not at all as the layers are now
                continue
            return {"value": shown(name, plain(getattr(settings.options, name))), "origin": settings.origin(name)}
        said = [self._layers.by_name[layer].get(name) for layer in reversed(ORDER) if layer != LIVE]
        given = next((one for one in said if one is not None), Given(FIELDS[name].default, "default"))
        return {"value": shown(name, plain(given.value)), "origin": given.source}


def _changes(before: Settings, after: Settings) -> str:
    """`max_processes 5 -> 1 (live), ...`; also what follows from it for options that nobody named."""
    parts = []
    for name in FIELDS:
        old, new = (shown(name, plain(getattr(one.options, name))) for one in (before, after))
        if old != new:
            words = f"{value_words(name, old)} -> {value_words(name, new)}"
            parts.append(f"{name} {words} ({after.origin(name)})")
    return ", ".join(parts)
