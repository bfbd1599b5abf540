"""The files that patterns match, kept up to date by listing only folders whose entries have changed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.supervisor.watching.patterns import ENVIRONMENT, START, Pattern, Place
from workbench.supervisor.watching.versions import is_fresh

Identity = tuple[int, int]  # device and inode: another folder may take the place of one


@dataclass(slots=True)
class _Listing:
    """The entries of one folder: name, whether it is a file, whether it is a folder, whether it is a link."""

    stamp: tuple[int, int, int, int]
    fresh: bool
    entries: list[tuple[str, bool, bool, bool]]


@dataclass(slots=True)
class _Node:
    """What a pattern makes of a listing."""

    listing: _Listing
    place: Place
    files: list[str]
    folders: list[tuple[str, Place]]


class Tree:
    """Walks the folders of patterns. A look at folders that have not changed costs a `stat` for each."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = patterns
        self.files: frozenset[str] = frozenset()
        self.folders: dict[str, Identity] = {}
        self._listings: dict[str, _Listing] = {}
        self._nodes: dict[tuple[int, str], _Node] = {}

    def look(self, *, anew: bool = False) -> None:
        """Bring `files` and `folders` up to date; `anew` trusts no folder's time of change."""
        before, looked = self._listings, dict[str, _Listing | None]()
        nodes: dict[tuple[int, str], _Node] = {}
        changed = False
        for number, pattern in enumerate(self.patterns):
            todo = [(pattern.base, START)]
            while todo:
                folder, place = todo.pop()
                if folder not in looked:
                    looked[folder] = _list(folder, None if anew else before.get(folder))
                listing = looked[folder]
                if listing is None:
                    continue
                node = self._nodes.get((number, folder))
                if node is None or node.listing is not listing or node.place != place:
                    node, changed = _node(pattern, folder, place, listing), True
                nodes[number, folder] = node
                todo += node.folders
        if changed or nodes.keys() != self._nodes.keys():
            self.files = frozenset(file for node in nodes.values() for file in node.files)
            self.folders = {folder: _identity(nodes[number, folder].listing) for number, folder in nodes}
        self._nodes = nodes
        self._listings = {folder: listing for folder, listing in looked.items() if listing is not None}

    def matches(self, path: str) -> bool:
        """A file of this path is meant."""
        return any(pattern.matches(path) for pattern in self.patterns)


def _identity(listing: _Listing) -> Identity:
    return listing.stamp[2], listing.stamp[3]


def _list(folder: str, known: _Listing | None) -> _Listing | None:
    try:
        status = os.stat(folder)
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)
        if known is not None and known.stamp == stamp and not known.fresh:
            return known
        fresh = is_fresh(max(stamp[:2]))
        with os.scandir(folder) as found:
            entries = [(entry.name, entry.is_file(), entry.is_dir(), entry.is_symlink()) for entry in found]
    except OSError:
        return None  # not there, or not ours to read
    return _Listing(stamp, fresh, entries)


def _node(pattern: Pattern, folder: str, place: Place, listing: _Listing) -> _Node:
    node = _Node(listing, place, [], [])
    if folder != pattern.base and any(entry[0] == ENVIRONMENT for entry in listing.entries):
        return node
    for name, is_file, is_folder, is_link in listing.entries:
        after = pattern.step(place, name)
        if is_file and pattern.accepts(after):
            node.files.append(os.path.join(folder, name))
        elif is_folder and pattern.goes_on(after) and (not is_link or pattern.named(place, name)):
            node.folders.append((os.path.join(folder, name), after))  # links may lead anywhere, and round in circles
    return node
