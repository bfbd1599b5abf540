"""What is tuned: values that are tried and not applied yet, and the way back from those that were. No Textual here.

The model of the options is imported by the first of these that needs it: when the pane is shown, and not before.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.model.errors import WorkbenchError
from workbench.model.mask import HIDDEN

Table = Mapping[str, Mapping[str, Any]]
SECRET_WORDS = "a secret is neither shown nor kept here: give it as a variable, or in a file named by"
# From which value on a key makes steps of which size, for each unit.
STEPS: dict[str, tuple[tuple[float, float], ...]] = {
    "s": ((600, 300), (60, 30), (10, 5), (1, 1), (0, 0.1)),
    "MB": ((1000, 100), (100, 50), (0, 10)),
    "share": ((0, 0.05),),
    "": ((100, 50), (20, 5), (0, 1)),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One change that was applied: what each option was told to be, and what was live of it before."""

    values: dict[str, Any]
    before: dict[str, Mapping[str, Any]]


@dataclass(slots=True)
class Tuning:
    """Values that are tried. They are as the worker shows them: `None` stands for endless.

    Attributes:
        pending: not applied yet; those that need a restart can only be saved.
        steps: what was applied, newest last.
        saved: options that need a restart and have been saved for the next start.
        error: an option, and what is wrong with the value that it was to have.
        said: what was done last, until something else is.
    """

    pending: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)
    error: tuple[str, str] = ("", "")
    said: str = ""

    def forget(self) -> None:
        """Another worker: nothing of this was said to it."""
        self.pending.clear()
        self.steps.clear()
        self.saved.clear()
        self.quiet()

    def quiet(self) -> None:
        """What was said is read."""
        self.error, self.said = ("", ""), ""

    def follow(self, table: Table) -> None:
        """What is in force now is not pending any more."""
        for name in [name for name in self.pending if name in table and same(self.pending[name], table[name]["value"])]:
            del self.pending[name]

    def now(self, name: str, table: Table) -> Any:
        """The value that is tried, else the one in force."""
        return self.pending.get(name, table[name]["value"]) if name in table else None

    @property
    def to_apply(self) -> dict[str, Any]:
        """What can be applied to the running worker."""
        return {name: value for name, value in self.pending.items() if not needs_restart(name)}

    @property
    def to_save(self) -> dict[str, Any]:
        """What can only be saved."""
        return {name: value for name, value in self.pending.items() if needs_restart(name)}

    # --- trying ---------------------------------------------------------------------------------

    def type(self, name: str, text: str, table: Table) -> bool:
        """Try the value that was typed; False when it cannot be, and `error` says why. No text: as it was."""
        if not text.strip():
            self.pending.pop(name, None)
            self.quiet()
            return True
        return self._try(name, text, table, text=True)

    def step(self, name: str, direction: int, table: Table) -> bool:
        """One sensible step up (1) or down (-1)."""
        from workbench.model.options import FIELDS, choices, meta

        value = self.now(name, table)
        if choices(name) or isinstance(value, bool):
            return self.flip(name, table, direction)
        if name == "load_threshold" and (value is None or value + 0.05 * direction > 1):
            return self._try(name, math.inf if direction > 0 else 1.0, table)
        if name not in FIELDS or FIELDS[name].annotation not in (int, float):
            return self._refuse(name, "is typed: press Enter")
        return self._try(name, stepped(value, direction, meta(name)["unit"]), table)

    def flip(self, name: str, table: Table, direction: int = 1) -> bool:
        """The other value, or the next of the choices."""
        from workbench.model.options import choices

        value = self.now(name, table)
        if isinstance(value, bool):
            return self._try(name, not value, table)
        known = choices(name)
        if not known:
            return self._refuse(name, "has more than two values: + and - step, Enter edits")
        at = known.index(value) if value in known else -1
        return self._try(name, known[(at + direction) % len(known)], table)

    def _try(self, name: str, value: Any, table: Table, *, text: bool = False) -> bool:
        from workbench.model.options import SECRETS, check, plain, shown

        if name in SECRETS:
            return self._refuse(name, f"{SECRET_WORDS} {name}_file")
        try:
            found = plain(check(name, value, text=text))
        except WorkbenchError as error:
            return self._refuse(name, str(error).removeprefix(f"{name}: "))
        if isinstance(found, str) and shown(name, found) != found:
            return self._refuse(name, "holds a password, which is neither shown nor kept here")
        self.quiet()
        found = shown(name, found)
        if name in table and same(found, table[name]["value"]):
            self.pending.pop(name, None)
        else:
            self.pending[name] = found
        return True

    def _refuse(self, name: str, words: str) -> bool:
        self.error = (name, words)
        return False


def needs_restart(name: str) -> bool:
    """A running worker cannot take it."""
    from workbench.model.options import FIELDS, meta

    return name in FIELDS and meta(name)["effect"] == "restart"


def same(one: Any, other: Any) -> bool:
    """The same value; true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def differs(name: str, item: Mapping[str, Any]) -> bool:
    """Whether the value in force is another than the default; an agent always has a name of its own."""
    return name != "agent_id" and not same(item["value"], default_of(name, item))


def default_of(name: str, item: Mapping[str, Any]) -> Any:
    """The default, as the worker tells it; one of an older version leaves it to this one's."""
    from workbench.model.options import FIELDS, plain, shown

    if "default" in item or name not in FIELDS:
        return item.get("default")
    return shown(name, plain(FIELDS[name].default))


def stepped(value: float, direction: int, unit: str) -> float:
    """The value one step further; steps grow with the value."""
    at = value if direction > 0 else value - 1e-9  # down from 100 as from what is below it
    sizes = STEPS.get(unit, STEPS[""])
    size = next((size for least, size in sizes if at >= least), sizes[-1][1])
    moved = round(value + direction * size, 10)
    return int(moved) if isinstance(value, int) else moved


def meaning(name: str) -> str:
    """What the option does."""
    from workbench.model.options import FIELDS

    return str(FIELDS[name].description) if name in FIELDS else "this screen does not know it"


def range_words(name: str) -> str:
    """What it may be."""
    from workbench.model.options import FIELDS, allowed

    return allowed(name) if name in FIELDS else ""


# --- as code --------------------------------------------------------------------------------------------


def code_of(table: Table) -> tuple[str, list[str]]:
    """What differs from the defaults as Python, and the secrets that are left out of it."""
    from workbench.model.options import SECRETS

    lines, left_out = [], []
    for name, item in table.items():
        value, origin = item["value"], str(item["origin"])
        chosen = name == "agent_id" and not origin.startswith("derived")
        if not (differs(name, item) or chosen) or origin.startswith("derived"):
            continue
        if name in SECRETS or (isinstance(value, str) and HIDDEN in value):
            left_out.append(name)
        else:
            lines.append(f"    {name}={python(name, value)},")
    return "\n".join(["Options(", *lines, ")"]) if lines else "Options()", left_out


def python(name: str, value: Any) -> str:
    """A value as Python writes it."""
    if value is None:
        return 'float("inf")' if name == "load_threshold" else "None"
    return repr(value)
