"""Agent code that fails while it is imported: one clear error, no endless restarts, exit code 3."""

import os
import signal
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Worker, wait_until
from tests.defences import defence
from tests.test_core import Bench
from tests.workers import processes, until, until_ended, until_ready
from workbench.model import effects as fx

NOTED = """\
import json, os
with open(os.environ["LEDGER"], "a") as ledger:
    ledger.write(json.dumps({"what": "import", "pid": os.getpid()}) + "\\n")
"""
GOOD = """\
from workbench import WorkerJob
async def entrypoint(ctx):
    await ctx.room.send("{words}")
    async for message in ctx.room:
        await ctx.room.send("{words} " + message.text)
if __name__ == "__main__":
    WorkerJob(entrypoint).start()
"""
Start = Callable[..., Worker]


def broken(start_worker: Start, folder: Path, source: str, *flags: str) -> Worker:
    """A worker of a file that notes its import and then does this; its first line is line 4."""
    folder.mkdir(exist_ok=True)
    (folder / "bad.py").write_text(NOTED + textwrap.dedent(source))
    return start_worker(folder / "bad.py", "--log-format", "text", *flags, wait=False)


def imports(worker: Worker) -> int:
    return [entry["what"] for entry in worker.entries()].count("import")


# --- A1: the name ------------------------------------------------------------------------------------


@defence(("workbench/agent/loading.py", "_close_module(path) or _close(path)", "''"))
@defence(("workbench/agent/loading.py", "{nearest(part, vars(module))}", ""))
@defence(("workbench/model/errors.py", "    exit_code = 3\n", "    exit_code = 1\n"))
@pytest.mark.parametrize(
    ("target", "words", "executed"),
    [
        ("bto.py", "no file 'bto.py'; did you mean 'bot.py'?", 0),
        ("pkg.bto", "no file or module 'pkg.bto'; did you mean 'pkg.bot'?", 0),
        ("bot.py:entrypont", "bot.py has no name 'entrypont'; did you mean 'entrypoint'?", 1),
        ("pkg.bot:entrypont", "bot.py has no name 'entrypont'; did you mean 'entrypoint'?", 1),
    ],
)
def test_fault_A1_a_wrong_name_of_an_agent_ends_with_3_and_the_nearest_right_one(
    start_worker: Start, tmp_path: Path, target: str, words: str, executed: int
) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    for place in (tmp_path, tmp_path / "pkg"):
        (place / "bot.py").write_text(NOTED + GOOD)
    worker = start_worker(Path(target), "--log-format", "text", "--num-idle-processes", "3", wait=False)
    assert worker.ended() == 3
    assert worker.output() == f"workbench: {words}\n"
    assert imports(worker) == executed


# --- A2: syntax --------------------------------------------------------------------------------------


@defence(("workbench/agent/problem.py", "0 < self.column <= len(text) + 1:", "False:"))
@defence(("workbench/agent/problem.py", "    exit_code: int = 3\n", "    exit_code: int = 1\n"))
@defence(("workbench/agent/problem.py", "error.filename, error.lineno or 0,", "error.filename, 1,"))
def test_fault_A2_a_syntax_error_is_told_with_file_line_and_caret(start_worker: Start, tmp_path: Path) -> None:
    worker = broken(start_worker, tmp_path / "a", "x = 1\nasync def entrypoint(ctx:\n    pass\n")
    assert worker.ended() == 3
    told = worker.output().splitlines()
    assert told[0].startswith("workbench: SyntaxError: '(' was never closed (")
    assert told[0].endswith("bad.py:5)")
    line = next(number for number, text in enumerate(told) if text.startswith(">"))
    assert told[line].endswith("| async def entrypoint(ctx:")
    assert told[line + 1].index("^") == told[line].index("(ctx:")
    assert worker.entries() == []


@defence(
    ("workbench/supervisor/reloading.py", "if self.serving is None and not self._waits", "if not self._waits"),
)
async def test_fault_A2_a_save_that_cannot_be_compiled_keeps_the_last_good_code_and_the_next_one_serves(
    start_worker: Start, tmp_path: Path
) -> None:
    agent = tmp_path / "saved.py"
    agent.write_text(GOOD.format(words="one"))
    worker = start_worker(agent, "--reload", "--load-threshold", "inf")
    async with worker.client() as client:
        await until_ready(client)
        await client.dispatch("old", {})
        assert await said(client, "old") == "one"
        await save(client, agent, GOOD.format(words="two"), lambda state: state.worker.generation == 2)
        await client.dispatch("new", {})
        assert await said(client, "new") == "two"
        problem = await save(client, agent, "def broken(:\n", lambda state: state.reload.problem)
        assert (problem["line"], problem["file"]) == (1, str(agent))
        await client.dispatch("after", {})
        assert await said(client, "after") == "two"
        await client.request("POST", "/rooms/old/messages", {"text": "you?"})
        assert await said(client, "old", after="m1") == "one you?"
        await save(client, agent, GOOD.format(words="three"), lambda state: state.worker.generation == 4)
        await client.dispatch("mended", {})
        assert await said(client, "mended") == "three"


