"""Patterns of `--watch`: which files they mean, and which are never meant by a wildcard."""

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate

WILD = re.compile(r"[*?\[]")
EXCLUDED = {
    ".venv", "venv", "site-packages", "node_modules", ".git", ".hg", ".svn", "__pycache__",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".tox", ".nox",
    "4913",  # vim tries with it whether it may write in a folder
}  # fmt: skip
EXCLUDED_LIKE = (
    "*~", ".*.sw?", ".#*", "#*#", "*.tmp", ".goutputstream-*", "*___jb_???___", "*.pyc",
    "..*",  # where Kubernetes keeps the files that the links beside it lead to
)  # fmt: skip
ENVIRONMENT = "pyvenv.cfg"  # lies in every virtual environment, whatever its name

Place = frozenset[int]  # how many parts of a pattern a path has used up; with `**` there are several ways
START: Place = frozenset({0})


def excluded(name: str) -> bool:
    """Environments, caches and what editors leave for a moment: meant only where somebody writes the very name."""
    return name in EXCLUDED or any(fnmatchcase(name, like) for like in EXCLUDED_LIKE)


@dataclass(frozen=True)
class Pattern:
    """What one `--watch` means.

    Args:
        given: as the user wrote it.
        base: the folder below which everything it can match lies.
        parts: of the path below that: a name, an expression for names, or None for `**`.
        whole: a folder that it names means everything in it.
    """

    given: str
    base: str
    parts: tuple[str | re.Pattern[str] | None, ...]
    whole: bool

    @classmethod
    def parse(cls, given: str, root: str) -> "Pattern":
        """A pattern relative to `root`, or absolute."""
        path = os.path.normpath(os.path.join(root, os.path.expanduser(given)))
        whole = given.endswith("/") or not WILD.search(os.path.basename(path))
        if os.path.isdir(path):
            return cls(given, path, (), True)
        if os.path.exists(path):  # its name may hold brackets
            return cls(given, os.path.dirname(path), (os.path.basename(path),), True)
        names = path.split(os.sep)[1:]
        literal = next((at for at, name in enumerate(names) if WILD.search(name)), len(names) - 1)
        parts = tuple(_part(name) for name in names[literal:])
        return cls(given, os.path.join(os.sep, *names[:literal]), parts, whole)

    def step(self, place: Place, name: str) -> Place:
        """Where one stands who goes on from `place` to an entry of this name; empty: nothing there is meant."""
        hidden = excluded(name)
        after = set()
        for at in self._reach(place):
            part = self.parts[at] if at < len(self.parts) else None
            if at == len(self.parts):
                if self.whole and not hidden:
                    after.add(at)
            elif part is None:
                if not hidden:
                    after.add(at)
            elif isinstance(part, str):
                if part == name:
                    after.add(at + 1)
            elif not hidden and part.match(name):
                after.add(at + 1)
        return frozenset(after)

    def named(self, place: Place, name: str) -> bool:
        """The entry is asked for by its very name, not by a wildcard."""
        return any(at < len(self.parts) and self.parts[at] == name for at in self._reach(place))

    def accepts(self, place: Place) -> bool:
        """A file there is meant."""
        return len(self.parts) in self._reach(place)

    def goes_on(self, place: Place) -> bool:
        """A folder there may hold what is meant."""
        return any(at < len(self.parts) or self.whole for at in self._reach(place))

    def matches(self, path: str) -> bool:
        """A file of this path is meant."""
        if not path.startswith(os.path.join(self.base, "")):
            return False
        place = START
        for name in os.path.relpath(path, self.base).split(os.sep):
            place = self.step(place, name)
        return self.accepts(place)

    def _reach(self, place: Place) -> set[int]:
        """`place`, and where it leads when a `**` means no folder at all."""
        reached = set(place)
        for at in sorted(place):
            while at < len(self.parts) and self.parts[at] is None:
                at += 1
                reached.add(at)
        return reached


def _part(name: str) -> str | re.Pattern[str] | None:
    if name == "**":
        return None
    return re.compile(translate(name)) if WILD.search(name) else name


def beside(folder: str) -> list[Pattern]:
    """The Python files of a folder and of the packages in it."""
    python = _part("*.py")
    return [Pattern("", folder, (python,), False), Pattern("", folder, (_part("*"), python), False)]
