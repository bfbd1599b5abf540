"""What one check found, as people and programs read it."""

from dataclasses import asdict, dataclass, field
from typing import Any

OK, NOTE, MISSING = "ok", "note", "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    `state`: `ok`, `note` (it works, but something follows that one should know) or `missing` (a worker needs it).
    `found` is what was tried and seen, `follows` what that means and how to mend it; `figures` are for programs.
    """

    check: str
    state: str
    found: str
    follows: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    checked: bool = True  # False: the check itself failed, and nothing is known

    def to_json(self, section: str) -> dict[str, Any]:
        """The finding as a program reads it."""
        return {"section": section, **asdict(self)}
