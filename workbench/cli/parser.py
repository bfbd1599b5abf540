"""The command line, made from the options' declaration."""

import argparse
import difflib
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from workbench.cli.flag_names import FLAGGED, PRESET_NAMES, SWITCHES
from workbench.model.errors import LONGEST_NAME, UsageError

COMMANDS = ("attach", "demo", "dispatch", "doctor", "init", "load", "options", "registry", "set")
OTHER_FLAGS = ("--help", "--version")
RELOAD_MODES = ("auto", "manual", "off")
RELOAD_JOBS = ("keep", "restart")
SCREEN_THEMES = ("dark", "light", "safe", "mono")


SEE_HELP = "\nsee `workbench --help`"


class Parser(argparse.ArgumentParser):
    """argparse, with our errors: one sentence, the nearest flag, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message + SEE_HELP)


def flag_of(name: str) -> str:
    """`memory_limit_mb` -> `--memory-limit-mb`."""
    return "--" + name.replace("_", "-")


def parse_run(arguments: list[str], command: str = "") -> argparse.Namespace:
    """`workbench [options] AGENT [OPTIONS] [-- ARGUMENTS OF THE AGENT]`.

    Raises:
        UsageError: unknown or incomplete flags.
    """
    ours, agent = split(arguments)
    ours = ["--reload=auto" if item == "--reload" else item for item in ours]
    parser = Parser(prog="workbench", add_help=False, allow_abbrev=False)
    parser.add_argument("agent", nargs="?")
    parser.add_argument("--no-tui", action="store_true")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--room")
    parser.add_argument("--metadata")
    parser.add_argument("--preset", choices=PRESET_NAMES)
    parser.add_argument("--log-format", choices=["auto", "text", "json"], default="auto")
    parser.add_argument("--reload", choices=RELOAD_MODES)
    parser.add_argument("--reload-jobs", choices=RELOAD_JOBS, default="keep")
    parser.add_argument("--watch", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--start-job", action=argparse.BooleanOptionalAction)
    parser.add_argument("--start-method", choices=["zygote", "spawn"])
    parser.add_argument("--strict", action="store_true")
    _add_looks(parser)
    parser.add_argument("--demo", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--owner-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    _add_options(parser)
    known, unknown = parser.parse_known_args(ours)
    if unknown:
        raise UsageError(_unknown(unknown[0], parser, known.agent) + SEE_HELP)
    if not known.agent:
        raise UsageError(f"no agent given; run `{' '.join(('workbench', command)).strip()} bot.py`" + SEE_HELP)
    if _looks_like_command(known.agent):
        close = difflib.get_close_matches(known.agent, COMMANDS, n=1, cutoff=0.7)
        if close:
            raise UsageError(
                f"no command and no agent {known.agent!r}; did you mean `workbench {close[0]}`?" + SEE_HELP
            )
    known.arguments = agent
    return known


def parse_doctor(arguments: list[str]) -> argparse.Namespace:
    """`workbench doctor [AGENT] [--json] [OPTIONS] [-- ARGUMENTS OF THE AGENT]`.

    Raises:
        UsageError: unknown or incomplete flags.
    """
    ours, agent = split(arguments)
    parser = Parser(prog="workbench doctor", add_help=False, allow_abbrev=False)
    parser.add_argument("agent", nargs="?")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--preset", choices=PRESET_NAMES)
    parser.add_argument("--start-method", choices=["zygote", "spawn"])
    _add_options(parser)
    known, unknown = parser.parse_known_args(ours)
    if unknown:
        raise UsageError(_unknown(unknown[0], parser, None) + SEE_HELP)
    known.arguments = agent
    return known


def _add_looks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--theme", choices=SCREEN_THEMES)
    parser.add_argument("--ascii", action="store_true")


def _add_options(parser: argparse.ArgumentParser) -> None:
    for name in FLAGGED:
        if name in SWITCHES:
            parser.add_argument(flag_of(name), action=argparse.BooleanOptionalAction, dest=f"option_{name}")
        else:
            parser.add_argument(flag_of(name), dest=f"option_{name}", metavar="VALUE")


def parse_demo(arguments: list[str]) -> tuple[str | None, list[str]]:
    """`workbench demo [--dir DIR] [OPTIONS]`: the folder, and the arguments that any agent may have.

    Raises:
        UsageError: an incomplete flag.
    """
    ours, agent = split(arguments)
    parser = Parser(prog="workbench demo", add_help=False, allow_abbrev=False)
    parser.add_argument("--dir")
    known, rest = parser.parse_known_args(ours)
    return known.dir, [*rest, *(["--", *agent] if agent else [])]


def _add_load(parser: argparse.ArgumentParser) -> None:
    for flag in ("--url", "--jobs", "--rate", "--concurrency", "--burst", "--duration", "--script", "--metadata"):
        parser.add_argument(flag)
    parser.add_argument("--hold", default="1s")
    parser.add_argument("--say", nargs="+", action="extend", metavar="TEXT")
    parser.add_argument("--room-prefix")
    for flag in ("--force", "--retry", "--json"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--control-token-file")


def _add_registry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_whole(0, 65535), default=8090)
    for flag in ("--token-file", "--tls-cert", "--tls-key", "--public-url"):
        parser.add_argument(flag)
    parser.add_argument("--grace", type=_seconds(86_400.0), default=20.0)
    parser.add_argument("--queue-size", type=_whole(0, 1_000_000), default=1000)
    parser.add_argument("--queue-timeout", type=_seconds(3600.0), default=30.0)
    parser.add_argument("--log-format", choices=["auto", "text", "json"], default="auto")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def _seconds(most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text.removesuffix("s"))
        except ValueError:
            value = -1.0
        if not 0 < value <= most:
            raise argparse.ArgumentTypeError(f"must be seconds above 0 and up to {most:g}")
        return value

    return read


def _looks_like_command(given: str) -> bool:
    if not (given.isascii() and given.isalpha()) or any(os.path.exists(given + end) for end in ("", ".py")):
        return False
    return given not in sys.modules and importlib.util.find_spec(given) is None


def given_flags(parsed: argparse.Namespace) -> dict[str, Any]:
    """The options set by flags."""
    values = {name: getattr(parsed, f"option_{name}") for name in FLAGGED}
    return {name: value for name, value in values.items() if value is not None}


def parse_client(command: str, arguments: list[str]) -> argparse.Namespace:
    """The commands that talk to a running worker, `doctor`, and `options`.

    Raises:
        UsageError: unknown or incomplete flags.
    """
    if command == "doctor":
        return parse_doctor(arguments)
    parser = Parser(prog=f"workbench {command}", add_help=False, allow_abbrev=False)
    if command == "attach":
        parser.add_argument("url", nargs="?")
        parser.add_argument("--control-token-file")
        _add_looks(parser)
    elif command == "dispatch":
        parser.add_argument("--url")
        parser.add_argument("--agent-id")
        parser.add_argument("--room")
        parser.add_argument("--metadata")
        parser.add_argument("--force", action="store_true")
        parser.add_argument("--wait", action="store_true")
        parser.add_argument("--control-token-file")
    elif command == "set":
        parser.add_argument("changes", nargs="*", metavar="NAME=VALUE")
        parser.add_argument("--undo", action="append", default=[], metavar="NAME")
        parser.add_argument("--for", dest="span")
        parser.add_argument("--url")
        parser.add_argument("--agent-id")
        parser.add_argument("--control-token-file")
    elif command == "load":
        _add_load(parser)
    elif command == "registry":
        _add_registry(parser)
    elif command == "init":
        parser.add_argument("folder", nargs="?", default=".")
    else:
        return parse_run(arguments, command)
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise UsageError(_unknown(unknown[0], parser, None) + SEE_HELP)
    return known


def help_text() -> str:
    """What `workbench --help` prints; committed as help.txt, because making it costs a tenth of a second."""
    from workbench.model.options import FIELDS, meta, plain

    lines = [
        _HEAD.strip("\n"),
        "",
        "Options of the worker, in the order flag > WORKBENCH_<OPTION> > file > agent:",
    ]
    for name in FLAGGED:
        field, unit = FIELDS[name], meta(name)["unit"]
        flag = flag_of(name) + ("" if field.annotation is not bool else " / --no-" + name.replace("_", "-"))
        default = _shown_default(plain(field.default), unit if unit in ("s", "MB") else "")
        lines.append(f"  {flag:<28} {field.description}{default}")
    return "\n".join(lines) + "\n\n" + _TAIL.strip("\n") + "\n"


def options_table() -> str:
    """The README's table of options."""
    from workbench.model.options import FIELDS, meta, plain

    rows = ["| option | default | takes effect | meaning |", "| --- | --- | --- | --- |"]
    for name, field in FIELDS.items():
        default = plain(field.default)
        text = "the file's stem" if name == "agent_id" else "-" if default is None else f"`{default}`"
        unit = f" ({meta(name)['unit']})" if meta(name)["unit"] else ""
        rows.append(f"| `{name}` | {text}{unit} | {meta(name)['effect']} | {field.description} |")
    return "\n".join(rows)


