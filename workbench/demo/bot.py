"""A first agent: it greets, says back what it hears, and counts. Run it with `workbench bot.py`, and press t.

Without a screen: `workbench bot.py --no-tui --once --metadata '{"say": "hello"}'` is one job with one answer.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from workbench import JobContext, Options, RoomOptions, WorkerJob

log = logging.getLogger(__name__)

# Change this text and save, while you talk to the bot: the conversation goes on with the new code.
GREETING = "Hello! Say something, and I will say it back; bye ends our conversation."


async def answer(text: str) -> AsyncIterator[str]:
    """The answer word by word, as a language model gives it: put yours here."""
    for word in f"You said: {text}".split():
        yield f"{word} "
        await asyncio.sleep(0.05)


async def entrypoint(ctx: JobContext) -> None:
    """One job: one conversation, in a process of its own. It has completed when this returns."""
    await ctx.connect()
    if "say" in ctx.metadata:  # whoever hands in a job may say what it is about
        await ctx.room.send(answer(str(ctx.metadata["say"])))
        return
    await ctx.room.send(GREETING)
    turns = 0
    async for message in ctx.room:  # ends when the room ends
        turns += 1
        log.info("turn %d: %s", turns, message.text)  # shown in the logs
        ctx.report(turns=turns)  # shown with the job
        await ctx.room.send(answer(message.text))
        if message.text.strip().lower() == "bye":
            return


def make_context() -> JobContext:
    """What each job gets; the name is the agent's in the room."""
    return JobContext(room_options=RoomOptions(name="Bot"))


if __name__ == "__main__":
    WorkerJob(entrypoint=entrypoint, jobctx=make_context, options=Options(agent_id="Bot")).start()
