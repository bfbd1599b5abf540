"""The parts of the process layer by themselves, with real children of this process."""

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import child_environment, wait_until
from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.settings import Layers
from workbench.process import descriptors, launcher, mark, speech, tree, wire
from workbench.process.child import Child
from workbench.process.launcher import Zygote
from workbench.process.oom import OomCounter
from workbench.process.reaper import ExitStatus, Reaper
from workbench.process.tasks import told_tasks
from workbench.supervisor import words
from workbench.supervisor.bugs import Bugs
from workbench.supervisor.logs import LogStore, Source
from workbench.supervisor.rooms import Rooms
from workbench.supervisor.shell import Shell
from workbench.supervisor.words import telling_line


def spawn(code: str, **environment: str) -> int:
    """A child of this process that nothing else waits for; the leader of its own group."""
    return os.posix_spawn(sys.executable, [sys.executable, "-c", code], {**os.environ, **environment}, setsid=True)


def is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or is_zombie(pid)


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


# --- the reaper -------------------------------------------------------------------------------------


@pytest.fixture
async def reaper() -> Any:
    made = Reaper()
    made.start()
    yield made
    made.stop()


async def test_an_end_before_the_claim_is_told_to_the_claim(reaper: Reaper) -> None:
    since, told = time.monotonic(), asyncio.get_running_loop().create_future()
    pid = spawn("raise SystemExit(7)")
    wait_until(lambda: is_zombie(pid), "it has ended")
    reaper.reap()
    reaper.claim(pid, told.set_result, since=since)
    assert await told == ExitStatus(7, None)


async def test_the_end_of_a_stranger_is_not_told_to_a_later_bearer_of_its_pid(reaper: Reaper) -> None:
    told: list[ExitStatus] = []
    pid = spawn("raise SystemExit(7)")
    wait_until(lambda: is_zombie(pid), "the stranger has ended")
    reaper.reap()
    reaper.claim(pid, told.append, since=time.monotonic())  # a job of that pid, asked for after the stranger's end
    await asyncio.sleep(0)
    assert told == []
    assert reaper.is_claimed(pid)


async def test_all_that_ended_together_are_known_before_the_first_is_told(reaper: Reaper) -> None:
    news: list[str] = []
    pids = [spawn("import time; time.sleep(600)") for _ in range(3)]
    for pid in pids:
        reaper.claim(pid, lambda status: news.append("told"), since=0.0, dying=lambda: news.append("dying"))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_until(lambda pid=pid: is_zombie(pid), "it is dead")
    reaper.reap()
    assert news == ["dying"] * 3 + ["told"] * 3


async def test_one_who_cannot_bear_the_news_does_not_keep_it_from_others(reaper: Reaper) -> None:
    told: list[ExitStatus] = []
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context["exception"]))

    def fail(status: ExitStatus) -> None:
        raise RuntimeError("no")

    pids = [spawn("") for _ in range(2)]
    reaper.claim(pids[0], fail, since=0.0)
    reaper.claim(pids[1], told.append, since=0.0)
    async with asyncio.timeout(10):
        while not (told and problems):
            await asyncio.sleep(0.01)
    assert told == [ExitStatus(0, None)]


async def test_a_group_goes_with_its_leader(reaper: Reaper) -> None:
    done = asyncio.get_running_loop().create_future()
    pid = spawn("import os, time\nif os.fork(): time.sleep(600)\ntime.sleep(600)")
    (helper,) = wait_until(lambda: tree.children_of(pid), "it has forked")
    reaper.claim(pid, done.set_result, since=0.0, with_group=True)
    os.kill(pid, signal.SIGTERM)
    assert await done == ExitStatus(None, "SIGTERM")
    wait_until(lambda: is_gone(helper), "the rest of the group is gone")


# --- trees and marks --------------------------------------------------------------------------------


def test_a_tree_is_killed_whole_also_where_it_left_the_group() -> None:
    pid = spawn(
        "import os, time\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        os.fork()\n"
        "        time.sleep(600)\n"
        "time.sleep(600)"
    )
    below = wait_until(lambda: len(found := tree.descendants(pid)) == 6 and found, "the whole tree is there")
    tree.kill_tree(pid)
    os.waitpid(pid, 0)
    wait_until(lambda: all(map(is_gone, below)), "all are gone")


def test_a_mark_is_seen_on_forks_of_the_process_that_put_it() -> None:
    first, second = mark.of_generation(os.getpid(), 3), mark.of_process(os.getpid(), 12)
    code = (
        "import os, subprocess, time\nfrom workbench.process import mark\nstamp = mark.Stamp()\n"
        f"stamp.put({second!r})\nif os.fork() == 0: subprocess.Popen(['sleep', '600'])\ntime.sleep(600)"
    )
    pid = spawn(code, **{mark.NAME: first})
    below = wait_until(lambda: len(found := tree.descendants(pid)) == 2 and found, "its fork has a helper")
    wait_until(lambda: {mark.read(one) for one in [pid, *below]} == {second}, "all three carry the new mark")
    tree.kill_tree(pid)
    os.waitpid(pid, 0)


