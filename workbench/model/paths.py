"""Paths as people read them. The current folder may be gone: whoever only tells of a file does not fail for that."""

import os


def current_folder() -> str:
    """The current folder; empty where it does not exist any more."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def absolute(file: str) -> str:
    """The whole path of a file; as it stands where the folder that it starts from is gone."""
    return os.path.normpath(os.path.join(current_folder(), file))


def seen_from(file: str, root: str = "") -> str:
    """The path from `root`, or from the current folder; the whole path where that is gone."""
    try:
        return os.path.relpath(file, root or None)
    except OSError:
        return file


def shortest(file: str) -> str:
    """The path from here where that is down the tree, else the whole; an empty one stays empty."""
    here = seen_from(file) if file else ""
    return file if here.startswith("..") else here
