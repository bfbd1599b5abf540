"""Values of options in words; without the model of the options, which costs the screen's process too much to import."""

from typing import Any


def value_words(name: str, value: Any) -> str:
    """A value as `shown` gives it, in the words in which it can be given: `0.75`, `inf`, `true`, `-` for none."""
    if value is None:
        return "inf" if name == "load_threshold" else "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)