def test_a_mark_says_whose_and_foreign_words_say_nobodys() -> None:
    assert mark.parse(mark.of_process(42, 12)) == (42, "12")
    assert mark.parse(mark.of_generation(42, 3)) == (42, "g3")
    assert mark.parse("") == mark.parse("x-1") == mark.parse("42") == (0, "")


# --- zygotes ----------------------------------------------------------------------------------------


def make_zygote(said: Any = None, gone: Any = None) -> Zygote:
    return Zygote(1, said or (lambda z, m: None), gone or (lambda z, s: None), lambda z, lines, records: None)


@pytest.fixture
def nothing() -> Iterator[int]:
    """A descriptor of the null device."""
    fd = os.open(os.devnull, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_zygote_that_could_not_be_started_leaves_nothing_and_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_fds()
    zygote = make_zygote()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError):
        zygote.start(0, 1, {"target": "bot.py"}, mark.of_generation(1, 1))
    zygote.kill()  # with the pid 0 this would be our own process group
    assert open_fds() == before


async def test_nonsense_in_a_zygotes_control_socket_ends_it(reaper: Reaper, nothing: int, monkeypatch: Any) -> None:
    said: list[Any] = []
    ended = asyncio.get_running_loop().create_future()
    zygote = make_zygote(lambda z, message: said.append(message), lambda z, status: ended.set_result(status))
    monkeypatch.setattr(launcher, "PROGRAM", "import os, time; os.write(3, b'hello'); time.sleep(600)")
    zygote.start(nothing, nothing, {}, mark.of_generation(1, 1))
    zygote.listen(reaper)
    assert (await asyncio.wait_for(ended, 10)).signal == "SIGKILL"
    assert said == []
    assert "descriptor 3" in zygote.spoilt


async def test_a_dismissed_zygote_still_answers_what_it_was_asked(
    reaper: Reaper, nothing: int, monkeypatch: Any
) -> None:
    said: list[Any] = []
    ended = asyncio.get_running_loop().create_future()
    zygote = make_zygote(lambda z, message: said.append(message["id"]), lambda z, status: ended.set_result(status))
    program = (
        "import json, socket, time\ns = socket.socket(fileno=3)\ns.recv(9999)\ntime.sleep(0.3)\n"
        "while data := s.recv(9999): s.send(json.dumps(dict(t='forked', id=json.loads(data)['id'], pid=9)).encode())"
    )
    monkeypatch.setattr(launcher, "PROGRAM", program)
    zygote.start(nothing, nothing, {}, mark.of_generation(1, 1))
    zygote.listen(reaper)
    for number in range(3):
        zygote.hand_over({"id": number}, [0])
    zygote.dismiss()
    assert (await asyncio.wait_for(ended, 10)).exit_code == 0
    assert said == [0, 1, 2]


def test_a_soft_limit_of_descriptors_is_raised_for_the_worker_and_kept_for_the_agent() -> None:
    code = (
        "import resource\nfrom workbench.process import descriptors\n"
        "before = descriptors.raise_limit()\nraised = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "descriptors.restore_limit(before)\nprint(before, *raised, *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 1200)),
    )  # fmt: skip
    assert done.stdout.split() == ["300", "1200", "1200", "300", "1200"]
    assert "a process needs 6" in descriptors.words(OSError(errno.EMFILE, "Too many open files"))
    assert descriptors.words(OSError(errno.ENOMEM, "Cannot allocate memory")) == "Cannot allocate memory"


# --- children ---------------------------------------------------------------------------------------


class Nobody:
    """Hears children and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *about: None


@pytest.mark.parametrize("left", range(6))
def test_a_child_for_which_descriptors_run_out_leaves_none_open(left: int) -> None:
    before, (soft, hard) = open_fds(), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, before)) + 20, hard))
    fillers = list(iter(_dup, None))
    for _ in range(left):
        os.close(fillers.pop())
    with pytest.raises(OSError, match="Too many open files"):
        Child(1, 1, 0, Nobody())
    for fd in fillers:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_fds() == before


def _dup() -> int | None:
    try:
        return os.dup(0)
    except OSError:
        return None


# --- the kernel's counter ---------------------------------------------------------------------------


def test_a_kill_by_the_kernel_is_told_from_others_by_its_counter(tmp_path: Path) -> None:
    place = tmp_path / "memory.events"
    place.write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    counter = OomCounter(place)
    assert not counter.look()
    place.write_text("low 0\noom 4\noom_kill 3\noom_group_kill 0\n")
    assert counter.look()
    assert counter.look(), "it counts for the deaths just after it"
    place.unlink()
    assert OomCounter(place).look() is False


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
