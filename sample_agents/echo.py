"""The smallest agent: it says everything back, louder."""

from workbench import JobContext, Options, RoomOptions, WorkerJob


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await ctx.room.send("Hello!")
    async for message in ctx.room:  # ends when the room ends
        await ctx.room.send(message.text.upper())


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="Echo"))


if __name__ == "__main__":
    WorkerJob(entrypoint=entrypoint, jobctx=make_context, options=Options(agent_id="Echo", max_processes=5)).start()
