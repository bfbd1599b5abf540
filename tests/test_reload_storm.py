"""Jobs in a storm of saves, good and broken: what they wrote is the judge of what the worker says of them."""

import asyncio
import contextlib
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import AGENTS, WAIT_S, Worker
from tests.defences import defence
from tests.workers import samples, until_ended, until_ready, until_written
from workbench.client.client import Client, ClientError
from workbench.model import events as ev
from workbench.model.state import State

AGENT = """
import asyncio, os, sys
import part
from ledger import note
from part import VERSION
from workbench import WorkerJob
SAVED = {number}
{damage}

async def entrypoint(ctx):
    note(ctx, "start", saved=SAVED, version=part.version(), attempt=ctx.job.attempt)
    do = ctx.metadata["do"]
    await asyncio.sleep(ctx.metadata["hold_s"])
    from part import VERSION as again
    import part as anew
    note(ctx, "middle", saved=SAVED, version=again)
    if do == "raise":
        raise ValueError("asked to")
    if do == "leave":
        os._exit(0)
    if do == "wait":
        await ctx.run_until_shutdown()
        note(ctx, "asked", saved=SAVED, version=anew.version())
        return
    if do == "talk":
        async for message in ctx.room:
            note(ctx, "finish", saved=SAVED, version=anew.version())
            return
        note(ctx, "asked", saved=SAVED, version=anew.version())
        return
    await asyncio.sleep(ctx.metadata["hold_s"])
    note(ctx, "finish", saved=SAVED, version=anew.version())

if __name__ == "__main__":
    WorkerJob(entrypoint).start()
"""
PART = """
import sys
VERSION = {number}
def version():
    return VERSION
{damage}
"""
DAMAGES = (
    "reply = (", "raise ValueError('broken')", "import nowhere_to_be_found", "sys.exit(3)", "sys.exit(0)", "1 / 0",
)  # fmt: skip
ENDS = {"return": ("completed", "returned"), "raise": ("failed", "raised"), "leave": ("failed", "exited")}
FLAGS = ("--reload", "--load-threshold", "inf", "--max-processes", "8", "--num-idle-processes", "2")
ROUNDS, JOBS_PER_ROUND = 25, 40  # a thousand jobs, fifty broken saves; with layers, which only load otherwise, fewer
ROUNDS_LAYERED = 11  # as in the other, the last one is good
HANDS = 10  # who ask for a job at once: two more than may run, so that some are refused


class Project:
    """An agent and a module that it imports, saved again and again. Each save has a number, which it writes."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.agent, self.part, self._rng = folder / "agent.py", folder / "part.py", rng
        self.number = 0
        self.broken: set[int] = set()
        self.good()

    def good(self) -> int:
        """Save both files, as it may be in the middle of a change: the one, then the other."""
        self.number += 1
        self._write(self.part, PART.format(number=self.number, damage=""))
        self._write(self.agent, AGENT.format(number=self.number, damage=""))
        return self.number

    def bad(self) -> int:
        """Save one file so that it cannot be loaded. Its number is nowhere else: no job may ever see it."""
        self.number += 1
        self.broken.add(self.number)
        damage = self._rng.choice(DAMAGES)
        file, text = self._rng.choice([(self.part, PART), (self.agent, AGENT)])
        self._write(file, text.format(number=self.number, damage=damage))
        return self.number

    def _write(self, file: Path, text: str) -> None:
        """As editors do: in place, by renaming, by deleting first."""
        how = self._rng.choice(["in place", "rename", "rename", "delete"])
        if how == "rename":
            other = file.with_suffix(".tmp")
            other.write_text(text)
            os.replace(other, file)
            return
        if how == "delete":
            file.unlink(missing_ok=True)
        file.write_text(text)


class Tally:
    """What the stream says: each job's ends, and where it ran."""

    def __init__(self) -> None:
        self.state = State()
        self.queued: Counter[str] = Counter()
        self.ends: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        self.generation: dict[str, int | None] = {}
        self.served: list[int] = []
        self.failed: list[int] = []
        self.snapshots = 0
        self._news = asyncio.Event()

    async def follow(self, client: Client) -> None:
        async for frame in client.frames():
            self.state = frame.state
            self.snapshots += frame.snapshot
            match frame.event:
                case ev.JobQueued():
                    self.queued[frame.event.id] += 1
                case ev.JobEnded():
                    self.ends[frame.event.id].append((frame.event.status, frame.event.reason))
                    self.generation[frame.event.id] = frame.state.jobs[frame.event.id].generation
                case ev.ReloadDone():
                    self.served.append(frame.event.generation)
                case ev.ReloadFailed():
                    self.failed.append(frame.event.generation)
            self._news.set()
            self._news = asyncio.Event()

    async def until(self, check: Any) -> None:
        """Wait until a check holds; it is made again with each thing that is told."""
        async with asyncio.timeout(WAIT_S):
            while not check():
                await self._news.wait()


