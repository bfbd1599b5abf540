"""The parts of the supervisor by themselves: what they tell, in which order, and to whom when somebody fails."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.settings import Layers
from workbench.process import speech, wire
from workbench.process.tasks import told_tasks
from workbench.supervisor import words
from workbench.supervisor.bugs import Bugs
from workbench.supervisor.logs import LogStore, Source
from workbench.supervisor.rooms import Rooms
from workbench.supervisor.shell import Shell
from workbench.supervisor.words import telling_line

# --- the shell --------------------------------------------------------------------------------------


@pytest.fixture
def bugs() -> list[str]:
    return []


@pytest.fixture
def shell(bugs: list[str]) -> Iterator[Shell]:
    made = Shell(Layers().settings())
    made.bug = bugs.append
    yield made
    made.close()


def begin(shell: Shell) -> list[fx.Effect]:
    """Load one generation; the effects carried out are kept."""
    done: list[fx.Effect] = []
    shell.carry_out = done.append
    shell.core.generation_loaded(1, "zygote", shell.now())
    shell.flush()
    return done


async def test_a_listener_that_fails_keeps_no_news_from_others(shell: Shell, bugs: list[str]) -> None:
    heard: list[ev.Event] = []

    def fail(event: ev.Event) -> None:
        raise RuntimeError("a listener of ours")

    shell.listeners += [fail, heard.append]
    assert begin(shell) == [fx.Spawn(1, 1)]
    assert [type(event) for event in heard] == [ev.ProcessSpawning]
    assert "a listener of ours" in bugs[0]


async def test_a_deed_that_fails_costs_one_process_and_no_other_deed(shell: Shell, bugs: list[str]) -> None:
    done = begin(shell)
    shell.core.process_ready(1, 1.0, shell.now())
    serves = ev.ReloadDone(at=0, generation=1, took_ms=0, start_method="zygote", start_method_why="")
    shell.core.desk.tell(serves)
    shell.core.generation_promoted(1, shell.now())
    shell.flush()

    def fail_to_launch(effect: fx.Effect) -> None:
        if isinstance(effect, fx.Launch):
            raise RuntimeError("cannot launch")
        done.append(effect)

    shell.carry_out = fail_to_launch
    shell.core.submit("job-1", "room", {}, shell.now())
    shell.flush()
    assert "cannot launch" in bugs[0]
    assert fx.Kill(1) in done
    shell.core.process_exited(1, None, "SIGKILL", shell.now())
    shell.flush()
    assert shell.state.jobs["job-1"].status == "queued", "it never reached that process, so it gets another"


async def test_events_are_told_in_the_order_in_which_they_changed_the_state(shell: Shell) -> None:
    told: list[str] = []

    def listen(event: ev.Event) -> None:
        told.append(event.text if isinstance(event, ev.Noted) else event.kind)
        if isinstance(event, ev.ProcessSpawning):
            shell.publish(ev.Noted(at=0, level="INFO", text="in between"))

    shell.listeners.append(listen)
    shell.core.generation_loaded(1, "zygote", shell.now())
    shell.publish(ev.Noted(at=0, level="INFO", text="after"))
    assert told == ["process_spawning", "after", "in between"]


def test_a_reader_of_the_log_that_fails_is_left_out() -> None:
    store, rows = LogStore(), []

    def fail(batch: Any) -> None:
        raise RuntimeError("no disk")

    store.listeners += [fail, lambda batch: rows.extend(batch.rows())]
    for line in (b"one", b"two"):
        store.add(Source(), "INFO", "stdout", [line])
    assert [row[-1] for row in rows if row[-3] == "INFO"] == ["one", "two"]
    assert fail not in store.listeners


def test_the_newest_lines_are_found_and_the_ones_left_out_counted() -> None:
    store = LogStore()
    for number in range(50):
        store.add(Source(), "INFO", "stdout", [f"{number}a".encode(), f"{number}b".encode()])
    rows, left_out = store.since(90, 1000)
    assert ([row[0] for row in rows], left_out) == (list(range(90, 100)), 0)
    rows, left_out = store.since(0, 3)
    assert ([row[-1] for row in rows], left_out) == (["48b", "49a", "49b"], 97)
    assert store.since(100, 10) == ([], 0)


# --- bugs of ours -----------------------------------------------------------------------------------


async def test_what_raises_in_a_callback_of_ours_ends_the_worker_once_and_of_a_library_does_not() -> None:
    store, ends, loop = LogStore(), [], asyncio.get_running_loop()
    bugs = Bugs(store, ends.append)
    loop.set_exception_handler(bugs.in_a_callback)
    loop.call_soon(int, "a library's")
    loop.call_soon(wire.Decoder().feed, b"\xff" * 9)
    loop.call_soon(wire.Decoder().feed, b"\xff" * 9)
    async with asyncio.timeout(10):
        while not ends:
            await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    levels = [row[6] for row in store.since(0, 100)[0]]
    assert levels == ["ERROR", "CRITICAL", "CRITICAL"]
    assert [text.split(":")[0] for text in ends] == ["a bug of ours"]


# --- rooms ------------------------------------------------------------------------------------------


async def test_a_room_forgets_the_oldest_when_its_text_grows_large() -> None:
    room = Rooms().open("r", "job-1", lambda frame: None, 0.0)
    for number in range(100):
        room.agent_says(speech.Say("job-1", f"a{number}", "x" * 400_000, None, 0.0, False), "agent")
    assert sum(len(message["text"]) for message in room.messages) <= 2 * 1024 * 1024
    assert room.messages[-1]["id"] == "0.a99"


async def test_what_is_said_to_a_job_that_has_not_begun_waits_for_it() -> None:
    room = Rooms().open("r", "job-1", lambda frame: None, 0.0)
    room.user_says("hello", "me")
    assert [frame["message"]["text"] for frame in room.unheard] == ["hello"]
    room.begin_attempt(1, 1)
    room.user_says("again", "me")
    assert room.unheard == []
    room.await_attempt()
    room.user_says("later", "me")
    assert [frame["message"]["text"] for frame in room.unheard] == ["later"]


# --- stacks -----------------------------------------------------------------------------------------


def test_the_line_is_that_of_the_current_thread_and_of_the_project() -> None:
    dump = [
        "Thread 0x00007f01 (most recent call first):",
        '  File "/home/me/bot.py", line 7 in beside',
        "",
        "Current thread 0x00007f02 (most recent call first):",
        '  File "/usr/lib/python3.11/selectors.py", line 468 in select',
        '  File "/home/me/bot.py", line 12 in entrypoint',
    ]
    assert telling_line(dump, "/home/me") == "bot.py:12 in entrypoint"
    assert telling_line(dump[:2], "/home/me") == "bot.py:7 in beside"
    told = [telling_line(dump[:count], "/home/me", whole=False) for count in range(7)]
    assert told == ["", "", "", "", "", "", "bot.py:12 in entrypoint"]
    assert telling_line([], "/home/me") == ""


def test_a_stack_is_logged_without_how_the_process_came_to_run_the_agent() -> None:
    ours = words.OUR_FRAME + b'process/runner.py", line 7 in run'
    dump = [
        b"Current thread 0x1 (most recent call first):",
        b'  File "/home/me/bot.py", line 3 in reply', b'  File "/home/me/bot.py", line 9 in entrypoint', ours,
        b'  File "/usr/lib/python3.11/asyncio/base_events.py", line 600 in run_forever', b"",
        b"Thread 0x2 (most recent call first):", ours,
    ]  # fmt: skip
    assert words.without_scaffold(dump) == [*dump[:3], b"", *dump[6:]]


# --- what tasks tell --------------------------------------------------------------------------------


async def test_no_name_of_a_task_a_file_or_a_function_acts_on_a_terminal() -> None:
    found: dict[str, Any] = {}
    source = "async def waits(event):\n    await event.wait()\n"
    exec(compile(source, "/srv/\x1b[2J\x07\u202egr\u00fcn.py", "exec"), found)
    task = asyncio.create_task(found["waits"](asyncio.Event()), name="a\x1b[2J\u202e")
    await asyncio.sleep(0)
    lines = told_tasks(asyncio.get_running_loop())
    task.cancel()
    assert any("gr\u00fcn.py" in line and line.endswith("line 2 in waits") for line in lines)
    assert all(line.isprintable() for line in lines)
