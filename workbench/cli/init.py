"""`workbench init`: a first agent and its options, as files."""

import os
import shlex
from pathlib import Path

from workbench.model.errors import UsageError
from workbench.model.text import clean_text

FIRST = ("bot.py", "workbench.toml")
BUNDLED = Path(__file__).parent.parent / "demo"


def write_first_agent(folder: str) -> int:
    """Write the files, and say what to run next. All of them or none: nothing is overwritten.

    Raises:
        UsageError: files are in the way, or the folder cannot be written.
    """
    place = Path(folder)
    in_the_way = [str(place / name) for name in FIRST if os.path.lexists(place / name)]
    if in_the_way:
        raise UsageError(f"already there, and left as they are: {', '.join(in_the_way)}; name another folder")
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name in FIRST:
            write_new(place / name, (BUNDLED / name).read_bytes())
    except FileExistsError as error:
        raise UsageError(f"{error.filename} is in the way; name another folder") from None
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or place}: {error.strerror}") from None
    for name in FIRST:
        print(f"wrote {clean_text(str(place / name))}")
    agent = clean_text(shlex.quote(str(place / FIRST[0])))
    print(f"\nnext: workbench {agent}")
    return 0


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet.

    Raises:
        FileExistsError: it is.
    """
    with path.open("xb") as file:
        file.write(content)
