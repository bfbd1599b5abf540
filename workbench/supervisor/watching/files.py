"""The watched files: what is in them now, and what the newest generation loaded of them."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.supervisor.watching.patterns import Pattern, beside, excluded
from workbench.supervisor.watching.tree import Identity, Tree
from workbench.supervisor.watching.versions import MOST_BYTES, UNKNOWN, Stamp, Version, same, stamp_of, version_of

FIRST_BYTES = 64 << 20  # read at most of all files that are new to the watch, to know a save that changes nothing
GONE_S = 0.3  # so long a file that is saved may be away: many editors delete it first, or move another one over it


@dataclass(frozen=True, slots=True)
class Code:
    """What is known of the newest generation.

    Args:
        imported: the project's files that it has imported, or did before it failed.
        broken: it failed, and whatever lies beside its files may mend it.
        began_at: when it began to load, in seconds since the epoch: what was changed later, it may not have seen.
    """

    imported: frozenset[str]
    broken: bool
    began_at: float


class Files:
    """Looks at the files.

    Args:
        main: the agent's own file: that it is away is no change, there is nothing to load.
        patterns: of other files that count.
    """

    def __init__(self, main: str, patterns: Sequence[Pattern]) -> None:
        self._main = main
        self.differing: set[str] = set()  # not what the newest generation loaded
        self.code = Code(frozenset({main}), False, 0.0)
        self._loaded: dict[str, Version | None] = {}
        self._now: dict[str, Version | None] = {}
        self._gone: dict[str, float] = {}  # since when a file is missed
        self._led_to: dict[str, str] = {}  # the folder of what a link leads to
        self._led_folders = frozenset[str]()  # all of these as of the last look: others ask while a look is made
        self._matched, self._looked = Tree(patterns), False
        self._beside, self._beside_of = Tree([]), frozenset[str]()
        self._vanished: set[str] = set()  # matched, and no longer there

    def __len__(self) -> int:
        return len(self._now)

    def look(self, code: Code, *, anew: bool = False) -> set[str]:
        """Bring all up to date; the files whose content has changed since the last look.

        `anew` trusts no folder's time of change.
        """
        self.code = code
        before = self._matched.files
        self._matched.look(anew=anew)
        self._vanished |= {path for path in before - self._matched.files if stamp_of(path) is None}
        self._vanished -= self._matched.files
        new_ones = self._matched.files if self._looked else frozenset[str]()
        self._looked = True
        new_ones |= self._look_beside(anew)
        changed = self._take_in(new_ones)
        for path, seen in list(self._now.items()):
            if self._has_changed(path, seen):
                changed.add(path)
        self._led_folders = frozenset(self._led_to.values())
        return changed

    def places(self) -> dict[str, Identity]:
        """The folders where something may change that counts."""
        found = {**self._matched.folders, **self._beside.folders}
        for folder in {os.path.dirname(path) for path in self.code.imported} | self._led_folders:
            try:
                status = os.stat(folder)
            except OSError:
                continue  # a checkout may have taken it away
            found[folder] = status.st_dev, status.st_ino
        return found

    def counts(self, path: str) -> bool:
        """A change of this path, which may be a folder or have gone, is worth a look."""
        if path in self._now or os.path.dirname(path) in self._led_folders:
            return True
        if self._matched.matches(path) or self._beside.matches(path) or os.path.islink(path):
            return True
        return os.path.isdir(path) and not excluded(os.path.basename(path))

    def only_matched(self, path: str) -> bool:
        """It is watched for a pattern's sake alone."""
        return path not in self.code.imported

    def matching(self, pattern: Pattern) -> bool:
        """The pattern means a file that there is."""
        return any(pattern.matches(path) for path in self._matched.files)

    def changed_at(self, path: str) -> float:
        """When the file was written, in seconds since the epoch; 0 when it has gone."""
        version = self._now.get(path)
        return version.changed_at if version is not None else 0.0

    def stamp(self, path: str) -> Stamp | None:
        """What tells its version of the last look from others; None when it was not there."""
        version = self._now.get(path)
        return version.stamp if version is not None else None

    def unsure(self) -> bool:
        """A file is missed that may be back at once."""
        return any(path != self._main and self._now.get(path) is not None for path in self._gone)

    def loaded_now(self) -> None:
        """A generation begins to load all as it was at the last look."""
        self._now.update(dict.fromkeys(self._gone))
        self._loaded = dict(self._now)
        self._settle()

    def loaded_at(self, began_at: float) -> None:
        """One began to load then (s since the epoch): what has changed since, it may not have seen."""
        self._now.update(dict.fromkeys(self._gone))
        self._loaded = {path: _as_loaded(version, began_at) for path, version in self._now.items()}
        self._settle()

    # --- inside ---------------------------------------------------------------------------------

    def _look_beside(self, anew: bool) -> frozenset[str]:
        """The files beside those of broken code; those of folders that were looked at before."""
        folders = frozenset(os.path.dirname(path) for path in self.code.imported if self.code.broken)
        known = folders == self._beside_of
        if not known:
            self._beside, self._beside_of = Tree([one for folder in sorted(folders) for one in beside(folder)]), folders
        self._beside.look(anew=anew)
        return self._beside.files if known else frozenset()

    def _take_in(self, new_ones: frozenset[str]) -> set[str]:
        """Follow what is new, and drop what nobody means any more; those that differ from what is loaded.

        Args:
            new_ones: files that were not there at the last look, if they are not followed yet.
        """
        wanted = self.code.imported | self._matched.files | self._beside.files | self._vanished
        if wanted == self._now.keys():
            return set()
        for path in self._now.keys() - wanted:
            for known in (self._now, self._loaded, self._gone, self._led_to):
                known.pop(path, None)
            self.differing.discard(path)
        added, room = set(wanted - self._now.keys()), FIRST_BYTES
        for path in added:
            version = self._now[path] = self._read(path, min(room, MOST_BYTES))
            room -= version.stamp[2] if version is not None and version.digest is not None else 0
            made_since = path in new_ones and path not in self.code.imported
            self._loaded[path] = None if made_since else _as_loaded(version, self.code.began_at)
            self._judge(path)
        return added & self.differing

    def _has_changed(self, path: str, seen: Version | None) -> bool:
        stamp = stamp_of(path)
        if stamp is None:
            if seen is None:
                return False
            since = self._gone.setdefault(path, time.monotonic())
            if path == self._main or time.monotonic() - since < GONE_S:
                return False
            self._now[path] = None
        else:
            self._gone.pop(path, None)
            if seen is not None and stamp == seen.stamp and not seen.fresh:
                return False
            self._now[path] = self._read(path)
        self._judge(path)
        return not same(self._now[path], seen)

    def _read(self, path: str, most_bytes: int = MOST_BYTES) -> Version | None:
        folder = os.path.dirname(os.path.realpath(path))
        if folder != os.path.dirname(path):
            self._led_to[path] = folder
        else:
            self._led_to.pop(path, None)
        return version_of(path, most_bytes)

    def _judge(self, path: str) -> None:
        if same(self._now[path], self._loaded[path]):
            self.differing.discard(path)
        else:
            self.differing.add(path)

    def _settle(self) -> None:
        self.differing = {path for path in self._now if not same(self._now[path], self._loaded[path])}
        self._vanished = {path for path in self._vanished if self._loaded[path] is not None}


def _as_loaded(version: Version | None, began_at: float) -> Version | None:
    """What a generation that began then has loaded of a file that is watched from now on."""
    return version if version is None or version.changed_at < began_at else UNKNOWN
