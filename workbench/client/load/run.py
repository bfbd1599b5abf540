"""One run of a plan against a worker: `result` is alive while it runs."""

import asyncio
from contextlib import suppress
from typing import Any

from workbench.client.client import ClientError, Frame
from workbench.client.load.parts import Mine, Target, end, talk
from workbench.client.load.plan import Plan
from workbench.client.load.result import Result
from workbench.model import events as ev
from workbench.model.errors import WorkbenchError
from workbench.model.state import State

AGAIN_S = 1.0  # what a refusal says as Retry-After
STREAM_TRIES = 4
STREAM_AGAIN_S = 0.5
LAST_WORDS_S = 2.0  # to ask jobs to end when the run itself is cut off
OURS_TO_MEND = frozenset({400, 401, 403, 404, 413, 415, 421})  # the request is wrong, and so would all others be
FOR_GOOD = frozenset({"draining"})  # refusals that trying again does not change


class LoadRun:
    """Hands jobs in when they are due, whatever became of those before, and ends what it started."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self.plan = plan
        self.result = Result(planned=plan.total)
        self._target = target
        self._mine: dict[str, Mine] = {}
        self._sending: dict[asyncio.Task[dict[str, Any]], float] = {}  # not answered yet, and when each was due
        self._state = State()
        self._known = asyncio.Event()
        self._stopping = asyncio.Event()
        self._places = asyncio.Semaphore(plan.concurrency) if plan.concurrency else None
        self._deaf = False  # nothing more is heard of the worker
        self._dropped_before = 0
        self._began = 0.0
        self.over = False

    async def run(self) -> Result:
        """Until every job that was taken has ended, or the worker is gone.

        Cut off, it asks its jobs to end, those too that the worker takes at that moment, and waits `LAST_WORDS_S` for
        the answers. Nobody asks them when the process dies without that (killed, or its terminal hung up).
        """
        following = asyncio.create_task(self._follow())
        self._began = self._now()
        try:
            await self._known.wait()
            self._began = self._now()
            async with asyncio.TaskGroup() as group:
                await self._arrive(group)
        except BaseException:
            self.stop()
            await self._last_words()
            raise
        finally:
            self._measure_time()
            self.over = True
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        return self.result

    def stop(self) -> None:
        """No job more; those that run are asked to end, and their end is waited for."""
        self.result.stopped = True
        self._halt()

    @property
    def stopping(self) -> bool:
        """No more jobs are handed in, and those that run are asked to end."""
        return self._stopping.is_set()

    @property
    def elapsed_s(self) -> float:
        """Since the first arrival was due."""
        if not self.over and self._began:
            self._measure_time()
        return self.result.duration_s

    @property
    def share(self) -> float:
        """How much of it is done, as far as can be told."""
        if self.result.planned:
            return self.result.done / self.result.planned
        return min(self.elapsed_s / self.plan.duration_s, 1.0) if self.plan.duration_s else 0.0

    # --- arrivals -------------------------------------------------------------------------------

    async def _arrive(self, group: asyncio.TaskGroup) -> None:
        for number, at in enumerate(self.plan.arrivals(), 1):
            due = self._began + at
            if await self._stopped_within(due - self._now()):
                return
            if self._places is not None:
                await self._places.acquire()
            over = self.plan.rate_per_s is None and self.plan.duration_s and self.elapsed_s >= self.plan.duration_s
            if over or self.stopping:
                return
            group.create_task(self._one(number, due))

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait that long, unless the run is stopped before."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)
        return self.stopping

    async def _one(self, number: int, due: float) -> None:
        try:
            taken = await self._hand_in(number, due)
            if taken is not None:
                await self._attend(self._accept(taken, due), str(taken["room_id"]))
            elif self.plan.rate_per_s is None:
                await self._stopped_within(AGAIN_S)  # a place that was refused does not spin
        finally:
            if self._places is not None:
                self._places.release()

    async def _hand_in(self, number: int, due: float) -> dict[str, Any] | None:
        """The job as accepted; None when it was refused."""
        self.result.handed_in += 1
        try:
            while True:
                room, metadata = self.plan.room(number), self.plan.metadata
                sending = asyncio.create_task(self._target.dispatch(room, metadata, force=self.plan.force))
                self._sending[sending] = due
                try:
                    taken = await asyncio.shield(sending)  # when this is cut off, the answer is still wanted
                    del self._sending[sending]
                    return taken
                except ClientError as refusal:
                    del self._sending[sending]
                    if refusal.status in OURS_TO_MEND:
                        self._fail(str(refusal))
                    reason = str(refusal.body.get("reason") or _answer(refusal.status))
                    self.result.refused[reason] += 1
                    again = self.plan.retry and reason not in FOR_GOOD
                    if not again or await self._stopped_within(AGAIN_S):
                        return None
        finally:
            self.result.answered += 1
            self.result.last_s = self._now() - self._began
            if self.result.first_s is None:
                self.result.first_s = self.result.last_s

    # --- one job --------------------------------------------------------------------------------

    def _accept(self, taken: dict[str, Any], due: float) -> Mine:
        mine = self._mine[str(taken["id"])] = Mine(str(taken["id"]), due)
        self.result.accepted += 1
        self.result.running += 1
        known = self._state.jobs.get(mine.id)  # the news may have been faster than the answer
        if known is not None and known.started_at is not None:
            self._heard_start(mine)
        if known is not None and not known.active:
            self._heard_end(mine, known.status, known.reason)
        if self._deaf:
            self._lose(mine)
        if self.stopping:
            mine.begun.set()
            mine.leave.set()
        return mine

    async def _attend(self, mine: Mine, room_id: str) -> None:
        """From its acceptance to its end."""
        await mine.begun.wait()
        if self.plan.say:
            await talk(self._target, mine, room_id, self.plan.say, self.result)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(mine.leave.wait(), self.plan.hold_s)
        await self._end(mine)
        await mine.ended.wait()
        del self._mine[mine.id]

    async def _end(self, mine: Mine) -> None:
        """Ask it to end, unless it has; what comes of that is heard. Where nothing is heard: once, and not for long."""
        if mine.told or (mine.ended.is_set() and not self._deaf):
            return
        mine.asked = True
        if not await end(self._target, mine, LAST_WORDS_S if self._deaf else None):
            self._lose(mine)

    async def _last_words(self) -> None:
        """Ask all that was taken to end, and what is taken just now; not for long."""
        asking = [asyncio.create_task(self._end(mine)) for mine in self._mine.values()]
        asking += [asyncio.create_task(self._end_taken(sending, due)) for sending, due in self._sending.items()]
        try:
            if asking:
                await asyncio.wait(asking, timeout=LAST_WORDS_S)
        finally:
            for task in (*asking, *self._sending):
                task.cancel()
            await asyncio.gather(*asking, *self._sending, return_exceptions=True)
            self._lose_all()

    async def _end_taken(self, sending: asyncio.Task[dict[str, Any]], due: float) -> None:
        with suppress(ClientError):  # refused: there is nothing to end
            await self._end(self._accept(await sending, due))

    # --- news -----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Whatever ends it, but the end of the run, fails the run."""
        words = "the worker is not followed any more"
        try:
            words = f"the worker is gone: {await self._listen()}"
        except Exception as error:
            words = f"what the worker tells cannot be followed: {error!r}"
        finally:
            if not self.over:
                self._deaf = True
                self._fail(words)
                self._lose_all()
                self._known.set()

    async def _listen(self) -> str:
        """Take the news until there are none; why."""
        tries, why = 0, ""
        while tries < STREAM_TRIES:
            try:
                async for frame in self._target.frames():
                    tries = 0
                    self._take(frame)
                why = "the stream ended"
            except (WorkbenchError, OSError) as error:
                why = str(error)
            tries += 1
            await asyncio.sleep(STREAM_AGAIN_S if tries < STREAM_TRIES else 0)
        return why

    def _take(self, frame: Frame) -> None:
        self._state, event = frame.state, frame.event
        if frame.snapshot:
            self._take_all(frame.state)
        elif isinstance(event, ev.Sampled):
            self.result.measure(frame.state, self._mine, self._dropped_before)
        elif isinstance(event, ev.JobStarted) and (mine := self._mine.get(event.id)):
            self._heard_start(mine)
        elif isinstance(event, ev.JobEnded) and (mine := self._mine.get(event.id)):
            self._heard_end(mine, event.status, event.reason)

    def _take_all(self, state: State) -> None:
        """The first state, or the one after a gap."""
        if not self._known.is_set():
            self._dropped_before = state.counters["log_lines_dropped"]
            self._known.set()
        for mine in list(self._mine.values()):
            job = state.jobs.get(mine.id)
            if job is None:
                self._lose(mine)
            elif not job.active:
                self._heard_end(mine, job.status, job.reason)
            elif job.started_at is not None:
                self._heard_start(mine)

    def _heard_start(self, mine: Mine) -> None:
        job = self._state.jobs[mine.id]
        if not mine.began and job.start_latency_ms is not None:
            self.result.started += 1
            self.result.warm += bool(job.warm)
            self.result.starts.append(job.start_latency_ms)
            if self.plan.rate_per_s is not None:
                self.result.from_plan.append((self._now() - mine.due) * 1000)
        mine.began = True
        mine.begun.set()

    def _heard_end(self, mine: Mine, status: str, reason: str | None) -> None:
        if not mine.ended.is_set():
            self.result.count_end(status, reason, mine.asked)
            self._gone(mine)

    def _lose(self, mine: Mine) -> None:
        if not mine.ended.is_set():
            self.result.lost += 1
            self._gone(mine)

    def _lose_all(self) -> None:
        for mine in list(self._mine.values()):
            self._lose(mine)

    def _gone(self, mine: Mine) -> None:
        self.result.running -= 1
        for event in (mine.begun, mine.leave, mine.ended):
            event.set()

    def _fail(self, words: str) -> None:
        """It cannot go on: the first words are kept."""
        self.result.trouble = self.result.trouble or words
        self._halt()

    def _halt(self) -> None:
        self._stopping.set()
        for mine in self._mine.values():
            mine.begun.set()
            mine.leave.set()

    def _measure_time(self) -> None:
        self.result.duration_s = self._now() - self._began

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _answer(status: int) -> str:
    return f"status {status}" if status else "no answer"
