"""Saying the user's part of a conversation again, one message after the other."""

import asyncio
from collections.abc import Awaitable, Callable

from workbench.model.errors import WorkbenchError
from workbench.tui.widgets.talk.rooms import Conversation

SETTLED_S = 0.5  # a reply that nothing follows for so long is over
GREETING_S = 2.0  # how long an agent that has said nothing yet may take to greet
SILENT_S = 20.0  # an agent that says nothing for so long is not waited for

Say = Callable[[str], Awaitable[None]]


async def say_again(talk: Conversation, texts: tuple[str, ...], say: Say, tell: Callable[[int], None]) -> None:
    """Say `texts`, each after the reply to the one before; `tell` hears the number of the one that is said.

    Raises:
        WorkbenchError: the room ended, could not be joined again, or newer code took it over meanwhile.
    """
    await joined(talk)
    begun = talk.transcript.attempts
    await _quiet(talk, begun, lambda: SETTLED_S if talk.transcript.answered else GREETING_S)
    talk.transcript.mark_again(texts)
    for number, text in enumerate(texts, 1):
        _check(talk, begun, f"{number - 1} of {len(texts)} were said again")
        tell(number)
        await joined(talk)
        asked = talk.transcript.asked
        await say(text)
        await _quiet(talk, begun, lambda before=asked: _patience(talk, before))  # type: ignore[misc]
    _check(talk, begun, "all were said again")


async def joined(talk: Conversation) -> None:
    """Until its room is joined.

    Raises:
        WorkbenchError: not within `SILENT_S`, or never more.
    """
    try:
        async with asyncio.timeout(SILENT_S):
            while not talk.joined and talk.transcript.ended is None:
                talk.heard.clear()
                await talk.heard.wait()
    except TimeoutError:
        raise WorkbenchError("the room cannot be joined") from None


def _patience(talk: Conversation, asked: int) -> float:
    return SETTLED_S if talk.transcript.asked > asked and talk.transcript.answered else SILENT_S


async def _quiet(talk: Conversation, begun: int, patience: Callable[[], float]) -> None:
    """Until nothing was heard for as long as `patience` says each time, or the code is another one."""
    while talk.transcript.attempts == begun and talk.transcript.ended is None:
        talk.heard.clear()
        try:
            async with asyncio.timeout(patience()):
                await talk.heard.wait()
        except TimeoutError:
            return


def _check(talk: Conversation, begun: int, so_far: str) -> None:
    if talk.transcript.ended is not None:
        raise WorkbenchError(f"the room has ended: {so_far}")
    if talk.transcript.attempts != begun:
        raise WorkbenchError(f"newer code answers from here: {so_far}; Ctrl-r says them to it")