@contextlib.asynccontextmanager
async def tallied(client: Client) -> AsyncIterator[Tally]:
    tally = Tally()
    following = asyncio.ensure_future(tally.follow(client))
    await tally.until(lambda: tally.snapshots)
    yield tally
    assert tally.snapshots == 1, "the test itself was too slow to hear of everything"
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


class Storm:
    """Jobs handed over by several hands while the code is saved."""

    def __init__(self, client: Client, tally: Tally, project: Project, rng: random.Random) -> None:
        self.client, self.tally, self.project, self._rng = client, tally, project, rng
        self.asked: dict[str, str] = {}  # job -> what it was asked to do
        self.least: dict[str, int] = {}  # job -> the generation that served already when it was handed over
        self.refused = 0

    async def round(self, number: int) -> None:
        """A burst of saves while jobs are handed over; the last one is good in every second round, and in the last."""
        left = iter(range(JOBS_PER_ROUND))
        await asyncio.gather(self.saves(number), *(self.hand(left) for _ in range(HANDS)))

    async def saves(self, number: int) -> None:
        deeds = [self.project.good, self.project.bad] * 2
        if number % 2 == 0:
            deeds.reverse()
        for deed in deeds:
            deed()
            await asyncio.sleep(self._rng.choice([0, 0, 0.02, 0.06, 0.25]))  # within and beyond what is one save

    async def hand(self, left: Any) -> None:
        for _ in left:
            do = self._rng.choices(["return", "raise", "leave", "wait"], [85, 5, 5, 5])[0]
            await self.job(do, self._rng.choice([0, 0, 0.01, 0.05, 0.2]))

    async def job(self, do: str, hold_s: float) -> str:
        """Hand over one job and wait for its end; asked again while the worker is full."""
        while True:
            serving = self.tally.state.worker.generation
            try:
                job = await self.client.dispatch(None, {"do": do, "hold_s": hold_s})
                break
            except ClientError as error:
                assert error.status == 503, error
                assert error.body["reason"] == "full", error
                self.refused += 1
                await self.tally.until(lambda: self.tally.state.worker.status == "ready")
        job_id = str(job["id"])
        self.asked[job_id], self.least[job_id] = do, serving
        if do == "wait":
            await self.tally.until(lambda: job_id in self.tally.state.jobs and self.running(job_id))
            await self.client.end_job(job_id)
        await self.tally.until(lambda: job_id in self.tally.ends)
        return job_id

    def running(self, job_id: str) -> bool:
        return self.tally.state.jobs[job_id].started_at is not None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(AGENTS), os.environ.get("PYTHONPATH")])))
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, random.Random("saves"))


@pytest.mark.timeout(400)
@defence(
    (
        "workbench/supervisor/reloading.py",
        "if self.serving is None and not self._waits_for_save:",
        "if not self._waits_for_save:",
    )
)
@pytest.mark.parametrize(("rounds", "flags"), [(ROUNDS, ()), (ROUNDS_LAYERED, ("--layers",))], ids=["plain", "layers"])
async def test_fault_G10_no_job_is_lost_or_runs_two_versions_in_a_storm_of_good_and_broken_saves(
    start_worker: Any, project: Project, rounds: int, flags: tuple[str, ...]
) -> None:
    worker = start_worker(project.agent, *FLAGS, *flags)
    async with worker.client() as client, asyncio.timeout(4 * WAIT_S), tallied(client) as tally:
        await until_ready(client)
        storm = Storm(client, tally, project, random.Random("jobs"))
        for number in range(rounds):
            await storm.round(number)
            if number % 2:
                await tally.until(lambda: tally.state.reload.problem is not None)
                assert tally.state.worker.generation in {1, *tally.served}
        last = project.good()
        while True:
            job_id = await storm.job("return", 0)
            entry = await until_written(worker, job_id, "finish")
            if (entry["saved"], entry["version"]) == (last, last):
                break
        await tally.until(lambda: tally.state.reload.problem is None)
    written: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in worker.entries():
        written[entry["job"]].append(entry)
    told = Counter(ends[0] for ends in tally.ends.values())
    print(f"{len(storm.asked)} jobs {dict(told)}, {storm.refused} refused at first;", end=" ")
    print(f"{len(tally.served)} generations served, {len(tally.failed)} failed, {project.number} saves")
    check_ends(storm, written)
    check_versions(tally, project, written)
    for job_id, generation in tally.generation.items():
        assert generation is not None
        assert generation >= storm.least[job_id], "new code served, and a new job ran on old code"
    assert len(storm.asked) > rounds * JOBS_PER_ROUND
    assert project.number - len(project.broken) > len(project.broken) >= 2 * rounds
    assert storm.refused
    assert len(tally.served) > rounds * 2 // 5
    assert tally.failed
    assert "a bug of ours" not in worker.output()


