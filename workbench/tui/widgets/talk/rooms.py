"""The conversations of this session: one for each job whose room was joined. No Textual here."""

import asyncio
from dataclasses import dataclass, field

from workbench.model.state import Job, State
from workbench.tui.widgets.talk.transcript import Transcript

MOST = 9
RECALLED = 200


@dataclass(slots=True, eq=False)
class Conversation:
    """What is known of one room.

    Attributes:
        unread: what the agent said there while another conversation was shown.
        spoken: whether this terminal has said something there.
        draft: what stands in the field, not sent yet.
        rows: how many the view drew of it last, and `back`, how many of them it is scrolled back.
        heard: set whenever the room says anything, or is joined or left.
    """

    job: Job
    transcript: Transcript = field(default_factory=Transcript)
    joined: bool = False
    unread: int = 0
    spoken: bool = False
    draft: str = ""
    rows: int = 0
    back: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def over(self, state: State) -> bool:
        """Its job has ended, or belonged to a supervisor that is gone."""
        job = state.jobs.get(self.job.id)
        return job is None or not job.active

    def past(self, state: State) -> bool:
        """It is over, or newer code serves and its job ends on the older: only another job can answer as new."""
        job = state.jobs.get(self.job.id)
        if job is None or not job.active:
            return True
        moves = (job.own or state.reload.jobs == "restart") and not job.pinned
        return not moves and job.generation is not None and job.generation < state.worker.generation


@dataclass(slots=True)
class Conversations:
    """All of them in the order they were opened, and the one that is shown."""

    all: list[Conversation] = field(default_factory=list)
    shown: Conversation | None = None

    def get(self, job_id: str) -> Conversation | None:
        """The conversation with a job."""
        return next((talk for talk in self.all if talk.job.id == job_id), None)

    def open(self, job: Job, state: State) -> list[Conversation]:
        """Begin one with a job; those that had to go for it."""
        self.all.append(Conversation(job))
        others = [talk for talk in self.all[:-1] if talk is not self.shown]
        others.sort(key=lambda talk: not talk.over(state))  # ended ones are the first to go
        gone = others[: max(len(self.all) - MOST, 0)]
        self.all = [talk for talk in self.all if talk not in gone]
        return gone

    def show(self, talk: Conversation) -> None:
        """Look at one: what it said is read."""
        self.shown, talk.unread = talk, 0

    def close(self, talk: Conversation) -> None:
        """Forget one; its neighbour is shown."""
        at = self.all.index(talk)
        self.all.remove(talk)
        if self.shown is talk:
            self.shown = None
            if self.all:
                self.show(self.all[min(at, len(self.all) - 1)])

    def step(self, by: int) -> Conversation | None:
        """The next one, or with -1 the one before; None where there is no other."""
        if self.shown is None or len(self.all) < 2:
            return None
        return self.all[(self.all.index(self.shown) + by) % len(self.all)]

    def to_say_again(self, state: State) -> list[str]:
        """What could be said again after the shown conversation: to newer code, or to a new job.

        Only what is the user's own to repeat: words in a stranger's room are not.
        """
        talk = self.shown
        if talk is None:
            return []
        if talk.past(state):
            return talk.transcript.said_last() if repeatable(talk) and not state.worker.draining else []
        if before := talk.transcript.said_before():
            return before if repeatable(talk) else []
        if talk.transcript.said_now():
            return []
        past = [other for other in self.all[: self.all.index(talk)] if other.over(state) and repeatable(other)]
        return next((said for other in reversed(past) if (said := other.transcript.said_last())), [])

    def offers(self, state: State) -> list[str]:
        """The same, as long as nobody has said anything else here."""
        talk = self.shown
        fresh = talk is not None and (talk.past(state) or not talk.transcript.said_now())
        return self.to_say_again(state) if fresh else []


def repeatable(talk: Conversation) -> bool:
    """The user talked there."""
    return talk.job.own or talk.spoken


@dataclass(slots=True)
class Recall:
    """What was said in this session, to be said again from the field; `edit` is what one was typing before."""

    said: list[str] = field(default_factory=list)
    _at: int = 0
    _edit: str = ""

    def add(self, text: str) -> None:
        """It was said; the same words twice in a row are kept once."""
        if self.said[-1:] != [text]:
            self.said.append(text)
            del self.said[:-RECALLED]
        self._at = len(self.said)

    def step(self, by: int, typed: str) -> str | None:
        """Older words with -1, newer with 1, at last what was typed; None at either end."""
        at = self._at + by
        if not 0 <= at <= len(self.said):
            return None
        if self._at == len(self.said):
            self._edit = typed
        self._at = at
        return self.said[at] if at < len(self.said) else self._edit
