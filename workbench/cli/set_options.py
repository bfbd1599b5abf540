"""`workbench set`: options of a worker that runs already, changed for good or for a time, or taken back."""

import asyncio
import time
from argparse import Namespace
from typing import Any

from workbench.cli.commands import client_token
from workbench.cli.dispatch import USAGE_STATUSES, address_of, check_agent
from workbench.client.address import Address
from workbench.client.client import Client, ClientError
from workbench.model.durations import DAY_S, DURATION_WORDS, duration, seconds_of
from workbench.model.errors import LONGEST_NAME, UsageError, nearest
from workbench.model.option_words import value_words
from workbench.model.options import FIELDS, check, meta, plain, shown
from workbench.model.text import clean_text, cut

# Beside those of every request: no such option, no live change of it, one that needs a restart.
REFUSALS = USAGE_STATUSES | {404, 409}
Table = dict[str, dict[str, Any]]


def run_set(parsed: Namespace) -> int:
    """Change the options, and print what became different.

    Raises:
        UsageError: what was asked for cannot be, here or by the worker's own word.
        ClientError: the worker cannot be reached.
    """
    values, undo, for_s = _changes(parsed.changes), [_name(name) for name in parsed.undo], _span(parsed.span)
    if bool(values) == bool(undo) or (undo and for_s is not None):
        raise UsageError("give NAME=VALUE (with --for, for a time) or --undo NAME")
    address, token = address_of(parsed), client_token(parsed.control_token_file)
    try:
        before, after = asyncio.run(_set(parsed, address, token, values, undo, for_s))
    except ClientError as refused:
        if refused.status in REFUSALS:
            raise UsageError(str(refused)) from None
        raise
    for line in told(before, after, [*values, *undo]):
        print(clean_text(line))
    return 0


async def _set(
    parsed: Namespace, address: Address, token: str | None, values: dict[str, Any], undo: list[str], for_s: float | None
) -> tuple[Table, Table]:
    async with Client(address, token) as client:
        if parsed.agent_id is not None:
            await check_agent(client, address, parsed.agent_id)
        before = await client.options()
        after = await (client.take_back_options(undo) if undo else client.set_options(values, for_s))
        return before, after


def told(before: Table, after: Table, named: list[str]) -> list[str]:
    """`max_processes  5 -> 1  now, until 14:05:10 (10m), then 5`; also what follows for options nobody named."""
    lines = []
    for name, new in after.items():
        old = before.get(name, new)
        if name not in named and old.get("value") == new.get("value"):
            continue
        line = f"{name}  {value_words(name, old.get('value'))} -> {value_words(name, new.get('value'))}"
        line += f"  {_when(str(new.get('effect', '')))}"
        at, below = new.get("revert_at"), new.get("below") or {}
        if name in named and at is not None:
            until = time.strftime("%H:%M:%S", time.localtime(at))
            line += f", until {until} ({duration(max(at - time.time(), 0))}), then"
            line += f" {value_words(name, below.get('value'))} ({below.get('origin')})"
        elif new.get("origin") != "live":
            line += f" ({new.get('origin')})"
        lines.append(line)
    return lines


def _when(effect: str) -> str:
    return "from the next job on" if effect == "next job" else effect


def _changes(given: list[str]) -> dict[str, Any]:
    """The values as a request carries them; each is checked here, so that nothing is sent that cannot be."""
    values: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals:
            raise UsageError(f"write NAME=VALUE, not {cut(item, LONGEST_NAME)!r}")
        name = _name(name)
        if name in values:
            raise UsageError(f"{name} is given twice")
        value = check(name, text, text=True)
        values[name] = shown(name, plain(value))
    return values


def _name(given: str) -> str:
    """The option's name, also with the dashes of its flag; one that needs a restart is told before anything else."""
    name = given.strip().replace("-", "_")
    if name not in FIELDS:
        raise UsageError(f"{cut(given, LONGEST_NAME)}: no such option{nearest(name, FIELDS)}")
    if meta(name)["effect"] == "restart":
        raise UsageError(f"{name} needs a restart: give it in workbench.toml, as a variable or as a flag")
    return name


def _span(text: str | None) -> float | None:
    if text is None:
        return None
    seconds = seconds_of(text)
    if seconds is None or not 0 < seconds <= DAY_S:
        raise UsageError(f"--for must be {DURATION_WORDS}; at most 24h, not {cut(text, LONGEST_NAME)!r}")
    return seconds
