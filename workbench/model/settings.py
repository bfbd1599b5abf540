"""Layers of options, weakest first, folded into one set of values that knows where each came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.model.options import FIELDS, PRESETS, Options, OptionsError, check, meta, plain, shown

# Weakest first. "once" settings of a layer are replaced as a whole when the layer is (a reloaded file).
ORDER = ("preset", "code", "file", "environment", "flag", "live")


@dataclass(frozen=True, slots=True)
class Given:
    """One option as one source gave it."""

    value: Any
    source: str


@dataclass(slots=True)
class Layers:
    """What each source said. `settings()` folds them."""

    by_name: dict[str, dict[str, Given]] = field(default_factory=lambda: {name: {} for name in ORDER})
    agent_stem: str = "agent"
    folder: str = ""  # the one whose files are a layer

    def put(self, layer: str, values: Mapping[str, Any], source: str, *, text: bool = False) -> None:
        """Replace one layer by checked values that all come from one source.

        Raises:
            OptionsError: an unknown option or an impossible value.
        """
        given = {name: Given(check(name, value, text=text, source=source), source) for name, value in values.items()}
        self.by_name[layer] = given

    def add(self, layer: str, name: str, value: Any, source: str, *, text: bool = False) -> None:
        """Add one checked value to a layer."""
        self.by_name[layer][name] = Given(check(name, value, text=text, source=source), source)

    def put_preset(self, name: str | None) -> None:
        """Use the named preset as the weakest layer."""
        if name is not None:
            self.put("preset", PRESETS[name], f"preset {name}")

    def settings(self) -> "Settings":
        """The strongest value of each option, contradictions settled.

        Raises:
            OptionsError: two values that somebody set contradict each other.
        """
        values: dict[str, Given] = {}
        rank: dict[str, int] = {}
        for number, layer in enumerate(ORDER):
            values.update(self.by_name[layer])
            rank.update(dict.fromkeys(self.by_name[layer], number))
        if "agent_id" not in values:
            values["agent_id"] = Given(self.agent_stem, "derived: the file's name")
        _settle(values)
        _choose_tokens(values, rank)
        options = Options.model_construct(set(values), **{name: given.value for name, given in values.items()})
        return Settings(options, {name: given.source for name, given in values.items()})


@dataclass(frozen=True, slots=True)
class Settings:
    """The options in force and the source of each that is not a default."""

    options: Options
    sources: Mapping[str, str]

    def origin(self, name: str) -> str:
        """Where the value comes from: `default`, `derived: ...`, a file and line, a variable, a flag, `live`."""
        return self.sources.get(name, "default")

    def chosen(self, name: str) -> bool:
        """Somebody set this option, in whatever layer."""
        return name in self.sources and not self.sources[name].startswith("derived")

    def table(self) -> dict[str, dict[str, Any]]:
        """Every option with its shown value, default, origin and the moment a change takes hold."""
        return {
            name: {
                "value": shown(name, plain(getattr(self.options, name))),
                "default": shown(name, plain(FIELDS[name].default)),
                "origin": self.origin(name),
                "effect": meta(name)["effect"],
                "unit": meta(name)["unit"],
            }
            for name in FIELDS
        }

    def differing(self) -> dict[str, Any]:
        """The options that differ from their defaults, as they may be shown."""
        return {
            name: shown(name, plain(getattr(self.options, name)))
            for name in FIELDS
            if name != "agent_id" and getattr(self.options, name) != FIELDS[name].default
        }


def _settle(values: dict[str, Given]) -> None:
    """A default yields to a contradicting value; two set values that contradict are an error."""

    def value(name: str) -> Any:
        return values[name].value if name in values else FIELDS[name].default

    def set_by_somebody(name: str) -> bool:  # a preset is a set of other defaults: it yields, too
        return name in values and not values[name].source.startswith("preset ")

    def at_most(weak: str, strong: str, share: float = 1) -> None:
        if value(weak) <= value(strong):
            return
        if set_by_somebody(weak) and set_by_somebody(strong):
            both = [f"{name} = {value(name):g} ({values[name].source})" for name in (weak, strong)]
            raise OptionsError([(weak, f"must be at most {strong}: {', '.join(both)}; change one of the two")])
        if set_by_somebody(weak):
            values[strong] = Given(value(weak), f"derived: at least {weak}")
        else:
            words = f"{100 * share:g} % of" if share < 1 else "at most"
            values[weak] = Given(value(strong) * share, f"derived: {words} {strong}")

    at_most("num_idle_processes", "max_processes")
    at_most("close_timeout", "drain_timeout")
    if value("memory_limit_mb") > 0:
        at_most("memory_warn_mb", "memory_limit_mb", 0.8)


def _choose_tokens(values: dict[str, Given], rank: Mapping[str, int]) -> None:
    """A token and its file are one setting: the stronger layer's counts; two of one layer contradict each other."""
    for token in ("auth_token", "control_token"):
        both = [name for name in (token, token + "_file") if name in values and values[name].value is not None]
        if len(both) < 2:
            continue
        if rank[both[0]] == rank[both[1]]:
            where = f"set by {values[both[0]].source} and {values[both[1]].source}"
            raise OptionsError([(token, f"give the token or {token}_file, not both ({where})")])
        weak, strong = sorted(both, key=rank.__getitem__)
        values[weak] = Given(None, f"derived: {strong} is given by {values[strong].source}")
