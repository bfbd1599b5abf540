"""A worker that is killed while jobs of a registry begin: what the registry knows of them."""

from collections.abc import Callable

import pytest

from tests.conftest import Worker
from tests.defences import defence
from tests.link.conftest import first
from tests.link.scripted import Scripted


@defence(("workbench/backend/link.py", "            self._talk.say_now(update.text())\n", "            pass\n"))
@defence(
    ("workbench/backend/offers.py", '"pending" if self._joins_first(job_id) else "running")', '"running")'),
)
@pytest.mark.parametrize(("joins_first", "word"), [(False, "running"), (True, "pending")])
async def test_a_worker_that_is_killed_by_the_first_deed_of_a_job_has_told_that_it_may_have_begun(
    registry: Scripted, register: Callable[..., Worker], joins_first: bool, word: str
) -> None:
    worker = register()
    caller = await first(registry)
    order = {"do": "kill_worker", "worker": worker.process.pid}
    await caller.give_with("j1", order, wait=joins_first)
    await caller.gone.wait()
    assert [entry["what"] for entry in worker.entries()][:1] == ["start"]
    assert [update["status"] for update in caller.of("job_update", job_id="j1")] == [word]
