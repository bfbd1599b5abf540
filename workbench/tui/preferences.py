"""How the screen should look, remembered from one start to the next."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Preferences:
    """The user's choices; the empty string leaves it to the program. `path` is where they are kept."""

    theme: str = ""
    ascii: bool = False
    path: Path | None = None

    def remember(self, **chosen: Any) -> None:
        """Take a choice, and keep it beside those kept before; what only a flag said is not kept.

        Raises:
            OSError: the file cannot be written.
        """
        for name, value in chosen.items():
            setattr(self, name, value)
        if self.path is None:
            return
        kept = load(self.path)
        known = {"theme": kept.theme, "ascii": kept.ascii, **chosen}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self.path)


def preferences_path(environ: "os._Environ[str] | dict[str, str]" = os.environ) -> Path:
    """`screen.json` in the user's configuration folder."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "workbench" / "screen.json"


def load(path: Path) -> Preferences:
    """What is remembered; a file that is missing, broken or from another version counts for what it says."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if not isinstance(found, dict):
        found = {}
    theme, plain = found.get("theme"), found.get("ascii")
    return Preferences(theme if isinstance(theme, str) else "", plain is True, path)
