"""A screen without a terminal that takes ten million log lines; prints the MB (USS) it holds after one and ten."""

import asyncio
import sys
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.tui.demo_state import demo_state
from tests.tui.fakes import FakeSource
from tests.tui.stage import make_app
from workbench.client.client import LogLine
from workbench.tui.widgets.logs.store import LogRecord

MILLION = 1_000_000
BATCH = 2_000  # as many as come between two paints of a flood


def batch(first: int) -> list[LogRecord]:
    """Lines as a busy worker writes them; every hundredth is an error."""
    return [
        LogRecord.of(
            LogLine(
                n, n / 1000, 1 + n % 4, 41201 + n % 4, 7, f"job-{n % 4}", "INFO" if n % 100 else "ERROR", "bot",
                f"turn {n} intent=refund confidence=0.88 order={n * 7}",
            )
        )
        for n in range(first, first + BATCH)
    ]  # fmt: skip


async def main() -> None:
    app = make_app(FakeSource(demo_state()))
    held = []
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for first in range(0, 10 * MILLION, BATCH):
            app.board_screen.logs.add(batch(first))
            await asyncio.sleep(0)
            if first + BATCH in (MILLION, 10 * MILLION):
                await pilot.pause()
                held.append(psutil.Process().memory_full_info().uss / 1e6)
    print(*held)


asyncio.run(main())
