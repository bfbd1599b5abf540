"""`workbench options AGENT`."""

import asyncio
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from workbench.agent import loading
from workbench.cli.layers import read_layers
from workbench.cli.parser import given_flags
from workbench.model.errors import WorkbenchError
from workbench.model.text import clean_text
from workbench.process.reaper import become_subreaper
from workbench.supervisor.secrets import masked
from workbench.supervisor.worker import Supervisor


def show_options(parsed: Namespace) -> int:
    """Print every option with its value and origin, as the worker of this agent would have them."""
    target = loading.find(parsed.agent)
    layers = read_layers(Path(target.file).parent, parsed.preset, given_flags(parsed), target.stem)
    supervisor = Supervisor(parsed.agent, layers, arguments=parsed.arguments)
    become_subreaper()
    asyncio.run(_load(supervisor))
    if supervisor.failure is not None:
        raise masked(supervisor.failure, supervisor.logs.mask)
    table = supervisor.settings.table()
    rows = [
        (name, _value(name, item["value"]), item["unit"], clean_text(item["origin"])) for name, item in table.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _value(name: str, value: Any) -> str:
    if value is None:
        return "inf" if name == "load_threshold" else "-"
    return json.dumps(value)  # escapes what a terminal would act on


async def _load(supervisor: Supervisor) -> None:
    """Load the agent's first generation, and end."""
    running = asyncio.ensure_future(supervisor.run())
    loaded = asyncio.ensure_future(supervisor.code_loaded.wait())
    await asyncio.wait([running, loaded], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        supervisor.finish(0)
    try:
        await running
    except WorkbenchError as error:
        supervisor.failure = error
    loaded.cancel()
