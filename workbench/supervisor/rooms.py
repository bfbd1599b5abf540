"""The local text rooms: one per job, kept here, so that a job carried to new code finds its room again."""

import asyncio
import itertools
import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workbench.agent.assigned import NOTHING, Assigned
from workbench.model.text import cut
from workbench.process.speech import Say

MESSAGES_KEPT = 500
BYTES_KEPT = 2 * 1024 * 1024  # of a room's text
LONGEST_TEXT = 256 * 1024
CLOSED_KEPT = 100

Listener = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Room:
    """A conversation. `tell_job` hands a frame to the job's process, if it has one now."""

    id: str
    job_id: str
    tell_job: Callable[[dict[str, Any]], None]
    accepted_at: float  # monotonic; when the job was
    assigned: Assigned = NOTHING  # what whoever gave the job has said of its room; each attempt is told
    messages: deque[dict[str, Any]] = field(default_factory=deque)
    participants: list[str] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    closed: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    attempt: int = 0
    unheard: list[dict[str, Any]] = field(default_factory=list)  # frames for a job that has not begun
    _begun: bool = False
    _size: int = 0
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def user_says(self, text: str, sender: str, data: Any = None) -> dict[str, Any]:
        """A user's message; it goes to the job."""
        number = next(self._numbers)
        message = {
            "id": f"m{number}", "sender": sender, "role": "user", "text": text, "data": data, "at": time.time(),
        }  # fmt: skip
        self._add({**message, "partial": False})
        frame = {"t": "message", "message": message}
        if not self._begun and len(self.unheard) < MESSAGES_KEPT:
            self.unheard.append(frame)
        self.tell_job(frame)
        return message

    def agent_says(self, said: Say, sender: str) -> None:
        """The agent's message, or a longer version of one it is still writing."""
        message = {
            "id": f"{self.attempt}.{said.message_id}", "sender": sender, "role": "agent",
            "text": cut(said.text, LONGEST_TEXT), "data": said.data, "at": said.at, "partial": said.partial,
        }  # fmt: skip
        for index in range(len(self.messages) - 1, max(-1, len(self.messages) - 20), -1):
            if self.messages[index]["id"] == message["id"]:
                self._size += _size(message) - _size(self.messages[index])
                self.messages[index] = message
                self._tell({"type": "message", "message": message})
                return
        self._add(message)

    def join(self, name: str) -> None:
        """A participant came."""
        self.participants.append(name)
        self.tell_job({"t": "joined", "name": name})
        self._tell({"type": "joined", "name": name})

    def leave(self, name: str) -> None:
        """A participant went."""
        if name in self.participants:
            self.participants.remove(name)
            self.tell_job({"t": "left", "name": name})
            self._tell({"type": "left", "name": name})

    def begin_attempt(self, attempt: int, generation: int) -> None:
        """The entrypoint starts (again): a mark in the transcript from the second time on."""
        self.attempt, self._begun = attempt, True
        self.unheard.clear()
        self._tell({"type": "attempt", "attempt": attempt, "generation": generation})

    def await_attempt(self) -> None:
        """The job will begin again: what is said from here on waits for that."""
        self._begun = False

    def close(self, reason: str) -> None:
        """The job has ended."""
        self.closed = True
        self.assigned = NOTHING  # it may hold a token
        self.unheard.clear()
        self._tell({"type": "ended", "reason": reason})

    def after(self, message_id: str | None) -> list[dict[str, Any]]:
        """Finished and growing messages after one; all that are kept when it is None or unknown."""
        everything = list(self.messages)
        for index, message in enumerate(everything):
            if message["id"] == message_id:
                return everything[index + 1 :]
        return everything

    def _add(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self._size += _size(message)
        while len(self.messages) > 1 and (len(self.messages) > MESSAGES_KEPT or self._size > BYTES_KEPT):
            self._size -= _size(self.messages.popleft())
        self._tell({"type": "message", "message": message})

    def _tell(self, news: dict[str, Any]) -> None:
        self.news.set()
        self.news = asyncio.Event()
        for listener in list(self.listeners):
            listener(news)


def _size(message: dict[str, Any]) -> int:
    data = message["data"]
    return len(message["text"]) + (0 if data is None else len(json.dumps(data, default=str)))


class Rooms:
    """Rooms by id. Those of the last ended jobs stay readable."""

    def __init__(self) -> None:
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        self._by_job: dict[str, Room] = {}

    def open(
        self,
        room_id: str,
        job_id: str,
        tell_job: Callable[[dict[str, Any]], None],
        accepted_at: float,
        assigned: Assigned = NOTHING,
    ) -> Room:
        """The room of a new job. Takes the place of a closed one of the same id."""
        room = Room(room_id, job_id, tell_job, accepted_at, assigned)
        self._rooms[room_id] = self._by_job[job_id] = room
        self._rooms.move_to_end(room_id)
        closed = [room for room in self._rooms.values() if room.closed]
        for old in closed[: max(0, len(closed) - CLOSED_KEPT)]:
            if self._rooms.get(old.id) is old:
                del self._rooms[old.id]
        return room

    def get(self, room_id: str) -> Room | None:
        """The room, open or lately closed."""
        return self._rooms.get(room_id)

    def of_job(self, job_id: str) -> Room | None:
        """The room of a job that has not ended."""
        return self._by_job.get(job_id)

    def taken(self, room_id: str) -> bool:
        """A job runs in that room."""
        room = self._rooms.get(room_id)
        return room is not None and not room.closed

    def close(self, job_id: str, reason: str) -> None:
        """The job has ended."""
        room = self._by_job.pop(job_id, None)
        if room is not None:
            room.close(reason)
