"""One registered connection: what comes is answered in its order, what is to be told is sent, silence is noticed."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

import aiohttp

from workbench.backend.dial import Line, closed_words, wait_of
from workbench.backend.offers import Offers
from workbench.backend.outbox import Outbox
from workbench.backend.trouble import LinkTrouble, RegistryRefused
from workbench.model import wire

BROKEN = (aiohttp.ClientError, ConnectionError)
READ_OUT_S = 1.0  # what came before the connection broke is read for so long at most
REPLACED_WORDS = (
    "another worker registered under the id of this one, {id}: two workers share one id, or this one was cut off and "
    "its place was taken; stop one of them and start it again"
)


class Conversation:
    """Runs until the connection ends.

    Args:
        status: what the worker says of itself now.
        interval_s: seconds between pings; a registry that is silent over a whole one after a ping is gone.
        dropped: called with why a message was passed over.
        told: set while nothing is left to be told.
    """

    def __init__(
        self,
        line: Line,
        outbox: Outbox,
        offers: Offers,
        status: Callable[[], wire.StatusUpdate],
        token: str | None,
        interval_s: Callable[[], float],
        dropped: Callable[[str], None],
        told: asyncio.Event,
    ) -> None:
        self._socket, self.worker_id = line
        self._outbox, self._offers, self._status = outbox, offers, status
        self._token, self._interval_s, self._dropped = token, interval_s, dropped
        self._answers: deque[wire.Message] = deque()
        self._status_due = True
        self._news = asyncio.Event()
        self._told = told
        self._heard = True
        self.end: Literal["", "leave", "anew"] = ""

    async def run(self) -> None:
        """Until it ends.

        Raises:
            LinkTrouble: why it did, unless `end` was asked for.
            RegistryRefused: another worker took this one's place.
        """
        for update in self._offers.standing():
            if update.text() not in self._outbox:
                self._outbox.put(update.text())
        self._news.set()
        tasks = [asyncio.ensure_future(side()) for side in (self._read, self._write, self._watch)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if any(isinstance(task.exception(), BROKEN) for task in done):
                await asyncio.wait(tasks[:1], timeout=READ_OUT_S)  # why it closes, the registry may have said
            for task in tasks:  # the one that reads first: it knows
                if task.done():
                    await task
        except BROKEN as error:
            raise LinkTrouble(f"the connection broke: {error or type(error).__name__}") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._outbox.lost()
            await self._socket.close()

    def tell(self, *, status: bool = False) -> None:
        """There is something to be sent: in the outbox, or the worker's status."""
        self._status_due = self._status_due or status
        self._told.clear()
        self._news.set()

    def say_now(self, text: str) -> None:
        """Write at once: unless the registry reads too slowly, the kernel has it now, and sends it if we are killed."""
        sending = self._socket.send_str(text)
        try:
            sending.send(None)  # to its end, or until it waits for the registry to read: it is written by then
        except (StopIteration, *BROKEN):
            return  # sent; or the connection is breaking, and what the next one tells includes it
        sending.close()

    def finish(self, end: Literal["leave", "anew"]) -> None:
        """Close, once all is sent: for good, telling that the worker is offline, or to register anew."""
        self.end = end
        self._news.set()

    # --- the three that run -----------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            frame = await self._socket.receive()
            self._heard = True
            match frame.type:
                case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                    self._take(frame.data)
                case aiohttp.WSMsgType.PING:
                    await self._socket.pong(frame.data)
                case aiohttp.WSMsgType.PONG:
                    self._ponged(bytes(frame.data))
                case _ if self._socket.close_code == wire.REPLACED:
                    raise RegistryRefused(REPLACED_WORDS.format(id=self.worker_id))
                case _:
                    raise LinkTrouble(closed_words(self._socket, frame), wait_of(self._socket, frame))

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._answers:
                await self._socket.send_str(self._answers.popleft().text())
            while (text := self._outbox.take()) is not None:
                await self._socket.send_str(text)
            if self._status_due:
                self._status_due = False
                await self._socket.send_str(self._status().text())
            number = self._outbox.ping()
            if number is not None:
                await self._socket.ping(str(number).encode())
            if self.end == "leave":
                await self._socket.send_str(self._status().model_copy(update={"status": "offline"}).text())
            if self.end:
                return
            if not self._outbox:
                self._told.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s())
            if not self._heard:
                raise LinkTrouble(f"the registry has not answered a ping for {self._interval_s():g} s")
            self._heard = False
            try:
                async with asyncio.timeout(self._interval_s()):
                    await self._socket.ping(b"")
            except TimeoutError:
                raise LinkTrouble("the registry reads nothing any more") from None
            self.tell(status=True)

    # --- what comes -------------------------------------------------------------------------

    def _take(self, raw: str | bytes) -> None:
        try:
            message = wire.read(raw, wire.FROM_REGISTRY)
        except wire.Malformed as wrong:
            self._dropped(f"it cannot be read: {wrong}")
            return
        match message:
            case wire.AvailabilityRequest():
                answer = self._offers.offered(message)
                self._answers.append(answer.model_copy(update={"token": self._token}) if answer.available else answer)
                self._news.set()
            case wire.JobAssignment():
                self._offers.assigned(message)
                self.tell()
            case wire.JobTermination():
                self._offers.terminated(message)
                self.tell()
            case None:
                self._dropped("its type is not known")
            case _:
                self._dropped("it comes at the wrong time")

    def _ponged(self, payload: bytes) -> None:
        if payload.isdigit() and len(payload) < 20:
            self._outbox.ponged(int(payload))
            if not self._outbox:
                self._told.set()
