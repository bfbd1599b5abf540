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
from workbench.process import descriptors, launcher, mark, tree
from workbench.process.child import Child
from workbench.process.launcher import Zygote
from workbench.process.oom import OomCounter
from workbench.process.reaper import ExitStatus, Reaper


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
