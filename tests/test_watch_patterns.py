"""Saves of files that `--watch` names and of neighbours, of links and folders, judged by what the agent answers."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WAIT_S, wait_until
from tests.defences import defence
from tests.test_watch import agent, answers, looks, until_broken, until_watched
from tests.workers import until, until_ready
from workbench.client.client import Client

FILES = "workbench/supervisor/watching/files.py"
READS = """
import os, pathlib
here = pathlib.Path(__file__).parent
with open(here.parent / "loads", "a") as loads:
    loads.write("x")
found = sorted((here / "prompts").rglob("[a-z]*.md")) if (here / "prompts").exists() else []
WORDS = " ".join(file.read_text() for file in found) or "nothing"
"""


class Project:
    """An agent that says what lies in its prompts, and counts in a file how often it was loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.prompts = folder, folder / "says.py", folder / "prompts"
        self.file.write_text(agent("WORDS", READS))
        self.prompts.mkdir()
        (self.prompts / "a.md").write_text("one")

    def loads(self) -> int:
        return len((self.folder.parent / "loads").read_text())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


async def loads_nothing(client: Client, project: Project, change: Callable[[], Any]) -> None:
    before = project.loads()
    change()
    await looks(client)
    assert project.loads() == before


async def test_prompts_that_change_come_and_go_are_loaded(start_worker: Any, project: Project) -> None:
    worker = start_worker(project.file, "--reload", "--watch", "prompts/**/*.md", "--watch", "later/*.txt")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        (project.prompts / "a.md").write_text("two")
        await answers(client, "two")
        (project.prompts / "deep" / "er").mkdir(parents=True)
        (project.prompts / "deep" / "er" / "b.md").write_text("three")
        await answers(client, "two three")
        os.rename(project.prompts / "deep", project.prompts / "_deep")
        await answers(client, "three two")
        (project.prompts / "a.md").unlink()
        await answers(client, "three")
        shutil.rmtree(project.prompts)
        await answers(client, "nothing")
        loads = project.loads()
        (project.folder / "later").mkdir()
        (project.folder / "later" / "x.txt").touch()
        wait_until(lambda: project.loads() > loads, "a folder named before it was made")
    assert worker.output().count("--watch later/*.txt matches no file") == 1
    assert "prompts/**/*.md matches no file" not in worker.output()


async def test_a_pattern_may_name_a_folder_elsewhere(start_worker: Any, project: Project, tmp_path: Path) -> None:
    shutil.move(project.prompts, tmp_path / "shared")
    project.prompts.symlink_to(tmp_path / "shared")
    worker = start_worker(project.file, "--reload", "--watch", str(tmp_path / "shared"))
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        (tmp_path / "shared" / "b.md").write_text("two")
        await answers(client, "one two")


@defence((FILES, "if not same(self._now[path], self._loaded[path])}", "}"))
@defence(("workbench/supervisor/watching/versions.py", "    return one.digest == other.digest", "    return False"))
async def test_a_save_that_changes_nothing_loads_nothing(start_worker: Any, project: Project) -> None:
    worker = start_worker(project.file, "--reload", "--watch", "prompts")
    text = project.file.read_text()

    def same_again() -> None:
        os.utime(project.file)
        (project.prompts / "a.md").write_text("one")
        (project.folder / "new").write_text(text)
        os.replace(project.folder / "new", project.file)

    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        await loads_nothing(client, project, same_again)
        (project.prompts / "a.md").write_text("two")
        await answers(client, "two")
        await loads_nothing(client, project, lambda: os.utime(project.prompts / "a.md"))


@defence(("workbench/supervisor/watching/patterns.py", "return name in EXCLUDED or any(", "return any([]) and any("))
async def test_what_editors_and_tools_leave_loads_nothing(start_worker: Any, project: Project) -> None:
    worker = start_worker(project.file, "--reload", "--watch", "**/*")

    def leave() -> None:
        for name in (".git", "__pycache__", ".venv", "node_modules", ".mypy_cache"):
            (project.folder / name).mkdir(exist_ok=True)
            (project.folder / name / "x.md").write_text("x")
        for name in ("a.md~", ".a.md.swp", ".#a.md", "4913", "#a.md#", "a.md.tmp", ".goutputstream-X1"):
            (project.prompts / name).write_text("x")

    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        await loads_nothing(client, project, leave)
        (project.prompts / "b.md").write_text("two")
        await answers(client, "one two")


@defence((FILES, "time.monotonic() - since < GONE_S", "False"))
async def test_a_file_that_is_away_for_a_moment_while_it_is_saved_loads_nothing(
    start_worker: Any, project: Project
) -> None:
    worker = start_worker(project.file, "--reload", "--watch", "prompts")

    async def away() -> None:
        (project.prompts / "a.md").unlink()
        await asyncio.sleep(0.1)
        (project.prompts / "a.md").write_text("one")

    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        before = project.loads()
        for _ in range(3):
            await away()
            await looks(client, 3)
        assert project.loads() == before
        (project.prompts / "a.md").unlink()
        await answers(client, "nothing")


