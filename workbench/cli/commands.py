"""What each command does; every error becomes one message and the contract's exit code."""

import asyncio
import json
import os
import sys
from argparse import Namespace
from typing import Any

from workbench.cli.parser import COMMANDS, parse_client, parse_run
from workbench.model.errors import UsageError, WorkbenchError
from workbench.model.text import clean_text


def run(arguments: list[str]) -> int:
    """Run a command; its exit code."""
    ready_fd = _hidden_fd(arguments, "--ready-fd=")
    try:
        if arguments[0] in COMMANDS:
            parsed = parse_client(arguments[0], arguments[1:])
            commands = {"attach": attach, "dispatch": dispatch, "options": options}
            return commands[arguments[0]](parsed)
        return run_agent(parse_run(arguments), arguments)
    except WorkbenchError as error:
        text = "\n".join(clean_text(line) for line in str(error).split("\n"))
        if ready_fd is not None:
            from workbench.cli.serve import say_ready

            try:
                say_ready(ready_fd, {"error": text, "exit_code": error.exit_code})
            except OSError:
                print(f"workbench: {text}", file=sys.stderr)  # it was told already, when the worker was up
            return error.exit_code
        print(f"workbench: {text}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `workbench options bot.py | head`: nobody reads on, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        return 130


def run_agent(parsed: Namespace, arguments: list[str]) -> int:
    """`workbench AGENT`: the TUI where there is a terminal, else headless."""
    if parsed.once and not parsed.no_tui:
        raise UsageError("--once runs without the TUI; add --no-tui")
    terminal = all(os.isatty(fd) for fd in (0, 1, 2)) and os.environ.get("TERM") != "dumb"
    if parsed.no_tui or not terminal:
        from workbench.cli.serve import Serve

        if not parsed.no_tui:
            print("workbench: no terminal here: running headless, as with --no-tui", file=sys.stderr)
        return Serve(parsed).run()
    from workbench.cli.tui import run_owned

    return run_owned(parsed, arguments)


def attach(parsed: Namespace) -> int:
    """`workbench attach [URL]`."""
    from workbench.cli.tui import run_attached

    return run_attached(parsed)


def options(parsed: Namespace) -> int:
    """`workbench options AGENT`: load the agent once and print every option with its origin."""
    from workbench.cli.show import show_options

    return show_options(parsed)


def dispatch(parsed: Namespace) -> int:
    """`workbench dispatch`: hand a job to a worker; with --wait, follow it to its end."""
    return asyncio.run(_dispatch(parsed))


async def _dispatch(parsed: Namespace) -> int:
    from workbench.cli.serve import _metadata
    from workbench.client.address import Address, live_supervisors, resolve
    from workbench.client.client import Client

    address: Address
    if parsed.url is None and parsed.agent_id is not None:
        matching = [a for a in live_supervisors() if os.path.basename(a.path).rpartition("-")[0] == parsed.agent_id]
        if len(matching) != 1:
            raise UsageError(f"{len(matching)} workers of agent {parsed.agent_id!r} run here; name one with --url")
        address = matching[0]
    else:
        address = resolve(parsed.url)
    async with Client(address, client_token(parsed.control_token_file)) as client:
        job = await client.dispatch(parsed.room, _metadata(parsed.metadata), force=parsed.force)
        if parsed.wait:
            job = await _until_ended(client, job)
    print(json.dumps(job, indent=2))
    return 0 if not parsed.wait or job["status"] == "completed" else 1


async def _until_ended(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    async for frame in client.frames():
        found = frame.state.jobs.get(job["id"])
        if found is not None and not found.active:
            break
    ended: dict[str, Any] = await client.request("GET", f"/jobs/{job['id']}")
    return ended


def client_token(file: str | None) -> str | None:
    """The control token for requests: from the flag's file, or WORKBENCH_CONTROL_TOKEN."""
    if file is not None:
        try:
            with open(file, encoding="utf-8") as handle:
                return handle.read(10_000).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--control-token-file {file}: {error}") from None
    return os.environ.get("WORKBENCH_CONTROL_TOKEN")


def _hidden_fd(arguments: list[str], prefix: str) -> int | None:
    for argument in arguments:
        if argument.startswith(prefix):
            return int(argument.removeprefix(prefix))
    return None
