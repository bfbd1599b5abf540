"""How a file that is written for the SDK is loaded: named in every way, its options read, newer code taken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Worker
from tests.sdk.talking import AGENT, PIECE, begin, calling, url_of
from tests.test_loading import run_once
from tests.workers import log_lines, until, until_ended, until_ready

HEAD = """
from videosdk.agents import JobContext, Options, RoomOptions, WorkerJob
import json, os
def note(what, ctx):
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(json.dumps({"what": what, "context": type(ctx).__module__}) + "\\n")
async def entrypoint(ctx): note("entrypoint", ctx)
async def other(ctx): note("other", ctx)
"""
MADE = HEAD + "first = WorkerJob(entrypoint)\n"
BOTH = MADE + "second = WorkerJob(other)\n"


@pytest.mark.parametrize(
    ("source", "name", "ran"),
    [
        (MADE, "", "entrypoint"),  # made and never started
        (BOTH, ":second", "other"),
        (BOTH, ":entrypoint", "entrypoint"),
        (MADE + "if __name__ == '__main__':\n    first.start()\n    note('after', 0)\n", "", "entrypoint"),
    ],
    ids=["made only", "a job by name", "an entrypoint by name", "started behind a guard"],
)
def test_a_file_of_the_sdk_is_named_as_any_other(tmp_path: Path, source: str, name: str, ran: str) -> None:
    (tmp_path / "agent.py").write_text(source)
    code, output, ledger = run_once(tmp_path, "agent.py" + name)
    assert (code, [entry["what"] for entry in ledger]) == (0, [ran]), output
    assert ledger[0]["context"] == "videosdk.agents.job"


async def test_what_the_file_says_of_options_is_shown_with_its_origin_and_what_it_does_not_say_is_ours(
    start_worker: Callable[..., Worker],
) -> None:
    worker = start_worker(AGENT, "--max-processes", "3", "--load-threshold", "inf")
    async with worker.client() as client:
        await until_ready(client)
        options = await client.options()
        assert options["registry_url"] == options["registry_url"] | {
            "value": "https://127.0.0.1:9", "origin": "Options(...) in spoken.py",
        }  # fmt: skip
        assert options["register"]["value"] is True
        assert options["max_processes"]["value"] == 3  # a flag is stronger
        assert options["initialize_timeout"]["value"] == 60.0  # ours: the file does not speak of it
        assert options["agent_id"]["value"] == "spoken"
        unused = [line.text for line in await log_lines(client) if "not used here" in line.text]
        assert len(unused) == 1
        assert unused[0].endswith(": executor_type")


async def test_a_save_serves_new_jobs_while_the_running_one_talks_on(
    start_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    agent = Path(shutil.copytree(AGENT.parent, tmp_path / "agents")) / AGENT.name
    worker = start_worker(agent, "--reload")
    async with worker.client() as client:
        await until_ready(client)
        old, wrote = await begin(client, worker)
        async with calling(await url_of(client, old)) as caller:
            assert await caller.say(2) == f"You said: {2 * PIECE} bytes"
            agent.write_text(agent.read_text().replace('WORD = "first"', 'WORD = "second"'))
            await until(client, lambda state: state.worker.generation == 2 and state.live("idle"))
            _, after = await begin(client, worker)
            assert (wrote["word"], after["word"]) == ("first", "second")
            assert await caller.say(3) == f"You said: {3 * PIECE} bytes"
        assert (await until_ended(client, old))["status"] == "completed"
