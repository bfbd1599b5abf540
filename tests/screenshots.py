"""Makes every picture in `screenshots/`: `python -m tests.screenshots`. The real app, over a real worker, is driven.

Each is an SVG, and the same as PNG (in DejaVu Sans Mono, where that is installed: it has all signs).
Nothing is staged but the conversation: processes, figures, logs and errors are what happened while it ran.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import cairosvg
from textual.pilot import Pilot

from workbench.client.address import Address
from workbench.client.client import Client
from workbench.client.owner import Owner
from workbench.client.registry_watch import RegistryWatch
from workbench.tui.app import WorkbenchApp
from workbench.tui.house import HouseApp
from workbench.tui.registry.app import RegistryApp
from workbench.tui.registry.feed import RegistryAt
from workbench.tui.report import ExitReport
from workbench.tui.source import ClientSource

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "screenshots"
WAIT_S = 60.0
PNG_WIDTH = 1400


async def until(pilot: Pilot[ExitReport], what: Callable[[], object]) -> None:
    """Wait for something to show."""
    async with asyncio.timeout(WAIT_S):
        while not what():
            await pilot.pause(0.05)


@dataclass
class Stage:
    """A running workbench: its app, the keys, the worker's client and the agent's file."""

    app: WorkbenchApp
    pilot: Pilot[ExitReport]
    client: Client
    agent: Path

    async def until(self, what: Callable[[], object]) -> None:
        """Wait for something to show."""
        await until(self.pilot, what)

    async def say(self, text: str) -> None:
        """Type into the talk pane and wait for the answer."""
        talk = self.app.board_screen.talk
        before = len(talk.view.transcript.entries)
        talk.field.focus()
        await self.pilot.press(*(KEYS.get(letter, letter) for letter in text), "enter")
        await self.until(lambda: len(talk.view.transcript.entries) >= before + 2)
        await self.until(lambda: not talk.view.transcript.entries[-1].partial)

    async def rest(self, seconds: float) -> None:
        """Let figures and trends grow."""
        await self.pilot.pause(seconds)


KEYS = {" ": "space", "?": "question_mark", ".": "full_stop", ",": "comma", "'": "apostrophe"}


@asynccontextmanager
async def stage(sample: str, size: tuple[int, int], *flags: str) -> AsyncIterator[Stage]:
    """Run the workbench over a copy of a sample agent."""
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / sample
        shutil.copy(ROOT / "sample_agents" / sample, agent)
        os.chdir(folder)  # so that the header shows the file as a user would have named it
        owner = Owner([sample, "--start-job", *flags])
        owner.start()
        address = owner.wait_until_up()
        app = WorkbenchApp(ClientSource(address), owner=owner, title=sample)
        async with app.run_test(size=size) as pilot, Client(address) as client:
            it = Stage(app, pilot, client, agent)
            await it.until(lambda: app.board_screen.talk.joined)
            yield it
            app.exit()
            assert app._task is not None
            await asyncio.wait([app._task])  # as in real life, no message is handled once the widgets go
        os.kill(owner.pid, signal.SIGKILL)
        await owner.wait()
        os.chdir(ROOT)


def shoot(app: HouseApp, name: str) -> None:
    """Keep what is on the screen now."""
    picture = app.export_screenshot(title="workbench")
    (PICTURES / f"{name}.svg").write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n")
    in_font = re.sub(r"font-family:[^;]*;", "font-family: DejaVu Sans Mono, monospace;", picture)
    cairosvg.svg2png(in_font.encode(), write_to=str(PICTURES / f"{name}.png"), output_width=PNG_WIDTH)
    print(f"screenshots/{name}.svg, .png")


async def talk(it: Stage) -> None:
    """A conversation, jobs of others, and one of them killed."""
    await it.say("My name is Ada. Where is order 1042?")
    await it.say("and what does it cost?")
    jobs = [await it.client.dispatch(f"caller-{n}", force=True) for n in range(3)]
    await it.until(lambda: len(it.app.board.state.live("busy")) == 4)
    await it.rest(2)
    victim = it.app.board.state.jobs[jobs[1]["id"]].pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    await it.until(lambda: it.app.board.state.jobs[jobs[1]["id"]].status == "failed")
    await it.say("who am I?")
    await it.pilot.press("escape")
    await it.rest(6)


async def broken(it: Stage) -> None:
    """A save that cannot be loaded, while the old code answers."""
    await it.client.dispatch("caller-1", force=True)
    good = it.agent.read_text()
    it.agent.write_text(good.replace("PRICES = {", "PRICES = {{", 1))
    await it.until(lambda: it.app.board.state.reload.problem)
    await it.say("how much are 2 tubes?")
    await it.pilot.press("escape")
    await it.rest(2)


async def stalled(it: Stage) -> None:
    """A loop that stands still, named with its line."""
    await it.client.dispatch("caller-1", force=True)
    await it.rest(4)
    talk = it.app.board_screen.talk
    talk.field.focus()
    await it.pilot.press(*"block", "enter")
    await it.until(lambda: any(p.stack for p in it.app.board.state.processes.values()))
    await it.pilot.press("escape", "escape")
    await it.rest(2)


async def memory(it: Stage) -> None:
    """A job over its memory mark, another killed at its limit."""
    hungry = await it.client.dispatch("caller-1", force=True)
    await it.rest(3)
    await it.client.request("POST", "/rooms/caller-1/messages", {"text": "200"})
    await it.until(lambda: it.app.board.state.jobs[hungry["id"]].status == "failed")
    await it.say("70")
    await it.pilot.press("escape")
    await it.rest(6)


async def process(it: Stage) -> None:
    """All about a process that stands still."""
    await stalled(it)
    await it.pilot.press("i")
    await it.until(lambda: "stuck.py" in screen_text(it))
    await it.pilot.press("s")
    await it.rest(3)


async def logs(it: Stage) -> None:
    """A traceback that was opened, and a search."""
    await it.client.dispatch("caller-1", force=True)
    await it.rest(2)
    await it.client.request("POST", "/rooms/caller-1/messages", {"text": "hello"})
    await it.client.request("POST", "/rooms/caller-1/messages", {"text": "raise"})
    await it.until(lambda: any(job.status == "failed" for job in it.app.board.state.jobs.values()))
    await it.rest(2)
    await it.pilot.press("2", "e")
    await it.rest(0.5)
    await it.pilot.press("E", "enter", "ctrl+f", *"boom", "enter")
    await it.rest(1)


async def tune(it: Stage) -> None:
    """Values that are tried, with their marks on the gauges."""
    await it.client.dispatch("caller-1", force=True)
    await it.client.set_options({"max_processes": 8})
    await it.client.set_options({"drain_timeout": 600.0}, 600.0)
    await it.rest(4)
    it.app.board_screen.tune_option("memory_warn_mb")
    await it.pilot.press("minus", "minus", "minus")
    it.app.board_screen.tune_option("load_threshold")
    await it.pilot.press("plus", "plus")
    await it.rest(1)


async def load(it: Stage) -> None:
    """Jobs poured in."""
    await it.pilot.press("6")
    await it.rest(1)
    await it.pilot.press("g")
    await it.rest(3.5)


async def light(it: Stage) -> None:
    """The same by day."""
    it.app.theme = "workbench-light"
    await talk(it)


def screen_text(it: Stage) -> str:
    """What stands on the screen on top."""
    return "\n".join("".join(segment.text for segment in strip) for strip in it.app.screen._compositor.render_strips())


SCENES: dict[str, tuple[str, tuple[int, int], tuple[str, ...], Callable[[Stage], Awaitable[None]]]] = {
    "workbench": ("bot.py", (120, 40), ("--num-idle-processes=2", "--max-processes=6"), talk),
    "broken-save": ("bot.py", (120, 40), (), broken),
    "stalled": ("stuck.py", (120, 40), (), stalled),
    "process": ("stuck.py", (120, 40), ("--ping-timeout=60",), process),
    "logs": ("crashy.py", (120, 40), (), logs),
    "tune": ("bot.py", (120, 40), (), tune),
    "load": ("bot.py", (120, 40), ("--load-threshold=inf", "--num-idle-processes=3"), load),
    "light": ("bot.py", (120, 40), ("--num-idle-processes=2", "--max-processes=6"), light),
    "memory": ("leaky.py", (120, 40), (), memory),
    "small": ("bot.py", (80, 24), (), talk),
    "large": ("bot.py", (200, 60), ("--num-idle-processes=2", "--max-processes=8"), talk),
}


@asynccontextmanager
async def registry() -> AsyncIterator[tuple[str, "subprocess.Popen[str]"]]:
    """A registry of its own, and its address."""
    command = [sys.executable, "-m", "workbench", "registry", "--port", "0", "--log-format", "json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        yield json.loads(await asyncio.to_thread(process.stderr.readline))["url"], process
    finally:
        process.kill()
        process.communicate()


async def dispatched(url: str, agent: str, room: str) -> str:
    """A job for an agent; its worker."""
    async with RegistryWatch(Address(url=url)) as client:
        return (await client.dispatch(agent, room, {"caller": "Ada"}))[1]


@asynccontextmanager
async def workers(url: str, folder: str, *samples: str) -> AsyncIterator[None]:
    """Workers that register there."""
    flags = ["--no-tui", "--port=0", "--register", "--registry-url", url, "--load-threshold=inf"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": folder}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "workbench", str(ROOT / "sample_agents" / sample), *flags],
            env=environment, stderr=subprocess.DEVNULL, cwd=folder,
        )
        for sample in samples
    ]  # fmt: skip
    try:
        yield
    finally:
        for worker in started:
            worker.kill()
            worker.wait()


async def over_registry(name: str) -> None:
    """A registry with three workers, one of which drains, and jobs that run, end and fail."""
    with tempfile.TemporaryDirectory() as folder:
        async with registry() as (url, _), workers(url, folder, "bot.py", "bot.py", "crashy.py"):
            app = RegistryApp(RegistryAt(Address(url=url), None), url)
            async with app.run_test(size=(120, 40)) as pilot, RegistryWatch(Address(url=url)) as client:
                await until(pilot, lambda: app.board.seen.connected == 3)
                agents = {worker.id: worker.agent_name for worker in app.board.seen.workers.values()}
                crashy = next(agent for agent in agents.values() if agent != "Freewheel")
                for number in range(5):
                    await dispatched(url, "Freewheel", f"call-{1040 + number}")
                    await pilot.pause(0.5)
                await dispatched(url, crashy, "call-900")
                await dispatched(url, crashy, "call-901")
                drained = next(id for id, agent in agents.items() if agent == "Freewheel")
                await client.drain(drained, True)
                held = [job for job in app.board.seen.jobs.values() if job.worker_id == drained]
                await client.end_job(held[0].id)
                await pilot.pause(6)
                shoot(app, name)
                app.exit()
                assert app._task is not None
                await asyncio.wait([app._task])


async def link_lost(name: str) -> None:
    """A registry that went away while a job from it runs: the retries, and the job that goes on."""
    flags = ("--port=0", "--load-threshold=inf")
    async with (
        registry() as (url, process),
        stage("bot.py", (120, 40), *flags, "--registry-url", url) as it,
    ):
        await it.client.register()
        await it.until(lambda: it.app.board.state.link.state == "connected")
        await dispatched(url, "Freewheel", "call-1042")
        await it.until(lambda: len(it.app.board.state.active_jobs()) == 2)
        await it.say("My name is Ada. Where is order 1042?")
        await it.pilot.press("escape", "1")
        process.kill()
        await it.until(lambda: it.app.board.state.link.attempt >= 2 and it.app.board.state.link.retry_at)
        await it.rest(1)
        shoot(it.app, name)


REGISTRY_SCENES = {"registry": over_registry, "link-lost": link_lost}


async def main(names: list[str]) -> None:
    """Make the named pictures, or all."""
    PICTURES.mkdir(exist_ok=True)
    for name in names or [*SCENES, *REGISTRY_SCENES]:
        if name in REGISTRY_SCENES:
            await REGISTRY_SCENES[name](name)
            continue
        sample, size, flags, play = SCENES[name]
        async with stage(sample, size, "--port=0", *flags) as it:
            await play(it)
            shoot(it.app, name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
