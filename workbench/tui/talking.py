"""Talking to jobs: which room the talk pane shows, the line into it, and what is said there."""

from typing import TYPE_CHECKING

from workbench.model.errors import WorkbenchError
from workbench.model.state import Job
from workbench.tui.talk_line import TalkLine

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp


class Talking:
    """Follows the board, and keeps the room joined that the user wants."""

    def __init__(self, app: "WorkbenchApp") -> None:
        self._app = app
        self._line = TalkLine(lambda: app.feed.connection, lambda news: app.board_screen.talk.post_message(news))
        self._mine: set[str] = set()
        self._wanted_job = ""

    def dispatched(self, job_id: str) -> None:
        """The user started a job: its room is joined once the board shows it."""
        self._mine.add(job_id)
        self._wanted_job = job_id

    def join(self, job: Job) -> None:
        """The user wants to talk to that job."""
        self._wanted_job = job.id
        self.follow()

    def follow(self) -> None:
        """Join the room that is wanted now, if it is another one."""
        job = self._room_job()
        talk = self._app.board_screen.talk
        stays = talk.job_id == self._wanted_job != "" and not self._is_alive(talk.job_id)  # its end can be read
        if job is None or job.id == talk.job_id or (stays and job.own):
            return
        talk.open(job)
        self._app.board_screen.offer_talk()
        self._app.run_worker(self._line.run(job, lambda: self._is_alive(job.id)), group="room", exclusive=True)

    def _room_job(self) -> Job | None:
        jobs = {job.id: job for job in self._app.board.state.active_jobs()}
        mine = next((job for job in reversed(jobs.values()) if job.id in self._mine), None)
        return jobs.get(self._wanted_job) or mine or self._app.board.own_job()

    def _is_alive(self, job_id: str) -> bool:
        job = self._app.board.state.jobs.get(job_id)
        return job is not None and job.active

    async def say(self, text: str) -> None:
        """Say it; what could not be said comes back into the field."""
        try:
            await self._line.say(text)
        except (WorkbenchError, OSError) as error:
            self._app.tell(str(error), "warning")
            self._app.board_screen.talk.give_back(text)
