"""`workbench load`: jobs for a worker that runs already, at a rate, and what became of them."""

import asyncio
import contextlib
import json
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from workbench.cli.commands import client_token
from workbench.cli.dispatch import USAGE_STATUSES
from workbench.cli.request import metadata_of
from workbench.client.address import Address, resolve
from workbench.client.client import Client, ClientError
from workbench.client.knock import knock
from workbench.client.load.plan import Plan, make_plan, rate_of, span_of, whole_of
from workbench.client.load.run import LoadRun
from workbench.model.errors import UsageError
from workbench.model.text import clean_text

BAR_EVERY_S = 0.2
LINE_EVERY_S = 5.0
LONGEST_SCRIPT = 1_000_000


def run_load(parsed: Namespace) -> int:
    """Pour in what was asked for, print the result; 0 when every job that was taken completed or was ended by us."""
    plan = _plan(parsed)
    address, token = resolve(parsed.url), client_token(parsed.control_token_file)
    try:
        knock(address, token)
    except ClientError as refused:
        if refused.status in USAGE_STATUSES:
            raise UsageError(str(refused)) from None
        raise
    run = asyncio.run(_pour(address, token, plan))
    if parsed.json:
        print(json.dumps(run.result.to_json(), indent=2))
    else:
        _print_table(run)
    return 0 if run.result.good else 1


def _plan(parsed: Namespace) -> Plan:
    duration_s = 0.0 if parsed.duration is None else span_of(parsed.duration, "--duration")
    if parsed.duration is not None and not duration_s:
        raise UsageError("--duration must be longer than nothing")
    return make_plan(
        jobs=None if parsed.jobs is None else whole_of(parsed.jobs, "--jobs"),
        rate_per_s=None if parsed.rate is None else rate_of(parsed.rate),
        burst=None if parsed.burst is None else whole_of(parsed.burst, "--burst"),
        concurrency=0 if parsed.concurrency is None else whole_of(parsed.concurrency, "--concurrency"),
        duration_s=duration_s, hold_s=span_of(parsed.hold, "--hold"), say=_lines(parsed),
        metadata=metadata_of(parsed.metadata), room_prefix=parsed.room_prefix or "", force=parsed.force,
        retry=parsed.retry,
    )  # fmt: skip


def _lines(parsed: Namespace) -> tuple[str, ...]:
    if parsed.script is None:
        return tuple(parsed.say or ())
    if parsed.say:
        raise UsageError("--say and --script are two ways to say the same; give one of them")
    try:
        with Path(parsed.script).open(encoding="utf-8") as file:
            text = file.read(LONGEST_SCRIPT)
    except OSError as error:
        raise UsageError(f"--script {parsed.script}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--script {parsed.script}: not a text file") from None
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not lines:
        raise UsageError(f"--script {parsed.script}: it has no line to say")
    return lines


async def _pour(address: Address, token: str | None, plan: Plan) -> LoadRun:
    async with Client(address, token) as client:
        run = LoadRun(client, plan)
        running = asyncio.create_task(run.run())

        def interrupted() -> None:
            if run.stopping:
                running.cancel()  # asked twice: it is not waited for
            else:
                run.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupted)
        with _progress(run) as (show, every_s):
            while not (await asyncio.wait([running], timeout=every_s))[0]:
                show()
            show()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return run


@contextlib.contextmanager
def _progress(run: LoadRun) -> Iterator[tuple[Callable[[], None], float]]:
    """A bar on a terminal, else a line now and then; both on stderr."""
    if not sys.stderr.isatty():
        yield lambda: print(f"load: {_standing(run)}", file=sys.stderr), LINE_EVERY_S
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(_standing(run), total=1.0)
        yield (
            lambda: bar.update(task, completed=run.share, description=_standing(run), refresh=True),
            BAR_EVERY_S,
        )


def _standing(run: LoadRun) -> str:
    result = run.result
    of = f" of {result.planned:,}" if result.planned else ""
    refused = f", {result.refused.total():,} refused" if result.refused else ""
    ending = ", ending" if run.stopping else ""
    return f"{result.handed_in:,}{of} handed in, {result.running:,} running{refused}{ending}"


def _print_table(run: LoadRun) -> None:
    from workbench.tui.load_words import count_rows, figure_rows, verdict

    rows = [*count_rows(run.result), *figure_rows(run.result, run.plan)]
    last = ""
    for label, line in rows:
        words = clean_text("".join(text for text, _ in line))
        print(f"{'' if label == last else label:<14} {words}".rstrip())
        last = label
    print(clean_text("".join(text for text, _ in verdict(run.result))))
