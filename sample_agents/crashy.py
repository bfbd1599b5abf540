"""Say `raise`, `exit 3` (sys.exit), `vanish 0` (os._exit), `kill` or `segv`; watch how the end is named:
raised with file and line, exited with its code (0 is a failure, too), signalled with the signal's name.
"""

import ctypes
import logging
import os
import signal
import sys

from workbench import JobContext, Options, RoomOptions, WorkerJob

log = logging.getLogger(__name__)

USAGE = "Say raise, exit N, vanish N, kill or segv."


def code(words: list[str]) -> int:
    return int(words[0]) & 0xFF if words and words[0].isdecimal() and len(words[0]) <= 3 else 1


def crash(text: str) -> None:
    """Do as told; return if nothing known was asked for."""
    match text.lower().split():
        case ["raise", *_]:
            raise ValueError("boom")
        case ["exit", *rest]:
            sys.exit(code(rest))
        case ["vanish", *rest]:
            os._exit(code(rest))  # no cleanup, no last words
        case ["kill", *_]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["segv", *_]:
            ctypes.string_at(0)  # reads address 0


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await ctx.room.send(USAGE)
    async for message in ctx.room:
        log.info("asked to %.80r", message.text)
        crash(message.text[:80])
        await ctx.room.send(f"Still alive. {USAGE}")


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="Crashy"))


if __name__ == "__main__":
    WorkerJob(entrypoint=entrypoint, jobctx=make_context, options=Options(agent_id="Crashy")).start()
