"""Which events deserve a line, and what it says."""

import pytest

from tests.tui.demo_state import NOW, broken, demo_state, ended, job, process
from tests.tui.stage import fresh_state
from workbench.client.client import Frame
from workbench.model import events as ev
from workbench.tui.board import NOTES_KEPT, Board
from workbench.tui.notes import Note, note_of, notes_of

AT = NOW + 1


def after(event: ev.Event) -> Note | None:
    """The note of an event that happens in the demo's worker."""
    state = demo_state()
    state.apply(event)
    return note_of(event, state)


@pytest.mark.parametrize(
    ("event", "tone", "text"),
    [
        (ended("job-88a0", AT), "good", "job-88a0 completed / returned"),
        (ended("job-88a0", AT, "cancelled"), "info", "job-88a0 cancelled / cancelled"),
        (ended("job-88a0", AT, "signalled", signal="SIGKILL"), "bad", "job-88a0 failed / signalled SIGKILL"),
        (ended("job-88a0", AT, "exited", exit_code=0), "bad", "job-88a0 failed / exited 0"),
        (ended("job-88a0", AT, "raised", error="ValueError: x"), "bad", "job-88a0 failed / raised: ValueError: x"),
        (ev.JobRefused(at=AT, reason="full", text="6 of 6"), "warn", "job refused, full: 6 of 6"),
        (ev.JobRequeued(at=AT, id="job-88a0", reason="reloaded"), "info", "job-88a0 starts again: reloaded"),
        (ev.ProcessStalled(at=AT, id=3, age_s=1.04, stack=""), "bad", "process 41203 has stood still for 1.0s"),
        (ev.ProcessStalled(at=AT, id=3, age_s=1.4, stack="a.py:1 in f\nb.py:2 in g"), "bad",
         "process 41203 stands still at b.py:2 in g"),
        (ev.ProcessResumed(at=AT, id=2), "good", "process 41202 turns again"),
        (ev.MemoryCrossed(at=AT, id=3, memory_mb=701, warn_mb=500), "warn", "process 41203 holds 701M, over 500M"),
        (ev.ProcessExited(at=AT, id=5, exit_code=None, signal="SIGSEGV", why="", unexpected=True), "bad",
         "process #5 died: SIGSEGV"),
        (ev.ProcessExited(at=AT, id=5, exit_code=1, signal=None, why="its import failed", unexpected=True), "bad",
         "process #5 died: exit code 1; its import failed"),
        (ev.AdmissionChanged(at=AT, status="over_load", why="load 0.91"), "warn", "over load: load 0.91"),
        (ev.AdmissionChanged(at=AT, status="degraded", why="processes die"), "bad", "degraded: processes die"),
        (ev.DrainStarted(at=AT, why="SIGTERM", deadline_at=None), "warn", "drain: SIGTERM"),
        (ev.DrainCancelled(at=AT), "good", "jobs are admitted again"),
        (ev.StopStarted(at=AT, why="SIGTERM"), "warn", "the worker ends: SIGTERM"),
        (ev.PoolHeld(at=AT, failures=3, until_at=AT, degraded=True, why="3 died"), "bad",
         "process starts wait: 3 died"),
        (ev.PoolHealed(at=AT), "good", "processes start and stay again"),
        (ev.Listening(at=AT, url="http://x:1", note="port 8081 was taken", socket=""), "warn",
         "listens on http://x:1; port 8081 was taken"),
        (ev.ReloadDone(at=AT, generation=8, took_ms=119.0, start_method="zygote", start_method_why=""), "good",
         "generation 8 live in 119 ms: bot.py; 4 jobs on older code"),
        (broken()[1], "bad", "new code cannot serve: '(' was never closed (bot.py:88:34)"),
        (ev.Noted(at=AT, level="WARNING", text="look\x1b[31m"), "warn", "look"),
    ],
)  # fmt: skip
def test_the_note_of_an_event(event: ev.Event, tone: str, text: str) -> None:
    note = after(event)
    assert note is not None
    assert (note.tone, note.text) == (tone, text)


@pytest.mark.parametrize(
    "event",
    [
        ev.ProcessExited(at=AT, id=5, exit_code=0, signal=None, why="", unexpected=False),
        ev.ProcessSpawning(at=AT, id=9, generation=7, start_method="zygote"),
        ev.AdmissionChanged(at=AT, status="ready", why="5 of 6 jobs"),  # the same status for another reason
        ev.JobReported(at=AT, id="job-own", fields={"turn": 15}),
    ],
)
def test_what_is_usual_is_not_noted(event: ev.Event) -> None:
    assert after(event) is None


def test_a_snapshot_tells_of_failed_jobs_and_of_what_stands_now() -> None:
    texts = [note.text for note in notes_of(demo_state())]
    assert texts[0].startswith("job-004d failed / raised: ReadTimeout")
    assert texts[1] == "job-0082 failed / signalled SIGKILL"
    assert "stuck.py:21 in on_turn" in texts[2]


def test_a_stall_in_a_snapshot_is_not_dated_before_it_began() -> None:
    state = demo_state()
    (note,) = [note for note in notes_of(state) if "41202" in note.text]
    assert note.at == NOW - 8.2  # told at NOW - 4, after 4.2 s; its job began 115 s ago


def test_the_board_keeps_the_latest_notes() -> None:
    board = Board(lambda: NOW)
    state = fresh_state()
    board.take(Frame(state, snapshot=True))
    for n in range(NOTES_KEPT + 50):
        event = ev.Noted(at=AT, level="INFO", text=f"note {n}")
        state.apply(event)
        board.take(Frame(state, event=event))
    assert len(board.notes) == NOTES_KEPT
    assert board.notes[-1].text == f"note {NOTES_KEPT + 49}"


def test_a_new_snapshot_of_the_same_worker_keeps_the_notes() -> None:
    board, state = Board(lambda: NOW), fresh_state()
    board.take(Frame(state, snapshot=True))
    event = ev.Noted(at=AT, level="INFO", text="once")
    board.take(Frame(state, event=event))
    board.take(Frame(state, snapshot=True))
    assert [note.text for note in board.notes] == ["once"]


def test_jobs_that_failed_between_two_snapshots_of_the_same_worker_are_noted() -> None:
    board, state = Board(lambda: NOW), fresh_state()
    board.take(Frame(state, snapshot=True))
    board.take(Frame(state, event=ev.Noted(at=AT, level="INFO", text="before the gap")))
    for event in [*process(1, 501, 6, AT), *job("job-1", 1, AT), ended("job-1", AT, "signalled", signal="SIGKILL")]:
        state.apply(event)  # the client fell behind: it gets a snapshot instead of these events
    board.take(Frame(state, snapshot=True))
    assert "job-1 failed / signalled SIGKILL" in [note.text for note in board.notes]
