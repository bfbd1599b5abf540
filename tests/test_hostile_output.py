"""Nothing that an agent prints, logs or raises, and no argument or file's name, commands the terminal."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.conftest import WAIT_S, child_environment
from tests.test_input import CONTROL

HOSTILE = (
    "\x1b[31mred \x1b]0;owned\x07 \x9b31m [bold]markup[/bold] \u202eevil\u2066 \x00\x07\x08\r\x7f"
    " \u2028 \ud800 \ufeff\u200b é \U0001f600"
)


HOSTILE_NAME = HOSTILE.replace("\x00", "").replace("\ud800", "").replace("/", "")


AGENT = f"""
import logging, sys
from workbench import JobContext, RoomOptions, WorkerJob
HOSTILE, NAME = {HOSTILE!r}, {HOSTILE_NAME!r}
logging.addLevelName(25, HOSTILE)
print(HOSTILE)
sys.stderr.buffer.write(HOSTILE.encode("utf-8", "surrogatepass") + b"\\xff\\xfe\\n")
async def entrypoint(ctx):
    print(HOSTILE, ctx.metadata["text"])
    logging.getLogger(HOSTILE).log(25, "%s", HOSTILE)
    logging.warning("x" * 1_000_000)
    ctx.report(**{{HOSTILE: HOSTILE}})
    await ctx.room.send(HOSTILE)
    raise type("E" + NAME, (Exception,), {{}})(HOSTILE + ctx.metadata["text"])
WorkerJob(entrypoint, jobctx=lambda: JobContext(room_options=RoomOptions(name=HOSTILE))).start()
"""


def on_a_terminal(folder: Path, *arguments: str) -> tuple[int, bytes]:
    """Exit code of a command, and every byte that reached its terminal."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder,
        env=child_environment(XDG_RUNTIME_DIR=str(folder), TERM="xterm-256color"), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    written = bytearray()
    while True:
        try:
            data = os.read(mine, 65536)
        except OSError:
            break  # everybody has closed the terminal
        written += data
    os.close(mine)
    return process.wait(WAIT_S), bytes(written)


def assert_harmless(written: bytes) -> str:
    """Nothing in these bytes makes a terminal do anything but print, and end a line."""
    text = written.replace(b"\r\n", b"").decode()
    assert not CONTROL.search(text), CONTROL.findall(text)
    return text


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_an_agent_prints_logs_or_raises_commands_the_terminal(tmp_path: Path, log_format: str) -> None:
    name = f"bot {HOSTILE_NAME}.py"
    (tmp_path / name).write_text(AGENT)
    metadata = json.dumps({"text": HOSTILE})
    code, written = on_a_terminal(
        tmp_path, name, "--no-tui", "--once", "--metadata", metadata, "--log-format", log_format
    )
    text = assert_harmless(written)
    assert code == 1
    assert text.count("[bold]markup[/bold]") >= 6
    assert len(max(written.split(b"\r\n"), key=len)) < (20_000 if log_format == "text" else 80_000)
    if log_format == "json":
        assert all(json.loads(line) for line in written.decode().splitlines())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no" + HOSTILE_NAME], 3),
        ([f"{HOSTILE_NAME}.py", "--no-tui"], 3),
        (["options", f"{HOSTILE_NAME}.py"], 3),
        (["options", "fine.py", "--host", HOSTILE_NAME], 2),
        (["options", "fine.py", "--" + HOSTILE_NAME], 2),
        (["fine.py", HOSTILE_NAME], 2),
        (["fine.py", "--no-tui", "--once", "--room", HOSTILE_NAME], 2),
        (["fine.py", "--no-tui", "--once", "--metadata", HOSTILE_NAME], 2),
        (["dispatch", "--agent-id", HOSTILE_NAME], 2),
        (["dispatch", "--url", f"/{HOSTILE_NAME}.sock"], 1),
        (["attach", f"http://{HOSTILE_NAME}"], 2),
        (["options", "toml/fine.py"], 2),
        (["options", f"{HOSTILE_NAME}/fine.py"], 0),
    ],
)
def test_no_argument_and_no_file_commands_the_terminal(tmp_path: Path, arguments: list[str], code: int) -> None:
    (tmp_path / f"{HOSTILE_NAME}.py").write_text(
        f"def f():\n    raise ValueError({HOSTILE!r})  # {HOSTILE_NAME}\nf()\n"
    )
    for folder in (".", "toml", HOSTILE_NAME):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "fine.py").write_text("async def entrypoint(ctx): pass\n")
    (tmp_path / "toml" / "workbench.toml").write_text(f"{json.dumps(HOSTILE_NAME)} = 1\n")
    found, written = on_a_terminal(tmp_path, *arguments)
    assert_harmless(written)
    assert found == code
    assert b"Traceback" not in written