async def save(client: Any, agent: Path, source: str, check: Callable[[Any], Any]) -> Any:
    """Save as editors do, in one step, and wait for what comes of it."""
    agent.with_suffix(".new").write_text(source)
    agent.with_suffix(".new").replace(agent)
    return await until(client, check)


async def said(client: Any, room: str, after: str = "") -> str:
    found = await client.request("GET", f"/rooms/{room}/messages?wait_s=10" + (f"&after={after}" if after else ""))
    return str(found["messages"][0]["text"])


# --- A3: exceptions ----------------------------------------------------------------------------------


@defence(("workbench/supervisor/worker.py", "return None if fatal and self.failure_is_told else", "return"))
@defence(("workbench/supervisor/reloading.py", "            self._give_up(error)\n", "            self.reload([])\n"))
def test_fault_A3_an_exception_at_import_is_told_once_and_the_file_is_run_once(
    start_worker: Start, tmp_path: Path
) -> None:
    source = "def load(name):\n    raise RuntimeError(f'no model {name}')\nload('x')\n"
    worker = broken(start_worker, tmp_path / "a", source, "--num-idle-processes", "5")
    wait_until(lambda: worker.process.poll() is not None or imports(worker) > 1, "it ends, or tries again")
    assert imports(worker) == 1
    assert worker.ended() == 3
    assert worker.output().count("no model x") == 1
    assert worker.output().startswith("workbench: RuntimeError: no model x (")
    assert "bad.py:5 in load)" in worker.output()
    assert "Traceback" not in worker.output()


@defence(("workbench/model/backoff.py", "if count >= BUDGET:", "if False:"))
@defence(("workbench/model/backoff.py", "delay = LONGEST_DELAY_S", "delay = 0.0"),
         ("workbench/model/pool.py", "now.mono + PROBE_EVERY_S", "now.mono"))  # fmt: skip
