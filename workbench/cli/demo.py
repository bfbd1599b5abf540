"""`workbench demo`: the workbench over an agent that comes with it, in a folder where it can be edited."""

import shutil
import sys
import tempfile
from pathlib import Path

from workbench.cli.commands import run_agent
from workbench.cli.init import BUNDLED, write_new
from workbench.cli.parser import parse_demo, parse_run
from workbench.model.errors import UsageError
from workbench.model.text import clean_text

AGENT = "demo.py"


def run_demo(arguments: list[str]) -> int:
    """Copy the agent, run it as any other, and leave nothing behind that the user has not touched.

    Raises:
        UsageError: wrong flags, or the agent cannot be written.
    """
    folder, rest = parse_demo(arguments)
    parse_run([AGENT, *rest])  # what is wrong is told before anything is written
    content = (BUNDLED / "showcase.py").read_bytes()
    place = Path(folder or tempfile.mkdtemp(prefix="workbench-demo-")).absolute()
    agent = place / AGENT
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_new(agent, content)
    except FileExistsError as error:
        raise UsageError(f"{error.filename} is in the way; name another folder") from None
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or agent}: {error.strerror}") from None
    print(f"workbench: the demo's agent is {_shown(agent)}; edit it and save", file=sys.stderr)
    given = [str(agent), "--demo", *rest]
    try:
        return run_agent(parse_run(given), given)
    finally:
        if folder is None and _untouched(place, content):
            shutil.rmtree(place, ignore_errors=True)
        else:
            print(f"workbench: the demo's agent is still in {_shown(agent)}", file=sys.stderr)


def _untouched(place: Path, content: bytes) -> bool:
    """Nothing in the folder is the user's."""
    try:
        names = {path.name for path in place.iterdir()} - {"__pycache__"}
        return names <= {AGENT} and (AGENT not in names or (place / AGENT).read_bytes() == content)
    except OSError:
        return False  # it cannot be told


def _shown(path: Path) -> str:
    return clean_text(str(path))
