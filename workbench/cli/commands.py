"""What each command does; every error becomes one message and the contract's exit code."""

import gc
import os
import select
import sys
import traceback
from argparse import Namespace

from workbench.cli.parser import COMMANDS, parse_client, parse_run, split
from workbench.model.errors import UsageError, WorkbenchError
from workbench.model.text import clean_lines

CONTROL_TOKEN = "WORKBENCH_CONTROL_TOKEN"


def run(arguments: list[str]) -> int:
    """Run a command; its exit code."""
    parsed: Namespace | None = None
    try:
        if arguments[0] == "demo":
            return demo(arguments[1:])
        if arguments[0] in COMMANDS:
            client = parse_client(arguments[0], arguments[1:])
            parsed = client if arguments[0] == "registry" else None  # a headless one's last words have a form
            return HANDLERS[arguments[0]](client)
        parsed = parse_run(arguments)
        return run_agent(parsed, arguments)
    except WorkbenchError as error:
        return _told(error, _ready_fd(arguments), parsed)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except OSError as error:  # no space, no descriptors, a folder that has gone: the machine's trouble
        what = f"{error.filename}: " if error.filename else ""
        return _told(WorkbenchError(f"{what}{error.strerror or error}"), _ready_fd(arguments), parsed)
    except Exception as error:  # a bug of ours ends in one line, too
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"
        bug = WorkbenchError(f"a bug of ours: {type(error).__name__}: {error} ({place})")
        return _told(bug, _ready_fd(arguments), parsed)


def run_agent(parsed: Namespace, arguments: list[str]) -> int:
    """`workbench AGENT`: the TUI where there is a terminal, else headless."""
    if parsed.once and not parsed.no_tui:
        raise UsageError("--once runs without the TUI; add --no-tui")
    if parsed.no_tui and parsed.owner_fd is None and (parsed.theme or parsed.ascii):
        raise UsageError("--theme and --ascii are about the screen, which --no-tui does not open")
    _check_folder()
    if parsed.no_tui or not _at_a_terminal():
        gc.disable()  # until it serves; the collector would look through all that is imported, again and again
        from workbench.cli.serve import Serve

        note = "" if parsed.no_tui else "no terminal here: running headless, as with --no-tui"
        return Serve(parsed, note).run()
    from workbench.cli.tui import run_owned

    return run_owned(parsed, arguments)


def attach(parsed: Namespace) -> int:
    """`workbench attach [URL]`: the TUI over a worker, or over a registry."""
    from workbench.client.address import resolve
    from workbench.client.knock import is_registry, knock, knock_registry

    address, token = resolve(parsed.url), client_token(parsed.control_token_file)
    if not _at_a_terminal():
        raise UsageError("attach opens a screen and needs a terminal; `workbench dispatch` and the routes do not")
    if is_registry(address):
        token = registry_token(parsed.control_token_file)
        knock_registry(address, token)
        from workbench.cli.tui import run_over_registry

        return run_over_registry(parsed, address, token)
    knock(address, token)
    from workbench.cli.tui import run_attached

    return run_attached(parsed, address, token)


def options(parsed: Namespace) -> int:
    """`workbench options AGENT`: load the agent once and print every option with its origin."""
    from workbench.cli.show import show_options

    return show_options(parsed)


def doctor(parsed: Namespace) -> int:
    """`workbench doctor [AGENT]`: try what a worker needs here, and say what follows."""
    _check_folder()
    from workbench.cli.doctor.command import run_doctor

    return run_doctor(parsed)


def dispatch(parsed: Namespace) -> int:
    """`workbench dispatch`: hand a job to a worker; with --wait, follow it to its end."""
    from workbench.cli.dispatch import run_dispatch

    return run_dispatch(parsed)


def set_options(parsed: Namespace) -> int:
    """`workbench set`: change options of a worker that runs."""
    from workbench.cli.set_options import run_set

    return run_set(parsed)


def load(parsed: Namespace) -> int:
    """`workbench load`: pour jobs into a worker, and tell what became of them."""
    from workbench.cli.load import run_load

    return run_load(parsed)


def registry(parsed: Namespace) -> int:
    """`workbench registry`: hand jobs to the workers that register here."""
    from workbench.cli.registry import run_registry

    return run_registry(parsed)


def init(parsed: Namespace) -> int:
    """`workbench init [DIR]`: write a first agent."""
    from workbench.cli.init import write_first_agent

    return write_first_agent(parsed.folder)


def demo(arguments: list[str]) -> int:
    """`workbench demo`: the workbench over the agent that comes with it."""
    from workbench.cli.demo import run_demo

    return run_demo(arguments)


HANDLERS = {
    "attach": attach,
    "dispatch": dispatch,
    "doctor": doctor,
    "init": init,
    "load": load,
    "options": options,
    "registry": registry,
    "set": set_options,
}


def _check_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError("the current folder does not exist any more; change to one that does") from None


def client_token(file: str | None, variable: str = CONTROL_TOKEN) -> str | None:
    """The token for requests: from the flag's file, or from the variable."""
    if file is None:
        token, source = os.environ.get(variable), variable
    else:
        source = f"--control-token-file {file}"
        try:
            with open(file, encoding="utf-8") as handle:
                token = handle.read(10_000).strip()
        except OSError as error:
            raise UsageError(f"{source}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{source}: not a text file") from None
    if token is not None and not (token.isprintable() and token and " " not in token):
        raise UsageError(f"{source}: must hold a token without blanks or line breaks")
    return token


def registry_token(file: str | None) -> str | None:
    """The token for a registry: from the flag's file, WORKBENCH_REGISTRY_TOKEN, or WORKBENCH_CONTROL_TOKEN."""
    variable = "WORKBENCH_REGISTRY_TOKEN"
    return client_token(file, variable if variable in os.environ else CONTROL_TOKEN)


def _at_a_terminal() -> bool:
    return all(os.isatty(fd) for fd in (0, 1, 2)) and os.environ.get("TERM") != "dumb"


def _told(error: WorkbenchError, ready_fd: int | None, parsed: Namespace | None) -> int:
    """Tell an error to whoever started us: the process above, or the reader of stderr; its exit code."""
    text = "\n".join(clean_lines(str(error)))
    if ready_fd is not None:
        from workbench.cli.serve import say

        try:
            say(ready_fd, {"error": text, "exit_code": error.exit_code})
        except OSError:
            ready_fd = None  # it was told already, when the worker was up
    if ready_fd is None and select.select([], [2], [], 1.0)[1]:  # a pipe that is full and not read takes no words
        try:
            print(_as_record(text, error.exit_code) if _logs_json(parsed) else f"workbench: {text}", file=sys.stderr)
        except OSError:
            return error.exit_code  # nobody reads; the code tells
    return error.exit_code


def _logs_json(parsed: Namespace | None) -> bool:
    """A headless worker's last words have the form of all others: its reader may be a program."""
    if parsed is None or getattr(parsed, "owner_fd", None) is not None:
        return False
    if _at_a_terminal() and not getattr(parsed, "no_tui", True):
        return False
    from workbench.cli.printer import wants_json

    return wants_json(parsed.log_format)


def _as_record(text: str, code: int) -> str:
    from workbench.cli.printer import record_line

    return record_line("ERROR", event="failed", message=text, exit_code=code)


def _ready_fd(arguments: list[str]) -> int | None:
    """The pipe of the process that started this one, also when the arguments cannot be parsed."""
    ours, _ = split(arguments)
    given = [argument.partition("=")[2] for argument in ours if argument.startswith("--ready-fd=")]
    return int(given[0]) if given and given[0].isdecimal() and len(given[0]) < 8 else None