async def test_an_imported_file_that_is_deleted_fails_and_the_old_code_serves(
    start_worker: Any, project: Project
) -> None:
    part = project.folder / "part.py"
    part.write_text("WORDS = 'one'\n")
    project.file.write_text(agent("part.WORDS", "import part"))
    worker = start_worker(project.file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        part.unlink()
        problem = await until(client, lambda state: state.reload.problem)
        assert "No module named 'part'" in problem["message"]
        await answers(client, "one")
        part.write_text("WORDS = 'two'\n")
        await answers(client, "two")


async def test_the_agents_file_back_as_it_was_mends_a_reload_that_did_not_find_it(
    start_worker: Any, project: Project
) -> None:
    text = project.file.read_text()
    worker = start_worker(project.file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 1)
        await loads_nothing(client, project, project.file.unlink)
        await client.reload()
        await until_broken(client)
        await looks(client)
        project.file.write_text(text)
        await until(client, lambda state: state.reload.problem is None)


async def test_links_are_followed(start_worker: Any, project: Project, tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: each file a link into `..data`, and that a link which is swapped."""
    (project.prompts / "a.md").unlink()
    for version in ("one", "two"):
        (project.prompts / f"..{version}").mkdir()
        (project.prompts / f"..{version}" / "a.md").write_text(version)
    (project.prompts / "..data").symlink_to("..one")
    (project.prompts / "a.md").symlink_to("..data/a.md")
    project.file.write_text(agent("WORDS", READS.replace(".rglob", ".glob")))
    worker = start_worker(project.file, "--reload", "--watch", "prompts")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        (project.prompts / "..new").symlink_to("..two")
        os.replace(project.prompts / "..new", project.prompts / "..data")
        await answers(client, "two")
        (project.prompts / "..two" / "a.md").write_text("three")
        await answers(client, "three")
        state = await client.request("GET", "/stats")
        assert state["reload"]["changed"] == ["prompts/a.md"]


async def test_a_checkout_of_many_files_is_few_reloads_and_ends_on_the_last_state(
    start_worker: Any, project: Project
) -> None:
    worker = start_worker(project.file, "--reload", "--watch", "prompts")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        before = project.loads()
        for number in range(400):
            (project.prompts / f"x{number}.txt").write_text("x")
            await asyncio.sleep(0.001)
        (project.prompts / "a.md").write_text("two")
        await answers(client, "two")
        assert project.loads() - before <= 3


async def test_by_hand_only_changes_wait_until_somebody_asks(start_worker: Any, project: Project) -> None:
    worker = start_worker(project.file, "--reload=manual", "--watch", "prompts")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        assert (await client.request("GET", "/stats"))["reload"]["mode"] == "manual"
        (project.prompts / "a.md").write_text("two")
        await until(client, lambda state: state.reload.pending == ["prompts/a.md"])
        project.file.write_text(project.file.read_text() + "# more\n")
        await until(client, lambda state: state.reload.pending == ["prompts/a.md", "says.py"])
        (project.prompts / "a.md").write_text("one")
        await until(client, lambda state: state.reload.pending == ["says.py"])
        (project.prompts / "a.md").write_text("three")
        await until(client, lambda state: len(state.reload.pending) == 2)
        await answers(client, "one")
        assert project.loads() == 1
        await client.reload()
        await answers(client, "three")
        await looks(client)
        state = await client.request("GET", "/stats")
        assert state["reload"]["pending"] == []
        assert state["reload"]["changed"] == ["prompts/a.md", "says.py"]


@pytest.mark.parametrize("there", ["made", "moved in"])
async def test_a_missing_module_that_is_made_mends_broken_code(
    start_worker: Any, project: Project, tmp_path: Path, there: str
) -> None:
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "words.py").write_text("WORDS = 'two'\n")
    worker = start_worker(project.file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 1)
        project.file.write_text(agent("words.WORDS", "from parts import words"))
        await until_broken(client)
        await looks(client)
        if there == "made":
            (project.folder / "parts").mkdir()
            (project.folder / "parts" / "words.py").write_text("WORDS = 'two'\n")
        else:
            shutil.move(tmp_path / "ready", project.folder / "parts")
        await answers(client, "two")


@defence(("workbench/cli/serve.py", 'if parsed.watch and mode == "off":', "if False:"))
async def test_a_pattern_where_nothing_is_watched_is_refused(start_worker: Any, tmp_path: Path) -> None:
    file = tmp_path / "bot.py"
    file.write_text(agent("'one'"))
    worker = start_worker(file, "--watch", "*.md")
    assert worker.ended() == 2
    assert "--watch is for --reload" in worker.output()
