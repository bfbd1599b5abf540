"""What the file says in the SDK's `Options`, in the words of ours.

The SDK's defaults are not the file's words: only what was given to `Options(...)`, or assigned to it afterwards,
counts as said. `register=True` means the workbench's own link to the registry; the SDK's worker is never started.
"""

import dataclasses
import functools
from typing import Any

from workbench.model.options import FIELDS, Options

_SAID, _AT_FIRST = "_workbench_said", "_workbench_at_first"
USED = frozenset({"signaling_base_url"})  # has a meaning here although our Options have no such field


def note_what_is_given(options_class: type[Any]) -> None:
    """From now on, an object of the SDK's `Options` knows which of its fields the file has set."""
    original = options_class.__init__
    if hasattr(original, "__wrapped__"):
        return
    names = [field.name for field in dataclasses.fields(options_class) if field.init]

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **values: Any) -> None:
        original(self, *args, **values)
        self.__dict__[_SAID] = {*names[: len(args)], *values}
        self.__dict__[_AT_FIRST] = {name: getattr(self, name, None) for name in names}

    options_class.__init__ = __init__


def said(options: Any) -> dict[str, Any]:
    """The fields that the file has set, by the SDK's names."""
    given: set[str] = getattr(options, _SAID, set())
    at_first: dict[str, Any] = getattr(options, _AT_FIRST, {})
    changed = {name for name, value in at_first.items() if getattr(options, name) != value}
    values = {name: getattr(options, name) for name in sorted(given | changed)}
    return {name: value for name, value in values.items() if value is not None}


def translated(options: Any) -> Options:
    """Our options.

    Raises:
        OptionsError: a value that ours cannot have.
    """
    values = said(options)
    ours = {name: value for name, value in values.items() if name in FIELDS}
    if "signaling_base_url" in values and "registry_url" not in ours:
        ours["registry_url"] = f"https://{values['signaling_base_url']}"
    return Options(**ours)


def unused(options: Any) -> list[str]:
    """The fields that the file has set and that have no effect here."""
    return sorted(name for name in said(options) if name not in FIELDS and name not in USED)