def _shown_default(value: object, unit: str) -> str:
    if value in (None, ""):
        return ""
    if isinstance(value, bool):
        return f" [{'yes' if value else 'no'}]"
    return f" [{value:g}{' ' + unit if unit else ''}]" if isinstance(value, int | float) else f" [{value}]"


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and what follows `--`: the agent's."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _unknown(given: str, parser: argparse.ArgumentParser, agent: str | None) -> str:
    """What is wrong with an argument. A value behind `=` may be a secret, and is not repeated."""
    flag = given.partition("=")[0]
    if flag.startswith("-"):
        actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
        flags = [*OTHER_FLAGS, *(flag for action in actions for flag in action.option_strings)]
        close = difflib.get_close_matches(flag[:LONGEST_NAME], flags, n=1, cutoff=0.5)
        return f"unknown flag {flag!r}" + (f"; did you mean {close[0]}?" if close else "")
    if given in RELOAD_MODES and agent is not None:
        return f"unexpected argument {given!r}; write `--reload={given}`"
    shown = repr(given[:LONGEST_NAME])
    if agent is None:
        return f"unexpected argument {shown}"
    if not _looks_like_command(agent):
        return f"unexpected argument {shown}; arguments of the agent itself follow `--`"
    close = difflib.get_close_matches(agent, COMMANDS, n=1, cutoff=0.6)
    return f"no command {agent!r}; did you mean `workbench {' '.join((*close, given))}`?"