async def test_fault_A3_processes_that_all_fail_alike_are_not_started_for_ever(
    start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker("starting.py", "--start-method", "spawn", AT_IMPORT=str(tmp_path / "fault"))
    async with worker.client() as client:
        await until_ready(client)
        await break_starts(worker, client, tmp_path, "raise RuntimeError('no model')")
        why = await until(client, lambda state: state.worker.held_failures >= 5 and state.worker.held_why)
        assert "RuntimeError: no model (" in why
        begun = len(begins(worker, "import"))
        assert (await client.request("GET", "/worker"))["status"] == "degraded"
        assert await processes(client, "starting", "idle") == []
        assert len(begins(worker, "import")) == begun <= 2 + 5  # the zygote's, the first process's, then five
        (tmp_path / "fault").unlink()
        await client.reload()
        await until_ready(client)
    assert "Traceback" not in worker.output()


def begins(worker: Worker, name: str) -> list[dict[str, Any]]:
    return [entry for entry in worker.entries() if entry["what"] == f"{name} begins"]


async def break_starts(worker: Worker, client: Any, folder: Path, source: str) -> None:
    """From now on every import does this; the idle process is killed, so that there is one."""
    (folder / "fault").write_text(source)
    for process in await processes(client, "idle"):
        os.kill(process["pid"], signal.SIGKILL)


# --- A4: imports that never return -------------------------------------------------------------------

ENDLESS = {"loop": "while True:\n    pass\n", "socket": "import socket\nsocket.create_server(('', 0)).accept()\n"}


@pytest.mark.option("initialize_timeout")
@defence(
    ("workbench/supervisor/generations.py", "call_later(timeout_s, self._too_slow", "call_later(9e9, self._too_slow")
)
@defence(("workbench/process/standing.py", "                self._tell()", "                continue"))
def test_fault_A4_an_import_that_never_returns_is_killed_at_its_limit_and_its_line_named(
    start_worker: Start, tmp_path: Path
) -> None:
    workers = {
        name: broken(start_worker, tmp_path / name, source, "--initialize-timeout", "6")
        for name, source in ENDLESS.items()
    }
    for name, line in (("loop", (4, 5)), ("socket", (5,))):
        worker = workers[name]
        assert worker.ended() == 3
        assert "it hung during import: not loaded within initialize_timeout (6 s)" in worker.output()
        assert "raise initialize_timeout" in worker.output()
        assert any(f"{name}/bad.py:{number})" in worker.output() for number in line)
        (entry,) = worker.entries()
        assert not psutil.pid_exists(entry["pid"])


@defence(
    (
        "workbench/supervisor/reloading.py",
        "self._loader.listen(generation, self._shell",
        "self._loader.listen(generation, 9e9 * self._shell",
    )
)
async def test_fault_A4_a_save_whose_import_never_returns_leaves_the_old_code_serving(
    start_worker: Start, tmp_path: Path
) -> None:
    agent = tmp_path / "saved.py"
    agent.write_text(NOTED + GOOD.format(words="one"))
    worker = start_worker(agent, "--initialize-timeout", "6", "--load-threshold", "inf")
    async with worker.client() as client:
        await until_ready(client)
        agent.write_text(NOTED + ENDLESS["loop"])
        await client.reload()
        problem = await until(client, lambda state: state.reload.problem)
        assert "hung during import" in problem["message"]
        assert not psutil.pid_exists(worker.entries()[-1]["pid"])
        await client.dispatch("after", {})
        assert await said(client, "after") == "one"


@defence(("workbench/model/pool.py", "                self._desk.want(fx.Kill(process_id))\n        if", "        if"))
@defence(("workbench/model/pool.py", "; raise it if a start takes longer", ""))
@defence(("workbench/supervisor/children.py", 'slot.doom_words += f"; it stood at {line}"', "pass"))
async def test_fault_A4_a_spawned_process_whose_import_never_returns_is_killed_and_counts_as_a_failure(
    start_worker: Start, tmp_path: Path
) -> None:
    flags = ("--start-method", "spawn", "--initialize-timeout", "6")
    worker = start_worker("starting.py", *flags, AT_IMPORT=str(tmp_path / "fault"))
    async with worker.client() as client:
        await until_ready(client)
        await break_starts(worker, client, tmp_path, "while True: pass")
        hung = wait_until(lambda: begins(worker, "import")[2:], "it hangs")[0]
        why = await until(client, lambda state: state.worker.held_failures >= 2 and state.worker.held_why)
        assert "not ready within initialize_timeout 6 s; raise it if a start takes longer; it stood at " in why
        assert not psutil.pid_exists(hung["pid"])


# --- A5: many slow starts at once --------------------------------------------------------------------


def most_at_once(worker: Worker, begin: str, end: str, processes: int) -> int:
    """How many were between these two of their entries at the same time, once there were so many processes."""
    wait_until(lambda: [e["what"] for e in worker.entries()].count(end) >= processes, "all have started")
    now = most = 0
    for entry in sorted(worker.entries(), key=lambda entry: entry["at"]):
        now += (entry["what"] == begin) - (entry["what"] == end)
        most = max(most, now)
    return most


@pytest.fixture
def one_cpu() -> Any:
    """Whatever is started meanwhile may use one CPU only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@defence(("workbench/model/pool.py", "< self.cpus  # one", "< STARTING  # one"))
@defence(("workbench/supervisor/reloading.py", "max(1, int(CpuClock().cpus))", "max(2, os.cpu_count() or 2)"))
@pytest.mark.parametrize(
    ("method", "begin", "environment"),
    [("spawn", "import begins", {"IMPORT": "0.2"}), ("zygote", "prewarm begins", {"PREWARM": "0.6"})],
)
def test_fault_A5_slow_starts_do_not_take_the_cpu_from_each_other(
    start_worker: Start, one_cpu: None, method: str, begin: str, environment: dict[str, str]
) -> None:
    flags = ("--start-method", method, "--max-processes", "8", "--num-idle-processes", "8")
    worker = start_worker("starting.py", *flags, **environment)
    wait_until(lambda: begins(worker, "prewarm"), "it starts")
    assert most_at_once(worker, begin, "prewarm ends", 8) - (method == "spawn") == 1


@defence(("workbench/model/core.py", "            self.pool.forked(process_id, now)\n", ""))
def test_fault_A5_the_limit_of_a_start_is_for_its_own_time_and_not_for_the_wait_before_it() -> None:
    bench = Bench(initialize_timeout=10.0)
    bench.core.generation_loaded(1, "zygote", bench.now)
    (probe,) = [effect.process_id for effect in bench.of(fx.Spawn)]
    bench.wait(8)
    bench.core.process_forked(probe, 5000, bench.now)
    assert fx.Kill(probe) not in bench.wait(9)
    assert fx.Kill(probe) in bench.wait(2)


@defence(
    (
        "workbench/model/pool.py",
        'for p in self.available("starting") if p.generation != self.probing]',
        'for p in self.available("starting")]',
    )
)
def test_fault_A5_new_code_that_starts_slowly_takes_no_place_from_the_code_that_serves() -> None:
    bench = Bench(max_processes=4)
    bench.core.pool.cpus = 1
    bench.serve(method="spawn")
    bench.core.generation_loaded(2, "spawn", bench.now)
    bench.start()
    assert [effect.generation for effect in bench.effects if isinstance(effect, fx.Spawn)] == [1, 2, 1]


# --- A6, A7: imports that end their process ----------------------------------------------------------


@defence(("workbench/agent/problem.py", "    exit_code: int = 3\n", "    exit_code: int = 0\n"))
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys; sys.exit(0)", "the file called sys.exit(0) while it was loading ("),
        ("os._exit(0)", "the agent's process left with exit code 0 while it was loading"),
    ],
)
def test_fault_A6_an_import_that_leaves_with_0_is_no_success(
    start_worker: Start, tmp_path: Path, source: str, words: str
) -> None:
    worker = broken(start_worker, tmp_path / "a", source)
    assert worker.ended() == 3
    assert worker.output().startswith(f"workbench: {words}")
    assert imports(worker) == 1


@defence(("workbench/supervisor/generations.py", 'f"was killed by {status.signal}" if status.signal else', ""))
@defence(("workbench/process/zygote.py", "faulthandler.enable(file=pipe, all_threads=False)", "pass"))
def test_fault_A7_a_crash_in_native_code_at_import_is_named_with_its_line(start_worker: Start, tmp_path: Path) -> None:
    worker = broken(start_worker, tmp_path / "a", "import ctypes\nctypes.string_at(0)\n")
    assert worker.ended() == 3
    told = next(line for line in worker.output().splitlines() if line.startswith("workbench: "))
    assert told.startswith("workbench: the agent's process was killed by SIGSEGV while it was loading: ")
    assert "Fatal Python error: Segmentation fault" in told
    assert told.endswith("bad.py:5)")


@defence(
    (
        "workbench/model/core.py",
        "unexpected = job is None and not (",
        "unexpected = job is None and not (exit_code == 0 or ",
    )
)
async def test_fault_A6_a_spawned_process_that_leaves_with_0_before_it_is_ready_has_failed(
    start_worker: Start, tmp_path: Path
) -> None:
    assert "exit code 0" in await held_after(start_worker, tmp_path, "os._exit(0)")


@defence(("workbench/supervisor/children.py", 'FATAL = frozenset({"SIGSEGV", ', "FATAL = frozenset({"))
async def test_fault_A7_a_spawned_process_that_crashes_at_import_is_named_with_its_fault(
    start_worker: Start, tmp_path: Path
) -> None:
    why = await held_after(start_worker, tmp_path, "import ctypes; ctypes.string_at(0)")
    assert "SIGSEGV" in why
    assert "Segmentation fault at " in why
    assert "starting.py:1 in <module>" in why


async def held_after(start_worker: Start, folder: Path, source: str) -> str:
    """Why starts are held back when every import does this; once it is mended, a job runs."""
    worker = start_worker("starting.py", "--start-method", "spawn", AT_IMPORT=str(folder / "fault"))
    async with worker.client() as client:
        await until_ready(client)
        await break_starts(worker, client, folder, source)
        why = str(await until(client, lambda state: state.worker.held_failures >= 2 and state.worker.held_why))
        (folder / "fault").unlink()
        await until_ready(client)
        job = await until_ended(client, (await client.dispatch())["id"])
        assert job["status"] == "completed"
        assert "ran" in [entry["what"] for entry in worker.entries()]
    return why


A8 = """
import os, sys
sys.stdout.write("y" * 10_000_000 + "\\n")
sys.stdout.flush()
os.close(1)
sys.stdout = None
async def entrypoint(ctx):
    print("one line")
    sys.stdout.close()
"""


@defence(("workbench/process/descriptors.py", "while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:", "while False:"))
@defence(("workbench/process/records.py", "with contextlib.suppress(Exception):  # closed", "if True:  # closed"))
@pytest.mark.parametrize("method", ["zygote", "spawn"])
async def test_fault_A8_an_import_that_prints_much_and_closes_its_output_boots_and_its_jobs_end_well(
    start_worker: Any, tmp_path: Path, method: str
) -> None:
    (tmp_path / "agent.py").write_text(A8)
    worker = start_worker(tmp_path / "agent.py", "--start-method", method)
    async with worker.client() as client:
        await until_ready(client)
        job = await until_ended(client, (await client.dispatch())["id"])
        assert (job["status"], job["reason"]) == ("completed", "returned")