def check_ends(storm: Storm, written: dict[str, list[dict[str, Any]]]) -> None:
    """Each job that was taken has one end, and the true one."""
    tally = storm.tally
    assert tally.queued == Counter(dict.fromkeys(storm.asked, 1))
    assert tally.ends.keys() == storm.asked.keys() == written.keys()
    for job_id, do in storm.asked.items():
        whats = [entry["what"] for entry in written[job_id]]
        assert len(tally.ends[job_id]) == 1, f"ended more than once: {tally.ends[job_id]}"
        (end,) = tally.ends[job_id]
        assert whats.count("start") == 1, f"started more than once: {whats}"
        assert ("finish" in whats) == (end[0] == "completed"), f"{do}: told {end}, wrote {whats}"
        assert end == ENDS.get(do, ("cancelled", "cancelled")), f"{do}: wrote {whats}"


def check_versions(tally: Tally, project: Project, written: dict[str, list[dict[str, Any]]]) -> None:
    """Each generation has one code, the same for all of its jobs from their first line to their last."""
    code: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
    for job_id, entries in written.items():
        generation = tally.generation[job_id]
        assert generation is not None
        code[generation] |= {(entry["saved"], entry["version"]) for entry in entries}
    mixed = {generation: seen for generation, seen in code.items() if len(seen) != 1}
    assert not mixed, "generations that ran two versions of the code"
    seen = [one for generation in sorted(code) for one in code[generation]]
    assert not {number for pair in seen for number in pair} & project.broken, "broken code ran a job"
    for which in (0, 1):
        assert [pair[which] for pair in seen] == sorted(pair[which] for pair in seen), "a newer generation, older code"
    assert code.keys() <= {*tally.served, 1}


async def test_fault_G10_running_jobs_move_with_each_promotion_and_end_once(
    start_worker: Any, project: Project
) -> None:
    worker = start_worker(project.agent, *FLAGS, "--reload-jobs", "restart")
    async with worker.client() as client, asyncio.timeout(2 * WAIT_S), tallied(client) as tally:
        await until_ready(client)
        jobs = [await client.dispatch(f"room-{n}", {"do": "talk", "hold_s": 0, "n": n}) for n in range(4)]
        for _ in range(5):
            await until_all_run(worker, jobs, project.number)
            project.bad()
            await tally.until(lambda: tally.state.reload.problem is not None)
            project.good()
        await until_all_run(worker, jobs, project.number)
        await samples(client, 6)  # the watch looks again, and finds nothing
        for job in jobs[:2]:
            await client.end_job(job["id"])
        for job in jobs[2:]:
            await client.request("POST", f"/rooms/{job['room_id']}/messages", {"text": "that is all"})
        told = [await until_ended(client, job["id"]) for job in jobs]
        await tally.until(lambda: len(tally.ends) == len(jobs))
    for number, (job, end) in enumerate(zip(jobs, told, strict=True)):
        status, reason = ("cancelled", "cancelled") if number < 2 else ("completed", "returned")
        assert tally.ends[job["id"]] == [(status, reason)]
        assert (end["room_id"], end["metadata"]) == (f"room-{number}", {"do": "talk", "hold_s": 0, "n": number})
        assert end["attempt"] == len(end["attempts"])
        assert [attempt["reason"] for attempt in end["attempts"][:-1]] == ["reloaded"] * (end["attempt"] - 1)
        entries = [entry for entry in worker.entries() if entry["job"] == job["id"]]
        starts = [entry for entry in entries if entry["what"] == "start"]
        assert [entry["attempt"] for entry in starts] == list(range(1, end["attempt"] + 1))
        assert [entry["version"] for entry in starts] == sorted(entry["version"] for entry in starts)
        assert not {entry[which] for entry in entries for which in ("saved", "version")} & project.broken
        assert (starts[-1]["saved"], starts[-1]["version"]) == (project.number, project.number)
        assert end["attempt"] >= 6
        for entry in entries:
            assert entry["version"] == starts[entry["attempt"] - 1]["version"]
        whats = [entry["what"] for entry in entries if entry["what"] in ("asked", "finish")]
        assert whats == ["asked"] * (end["attempt"] - 1) + ["asked" if number < 2 else "finish"]


async def until_all_run(worker: Worker, jobs: list[dict[str, Any]], number: int) -> None:
    """Wait until each job has written that it runs on the code of a save, and stands where it waits for words."""
    async with asyncio.timeout(WAIT_S):
        while True:
            seen = {
                e["job"]
                for e in worker.entries()
                if (e["what"], e["saved"], e["version"]) == ("middle", number, number)
            }
            if seen >= {job["id"] for job in jobs}:
                return
            await asyncio.sleep(0.01)
