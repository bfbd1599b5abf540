"""Options written into the project's own file, with all that is written there already as it was.

The file is the one from which the next start reads them: see `workbench.cli.layers`.
"""

import contextlib
import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.model.errors import WorkbenchError

if TYPE_CHECKING:
    from tomlkit.container import Container

OWN, PROJECT = "workbench.toml", "pyproject.toml"
TABLE = ("tool", "workbench")
MAX_FILE = 1024 * 1024
MARK = "\ufeff"  # which some editors put before the text


class CannotSave(WorkbenchError):
    """The options cannot be written there."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What was written, and into which file."""

    path: Path
    lines: list[str]


def save(folder: Path, values: Mapping[str, Any]) -> Saved:
    """Write options into the file beside the agent that holds options already, else into a new workbench.toml.

    Raises:
        CannotSave: the file cannot be read, understood or written; it is as it was then.
    """
    if not os.path.isdir(folder):
        raise CannotSave(f"there is no folder {folder} on this machine")
    given = {name: _as_toml(value) for name, value in values.items()}
    path = _file_in(folder)
    before = _read(path)
    try:
        text = edited(before, given, own=path.name == OWN)
        _check(path, text, given)  # two libraries read it, and may not agree on what is TOML
    except ValueError as error:
        raise CannotSave(f"{path} is no TOML: {error}") from None
    if text != before:
        _write(path, text.encode())
    return Saved(path, [f"{name} = {_shown(value)}" for name, value in given.items()])


def edited(before: str, values: Mapping[str, Any], *, own: bool) -> str:
    """The text of a file with these options set; whatever else stands in it stays as it is.

    Args:
        own: it is a workbench.toml, in which options may stand at the top, too.
    """
    text = before.removeprefix(MARK)
    crlf = 0 < text.count("\n") == text.count("\r\n")
    text = _with(text.replace("\r\n", "\n") if crlf else text, values, own)
    return MARK * before.startswith(MARK) + (text.replace("\n", "\r\n") if crlf else text)


def _with(text: str, values: Mapping[str, Any], own: bool) -> str:
    import tomlkit

    document = tomlkit.parse(text)
    data = document.unwrap()
    table = document[TABLE[0]][TABLE[1]] if _table_in(data) is not None else None
    places: list[Any] = [place for place in (document if own else None, table) if place is not None]
    fresh = {name: value for name, value in values.items() if not _replaced(places, name, value)}
    if fresh and own and (data.keys() - {TABLE[0]} or table is None):
        if not data.keys() - {TABLE[0]}:
            lines = "".join(f"{name} = {_shown(value)}\n" for name, value in fresh.items())
            return _at_top(tomlkit.dumps(document), lines)
        _append(document, fresh)
    elif fresh:
        _append(table, fresh)
    return tomlkit.dumps(document)


def _replaced(places: list[Any], name: str, value: Any) -> bool:
    """Set the option where it is set already: the first of the places counts."""
    place = next((place for place in places if name in place), None)
    if place is None:
        return False
    if place[name] != value or isinstance(place[name], bool) != isinstance(value, bool):
        place[name] = value
    return True


def _append(place: Any, values: Mapping[str, Any]) -> None:
    """Add options behind the last one; a comment after that may belong to what follows."""
    import tomlkit
    from tomlkit.items import AoT, InlineTable, Table

    for name, value in values.items():
        container: Container = place.value if isinstance(place, Table) else place
        body = [] if isinstance(place, InlineTable) else container.body
        keys = [(key, item) for key, item in body if key is not None and not isinstance(item, Table | AoT)]
        if not keys:
            place[name] = value
            continue
        item = tomlkit.item(value)
        item.trivia.indent = keys[-1][1].trivia.indent
        container._insert_after(keys[-1][0], name, item)  # what is public appends behind the comments


def _at_top(text: str, lines: str) -> str:
    """Options where none stand yet: before the first table, and behind a comment that opens the file."""
    head, gap, rest = text.partition("\n\n")
    if _only_comments(text):
        return text + ("\n" if text and not text.endswith("\n") else "") + lines
    return f"{head}\n\n{lines}\n{rest}" if gap and _only_comments(head) else f"{lines}\n{text}"


def _only_comments(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.split("\n"))


def _table_in(data: Mapping[str, Any]) -> Any:
    """`[tool.workbench]`, where there is one."""
    tool = data.get(TABLE[0])
    table = tool.get(TABLE[1]) if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


# --- values ---------------------------------------------------------------------------------------------


def _as_toml(value: Any) -> Any:
    """A value as one writes it: `300`, not `300.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(value: Any) -> str:
    import tomlkit

    return str(tomlkit.item(value).as_string())


# --- files ----------------------------------------------------------------------------------------------


def _file_in(folder: Path) -> Path:
    own, project = folder / OWN, folder / PROJECT
    if not os.path.lexists(own) and os.path.lexists(project):
        with contextlib.suppress(ValueError):  # it is none of ours then
            if _table_in(tomllib.loads(_read(project).removeprefix(MARK))) is not None:
                return project
    return own


def _read(path: Path) -> str:
    """Its text; empty when it is not there, or a link to what is not there yet."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise CannotSave(f"{path} is larger than 1 MB")
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CannotSave(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CannotSave(f"cannot read {path}: it is no text in UTF-8") from None


def _check(path: Path, text: str, values: Mapping[str, Any]) -> None:
    """What is going to be written says what it should, and still is TOML."""
    data = tomllib.loads(text.removeprefix(MARK))
    found = {**(_table_in(data) or {}), **(data if path.name == OWN else {})}
    wrong = [name for name, value in values.items() if found.get(name) != value]
    if wrong:
        raise CannotSave(f"{path}: {', '.join(wrong)} cannot be set in what is written there; edit it by hand")


def _write(path: Path, content: bytes) -> None:
    """Replace the file as a whole, its mode and owner kept; a link is followed, as an editor would."""
    real = Path(os.path.realpath(path))
    temporary = real.with_name(f".{real.name}.{secrets.token_hex(4)}")
    try:
        old = real.stat() if real.exists() else None
        if old is not None and not os.access(real, os.W_OK):
            raise CannotSave(f"{real} is read-only")
        fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if old is not None else 0o666)
        try:
            _fill(fd, content, old)
            os.replace(temporary, real)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CannotSave(f"cannot write {real}: {error.strerror}") from None


def _fill(fd: int, content: bytes, like: os.stat_result | None) -> None:
    with os.fdopen(fd, "wb") as file:
        if like is not None:
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, like.st_uid, like.st_gid)
            os.fchmod(fd, like.st_mode & 0o7777)
        file.write(content)
        file.flush()
        os.fsync(fd)