_HEAD = """
workbench: run, watch and tune the worker that runs your AI agent

  workbench AGENT [OPTIONS] [-- ARGS]   the workbench: a TUI over the real supervisor, hot reload on
  workbench AGENT --no-tui [OPTIONS]    the same supervisor headless, as in production
  workbench AGENT --no-tui --once [--room R] [--metadata JSON]
                                        run one job; exit 0 if it completed, 1 if not
  workbench attach [URL]                the same TUI over a worker or a registry that runs
  workbench dispatch [--url URL] [--agent-id A] [--room R] [--metadata JSON] [--force] [--wait]
                                        hand a job to a running worker, or to a registry
  workbench registry [--host H] [--port P] [--token-file FILE] [--tls-cert FILE --tls-key FILE] [--public-url URL]
                     [--grace S] [--queue-size N] [--queue-timeout S] [--log-format auto|text|json]
                                        a registry: workers register with it, and it balances jobs over them
  workbench set NAME=VALUE... [--for 10m] [--url URL] [--agent-id A]
                                        change options of a running worker, for good or for a time
  workbench set --undo NAME             take such a change back
  workbench load [--url URL] [--jobs N] [--rate R] [--burst N] [--concurrency C] [--duration 30s] [--hold 1s]
                 [--say TEXT ... | --script FILE] [--metadata JSON] [--room-prefix P] [--force] [--retry] [--json]
                                        pour jobs into a running worker; exit 1 unless all of them end well
  workbench options AGENT [OPTIONS]     every option with its value and where it comes from
  workbench doctor [AGENT] [--json] [OPTIONS]
                                        try all that a worker needs of this machine; exit 2 if something is missing
  workbench demo [--dir DIR] [--no-tui] a worker with everything going on, to look at and to try things with
  workbench init [DIR]                  write a first agent and its options; nothing is overwritten

AGENT is bot.py, bot.py:name, a package, package.module or package.module:name.

  --preset local|standard|high-scale    a set of other defaults
  --reload[=auto|manual|off]            load the file again when it is saved (TUI: auto; headless: off)
  --watch PATTERN                       other files whose saves count: --watch 'prompts/*.md' (repeatable)
  --reload-jobs keep|restart            running jobs end on the old code, or start again on the new (keep)
  --layers                              load libraries once, and only the project's files again
  --start-job / --no-start-job          start one job at once (TUI: yes; headless: no)
  --start-method zygote|spawn           insist on a start method; by default the evidence decides
  --strict                              processes that keep dying end the worker (exit 5) instead of being tried again
  --log-format auto|text|json           on stderr: text on a terminal, JSON lines otherwise
  --theme dark|light|safe|mono          colours of the screen; safe: told apart by every eye; NO_COLOR: none
  --ascii                               draw the screen with plain ASCII signs
  --version                             print the version
"""
_TAIL = """

Exit codes: 0 clean, 1 the job of --once failed (or a bug of ours), 2 bad usage or configuration,
3 the agent cannot be loaded, 4 address in use, 5 restart budget used up, 6 registry refused,
7 a drain was cut, 128+n ended by signal n.
"""
